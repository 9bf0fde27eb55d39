"""Softmax and its logarithm over the last axis."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastnn_kernels.cpu import softmax as kernels

from .._check import Array, floats, nonempty, output, same_shape
from ._dispatch import run

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]

SOFTMAX_NS = 1.0  # an element, on one core; forward and backward


def softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """eˣ / Σ eˣ over the last axis, shifted so that it cannot overflow.

    x: (..., k), float32 or float64 (other real dtypes become float32). out: an array for the result, x itself too. Rows with NaN
    or +∞, or of -∞ alone, become NaN. Raises ValueError or TypeError for bad arguments.

    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return _forward(kernels.softmax_forward, x, out)


def softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """y (dy - Σ dy y), from the output y. dy, y: one shape, (..., k). out: an array for the result, neither of them."""
    return _backward(kernels.softmax_backward, dy, y, out)


def log_softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """x - log Σ eˣ over the last axis: the logarithm of `softmax`, also where that is 0. Arguments as there.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _forward(kernels.log_softmax_forward, x, out)


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """dy - eʸ Σ dy, from the output y. Arguments as for `softmax_backward`."""
    return _backward(kernels.log_softmax_backward, dy, y, out)


def _forward(kernel: Any, x: ArrayLike, out: Array | None) -> Array:
    x = _rows("x", x)
    y = output("out", out, x.shape, x.dtype)
    k = x.shape[-1]
    run(kernel, x.size * SOFTMAX_NS, x.reshape(-1, k), y.reshape(-1, k))
    return y


def _backward(kernel: Any, dy: ArrayLike, y: ArrayLike, out: Array | None) -> Array:
    y = _rows("y", y)
    dy = floats("dy", dy, dtype=y.dtype)
    same_shape("dy", dy, y.shape, "that of y")
    dx = output("out", out, y.shape, y.dtype, apart=(dy, y))
    k = y.shape[-1]
    run(kernel, y.size * SOFTMAX_NS, dy.reshape(-1, k), y.reshape(-1, k), dx.reshape(-1, k))
    return dx


def _rows(name: str, value: ArrayLike) -> Array:
    array = nonempty(name, floats(name, value))
    if array.ndim == 0:
        raise ValueError(f"{name}: expected at least one dimension, got a number")
    return array
