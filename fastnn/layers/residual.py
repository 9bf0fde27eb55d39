"""A branch that is added to its input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, quote
from .base import Layer

__all__ = ["Residual"]


class Residual(Layer):
    """y = x + branch(x), the branch being layers one after another that give as many features as they take.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016.

    >>> block = Residual(Linear(4, 8), ReLU(), Linear(8, 4))
    >>> block(np.ones((2, 4))).shape
    (2, 4)
    """

    keeps_width = True

    def __init__(self, *layers: Layer, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        if not layers:
            raise ValueError("layers: expected at least one layer, got none")
        for position, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{position}]: expected a Layer, got {quote(layer)}")
            if layer._owned:
                raise ValueError(f"layers[{position}]: expected a layer that is in no other model; copy.deepcopy makes one")
        self.layers = list(layers)

    def children(self) -> Iterator[tuple[str, Layer]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def forward(self, x: Array) -> Array:
        branch = x = self._input(x)
        for layer in self.layers:
            branch = layer.forward(branch)
        if branch.shape != x.shape:
            raise ValueError(f"x: expected a branch that keeps its shape in {self!r}, got {branch.shape} from {x.shape}")
        return F.add(x, branch)

    def backward(self, dy: Array) -> Array:
        gradient = dy
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return F.add(gradient, dy)

    def output_features(self, features: int | None) -> int | None:
        given = features
        for position, layer in enumerate(self.layers):
            try:
                features = layer.output_features(features)
            except ValueError as error:
                raise ValueError(f"branch layers[{position}]: {error}") from None
        if given is not None and features is not None and features != given:
            raise ValueError(f"the branch of {self!r} makes {features} features of {given}, which cannot be added")
        return given if given is not None else features

    def __repr__(self) -> str:
        return self._repr(*map(repr, self.layers))
