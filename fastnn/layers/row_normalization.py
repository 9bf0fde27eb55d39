"""Normalisation of each row by itself: the same in training and in use, for any number of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, boolean, integer, number
from .base import Layer

__all__ = ["LayerNorm", "RMSNorm"]


class _RowNorm(Layer):
    """What the two share: a width, and parameters of that width."""

    keeps_width = True
    _forward_state = ("_saved",)
    centered: bool
    eps: float | None

    def __init__(self, normalized_shape: int, elementwise_affine: bool, bias: bool, dtype: DTypeLike) -> None:
        super().__init__(dtype=dtype)
        self.normalized_shape = integer("normalized_shape", normalized_shape, low=1)
        self.num_features = self.normalized_shape  # what a model takes of its first layer
        self.elementwise_affine = boolean("elementwise_affine", elementwise_affine)
        if self.elementwise_affine:
            self.add_parameter("weight", np.ones(normalized_shape))
        if self.elementwise_affine and bias:
            self.add_parameter("bias", np.zeros(normalized_shape))
        self._saved: tuple[Array, Array] | None = None

    @property
    def epsilon(self) -> float:
        """What is added under the root."""
        return float(np.finfo(self.dtype).eps) if self.eps is None else self.eps

    def output_features(self, features: int | None) -> int:
        if features is not None and features != self.normalized_shape:
            raise ValueError(f"{self!r} takes {self.normalized_shape} features, but {features} come in")
        return self.normalized_shape

    def reset_parameters(self, source: object = None, next_layer: Layer | None = None) -> None:
        """Weight 1, bias 0."""
        for name, array in self.parameters.items():
            array[...] = 1.0 if name == "weight" else 0.0


class LayerNorm(_RowNorm):
    """Layer normalisation over the features of each row: y = weight · (x - μ) / √(σ² + eps) + bias, σ² biased.

    elementwise_affine=False leaves out weight and bias, bias=False the bias. Source: Ba et al., arXiv:1607.06450; conventions
    as in torch.nn.LayerNorm.

    >>> LayerNorm(2)(np.array([[1.0, 3.0]])).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    centered = True

    def __init__(
        self,
        normalized_shape: int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, boolean("bias", bias), dtype)
        self.eps = number("eps", eps, low=0.0)
        self.has_bias = bias

    def forward(self, x: Array) -> Array:
        x = self._input(x, self.normalized_shape)
        stats = np.empty((3, len(x)), self.dtype)
        y = F.layer_norm(x, self.parameters.get("weight"), self.parameters.get("bias"), self.epsilon, stats=stats)
        self._saved = (x, stats)
        return y

    def backward(self, dy: Array) -> Array:
        x, stats = self._kept("_saved")
        gradients = self.gradients
        out = (None, gradients.get("weight"), gradients.get("bias"))
        return F.layer_norm_backward(self._gradient(dy, x.shape), x, self.parameters.get("weight"), stats, out=out).dx

    def __repr__(self) -> str:
        parts = [str(self.normalized_shape)]
        if self.eps != 1e-5:
            parts.append(f"eps={self.eps!r}")
        if not self.elementwise_affine:
            parts.append("elementwise_affine=False")
        if not self.has_bias:
            parts.append("bias=False")
        return self._repr(*parts)


class RMSNorm(_RowNorm):
    """Each row by its root mean square: y = weight · x / √(mean of x² + eps). eps=None: the dtype's machine epsilon.

    elementwise_affine=False leaves out weight. Source: Zhang and Sennrich, NeurIPS 2019; conventions as in torch.nn.RMSNorm.

    >>> RMSNorm(2)(np.array([[3.0, 4.0]])).round(3)
    array([[0.849, 1.131]], dtype=float32)
    """

    centered = False

    def __init__(
        self,
        normalized_shape: int,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, False, dtype)
        self.eps = None if eps is None else number("eps", eps, low=0.0)

    def forward(self, x: Array) -> Array:
        x = self._input(x, self.normalized_shape)
        stats = np.empty((3, len(x)), self.dtype)
        y = F.rms_norm(x, self.parameters.get("weight"), self.epsilon, stats=stats)
        self._saved = (x, stats)
        return y

    def backward(self, dy: Array) -> Array:
        x, stats = self._kept("_saved")
        out = (None, self.gradients.get("weight"))
        return F.rms_norm_backward(self._gradient(dy, x.shape), x, self.parameters.get("weight"), stats, out=out)[0]

    def __repr__(self) -> str:
        parts = [str(self.normalized_shape)]
        if self.eps is not None:
            parts.append(f"eps={self.eps!r}")
        if not self.elementwise_affine:
            parts.append("elementwise_affine=False")
        return self._repr(*parts)
