"""Penalties on weights. They act on a model's weights, not on biases or normalisation parameters.

Each is l1 · Σ|W| + l2/2 · ΣW² for some l1 and l2, adds l1 · sign(W) + l2 · W to the gradient (0 at 0), and is part of the
training loss, shown apart as `penalty`. half=False takes λ · ΣW², whose gradient is 2λW, as Keras and some courses do.
scale='rows' divides by the rows of the batch.
"""

from __future__ import annotations

from typing import Protocol

from . import functional as F
from ._check import Array, boolean, choice, number

__all__ = ["L1", "L2", "ElasticNet"]


class Penalised(Protocol):
    """What a penalty needs of a model."""

    flat_parameters: Array
    flat_gradients: Array
    regularized_size: int


class ElasticNet:
    """l1 · Σ|W| + l2 · ΣW², or with l2/2 if half is True. Source: Zou and Hastie, JRSS B 67 (2005)."""

    def __init__(self, l1: float, l2: float, *, half: bool = False, scale: str = "none") -> None:
        self.l1 = number("l1", l1, low=0.0)
        self.l2 = number("l2", l2, low=0.0)
        self.half = boolean("half", half)
        self.scale = choice("scale", scale, ("none", "rows"))

    def add_gradient(self, model: Penalised, rows: int) -> float:
        """Add the penalty's gradient to the model's; returns the penalty. rows: of the batch, for scale='rows'."""
        share = 1.0 / rows if self.scale == "rows" else 1.0
        l1, l2 = self.l1 * share, self.l2 * share * (1.0 if self.half else 2.0)
        size = model.regularized_size
        absolute, squares = F.add_penalty_gradient(model.flat_parameters[:size], model.flat_gradients[:size], l1, l2)
        return l1 * absolute + 0.5 * l2 * squares

    def __repr__(self) -> str:
        return f"{type(self).__name__}(l1={self.l1!r}, l2={self.l2!r}, half={self.half!r}, scale={self.scale!r})"


class L2(ElasticNet):
    """strength/2 · ΣW²; half=False: strength · ΣW²."""

    def __init__(self, strength: float, *, half: bool = True, scale: str = "none") -> None:
        super().__init__(0.0, number("strength", strength, low=0.0), half=half, scale=scale)

    def __repr__(self) -> str:
        return f"L2({self.l2!r}, half={self.half!r}, scale={self.scale!r})"


class L1(ElasticNet):
    """strength · Σ|W|."""

    def __init__(self, strength: float, *, scale: str = "none") -> None:
        super().__init__(number("strength", strength, low=0.0), 0.0, scale=scale)

    def __repr__(self) -> str:
        return f"L1({self.l1!r}, scale={self.scale!r})"
