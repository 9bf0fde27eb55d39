"""An instruction that sets what a rule reads, step by step: how schedules run inside a program."""

from ..._jit import instruction
from .._views import borrowed, view_at
from ..program import FIRST

__all__ = ["set_reals"]


@instruction
def set_reals(build):
    """Rows of a full batch, n, k, the address of float64 (steps, n, k). The first k reals of the n instructions after this one
    become the step's.
    """

    def run(row, reals, context):
        n, k, width = row[2], row[3], reals.size
        step = context.state[FIRST] // row[1]
        values = borrowed(row[4], reals, (step + 1) * n * k)
        following = view_at(reals, 0, ((n + 1) * width,))  # the rows of reals lie one after another
        for i in range(n):
            for j in range(k):
                following[(i + 1) * width + j] = values[(step * n + i) * k + j]

    return run
