"""NAdam."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.nadam import check_nadam
from .base import Optimizer

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum, whose momentum μₜ = β₁ (1 - ½ 0.96^(t · momentum_decay)) rises to β₁.

    weight_decay: g += weight_decay · w, or with decoupled_weight_decay w *= 1 - lr · weight_decay. Defaults and semantics are
    torch.optim.NAdam's. Source: Dozat, ICLR workshop 2016; the formula: `fastnn_kernels.cpu.optimizers.nadam`.
    """

    def __init__(
        self,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.betas = betas
        self.eps = eps
        self.momentum_decay = momentum_decay
        self.decoupled_weight_decay = boolean("decoupled_weight_decay", decoupled_weight_decay)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment", "product")

    def check_settings(self) -> None:
        check_nadam(self.lr, self.betas, self.eps, self.weight_decay, self.momentum_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.nadam_update(
            w,
            g,
            state["first_moment"],
            state["second_moment"],
            state["product"],
            self.steps + 1,
            self.lr,
            betas=self.betas,
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled_weight_decay,
            gradient_scale=scale,
        )

    def _new_state(self, name: str, w: Array) -> Array:
        return np.ones(1, w.dtype) if name == "product" else super()._new_state(name, w)
