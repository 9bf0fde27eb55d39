"""Checks that the update rules share."""

from __future__ import annotations

import numpy as np

from ..._check import Array, number, output, quote


def check_common(lr: float, weight_decay: float) -> None:
    """The settings of every rule."""
    number("lr", lr, low=0.0)
    number("weight_decay", weight_decay, low=0.0)


def writable(**arrays: Array) -> None:
    """Flat arrays of floats that may be written."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected a 1-D float32 or float64 array, got {quote(array)}")
        output(name, array, array.shape, array.dtype)


def flat(name: str, array: Array, like: Array) -> Array:
    """An array like another one."""
    if not isinstance(array, np.ndarray) or array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(f"{name}: expected shape {like.shape} and dtype {like.dtype}, got {quote(array)}")
    return np.ascontiguousarray(array)


def state_of(name: str, array: Array | None, like: Array, *, needed: bool = True) -> Array:
    """A state array like another one; an empty one where the variant has no use for it."""
    if not needed:
        return np.empty(0, like.dtype)
    if array is None:
        raise ValueError(f"{name}: expected an array for this variant of the rule, got None")
    return output(name, array, like.shape, like.dtype)


def check_betas(betas: tuple[float, float]) -> None:
    """Two numbers in [0, 1)."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas: expected two numbers, got {quote(betas)}")
    for i, beta in enumerate(betas):
        number(f"betas[{i}]", beta, low=0.0, high=1.0, open_high=True)


def check_eps(eps: float) -> None:
    """At least 1e-37: smaller ones vanish in float32, and 0/0 is NaN wherever a gradient has always been 0."""
    number("eps", eps, low=1e-37)


def inside_and_outside(eps: float, eps_inside_sqrt: bool) -> tuple[float, float]:
    """eps under the root, and beside it."""
    return (float(eps), 0.0) if eps_inside_sqrt else (0.0, float(eps))
