"""Activation layers. They keep their output for backward, not their input."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, number
from .base import Layer

__all__ = ["SELU", "LeakyReLU", "ReLU", "Sigmoid", "Tanh"]


class _Activation(Layer):
    """An elementwise layer without parameters; a subclass names its function."""

    keeps_width = True
    kind: str
    negative_slope = 0.01
    default_weight_init = "xavier_normal"  # what suits a Linear before this layer

    _forward_state = ("_y",)

    def __init__(self, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self._y: Array | None = None

    def forward(self, x: Array) -> Array:
        self._y = F.activation(self.kind, self._input(x), self.negative_slope)
        return self._y

    def backward(self, dy: Array) -> Array:
        y = self._kept("_y")
        return F.activation_backward(self.kind, self._gradient(dy, y.shape), y, self.negative_slope)


class ReLU(_Activation):
    """y = max(x, 0); the derivative at 0 is 0.

    >>> ReLU()([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    kind = "relu"
    default_weight_init = "he_normal"


class LeakyReLU(_Activation):
    """y = x where x > 0, else negative_slope · x (at least 0; default 0.01)."""

    kind = "leaky_relu"
    default_weight_init = "he_normal"

    def __init__(self, negative_slope: float = 0.01, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self.negative_slope = number("negative_slope", negative_slope, low=0.0)

    def __repr__(self) -> str:
        return self._repr(repr(self.negative_slope))


class Sigmoid(_Activation):
    """y = 1 / (1 + e⁻ˣ)."""

    kind = "sigmoid"


class Tanh(_Activation):
    """y = tanh x."""

    kind = "tanh"


class SELU(_Activation):
    """y = λx where x > 0, else λα (eˣ - 1), with λ = 1.0507..., α = 1.6733... (Klambauer et al., 2017)."""

    kind = "selu"
    default_weight_init = "lecun_normal"
