"""Adam, and with decoupled weight decay AdamW."""

from __future__ import annotations

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.adam import check_adam
from .base import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: m = β₁ m + (1 - β₁) g; s = β₂ s + (1 - β₂) g²; w -= lr · m̂ / (√ŝ + eps).

    m̂ = m / (1 - β₁ᵗ), ŝ = s / (1 - β₂ᵗ), or m and s themselves with bias_correction=False. amsgrad: the largest s so far takes
    the place of s. eps_inside_sqrt: √(ŝ + eps). weight_decay: g += weight_decay · w. Defaults and semantics are
    torch.optim.Adam's. Sources: Kingma and Ba, ICLR 2015; Reddi et al., ICLR 2018 (amsgrad).
    """

    decoupled = False  # weight decay, from the gradient

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        bias_correction: bool = True,
        eps_inside_sqrt: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.betas = betas
        self.eps = eps
        self.amsgrad = boolean("amsgrad", amsgrad)
        self.bias_correction = boolean("bias_correction", bias_correction)
        self.eps_inside_sqrt = boolean("eps_inside_sqrt", eps_inside_sqrt)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment", *(("largest_moment",) if self.amsgrad else ()))

    def check_settings(self) -> None:
        check_adam(self.lr, self.betas, self.eps, self.weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.adam_update(
            w,
            g,
            state["first_moment"],
            state["second_moment"],
            self.steps + 1,
            self.lr,
            betas=self.betas,
            eps=self.eps,
            largest_moment=state.get("largest_moment"),
            amsgrad=self.amsgrad,
            bias_correction=self.bias_correction,
            eps_inside_sqrt=self.eps_inside_sqrt,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            gradient_scale=scale,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: w *= 1 - lr · weight_decay, and none of it in the gradient.

    Defaults and semantics are torch.optim.AdamW's. Source: Loshchilov and Hutter, ICLR 2019.
    """

    decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        bias_correction: bool = True,
        eps_inside_sqrt: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, bias_correction=bias_correction, eps_inside_sqrt=eps_inside_sqrt)
