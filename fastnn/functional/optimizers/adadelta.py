"""Adadelta on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import adadelta as kernels

from ..._check import Array, number
from .._dispatch import run
from ._common import check_common, check_eps, flat, state_of, writable

__all__ = ["check_adadelta", "adadelta_update"]

_NS = 0.5  # an element


def check_adadelta(lr: float, rho: float, eps: float, weight_decay: float) -> None:
    """The settings of Adadelta are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    number("rho", rho, low=0.0, high=1.0)
    check_eps(eps)


def adadelta_update(
    parameters: Array,
    gradients: Array,
    square: Array,
    change: Array,
    lr: float = 1.0,
    *,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    gradient_scale: float = 1.0,
) -> None:
    """One step of Adadelta, in place. All arrays (size,), one dtype; square and change are zero before the first step."""
    check_adadelta(lr, rho, eps, weight_decay)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    run(
        kernels.adadelta_update, parameters.size * _NS,
        gradients, float(lr), float(rho), float(eps), float(weight_decay), number("gradient_scale", gradient_scale), parameters,
        state_of("square", square, parameters), state_of("change", change, parameters),
    )  # fmt: skip
