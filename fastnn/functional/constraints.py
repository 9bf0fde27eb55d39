"""What is done to gradients before an update and to weights after it, in place."""

from __future__ import annotations

import numpy as np

from fastnn_kernels.cpu import clipping
from fastnn_kernels.cpu import constraints as kernels

from .._check import Array, number, output, quote
from ._dispatch import run

__all__ = ["clip_values", "limit_column_norms", "soft_threshold"]

_NS = 0.1  # an element


def clip_values(x: Array, bound: float) -> None:
    """Cut x to [-bound, bound], in place. x: any shape, C-contiguous. NaN stays NaN.

    >>> x = np.array([-3.0, 0.5])
    >>> clip_values(x, 1.0)
    >>> x
    array([-1. ,  0.5])
    """
    _writable("x", x)
    run(clipping.clip_values, x.size * _NS, number("bound", bound, low=0.0), x.reshape(-1))


def soft_threshold(weights: Array, threshold: float) -> None:
    """sign(w) · max(|w| - threshold, 0), in place: the proximal step of L1. weights: any shape, C-contiguous.

    >>> w = np.array([-3.0, 0.5])
    >>> soft_threshold(w, 1.0)
    >>> w
    array([-2.,  0.])
    """
    _writable("weights", weights)
    run(kernels.soft_threshold, weights.size * _NS, number("threshold", threshold, low=0.0), weights.reshape(-1))


def limit_column_norms(weights: Array, largest: float) -> None:
    """Scale the columns of weights (n_in, n_out) whose norm is above `largest` down to it, in place.

    >>> w = np.array([[3.0, 0.1], [4.0, 0.2]])
    >>> limit_column_norms(w, 1.0)
    >>> w
    array([[0.6, 0.1],
           [0.8, 0.2]])
    """
    _writable("weights", weights)
    if weights.ndim != 2:
        raise ValueError(f"weights: expected 2 dimensions, got shape {weights.shape}")
    largest = number("largest", largest, low=0.0, open_low=True)
    run(kernels.limit_column_norms, 2 * weights.size * _NS, largest, np.empty(weights.shape[1]), weights)


def _writable(name: str, array: Array) -> None:
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected a float32 or float64 array, got {quote(array)}")
    output(name, array, array.shape, array.dtype)
