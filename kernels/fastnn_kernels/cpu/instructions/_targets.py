"""The rows of targets, weights and labels of a batch, and what its loss and scores are added to."""

import math

from ..._jit import worker
from ..program import COUNTED, FIRST, ROWS, SCORE, STOP, TOTAL, WEIGHT
from ._views import matrix, vector


@worker
def target_rows(context, k, offset):
    """The batch's rows of targets, gathered into work; below 0, ~offset is where they are already."""
    m, first = context.state[ROWS], context.state[FIRST]
    if offset < 0:
        return matrix(context.work, ~offset, m, k)
    rows = matrix(context.work, offset, m, k)
    for i in range(m):
        source = context.order[first + i] * k
        rows[i] = vector(context.targets, source, k)
    return rows


@worker
def batch_weights(context):
    """The weights of the batch's rows; none where all are 1."""
    m, first = context.state[ROWS], context.state[FIRST]
    weighted = context.row_weights.size > 0
    return vector(context.row_weights, first if weighted else 0, m if weighted else 0)


@worker
def sum_of_weights(weights, m):
    total = 0.0
    for i in range(weights.size):
        total += weights[i]
    return total if weights.size else float(m)


@worker
def sums_of_label_weights(labels, ignored, classes, weights):
    """The weights of rows and of their labels, multiplied and added up; and those of the rows alone that are not ignored."""
    weight, counted = 0.0, 0.0
    for i in range(labels.size):
        if labels[i] != ignored:
            row = float(weights[i]) if weights.size else 1.0
            counted += row
            if row != 0.0:
                weight += row * classes[labels[i]] if classes.size else row
    return weight, counted


@worker
def share_of(summed, weight):
    """What the gradient of each row is multiplied by, for a sum or a mean; nothing counts in a batch of weight 0."""
    if summed:
        return 1.0
    return 1.0 / weight if weight > 0.0 else 0.0


@worker
def sum_of(values):
    """In float64, four sums side by side, which need not wait for one another."""
    s0 = s1 = s2 = s3 = 0.0
    fours = values.size // 4 * 4
    for i in range(0, fours, 4):
        s0 += values[i]
        s1 += values[i + 1]
        s2 += values[i + 2]
        s3 += values[i + 3]
    for i in range(fours, values.size):
        s0 += values[i]
    return (s0 + s1) + (s2 + s3)


@worker
def account(losses, columns, share, weight, counted, results):
    """Add the weighted losses, divided by columns, and the weights; stop where not finite. With a share of 0 no loss counts."""
    total = sum_of(losses) if share != 0.0 else 0.0
    results[TOTAL] += total / columns
    results[WEIGHT] += weight
    results[COUNTED] += counted
    if not math.isfinite(total):
        results[STOP] = 1.0


@worker
def account_hits(hits, weights, results):
    for i in range(hits.size):
        results[SCORE] += weights[i] * hits[i] if weights.size else hits[i]
