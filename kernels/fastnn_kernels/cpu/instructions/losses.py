"""Instructions of losses: each adds the loss of the batch's rows to results[TOTAL], stops where it is not finite, and leaves
the gradient.
"""

import math

from ..._jit import instruction, worker
from .. import losses
from ..program import FIRST, ROWS, SCORE, STOP, TOTAL
from ._views import matrix, vector


@worker
def _account(losses, results, rows):
    """Add the batch's loss times its rows to TOTAL, and see that it is finite."""
    total = 0.0
    for i in range(losses.size):
        total += losses[i]
    results[TOTAL] += total * (rows / losses.size)
    if not math.isfinite(total):
        results[STOP] = 1.0


@instruction
def cross_entropy(build):
    """k, Z, DZ, LOSSES, HITS, summed (0 or 1). reals: label smoothing."""
    gradient = build(losses.cross_entropy_gradient)

    def run(row, reals, context):
        k, z, dz, values, scores = row[1], row[2], row[3], row[4], row[5]
        m, first, work = context.state[ROWS], context.state[FIRST], context.work
        loss, hits = vector(work, values, m), vector(work, scores, m)
        gradient(
            matrix(work, z, m, k), vector(context.labels, first, m), reals[0], 1.0 if row[6] else 1.0 / m, loss, hits,
            matrix(work, dz, m, k),
        )  # fmt: skip
        _account(loss, context.results, m)
        for i in range(m):
            context.results[SCORE] += hits[i]

    return run


@worker
def _fill(array, value):
    for i in range(array.size):
        array[i] = value


@worker
def _target_rows(context, k, offset):
    """The batch's rows of targets, gathered into work; below 0, ~offset is where they are already."""
    m, first = context.state[ROWS], context.state[FIRST]
    if offset < 0:
        return matrix(context.work, ~offset, m, k)
    rows = matrix(context.work, offset, m, k)
    for i in range(m):
        source = context.order[first + i] * k
        rows[i] = vector(context.targets, source, k)
    return rows


@instruction
def soft_cross_entropy(build):
    """k, Z, DZ (-1: no gradient), LOSSES, LOG_SUMS, DLOSSES, SCRATCH, summed, TARGETS. reals: label smoothing."""
    forward, backward = build(losses.soft_cross_entropy_forward), build(losses.soft_cross_entropy_backward)

    def run(row, reals, context):
        k, z, dz, values, log_sums, weights, room = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        m, work = context.state[ROWS], context.work
        logits, targets = matrix(work, z, m, k), _target_rows(context, k, row[9])
        sums, loss, dloss = matrix(work, log_sums, 2, m), vector(work, values, m), vector(work, weights, m)
        forward(logits, targets, reals[0], matrix(work, room, m, k), sums, loss)
        _account(loss, context.results, m)
        _fill(dloss, 1.0 if row[8] else 1.0 / m)
        truth = targets.reshape(m * k)
        for i in range(m):
            context.results[SCORE] += losses.largest(work, z + i * k, k) == losses.largest(truth, i * k, k)
        if dz >= 0:
            backward(dloss, logits, targets, reals[0], sums, matrix(work, dz, m, k))

    return run


@instruction
def squared_error(build):
    """k, Z, DZ (-1: no gradient), LOSSES (m·k), DLOSSES (m·k), summed, TARGETS."""
    forward, backward = build(losses.squared_error_forward), build(losses.squared_error_backward)

    def run(row, reals, context):
        k, z, dz, values, weights = row[1], row[2], row[3], row[4], row[5]
        m, work = context.state[ROWS], context.work
        size = m * k
        targets = _target_rows(context, k, row[7]).reshape(size)
        prediction, loss, dloss = vector(work, z, size), vector(work, values, size), vector(work, weights, size)
        forward(prediction, targets, loss)
        _account(loss, context.results, m if row[6] == 0 else size)
        _fill(dloss, 1.0 if row[6] else 1.0 / size)
        if dz >= 0:
            backward(dloss, prediction, targets, vector(work, dz, size))

    return run
