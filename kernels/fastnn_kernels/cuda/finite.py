"""Whether an array holds NaN or infinity: see `cpu.finite`."""

import math

import numpy as np

from ._sums import add_block
from ._target import BLOCK, cuda, groups, kernel

__all__ = ["find_not_finite", "finite_chunks"]

_CHUNK = 16 * BLOCK


def finite_chunks(size):
    """How many answers `find_not_finite` gives for an array of this size."""
    return max(1, groups(size, _CHUNK))


@kernel
def _find(x, found):
    counts = cuda.shared.array(BLOCK, np.float64)
    thread, first = cuda.threadIdx.x, cuda.blockIdx.x * _CHUNK
    count = 0.0
    for i in range(first + thread, min(x.size, first + _CHUNK), BLOCK):
        if not math.isfinite(x[i]):
            count += 1.0
    counts[thread] = count
    add_block(counts, thread)
    if thread == 0:
        found[cuda.blockIdx.x] = 1.0 if counts[0] > 0.0 else 0.0


def find_not_finite(x, found):
    """found[c] = 1 where chunk c of x holds NaN or infinity, else 0. x: (size,). found: (finite_chunks(size),) float64."""
    _find(finite_chunks(x.size), BLOCK, x, found)
