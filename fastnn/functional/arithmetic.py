"""Sums of arrays."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastnn_kernels.cpu import arithmetic as kernels

from .._check import Array, floats, output, same_shape
from ._dispatch import run

__all__ = ["add"]

_NS = 0.1  # an element


def add(a: ArrayLike, b: ArrayLike, *, out: Array | None = None) -> Array:
    """a + b of one shape. b is converted to a's dtype. out: of that shape, either input too.

    >>> add([1.0, 2.0], [3.0, 4.0])
    array([4., 6.])
    """
    a = floats("a", a)
    b = floats("b", b, dtype=a.dtype)
    same_shape("b", b, a.shape, "that of a")
    result = output("out", out, a.shape, a.dtype)
    run(kernels.add_arrays, a.size * _NS, a.reshape(-1), b.reshape(-1), result.reshape(-1))
    return result
