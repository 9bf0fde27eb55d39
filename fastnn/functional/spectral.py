"""The spectral norm of a matrix by power iteration, and the gradient of a matrix divided by it."""

from __future__ import annotations

import math

import numpy as np

from .._check import Array, integer, number
from .optimizers import squared_norm

__all__ = ["spectral_norm", "spectral_norm_backward"]


def spectral_norm(weight: Array, u: Array, v: Array, iterations: int = 1, eps: float = 1e-12) -> float:
    """σ(W) ≈ uᵀ W v after some power iterations, which change the unit vectors u (n_in,) and v (n_out,) in place.

    weight: (n_in, n_out). iterations: 0 takes the vectors as they are. eps: the least norm that a vector is divided by.

    >>> u, v = np.array([0.6, 0.8]), np.array([1.0, 0.0])
    >>> round(spectral_norm(np.diag([3.0, 1.0]), u, v, iterations=20), 6)
    3.0

    Source: T. Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018, algorithm 1.
    """
    eps = number("eps", eps, low=0.0)
    for _ in range(integer("iterations", iterations, low=0)):
        v[...] = _unit(_product("i,ij->j", u, weight), eps)
        u[...] = _unit(_product("ij,j->i", weight, v), eps)
    return float(_product("j,j->", _product("i,ij->j", u, weight), v))


def _product(subscripts: str, a: Array, b: Array) -> Array:
    # einsum's own loops: a BLAS on several threads has other last bits than on one
    result: Array = np.einsum(subscripts, a, b, optimize=False)
    return result


def _unit(vector: Array, eps: float) -> Array:
    result: Array = vector / vector.dtype.type(max(math.sqrt(squared_norm(vector)), eps))
    return result


def spectral_norm_backward(gradient: Array, weight: Array, u: Array, v: Array, sigma: float) -> Array:
    """The gradient with respect to W, from that with respect to W/σ, with u and v held constant: (G - (Σ G∘W/σ) u vᵀ)/σ."""
    share = float(np.sum(gradient * weight)) / sigma
    return np.asarray((gradient - share * np.outer(u, v)) / sigma, weight.dtype)
