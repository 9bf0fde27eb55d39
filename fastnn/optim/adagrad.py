"""Adagrad."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.adagrad import check_adagrad
from .base import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad: G += g²; w -= lr / (1 + (t - 1) · lr_decay) · g / (√G + eps).

    weight_decay: g += weight_decay · w. G starts from initial_accumulator_value. eps_inside_sqrt: √(G + eps). Defaults and
    semantics are torch.optim.Adagrad's. Source: Duchi et al., JMLR 2011.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        eps_inside_sqrt: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.lr_decay = lr_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps
        self.eps_inside_sqrt = boolean("eps_inside_sqrt", eps_inside_sqrt)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("total",)

    def check_settings(self) -> None:
        check_adagrad(self.lr, self.lr_decay, self.eps, self.weight_decay, self.initial_accumulator_value)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.adagrad_update(
            w,
            g,
            state["total"],
            self.steps + 1,
            self.lr,
            lr_decay=self.lr_decay,
            eps=self.eps,
            eps_inside_sqrt=self.eps_inside_sqrt,
            weight_decay=self.weight_decay,
            gradient_scale=scale,
        )

    def _new_state(self, name: str, w: Array) -> Array:
        return np.full(w.size, self.initial_accumulator_value, w.dtype)
