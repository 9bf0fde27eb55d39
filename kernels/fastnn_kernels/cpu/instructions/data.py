"""What a program reads and gives out."""

import numpy as np

from ..._jit import instruction
from .. import finite, gather
from .._views import fetch
from ..program import FIRST, ROWS, SCORE
from ._views import matrix, vector

__all__ = ["GATHERS", "emit", "look_for_not_finite"]

_LINE_BYTES = 64
# A next batch that is no larger is asked for while this one is at work, since its rows lie anywhere: in training on batches of 32
# rows out of 1.3 MB a step took 12.1 µs, not 13.3.
_AHEAD_BYTES = 1 << 14


def _gather(dtype):
    def make(build):
        gather_rows = build(gather.gather_rows)

        def run(row, reals, context):
            n, y = row[1], row[2]
            m, first = context.state[ROWS], context.state[FIRST]
            elements = context.source.view(dtype)
            rows = elements.reshape((elements.size // n, n))
            gather_rows(rows, vector(context.order, first, m), reals[0], matrix(context.work, y, m, n))
            if m * n * elements.itemsize <= _AHEAD_BYTES:
                for i in range(first + m, min(first + 2 * m, context.order.size)):
                    for element in range(0, n, _LINE_BYTES // elements.itemsize):
                        fetch(elements, context.order[i] * n + element)

        return run

    make.__name__ = f"gather_{np.dtype(dtype).name}"
    make.__doc__ = "n, Y; reals: scale. The rows of the batch, from the bytes in source."
    return instruction(make)


GATHERS = {np.dtype(t): _gather(t) for t in (np.uint8, np.int64, np.float32, np.float64)}


@instruction
def look_for_not_finite(build):
    """n, X, partials in scratch. Adds to results[SCORE] where the batch, converted and in cache, has NaN or infinity."""
    find = build(finite.find_not_finite)

    def run(row, reals, context):
        x = vector(context.work, row[2], context.state[ROWS] * row[1])
        found = vector(context.scratch, row[3], finite.finite_chunks(x.size))
        find(x, found)
        for i in range(found.size):
            context.results[SCORE] += found[i]

    return run


@instruction
def emit(build):
    """k, Z. The rows of the batch become rows of targets: what a network in use gives out."""

    def run(row, reals, context):
        k, z = row[1], row[2]
        m, first = context.state[ROWS], context.state[FIRST]
        rows, out = context.work[z : z + m * k], context.targets[first * k : (first + m) * k]
        for i in range(rows.size):
            out[i] = rows[i]

    return run
