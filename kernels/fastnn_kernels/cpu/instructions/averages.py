"""The instruction that keeps an average of the weights."""

from ..._jit import instruction
from .. import averages
from .._views import borrowed
from ..program import FIRST

__all__ = ["average"]


@instruction
def average(build):
    """Rows of a full batch, the address of float64 (steps,), the weight of each step, 0 for none, and that of the average."""
    update = build(averages.average_update)

    def run(row, reals, context):
        step = context.state[FIRST] // row[1]
        weight = borrowed(row[2], reals, step + 1)[step]
        if weight != 0.0:
            update(context.parameters, weight, borrowed(row[3], context.parameters, context.parameters.size))

    return run
