"""Gradient descent on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import sgd as kernels

from ..._check import Array, number
from .._dispatch import run
from ._common import check_common, flat, state_of, writable

__all__ = ["check_sgd", "sgd_update"]

_NS = 0.15  # an element


def check_sgd(lr: float, momentum: float, dampening: float, nesterov: bool, weight_decay: float) -> None:
    """The settings of SGD are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    number("momentum", momentum, low=0.0)
    number("dampening", dampening)
    if nesterov and (momentum == 0.0 or dampening != 0.0):
        raise ValueError(f"nesterov: expected momentum > 0 and dampening 0 with it, got {momentum} and {dampening}")


def sgd_update(
    parameters: Array,
    gradients: Array,
    lr: float,
    *,
    velocity: Array | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    gradient_scale: float = 1.0,
    first_step: bool = False,
) -> None:
    """One step of SGD, in place. parameters, gradients, velocity: (size,), one dtype; velocity only with momentum.

    decoupled: w *= 1 - lr · weight_decay instead of g += weight_decay · w. The rule and its sources:
    `fastnn_kernels.cpu.optimizers.sgd`.

    >>> w = np.array([1.0])
    >>> sgd_update(w, np.array([0.5]), lr=0.1)
    >>> w
    array([0.95])
    """
    check_sgd(lr, momentum, dampening, nesterov, weight_decay)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    velocity = state_of("velocity", velocity, parameters, needed=momentum != 0.0)
    run(
        kernels.sgd_update, parameters.size * _NS,
        gradients, float(lr), float(momentum), float(dampening), bool(nesterov), float(weight_decay),
        bool(decoupled), number("gradient_scale", gradient_scale), bool(first_step), parameters, velocity,
    )  # fmt: skip
