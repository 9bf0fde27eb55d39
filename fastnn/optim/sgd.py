"""Gradient descent."""

from __future__ import annotations

from .. import functional as F
from .._check import Array, boolean
from ..functional.optimizers.sgd import check_sgd
from .base import Optimizer

__all__ = ["SGD", "SGDW"]


class SGD(Optimizer):
    """Gradient descent: g += weight_decay · w; v = momentum · v + (1 - dampening) · g; w -= lr · v.

    At the first step v = g. nesterov: w -= lr · (g + momentum · v), which needs momentum and no dampening. Defaults and
    semantics are torch.optim.SGD's; the form v = momentum · v - lr · g, w += v of some courses takes the same path while lr is
    constant. Source: Sutskever et al., ICML 2013.

    >>> w, g = np.array([1.0]), np.array([0.5])
    >>> SGD(lr=0.1).bind([w], [g]).step()
    >>> w
    array([0.95])
    """

    decoupled = False  # weight decay, from the gradient

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = boolean("nesterov", nesterov)
        self.check_settings()

    def _state_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def check_settings(self) -> None:
        check_sgd(self.lr, self.momentum, self.dampening, self.nesterov, self.weight_decay)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        F.sgd_update(
            w,
            g,
            self.lr,
            velocity=state.get("velocity"),
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            gradient_scale=scale,
            first_step=fresh,
        )


class SGDW(SGD):
    """SGD with decoupled weight decay: w *= 1 - lr · weight_decay, and none of it in the gradient.

    Source: Loshchilov and Hutter, ICLR 2019.

    >>> w, g = np.array([1.0]), np.array([0.5])
    >>> SGDW(lr=0.1, weight_decay=0.1).bind([w], [g]).step()
    >>> w
    array([0.94])
    """

    decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 1e-2,
        nesterov: bool = False,
    ) -> None:
        super().__init__(lr, momentum, dampening, weight_decay, nesterov)
