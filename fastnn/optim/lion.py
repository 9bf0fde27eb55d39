"""Lion."""

from __future__ import annotations

from .. import functional as F
from .._check import Array
from ..functional.optimizers.lion import check_lion
from .base import Optimizer

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion: w *= 1 - lr · weight_decay; w -= lr · sign(β₁ m + (1 - β₁) g); m = β₂ m + (1 - β₂) g.

    Every weight moves by lr, so rates are some three to ten times smaller than Adam's, and decays as much larger. Source: Chen
    et al., NeurIPS 2023.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.betas = betas
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("momentum",)

    def check_settings(self) -> None:
        check_lion(self.lr, self.betas, self.weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.lion_update(w, g, state["momentum"], self.lr, betas=self.betas, weight_decay=self.weight_decay, gradient_scale=scale)
