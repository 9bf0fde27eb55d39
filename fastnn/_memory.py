"""Memory that starts, and whose pieces start, at a cache line: a vector that crosses one costs two accesses."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ._check import Array

__all__ = ["aligned_zeros", "padded"]

_ALIGNMENT = 64  # bytes: a cache line, and a register of AVX-512


def padded(size: int, dtype: DTypeLike) -> int:
    """Elements that `size` elements take if what follows them is to start at a cache line."""
    step = _ALIGNMENT // np.dtype(dtype).itemsize
    return -(-size // step) * step


def aligned_zeros(size: int, dtype: DTypeLike) -> Array:
    """(size,) zeros whose first element stands at a cache line."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(size + _ALIGNMENT // item, dtype)
    skip = -raw.ctypes.data % _ALIGNMENT // item
    return raw[skip : skip + size]
