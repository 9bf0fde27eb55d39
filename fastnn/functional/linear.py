"""The fully connected layer on arrays."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import linear as kernels
from fastnn_kernels.cpu.gemm import scratch_size

from .._check import Array, floats, nonempty, output, same_shape
from .._memory import aligned_zeros
from ._dispatch import get_num_threads, parallel_pays, run
from .activations import activation_backward, kind_and_slope

__all__ = ["LinearGradients", "linear", "linear_backward"]

_PRODUCT_NS = 1 / 110  # a multiply-add
_kept = threading.local()


class LinearGradients(NamedTuple):
    """Gradients with respect to the three arguments of `linear`; None for what was not asked for."""

    dx: Array | None
    dweight: Array
    dbias: Array | None


def linear(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    *,
    negative_slope: float = 0.01,
    out: Array | None = None,
) -> Array:
    """y = f(x @ weight + bias).

    x: (m, n_in). weight: (n_in, n_out), float32 or float64; the other arguments are converted to its dtype. bias:
    (n_out,) or None. activation: None, 'relu', 'leaky_relu', 'sigmoid', 'tanh' or 'selu'. out: (m, n_out), apart from
    the inputs in memory.
    Returns (m, n_out). Raises ValueError or TypeError where shapes or dtypes do not fit.

    >>> linear([[1.0, 2.0]], [[1.0], [10.0]], [0.5])
    array([[21.5]])
    """
    weight = floats("weight", weight, ndim=2)
    x = nonempty("x", floats("x", x, dtype=weight.dtype, ndim=2))
    _features("x", x, weight.shape[0], "rows of weight")
    n_out = weight.shape[1]
    if bias is None:
        bias = np.empty(0, weight.dtype)
    else:
        bias = floats("bias", bias, dtype=weight.dtype)
        same_shape("bias", bias, (n_out,), "one for each column of weight")
    kind, slope = kind_and_slope(activation, negative_slope)
    y = output("out", out, (x.shape[0], n_out), weight.dtype, apart=(x, weight, bias))
    work = x.shape[0] * weight.size * _PRODUCT_NS
    run(kernels.linear_forward, work, x, weight, bias, kind, slope, _scratch(work, weight), y)
    return y


def linear_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    activation: str | None = None,
    y: ArrayLike | None = None,
    negative_slope: float = 0.01,
    bias: bool = True,
    need_dx: bool = True,
    accumulate: bool = False,
    out: tuple[Array | None, Array | None, Array | None] = (None, None, None),
) -> LinearGradients:
    """The gradients (dx, dweight, dbias) of `linear`.

    dy: (m, n_out). x, weight: as in `linear`. activation, y, negative_slope: as in `linear`, with its result y, where there
    was an activation. bias=False and need_dx=False leave those gradients out. out: arrays for the three,
    apart from the inputs in memory.
    accumulate: add to out's dweight and dbias, which then must be given, instead of overwriting them.
    """
    weight = floats("weight", weight, ndim=2)
    x = nonempty("x", floats("x", x, dtype=weight.dtype, ndim=2))
    _features("x", x, weight.shape[0], "rows of weight")
    dz = floats("dy", dy, dtype=weight.dtype, ndim=2)
    m, (n_in, n_out) = x.shape[0], weight.shape
    same_shape("dy", dz, (m, n_out), "that of the output")
    if accumulate and (out[1] is None or (bias and out[2] is None)):
        raise ValueError("out: expected arrays for dweight and dbias to accumulate in, got None")
    inputs = (dz, x, weight)
    dx = output("out[0]", out[0], (m, n_in), weight.dtype, apart=inputs) if need_dx else None
    dweight = output("out[1]", out[1], (n_in, n_out), weight.dtype, apart=inputs)
    dbias = output("out[2]", out[2], (n_out,), weight.dtype, apart=inputs) if bias else None
    if activation is not None:
        if y is None:
            raise ValueError(f"y: expected the output of linear with activation {activation!r}, got None")
        y = floats("y", y, dtype=weight.dtype)
        same_shape("y", y, dz.shape, "that of dy")
        dz = activation_backward(activation, dz, y, negative_slope)
    work = m * weight.size * _PRODUCT_NS * (1 + need_dx)
    run(
        kernels.linear_backward, work, dz, x, weight, accumulate, _scratch(work, weight), dweight,
        np.empty(0, weight.dtype) if dbias is None else dbias, np.empty((0, 0), weight.dtype) if dx is None else dx,
    )  # fmt: skip
    return LinearGradients(dx, dweight, dbias)


def _scratch(nanoseconds: float, weight: Array) -> Array:
    """Scratch for a product: a row for each thread that shares the work. Each Python thread keeps its own: 0.4 MB a row."""
    pieces = get_num_threads() if parallel_pays(nanoseconds) else 1
    if not hasattr(_kept, "rooms"):
        _kept.rooms = {}
    room: Array | None = _kept.rooms.get((weight.itemsize, pieces))
    if room is None:
        room = aligned_zeros(pieces * scratch_size(), weight.dtype).reshape(pieces, -1)
        _kept.rooms[weight.itemsize, pieces] = room
    return room


def _features(name: str, x: Array, features: int, of: str) -> None:
    if x.shape[1] != features:
        raise ValueError(f"{name}: expected {features} features, as many as {of}, got shape {x.shape}")
