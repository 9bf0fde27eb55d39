"""What the update rules share."""

import numpy as np

from ..._jit import apart, worker

__all__ = ["CHUNK", "normal", "shrink"]

CHUNK = 8192  # elements a task


@apart
def shrink(w, factor):
    """Decoupled weight decay of a piece, while it is on its way into cache."""
    for i in range(w.size):
        w[i] *= factor


@worker
def normal(value, array):
    """A value for an array, or 0 where it is nearer to 0 than the smallest normal number.

    Averages that fade, of gradients that are 0 (of a ReLU that never fires), would end as subnormal numbers and stay so: 0.9
    times the smallest is rounded to itself. Arithmetic on them is slow: with some among its moments Adam took three times longer.
    """
    return array.dtype.type(0.0) if abs(value) < np.finfo(array.dtype).tiny else value
