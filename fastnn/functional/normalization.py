"""Batch normalisation on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import batchnorm as kernels
from fastnn_kernels.cpu._rows import row_chunks
from fastnn_kernels.cpu.activations import IDENTITY

from .._check import Array, boolean, floats, nonempty, number, output, same_shape
from ._dispatch import run

__all__ = ["BatchNormGradients", "batch_norm", "batch_norm_backward"]

_PASS_NS = 0.3


class BatchNormGradients(NamedTuple):
    """Gradients with respect to the arguments of `batch_norm`."""

    dx: Array
    dgamma: Array
    dbeta: Array


def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    unbiased_running_var: bool = True,
    stats: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Batch normalisation over the rows: y = gamma · (x - μ) / √(σ² + eps) + beta.

    x: (m, n). gamma, beta: (n,), ones and zeros where None. running_mean, running_var: (n,) arrays of x's dtype. In training
    μ and σ² are the batch's (m >= 2), and the running arrays, where given, move by `momentum` towards them, the variance
    as m/(m-1) · σ² unless unbiased_running_var is False; otherwise μ and σ² are the running ones. stats: an array of shape
    (3, n) to fill for `batch_norm_backward`. out: (m, n). Raises ValueError or TypeError, e.g. for one row in training.

    >>> batch_norm(np.array([[1.0], [3.0]]), training=True, eps=0.0)
    array([[-1.],
           [ 1.]])

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015; conventions as in torch.
    """
    x = nonempty("x", floats("x", x, ndim=2))
    m, n = x.shape
    gamma = _per_column("gamma", gamma, x, 1.0)
    beta = _per_column("beta", beta, x, 0.0)
    eps = number("eps", eps, low=0.0)
    momentum = number("momentum", momentum, low=0.0, high=1.0)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean, running_var: expected both or neither, got one")
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None:
            output(name, running, (n,), x.dtype)
    stats = output("stats", stats, (3, n), x.dtype)
    y = output("out", out, x.shape, x.dtype)
    if boolean("training", training):
        if m < 2:
            raise ValueError(f"x: expected at least 2 rows for batch statistics in training, got {m}")
        empty = np.empty(0, x.dtype)
        mean, var = (empty, empty) if running_mean is None or running_var is None else (running_mean, running_var)
        partials = np.empty((row_chunks(m), 4, n))
        unbiased = boolean("unbiased_running_var", unbiased_running_var)
        run(
            kernels.batchnorm_forward, x.size * _PASS_NS,
            x, gamma, beta, eps, momentum, unbiased, IDENTITY, 0.0, 0.0, 0, 0, 0, partials, mean, var, stats, y,
        )  # fmt: skip
    else:
        if running_mean is None:
            raise ValueError("running_mean, running_var: expected arrays for use outside training, got None")
        run(
            kernels.batchnorm_inference, x.size * _PASS_NS,
            x, gamma, beta, running_mean, running_var, eps, IDENTITY, 0.0, stats, y,
        )  # fmt: skip
    return y


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None,
    stats: ArrayLike,
    training: bool = True,
    *,
    out: tuple[Array | None, Array | None, Array | None] = (None, None, None),
) -> BatchNormGradients:
    """The gradients (dx, dgamma, dbeta) of `batch_norm`, from the stats that it filled.

    dy, x: (m, n). gamma: (n,) or None. stats: (3, n). training: as it was in `batch_norm`: whether the statistics depended
    on x. out: arrays for the three results.
    """
    x = nonempty("x", floats("x", x, ndim=2))
    m, n = x.shape
    if training and m < 2:
        raise ValueError(f"x: expected at least 2 rows for batch statistics in training, got {m}")
    dy = floats("dy", dy, dtype=x.dtype, ndim=2)
    same_shape("dy", dy, x.shape, "that of x")
    gamma = _per_column("gamma", gamma, x, 1.0)
    stats = floats("stats", stats, dtype=x.dtype)
    same_shape("stats", stats, (3, n), "as batch_norm fills it")
    dx = output("out[0]", out[0], x.shape, x.dtype)
    dgamma = output("out[1]", out[1], (n,), x.dtype)
    dbeta = output("out[2]", out[2], (n,), x.dtype)
    partials = np.empty((row_chunks(m), 2, n))
    run(
        kernels.batchnorm_backward, x.size * _PASS_NS,
        dy, x, np.empty((0, 0), x.dtype), gamma, stats, boolean("training", training), IDENTITY, 0.0, 0.0, partials,
        dgamma, dbeta, dx,
    )  # fmt: skip
    return BatchNormGradients(dx, dgamma, dbeta)


def _per_column(name: str, value: ArrayLike | None, x: Array, default: float) -> Array:
    if value is None:
        return np.full(x.shape[1], default, x.dtype)
    array = floats(name, value, dtype=x.dtype)
    same_shape(name, array, (x.shape[1],), "one for each column of x")
    return array
