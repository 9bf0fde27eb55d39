"""Sums over flat arrays: the norm of a gradient, and penalties with their gradients."""

from __future__ import annotations

import numpy as np

from fastnn_kernels.cpu import reductions

from ..._check import Array, floats, number
from .._dispatch import run
from ._common import flat, writable

__all__ = ["add_penalty_gradient", "squared_norm"]

_NORM_NS, _PENALTY_NS = 0.05, 0.12


def squared_norm(x: Array) -> float:
    """Σ x² in float64. x: any shape, float32 or float64. The order of additions depends on the size alone.

    >>> squared_norm(np.array([3.0, 4.0]))
    25.0
    """
    x = floats("x", x).reshape(-1)
    partials, out = np.empty((reductions.sum_chunks(x.size), reductions.LANES)), np.empty(1)
    run(reductions.squared_norm, x.size * _NORM_NS, x, partials, out)
    return float(out[0])


def add_penalty_gradient(weights: Array, gradients: Array, l1: float, l2: float) -> tuple[float, float]:
    """gradients += l1 · sign(weights) + l2 · weights, in place; returns Σ|weights| and Σ weights².

    weights, gradients: (size,), one dtype.
    """
    writable(gradients=gradients)
    weights = flat("weights", weights, gradients)
    partials, out = np.empty((reductions.sum_chunks(weights.size), 2 * reductions.LANES)), np.empty(2)
    l1, l2 = number("l1", l1, low=0.0), number("l2", l2, low=0.0)
    run(reductions.penalty_update, weights.size * _PENALTY_NS, weights, l1, l2, partials, gradients, out)
    return float(out[0]), float(out[1])
