"""RAdam."""

from __future__ import annotations

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.radam import check_radam
from .base import Optimizer

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """RAdam: Adam without its adaptive rate in the first steps, in which the variance of that is large.

    weight_decay: g += weight_decay · w, or with decoupled_weight_decay w *= 1 - lr · weight_decay. With betas[1] of 2/3 or less
    the adaptive rate never sets in. Defaults and semantics are torch.optim.RAdam's. Source: Liu et al., ICLR 2020; the formula:
    `fastnn_kernels.cpu.optimizers.radam`.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.betas = betas
        self.eps = eps
        self.decoupled_weight_decay = boolean("decoupled_weight_decay", decoupled_weight_decay)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment")

    def check_settings(self) -> None:
        check_radam(self.lr, self.betas, self.eps, self.weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.radam_update(
            w,
            g,
            state["first_moment"],
            state["second_moment"],
            self.steps + 1,
            self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled_weight_decay,
            gradient_scale=scale,
        )
