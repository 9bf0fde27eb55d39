"""Spectral normalisation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, integer, number, quote
from ..random import INIT, Stream
from .base import Layer
from .linear import Linear

__all__ = ["SpectralNorm", "spectral_norm"]

_AT_FIRST = 15  # iterations before the first use, as in torch


class SpectralNorm(Layer):
    """A `Linear` that multiplies by W/σ(W), W's largest singular value being 1 so; what is trained is W.

    σ comes from power iterations, n_power_iterations in each forward of training (none in use) from the vectors of the last one,
    which are buffers. The gradient goes through σ, with the vectors held constant. It trains layer by layer. Source: Miyato et
    al., ICLR 2018; conventions as in torch.nn.utils.parametrizations.spectral_norm.
    """

    _forward_state = ("_saved",)

    def __init__(self, layer: Linear, n_power_iterations: int = 1, eps: float = 1e-12, *, dtype: DTypeLike | None = None) -> None:
        if type(layer) is not Linear:
            raise TypeError(f"layer: expected a Linear, got {quote(layer)}")
        if layer._owned:
            raise ValueError("layer: expected a layer that is in no other model; copy.deepcopy makes one")
        super().__init__(dtype=layer.dtype if dtype is None else dtype)
        self.layer = layer
        self.in_features = layer.in_features
        layer._cast(self.dtype)
        self.n_power_iterations = integer("n_power_iterations", n_power_iterations, low=1)
        self.eps = number("eps", eps, low=0.0)
        self.add_buffer("u", np.zeros(layer.in_features))
        self.add_buffer("v", np.zeros(layer.out_features))
        self._saved: tuple[Array, Array, float] | None = None

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield "layer", self.layer

    def forward(self, x: Array) -> Array:
        x = self._input(x, self.layer.in_features)
        weight, u, v = self.layer.weight, self.buffers["u"], self.buffers["v"]
        iterations = self.n_power_iterations if self.training else 0
        if not u.any():
            stream = Stream(0, INIT)
            u[...], v[...] = stream.normal(u.shape), stream.normal(v.shape)
            iterations = _AT_FIRST
        sigma = F.spectral_norm(weight, u, v, iterations, self.eps)
        normalised = np.ascontiguousarray(weight / self.dtype.type(sigma))
        self._saved = (x, normalised, sigma)
        return F.linear(x, normalised, self.layer.parameters.get("bias"))

    def backward(self, dy: Array) -> Array:
        x, normalised, sigma = self._kept("_saved")
        dy = self._gradient(dy, (len(x), self.layer.out_features))
        gradients = self.layer.gradients
        found = F.linear_backward(dy, x, normalised, bias="bias" in gradients)
        u, v = self.buffers["u"], self.buffers["v"]
        gradients["weight"][...] = F.spectral_norm_backward(found.dweight, self.layer.weight, u, v, sigma)
        if found.dbias is not None:
            gradients["bias"][...] = found.dbias
        assert found.dx is not None
        return found.dx

    def output_features(self, features: int | None) -> int | None:
        return self.layer.output_features(features)

    def __repr__(self) -> str:
        parts = [repr(self.layer)]
        if self.n_power_iterations != 1:
            parts.append(f"n_power_iterations={self.n_power_iterations}")
        if self.eps != 1e-12:
            parts.append(f"eps={self.eps!r}")
        return f"SpectralNorm({', '.join(parts)})"


def spectral_norm(layer: Linear, n_power_iterations: int = 1, eps: float = 1e-12) -> SpectralNorm:
    """`SpectralNorm` around a Linear, by torch's name.

    >>> layer = spectral_norm(Linear(3, 2, seed=0))
    >>> _ = layer(np.ones((1, 3)))
    >>> bool(abs(np.linalg.norm(layer.layer.weight / np.linalg.norm(layer.layer.weight, 2), 2) - 1) < 1e-5)
    True
    """
    return SpectralNorm(layer, n_power_iterations, eps)
