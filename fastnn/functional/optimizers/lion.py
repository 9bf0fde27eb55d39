"""Lion on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import lion as kernels

from ..._check import Array, number
from .._dispatch import run
from ._common import check_betas, check_common, flat, state_of, writable

__all__ = ["check_lion", "lion_update"]

_NS = 0.15  # an element


def check_lion(lr: float, betas: tuple[float, float], weight_decay: float) -> None:
    """The settings of Lion are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    check_betas(betas)


def lion_update(
    parameters: Array,
    gradients: Array,
    momentum: Array,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    gradient_scale: float = 1.0,
) -> None:
    """One step of Lion, in place. All arrays (size,), one dtype; momentum is zero before the first step."""
    check_lion(lr, betas, weight_decay)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    run(
        kernels.lion_update, parameters.size * _NS,
        gradients, float(lr), float(betas[0]), float(betas[1]), float(weight_decay), number("gradient_scale", gradient_scale),
        parameters, state_of("momentum", momentum, parameters),
    )  # fmt: skip
