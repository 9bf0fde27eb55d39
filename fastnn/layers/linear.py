"""The fully connected layer."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .. import init
from .._check import Array, boolean, integer, quote
from ..random import INIT, Stream, make_seed
from .base import Layer

__all__ = ["Linear"]


class Linear(Layer):
    """y = x @ weight + bias.

    Linear(in_features, out_features, bias=True): weight (in_features, out_features), the transpose of torch's; bias
    (out_features,) starts at zero.

    weight_init, bias_init: the name of a function in `fastnn.init` ('he_normal'), or any function (shape, seed, dtype) ->
    array. By default weights follow the activation that comes next in a `Sequential`: He's normal for ReLU and its kin,
    LeCun's for SELU, Xavier's otherwise. seed: for a layer by itself; in a `Sequential` the model's seed counts. Weights are
    drawn when they are first needed, or looked at, and then stay.

    x: (m, in_features), float32 or float64 by dtype. Returns (m, out_features).

    >>> Linear(3, 2, seed=0)(np.ones((4, 3))).shape
    (4, 2)
    """

    _forward_state = ("_x",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: str | init.Initializer | None = None,
        bias_init: str | init.Initializer = "zeros",
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.in_features = integer("in_features", in_features, low=1)
        self.out_features = integer("out_features", out_features, low=1)
        self.has_bias = boolean("bias", bias)
        if weight_init is not None:
            _initializer("weight_init", weight_init)
        _initializer("bias_init", bias_init)
        self.weight_init, self.bias_init = weight_init, bias_init
        self._seed = None if seed is None else make_seed(seed)
        self._x: Array | None = None
        self.add_parameter("weight", np.zeros((in_features, out_features)), regularized=True)
        if bias:
            self.add_parameter("bias", np.zeros(out_features))
        self._pending = True

    def forward(self, x: Array) -> Array:
        self._x = self._input(x, self.in_features)
        parameters = self.parameters
        return F.linear(self._x, parameters["weight"], parameters.get("bias"))

    def backward(self, dy: Array) -> Array:
        x = self._kept("_x")
        dy = self._gradient(dy, (x.shape[0], self.out_features))
        gradients = self.gradients
        out = (None, gradients["weight"], gradients.get("bias"))
        dx = F.linear_backward(dy, x, self.parameters["weight"], bias=self.has_bias, out=out).dx
        assert dx is not None
        return dx

    def output_features(self, features: int | None) -> int:
        if features is not None and features != self.in_features:
            raise ValueError(f"{self!r} takes {self.in_features} features, but {features} come in")
        return self.out_features

    def reset_parameters(self, source: Stream | None = None, next_layer: Layer | None = None) -> None:
        source = source or Stream(make_seed(self._seed), INIT)
        default: str = getattr(next_layer, "default_weight_init", "xavier_normal")
        draw = _initializer("weight_init", default if self.weight_init is None else self.weight_init)
        weight = draw((self.in_features, self.out_features), source, self.dtype)
        if self.out_features > 1 and np.all(weight == weight.flat[0]):
            warnings.warn(
                f"all weights of {self!r} start equal, so its units get equal gradients and stay copies of one another",
                UserWarning,
                stacklevel=3,
            )
        self._pending, pending = False, self._pending  # assigning asks for the arrays, which would draw them
        try:
            self.weight = weight
            if self.has_bias:
                source = Stream(source.seed, INIT, source.number & 0xFFFFFF, step=1)
                draw = _initializer("bias_init", self.bias_init)
                if self.bias_init == "fan_in_uniform":  # a bias's shape does not tell its fan-in
                    draw = partial(init.fan_in_uniform, fan_in=self.in_features)
                self.bias = draw((self.out_features,), source, self.dtype)
        except Exception:
            self._pending = pending
            raise

    def __repr__(self) -> str:
        parts = [f"{self.in_features}, {self.out_features}"]
        if not self.has_bias:
            parts.append("bias=False")
        if self.weight_init is not None:
            parts.append(f"weight_init={_name(self.weight_init)}")
        if self.bias_init != "zeros":
            parts.append(f"bias_init={_name(self.bias_init)}")
        if self._seed is not None:
            parts.append(f"seed={self._seed}")
        return self._repr(*parts)


def _initializer(argument: str, chosen: str | init.Initializer) -> init.Initializer:
    """The function that draws: one of ours by name, or another, which gets a NumPy Generator."""
    if isinstance(chosen, str):
        return init.by_name(chosen, argument)
    if not callable(chosen):
        raise TypeError(f"{argument}: expected the name of a function in fastnn.init or a function, got {quote(chosen)}")
    return lambda shape, seed, dtype: chosen(shape, init.as_generator(seed), dtype)


def _name(chosen: str | init.Initializer) -> str:
    """How repr shows an initialiser: by name if it is one of ours."""
    if isinstance(chosen, str):
        return repr(chosen)
    name = getattr(chosen, "__name__", "")
    return repr(name) if vars(init).get(name) is chosen else repr(chosen)
