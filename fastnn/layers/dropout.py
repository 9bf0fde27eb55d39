"""Dropout."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, integer, number
from ..random import DROPOUT, make_seed, stream_number
from .base import Layer

__all__ = ["Dropout"]


class Dropout(Layer):
    """Inverted dropout: in training an element is 0 with probability p, else x / (1 - p); in use y = x.

    p: in [0, 1). seed: for a layer by itself; a `Sequential` gives each dropout layer its own seed's stream. The mask depends on
    the seed, on the layer's place and on `step`, the number of training forwards so far, and is the same on any number of
    threads. Source: Srivastava et al., JMLR 2014.

    >>> Dropout(0.5, seed=3)(np.ones((1, 6)))
    array([[0., 0., 0., 0., 2., 0.]], dtype=float32)
    """

    keeps_width = True
    _forward_state = ("_saved",)

    def __init__(self, p: float = 0.5, *, seed: int | None = None, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self.p = number("p", p, low=0.0, high=1.0, open_high=True)
        self.step = 0
        self._given_seed = seed
        self.bind_random(make_seed(seed), 0)
        self._saved: tuple[tuple[int, ...], int | None] | None = None

    def bind_random(self, seed: int, index: int) -> None:
        """Draw from this seed's stream with this number."""
        self.seed, self.stream = make_seed(seed), stream_number(DROPOUT, integer("index", index, low=0))

    def forward(self, x: Array) -> Array:
        x = self._input(x)
        if not self.training:
            self._saved = (x.shape, None)
            return x
        step = self.step
        self._saved = (x.shape, step)
        self.step = (step + 1) % 2**32
        return F.dropout(x, self.p, self.seed, step, stream=self.stream)

    def backward(self, dy: Array) -> Array:
        shape, step = self._kept("_saved")
        dy = self._gradient(dy, shape)
        return dy if step is None else F.dropout_backward(dy, self.p, self.seed, step, stream=self.stream)

    def __repr__(self) -> str:
        return self._repr(repr(self.p), *([] if self._given_seed is None else [f"seed={self._given_seed}"]))
