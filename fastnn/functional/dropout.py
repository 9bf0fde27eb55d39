"""Inverted dropout on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import dropout as kernels

from .._check import Array, floats, integer, nonempty, number, output
from ._dispatch import run

__all__ = ["dropout", "dropout_backward"]

_ELEMENT_NS = 0.32


def dropout(
    x: ArrayLike,
    p: float = 0.5,
    seed: int = 0,
    step: int = 0,
    *,
    stream: int = 0,
    training: bool = True,
    out: Array | None = None,
) -> Array:
    """y = x · mask / (1 - p), where the mask is 0 with probability p; x itself (a copy) outside training.

    x: any shape. p: in [0, 1). seed: in [0, 2⁶⁴). step, stream: in [0, 2³²). The mask depends on seed, step, stream and the
    element's position alone, so `dropout_backward` makes it again. out: an array for the result, x itself too.

    >>> dropout(np.ones(6), p=0.5, seed=3)
    array([2., 0., 2., 2., 0., 2.])

    Source: Srivastava et al., "Dropout", JMLR 2014; the bits are Philox4x32-10 (`fastnn_kernels.cpu.random`).
    """
    x = nonempty("x", floats("x", x))
    p = number("p", p, low=0.0, high=1.0, open_high=True)
    y = output("out", out, x.shape, x.dtype)
    if not training or p == 0.0:
        if y is not x:
            np.copyto(y, x)
        return y
    run(
        kernels.dropout_forward, x.size * _ELEMENT_NS,
        x.reshape(-1), p, np.uint64(integer("seed", seed, low=0, high=2**64 - 1)),
        integer("step", step, low=0, high=2**32 - 1), integer("stream", stream, low=0, high=2**32 - 1), y.reshape(-1),
    )  # fmt: skip
    return y


def dropout_backward(
    dy: ArrayLike, p: float = 0.5, seed: int = 0, step: int = 0, *, stream: int = 0, out: Array | None = None
) -> Array:
    """dx = dy · mask / (1 - p), with the mask that `dropout` used for the same p, seed, step and stream."""
    return dropout(floats("dy", dy), p, seed, step, stream=stream, out=out)
