"""RMSprop on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import rmsprop as kernels

from ..._check import Array, number
from .._dispatch import run
from ._common import check_common, check_eps, flat, inside_and_outside, state_of, writable

__all__ = ["check_rmsprop", "rmsprop_update"]

_NS = 0.3  # an element


def check_rmsprop(lr: float, rho: float, eps: float, momentum: float, weight_decay: float, *, rho_name: str = "rho") -> None:
    """The settings of RMSprop are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    number(rho_name, rho, low=0.0, high=1.0)
    check_eps(eps)
    number("momentum", momentum, low=0.0)


def rmsprop_update(
    parameters: Array,
    gradients: Array,
    square: Array,
    lr: float,
    *,
    rho: float = 0.99,
    eps: float = 1e-8,
    mean: Array | None = None,
    velocity: Array | None = None,
    momentum: float = 0.0,
    centered: bool = False,
    eps_inside_sqrt: bool = False,
    weight_decay: float = 0.0,
    gradient_scale: float = 1.0,
) -> None:
    """One step of RMSprop, in place. All arrays (size,), one dtype; mean only if centered, velocity only with momentum."""
    check_rmsprop(lr, rho, eps, momentum, weight_decay)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    inside, outside = inside_and_outside(eps, eps_inside_sqrt)
    run(
        kernels.rmsprop_update, parameters.size * _NS,
        gradients, float(lr), float(rho), inside, outside, float(momentum), float(weight_decay),
        number("gradient_scale", gradient_scale), parameters, state_of("square", square, parameters),
        state_of("mean", mean, parameters, needed=centered), state_of("velocity", velocity, parameters, needed=momentum != 0.0),
    )  # fmt: skip
