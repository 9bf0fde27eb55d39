"""Penalties on weights. They act on a model's weights, not on biases or normalisation parameters.

Each is l1 · Σ|W| + l2/2 · ΣW² for some l1 and l2, adds l1 · sign(W) + l2 · W to the gradient (0 at 0), and is part of the
training loss, shown apart as `penalty`. half=False takes λ · ΣW², whose gradient is 2λW, as Keras and some courses do.
scale='rows' divides by the rows of the batch.

proximal=True takes the l1 part out of the gradient and shrinks the weights after each update instead, by the learning rate times
l1, to zero where they are smaller than that (the soft threshold): real zeros, where the subgradient only comes near. Plain SGD
comes to the least of loss and penalty that way. With a momentum μ, whose steps are 1/(1 - μ) times as long, the penalty weighs
1 - μ times as much; rules that divide by the gradient's size (Adam, RMSprop) step past the threshold more often, and leave fewer
zeros.

`MaxNorm` is no penalty but a bound, which the trainer takes as `constraint`.
"""

from __future__ import annotations

from typing import Any, Protocol

from . import functional as F
from ._check import Array, boolean, choice, number

__all__ = ["L1", "L2", "ElasticNet", "MaxNorm"]


class Penalised(Protocol):
    """What a penalty needs of a model."""

    flat_parameters: Array
    flat_gradients: Array
    regularized_size: int


class ElasticNet:
    """l1 · Σ|W| + l2 · ΣW², or with l2/2 if half is True. Source: Zou and Hastie, JRSS B 67 (2005)."""

    def __init__(self, l1: float, l2: float, *, half: bool = False, scale: str = "none", proximal: bool = False) -> None:
        self.l1 = number("l1", l1, low=0.0)
        self.l2 = number("l2", l2, low=0.0)
        self.half = boolean("half", half)
        self.scale = choice("scale", scale, ("none", "rows"))
        self.proximal = boolean("proximal", proximal)

    def add_gradient(self, model: Penalised, rows: int) -> float:
        """Add the penalty's gradient to the model's; returns the penalty. rows: of the batch, for scale='rows'."""
        share = 1.0 / rows if self.scale == "rows" else 1.0
        l1, l2 = self.l1 * share, self.l2 * share * (1.0 if self.half else 2.0)
        size, smooth = model.regularized_size, 0.0 if self.proximal else l1
        absolute, squares = F.add_penalty_gradient(model.flat_parameters[:size], model.flat_gradients[:size], smooth, l2)
        return l1 * absolute + 0.5 * l2 * squares

    def proximal_step(self, model: Penalised, rows: int, lr: float) -> None:
        """What is left to do after an update with learning rate lr; nothing unless proximal."""
        if self.proximal:
            share = 1.0 / rows if self.scale == "rows" else 1.0
            F.soft_threshold(model.flat_parameters[: model.regularized_size], lr * self.l1 * share)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(l1={self.l1!r}, l2={self.l2!r}, half={self.half!r}, {self._options()})"

    def _options(self) -> str:
        return f"scale={self.scale!r}" + (", proximal=True" if self.proximal else "")


class L2(ElasticNet):
    """strength/2 · ΣW²; half=False: strength · ΣW²."""

    def __init__(self, strength: float, *, half: bool = True, scale: str = "none") -> None:
        super().__init__(0.0, number("strength", strength, low=0.0), half=half, scale=scale)

    def __repr__(self) -> str:
        return f"L2({self.l2!r}, half={self.half!r}, scale={self.scale!r})"


class L1(ElasticNet):
    """strength · Σ|W|; proximal: by a soft threshold after each update, which makes real zeros."""

    def __init__(self, strength: float, *, scale: str = "none", proximal: bool = False) -> None:
        super().__init__(number("strength", strength, low=0.0), 0.0, scale=scale, proximal=proximal)

    def __repr__(self) -> str:
        return f"L1({self.l1!r}, {self._options()})"


class MaxNorm:
    """A bound on the norm of the incoming weights of each unit, i.e. of each column of a weight (n_in, n_out), after each update.

    It acts on every two-dimensional parameter that penalties act on. Source: Srivastava et al., JMLR 15 (2014), 5.1.
    """

    def __init__(self, largest: float) -> None:
        self.largest = number("largest", largest, low=0.0, open_low=True)

    def weights(self, model: Any) -> list[Array]:
        """The weights of a model that it acts on."""
        flat, size = model.flat_parameters, model.regularized_size
        end = flat.ctypes.data + size * flat.itemsize
        arrays = [array for layer in model.walk() for array in layer.parameters.values()]
        return [array for array in arrays if array.ndim == 2 and array.ctypes.data < end]

    def apply(self, model: Any) -> None:
        """Scale down what is above the bound."""
        for weight in self.weights(model):
            F.limit_column_norms(weight, self.largest)

    def __repr__(self) -> str:
        return f"MaxNorm({self.largest!r})"
