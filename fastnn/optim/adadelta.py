"""Adadelta."""

from __future__ import annotations

from .. import functional as F
from .._check import Array
from ..functional.optimizers.adadelta import check_adadelta
from .base import Optimizer

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Adadelta: s = ρ s + (1 - ρ) g²; u = √(U + eps) / √(s + eps) · g; U = ρ U + (1 - ρ) u²; w -= lr · u.

    weight_decay: g += weight_decay · w. Defaults and semantics are torch.optim.Adadelta's. Source: Zeiler, arXiv:1212.5701.
    """

    def __init__(
        self,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.rho = rho
        self.eps = eps
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("square", "change")

    def check_settings(self) -> None:
        check_adadelta(self.lr, self.rho, self.eps, self.weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.adadelta_update(
            w,
            g,
            state["square"],
            state["change"],
            self.lr,
            rho=self.rho,
            eps=self.eps,
            weight_decay=self.weight_decay,
            gradient_scale=scale,
        )
