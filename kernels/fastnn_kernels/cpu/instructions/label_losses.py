"""Instructions of losses against labels or probabilities with weights of rows and classes, and with labels that are ignored.

Each adds the weighted loss of the batch's rows to results[TOTAL], what it is divided by to results[WEIGHT] and results[COUNTED],
stops where it is not finite, and leaves the gradient.
"""

from ..._jit import instruction
from .. import label_losses, losses
from ..program import FIRST, ROWS, SCORE
from ._targets import (
    account,
    account_hits,
    batch_weights,
    share_of,
    sum_of_weights,
    sums_of_label_weights,
    target_rows,
)
from ._views import matrix, maybe, vector


@instruction
def weighted_cross_entropy(build):
    """k, Z, DZ, LOSSES, HITS, summed (0 or 1), CLASS_WEIGHTS (-1: none), the ignored label. reals: label smoothing."""
    gradient = build(label_losses.weighted_cross_entropy_gradient)

    def run(row, reals, context):
        k, z, dz, values, scores, ignored = row[1], row[2], row[3], row[4], row[5], row[8]
        m, first, work = context.state[ROWS], context.state[FIRST], context.work
        loss, hits, labels = vector(work, values, m), vector(work, scores, m), vector(context.labels, first, m)
        weights, classes = batch_weights(context), maybe(work, row[7], k)
        weight, counted = sums_of_label_weights(labels, ignored, classes, weights)
        share = share_of(row[6], weight)
        gradient(matrix(work, z, m, k), labels, reals[0], ignored, classes, weights, share, loss, hits, matrix(work, dz, m, k))
        account(loss, 1.0, share, weight, counted, context.results)
        account_hits(hits, weights, context.results)

    return run


@instruction
def nll_loss(build):
    """k, Z, DZ, LOSSES, HITS, summed (0 or 1), CLASS_WEIGHTS (-1: none), the ignored label."""
    gradient = build(label_losses.nll_loss_gradient)

    def run(row, reals, context):
        k, z, dz, values, scores, ignored = row[1], row[2], row[3], row[4], row[5], row[8]
        m, first, work = context.state[ROWS], context.state[FIRST], context.work
        loss, hits, labels = vector(work, values, m), vector(work, scores, m), vector(context.labels, first, m)
        weights, classes = batch_weights(context), maybe(work, row[7], k)
        weight, counted = sums_of_label_weights(labels, ignored, classes, weights)
        share = share_of(row[6], weight)
        gradient(matrix(work, z, m, k), labels, ignored, classes, weights, share, loss, hits, matrix(work, dz, m, k))
        account(loss, 1.0, share, weight, counted, context.results)
        account_hits(hits, weights, context.results)

    return run


@instruction
def weighted_soft_cross_entropy(build):
    """k, Z, DZ (-1: no gradient), LOSSES, LOG_SUMS, DLOSSES, SCRATCH, summed, TARGETS, SHARES (m·k), CLASS_WEIGHTS (-1: none).

    reals: label smoothing.
    """
    forward, backward = build(losses.soft_cross_entropy_forward), build(losses.soft_cross_entropy_backward)

    def run(row, reals, context):
        k, z, dz = row[1], row[2], row[3]
        m, work = context.state[ROWS], context.work
        logits, targets, shares = matrix(work, z, m, k), target_rows(context, k, row[9]), matrix(work, row[10], m, k)
        sums, loss, dloss = matrix(work, row[5], 2, m), vector(work, row[4], m), vector(work, row[6], m)
        weights, classes = batch_weights(context), maybe(work, row[11], k)
        weight = sum_of_weights(weights, m)
        share = share_of(row[8], weight)
        everywhere, hit = reals[0] / k, 1.0 - reals[0]
        for i in range(m):
            for j in range(k):
                amount = hit * targets[i, j] + everywhere
                shares[i, j] = amount * classes[j] if classes.size else amount
        forward(logits, shares, 0.0, matrix(work, row[7], m, k), sums, loss)
        truth = targets.reshape(m * k)
        for i in range(m):
            row_weight = float(weights[i]) if weights.size else 1.0
            loss[i] = row_weight * loss[i] if row_weight != 0.0 else 0.0
            dloss[i] = share * row_weight
            if losses.largest(work, z + i * k, k) == losses.largest(truth, i * k, k):
                context.results[SCORE] += row_weight
        account(loss, 1.0, share, weight, weight, context.results)
        if dz >= 0:
            backward(dloss, logits, shares, 0.0, sums, matrix(work, dz, m, k))
            for i in range(weights.size):
                if weights[i] == 0.0:
                    for j in range(k):
                        work[dz + i * k + j] = 0.0

    return run
