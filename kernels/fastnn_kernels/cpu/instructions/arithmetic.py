"""Instructions that copy and add."""

from ..._jit import instruction
from .. import arithmetic
from ..program import ROWS
from ._views import vector


@instruction
def add_arrays(build):
    """n, A, B, OUT."""
    add = build(arithmetic.add_arrays)

    def run(row, reals, context):
        size, work = context.state[ROWS] * row[1], context.work
        add(vector(work, row[2], size), vector(work, row[3], size), vector(work, row[4], size))

    return run


@instruction
def copy_rows(build):
    """n, A, OUT."""

    def run(row, reals, context):
        size = context.state[ROWS] * row[1]
        source, out = vector(context.work, row[2], size), vector(context.work, row[3], size)
        for i in range(size):
            out[i] = source[i]

    return run
