"""The instruction of losses that go element by element, with or without weights of rows."""

from ..._jit import instruction, worker
from .. import pointwise_losses
from ..program import ROWS, SCORE
from ._targets import account, batch_weights, share_of, sum_of_weights, target_rows
from ._views import matrix, maybe, vector


@worker
def _hits(z, targets, weights, m, k, results):
    """The share of each row's outputs that are on their target's side, weighted."""
    for i in range(m):
        hits = 0
        for j in range(i * k, (i + 1) * k):
            hits += (z[j] > 0.0) == (targets[j] > 0.5)
        share = hits / k
        results[SCORE] += weights[i] * share if weights.size else share


@instruction
def pointwise_loss(build):
    """The kind, k, Z, DZ, LOSSES (m·k), summed (0 or 1), TARGETS, FACTORS (-1: none), their number, full (0 or 1).

    reals: the kind's parameter. Adds the weighted loss of the batch's rows to results[TOTAL], the weights to results[WEIGHT]
    and results[COUNTED], stops where it is not finite, and leaves the gradient. Hits are of the logistic loss.
    """
    gradient = build(pointwise_losses.pointwise_loss_gradient)

    def run(row, reals, context):
        kind, k, z, dz, values, summed = row[1], row[2], row[3], row[4], row[5], row[6]
        m, work = context.state[ROWS], context.work
        targets, weights = target_rows(context, k, row[7]), batch_weights(context)
        columns = 1.0 if summed else float(k)
        weight = sum_of_weights(weights, m)
        share = share_of(summed, weight * k)
        gradient(
            kind, matrix(work, z, m, k), targets, reals[0], row[10] != 0, maybe(work, row[8], row[9]), weights,
            share, matrix(work, values, m, k), matrix(work, dz, m, k),
        )  # fmt: skip
        account(vector(work, values, m * k), columns, share, weight, weight, context.results)
        if kind == pointwise_losses.LOGISTIC:
            _hits(vector(work, z, m * k), targets.reshape(m * k), weights, m, k, context.results)

    return run
