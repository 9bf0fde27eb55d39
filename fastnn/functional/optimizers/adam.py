"""Adam on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import adam as kernels

from ..._check import Array, integer, number
from .._dispatch import run
from ._common import check_betas, check_common, check_eps, flat, inside_and_outside, state_of, writable

__all__ = ["check_adam", "adam_update"]

_NS = 0.4  # an element


def check_adam(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    """The settings of Adam are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    check_betas(betas)
    check_eps(eps)


def adam_update(
    parameters: Array,
    gradients: Array,
    first_moment: Array,
    second_moment: Array,
    t: int,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    largest_moment: Array | None = None,
    amsgrad: bool = False,
    bias_correction: bool = True,
    eps_inside_sqrt: bool = False,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    gradient_scale: float = 1.0,
) -> None:
    """Step number t (from 1) of Adam, in place. All arrays (size,), one dtype; largest_moment only with amsgrad.

    decoupled: w *= 1 - lr · weight_decay (AdamW) instead of g += weight_decay · w.
    """
    check_adam(lr, betas, eps, weight_decay)
    integer("t", t, low=1)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    inside, outside = inside_and_outside(eps, eps_inside_sqrt)
    run(
        kernels.adam_update, parameters.size * _NS,
        gradients, int(t), float(lr), float(betas[0]), float(betas[1]), inside, outside,
        bool(bias_correction), float(weight_decay), bool(decoupled), number("gradient_scale", gradient_scale), parameters,
        state_of("first_moment", first_moment, parameters), state_of("second_moment", second_moment, parameters),
        state_of("largest_moment", largest_moment, parameters, needed=amsgrad),
    )  # fmt: skip
