"""Adagrad on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import adagrad as kernels

from ..._check import Array, integer, number
from .._dispatch import run
from ._common import check_common, check_eps, flat, inside_and_outside, state_of, writable

__all__ = ["check_adagrad", "adagrad_update"]

_NS = 0.3  # an element


def check_adagrad(lr: float, lr_decay: float, eps: float, weight_decay: float, initial_accumulator_value: float) -> None:
    """The settings of Adagrad are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    number("lr_decay", lr_decay, low=0.0)
    check_eps(eps)
    number("initial_accumulator_value", initial_accumulator_value, low=0.0)


def adagrad_update(
    parameters: Array,
    gradients: Array,
    total: Array,
    t: int,
    lr: float,
    *,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    eps_inside_sqrt: bool = False,
    weight_decay: float = 0.0,
    gradient_scale: float = 1.0,
) -> None:
    """Step number t (from 1) of Adagrad, in place. All arrays (size,), one dtype; total holds the sum of the squares so far."""
    check_adagrad(lr, lr_decay, eps, weight_decay, 0.0)
    integer("t", t, low=1)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    run(
        kernels.adagrad_update, parameters.size * _NS,
        gradients, int(t), float(lr), float(lr_decay), *inside_and_outside(eps, eps_inside_sqrt), float(weight_decay),
        number("gradient_scale", gradient_scale), parameters, state_of("total", total, parameters),
    )  # fmt: skip
