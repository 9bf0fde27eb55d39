"""Activation layers with settings, or that keep their input for backward; softmax, which is not elementwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, choice, number
from .base import Layer

__all__ = ["ELU", "GELU", "LogSoftmax", "SiLU", "Softmax", "Softplus"]


class _Keeping(Layer):
    """A layer without parameters that keeps one array, its input or its output."""

    keeps_width = True
    _forward_state = ("_array",)

    def __init__(self, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self._array: Array | None = None

    def _dy_and_kept(self, dy: Array) -> tuple[Array, Array]:
        kept: Array = self._kept("_array")
        return self._gradient(dy, kept.shape), kept


class ELU(_Keeping):
    """y = x where x > 0, else alpha · (eˣ - 1); alpha at least 0. Source: Clevert et al., ICLR 2016.

    >>> ELU()([[-100.0, 2.0]])
    array([[-1.,  2.]], dtype=float32)
    """

    default_weight_init = "he_normal"  # what suits a Linear before this layer

    def __init__(self, alpha: float = 1.0, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self.alpha = number("alpha", alpha, low=0.0)

    def forward(self, x: Array) -> Array:
        self._array = F.elu(self._input(x), self.alpha)
        return self._array

    def backward(self, dy: Array) -> Array:
        return F.elu_backward(*self._dy_and_kept(dy), self.alpha)

    def __repr__(self) -> str:
        return self._repr(repr(self.alpha))


class GELU(_Keeping):
    """y = x Φ(x), with Φ the normal distribution function; approximate='tanh' is ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> GELU()([[-1.0, 1.0]]).round(4)
    array([[-0.1587,  0.8413]], dtype=float32)
    """

    default_weight_init = "he_normal"

    def __init__(self, approximate: str = "none", *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self.approximate = choice("approximate", approximate, ("none", "tanh"))

    def forward(self, x: Array) -> Array:
        self._array = self._input(x)
        return F.gelu(self._array, self.approximate)

    def backward(self, dy: Array) -> Array:
        return F.gelu_backward(*self._dy_and_kept(dy), self.approximate)

    def __repr__(self) -> str:
        return self._repr(*([] if self.approximate == "none" else [f"approximate={self.approximate!r}"]))


class SiLU(_Keeping):
    """y = x / (1 + e⁻ˣ), also called swish. Source: Elfwing et al., Neural Networks 107 (2018)."""

    default_weight_init = "he_normal"

    def forward(self, x: Array) -> Array:
        self._array = self._input(x)
        return F.silu(self._array)

    def backward(self, dy: Array) -> Array:
        return F.silu_backward(*self._dy_and_kept(dy))


class Softplus(_Keeping):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold; beta above 0. Source: Dugas et al., NIPS 2000.

    >>> Softplus()([[0.0, 1000.0]]).round(4)
    array([[6.931e-01, 1.000e+03]], dtype=float32)
    """

    default_weight_init = "he_normal"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self.beta = number("beta", beta, low=0.0, open_low=True)
        self.threshold = number("threshold", threshold)

    def forward(self, x: Array) -> Array:
        self._array = self._input(x)
        return F.softplus(self._array, self.beta, self.threshold)

    def backward(self, dy: Array) -> Array:
        return F.softplus_backward(*self._dy_and_kept(dy), self.beta, self.threshold)

    def __repr__(self) -> str:
        return self._repr(repr(self.beta), repr(self.threshold))


class Softmax(_Keeping):
    """y = eˣ / Σ eˣ over the columns of each row.

    `CrossEntropyLoss` takes what goes into a softmax, so a classifier trained with it needs none.

    >>> Softmax()([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]], dtype=float32)
    """

    def forward(self, x: Array) -> Array:
        self._array = F.softmax(self._input(x))
        return self._array

    def backward(self, dy: Array) -> Array:
        return F.softmax_backward(*self._dy_and_kept(dy))


class LogSoftmax(_Keeping):
    """y = x - log Σ eˣ over the columns of each row: the logarithms of probabilities, for NLLLoss."""

    def forward(self, x: Array) -> Array:
        self._array = F.log_softmax(self._input(x))
        return self._array

    def backward(self, dy: Array) -> Array:
        return F.log_softmax_backward(*self._dy_and_kept(dy))
