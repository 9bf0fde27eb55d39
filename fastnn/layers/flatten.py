"""Images and other arrays as rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .._check import Array, floats, nonempty
from .base import Layer

__all__ = ["Flatten"]


class Flatten(Layer):
    """(m, a, b, ...) becomes (m, a·b·...), without a copy.

    A `Sequential` that begins with it takes images, (m, H, W) or (m, C, H, W) of any real dtype, as well as rows.

    >>> Flatten()(np.ones((5, 3, 4))).shape
    (5, 12)
    """

    keeps_width = True  # of rows that are flat already
    _forward_state = ("_shape",)

    def __init__(self, *, dtype: DTypeLike = np.float32) -> None:
        super().__init__(dtype=dtype)
        self._shape: tuple[int, ...] | None = None

    def forward(self, x: Array) -> Array:
        x = nonempty("x", floats("x", x, dtype=self.dtype))
        if x.ndim < 2:
            raise ValueError(f"x: expected rows, (m, ...), for {self!r}, got shape {x.shape}")
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        shape = self._kept("_shape")
        return self._gradient(dy, (shape[0], int(np.prod(shape[1:])))).reshape(shape)
