"""Layer and RMS normalisation on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import layernorm as kernels

from .._check import Array, floats, nonempty, number, output, same_shape
from ._dispatch import run
from .normalization import BatchNormGradients, _per_column

__all__ = ["layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward"]

LAYERNORM_NS = 0.2


def layer_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    stats: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Layer normalisation of each row: y = gamma · (x - μ) / √(σ² + eps) + beta, with the row's mean and biased variance.

    x: (m, n). gamma, beta: (n,), ones and zeros where None. stats: an array of shape (3, m) to fill for `layer_norm_backward`.
    out: (m, n).

    >>> layer_norm(np.array([[1.0, 3.0]]), eps=0.0)
    array([[-1.,  1.]])

    Source: Ba et al., arXiv:1607.06450; conventions as in torch.
    """
    return _forward(x, gamma, beta, number("eps", eps, low=0.0), True, stats, out)


def rms_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    eps: float | None = None,
    *,
    stats: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Each row by its root mean square: y = gamma · x / √(mean of x² + eps). eps: None takes the dtype's machine epsilon.

    The other arguments are those of `layer_norm`.

    >>> rms_norm(np.array([[3.0, 4.0, 0.0, 0.0]]), eps=0.0)
    array([[1.2, 1.6, 0. , 0. ]])

    Source: Zhang and Sennrich, NeurIPS 2019; conventions as in torch.
    """
    x = floats("x", x, ndim=2)
    eps = float(np.finfo(x.dtype).eps) if eps is None else number("eps", eps, low=0.0)
    return _forward(x, gamma, None, eps, False, stats, out)


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None,
    stats: ArrayLike,
    *,
    out: tuple[Array | None, Array | None, Array | None] = (None, None, None),
) -> BatchNormGradients:
    """The gradients (dx, dgamma, dbeta) of `layer_norm`, from the stats that it filled. out: arrays for the three."""
    return _backward(dy, x, gamma, stats, True, out)


def rms_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None,
    stats: ArrayLike,
    *,
    out: tuple[Array | None, Array | None] = (None, None),
) -> tuple[Array, Array]:
    """The gradients (dx, dgamma) of `rms_norm`, from the stats that it filled. out: arrays for the two."""
    return _backward(dy, x, gamma, stats, False, (*out, None))[:2]


def _forward(
    x: ArrayLike,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    eps: float,
    centered: bool,
    stats: Array | None,
    out: Array | None,
) -> Array:
    x = nonempty("x", floats("x", x, ndim=2))
    gamma, beta = _per_column("gamma", gamma, x, 1.0), _per_column("beta", beta, x, 0.0)
    stats = output("stats", stats, (3, len(x)), x.dtype)
    y = output("out", out, x.shape, x.dtype)
    run(kernels.layernorm_forward, x.size * LAYERNORM_NS, x, gamma, beta, eps, centered, stats, y)
    return y


def _backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None,
    stats: ArrayLike,
    centered: bool,
    out: tuple[Array | None, Array | None, Array | None],
) -> BatchNormGradients:
    x = nonempty("x", floats("x", x, ndim=2))
    m, n = x.shape
    dy = floats("dy", dy, dtype=x.dtype, ndim=2)
    same_shape("dy", dy, x.shape, "that of x")
    gamma = _per_column("gamma", gamma, x, 1.0)
    stats = floats("stats", stats, dtype=x.dtype)
    same_shape("stats", stats, (3, m), "as forward fills it")
    dx = output("out[0]", out[0], x.shape, x.dtype)
    dgamma, dbeta = (output(f"out[{i}]", out[i], (n,), x.dtype) for i in (1, 2))
    partials = np.empty((kernels.layernorm_chunks(m), 2, n))
    run(
        kernels.layernorm_backward, 2 * x.size * LAYERNORM_NS, dy, x, gamma, stats, centered, partials, dgamma, dbeta, dx
    )  # fmt: skip
    return BatchNormGradients(dx, dgamma, dbeta)
