"""RMSprop."""

from __future__ import annotations

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.rmsprop import check_rmsprop
from .base import Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: G = alpha · G + (1 - alpha) · g²; w -= lr · g / (√G + eps).

    momentum: v = momentum · v + g / (√G + eps), w -= lr · v. centered: G less the square of the gradient's running mean.
    eps_inside_sqrt: √(G + eps), as in Keras and some courses. weight_decay: g += weight_decay · w. Defaults and semantics are
    torch.optim.RMSprop's; centered clamps the variance at 0, where torch can get NaN. Source: Tieleman and Hinton, 2012.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_sqrt: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = boolean("centered", centered)
        self.eps_inside_sqrt = boolean("eps_inside_sqrt", eps_inside_sqrt)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("square", *(("mean",) if self.centered else ()), *(("velocity",) if self.momentum else ()))

    def check_settings(self) -> None:
        check_rmsprop(self.lr, self.alpha, self.eps, self.momentum, self.weight_decay, rho_name="alpha")

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.rmsprop_update(
            w,
            g,
            state["square"],
            self.lr,
            rho=self.alpha,
            eps=self.eps,
            mean=state.get("mean"),
            velocity=state.get("velocity"),
            momentum=self.momentum,
            centered=self.centered,
            eps_inside_sqrt=self.eps_inside_sqrt,
            weight_decay=self.weight_decay,
            gradient_scale=scale,
        )
