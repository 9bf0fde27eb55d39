"""Instructions of what is done with the gradient before the rule: penalties, clipping."""

import math

from ..._jit import instruction
from .. import reductions
from .._views import view_at
from ..program import PENALTY, ROWS, SCALE, STOP
from ..reductions import LANES, sum_chunks


@instruction
def penalty(build):
    """size, partials in scratch, by rows (0 or 1), summed (0 or 1). reals: l1, l2, l1 that a proximal step sees to.

    Adds to results[PENALTY] for the rows.
    """
    update = build(reductions.penalty_update)

    def run(row, reals, context):
        size, partials, m = row[1], row[2], context.state[ROWS]
        share = 1.0 / m if row[3] else 1.0
        l1, l2 = reals[0] * share, reals[1] * share
        chunks = sum_chunks(size)
        room = view_at(context.scratch, partials, (chunks, 2 * LANES))
        sums = context.scratch[partials + chunks * 2 * LANES : partials + chunks * 2 * LANES + 2]
        update(context.parameters[:size], l1, l2, room, context.gradients[:size], sums)
        value = (l1 + reals[2] * share) * sums[0] + 0.5 * l2 * sums[1]
        context.results[PENALTY] += value if row[4] else value * m

    return run


@instruction
def clip_norm(build):
    """partials in scratch. reals: the largest norm. Sets results[SCALE], and stops where the norm is not finite."""
    squared_norm = build(reductions.squared_norm)

    def run(row, reals, context):
        partials, gradients = row[1], context.gradients
        chunks = sum_chunks(gradients.size)
        room = view_at(context.scratch, partials, (chunks, LANES))
        out = context.scratch[partials + chunks * LANES : partials + chunks * LANES + 1]
        squared_norm(gradients, room, out)
        norm = math.sqrt(out[0])
        context.results[SCALE] = min(1.0, reals[0] / (norm + 1e-6))
        if not math.isfinite(norm):
            context.results[STOP] = 2.0

    return run
