"""Instructions of what is done beside the rule: clipping by value before it, thresholds and bounds on weights after it."""

from ..._jit import instruction
from .. import clipping, constraints
from .._views import view_at
from ..program import ROWS
from ._views import matrix, vector


@instruction
def clip_values(build):
    """reals: the bound. Of all gradients."""
    clip = build(clipping.clip_values)

    def run(row, reals, context):
        clip(reals[0], context.gradients)

    return run


@instruction
def soft_threshold(build):
    """size, by rows (0 or 1). reals: lr, strength. Of the first weights."""
    threshold = build(constraints.soft_threshold)

    def run(row, reals, context):
        share = 1.0 / context.state[ROWS] if row[2] else 1.0
        threshold(reals[0] * reals[1] * share, vector(context.parameters, 0, row[1]))

    return run


@instruction
def limit_column_norms(build):
    """m, n, weights in parameters, sums in scratch. reals: the largest norm."""
    limit = build(constraints.limit_column_norms)

    def run(row, reals, context):
        limit(reals[0], view_at(context.scratch, row[4], (row[2],)), matrix(context.parameters, row[3], row[1], row[2]))

    return run
