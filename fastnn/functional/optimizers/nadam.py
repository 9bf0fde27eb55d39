"""NAdam on flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu.optimizers import nadam as kernels

from ..._check import Array, integer, number, output, quote
from .._dispatch import run
from ._common import check_betas, check_common, check_eps, flat, state_of, writable

__all__ = ["check_nadam", "nadam_update"]

_NS = 0.4  # an element


def check_nadam(lr: float, betas: tuple[float, float], eps: float, weight_decay: float, momentum_decay: float) -> None:
    """The settings of NAdam are possible, or an error names the one that is not."""
    check_common(lr, weight_decay)
    check_betas(betas)
    check_eps(eps)
    number("momentum_decay", momentum_decay, low=0.0)


def nadam_update(
    parameters: Array,
    gradients: Array,
    first_moment: Array,
    second_moment: Array,
    product: Array,
    t: int,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    gradient_scale: float = 1.0,
) -> None:
    """Step number t (from 1) of NAdam, in place.

    All arrays (size,), one dtype, but product, (1,), of the momenta so far: 1 before the first step. decoupled: as in
    `adam_update`.
    """
    check_nadam(lr, betas, eps, weight_decay, momentum_decay)
    integer("t", t, low=1)
    writable(parameters=parameters)
    gradients = flat("gradients", gradients, parameters)
    momentum, following = (betas[0] * (1.0 - 0.5 * 0.96 ** (step * momentum_decay)) for step in (t, t + 1))
    if product is None:
        raise ValueError(f"product: expected an array of shape (1,), got {quote(product)}")
    output("product", product, (1,), parameters.dtype)
    first_moment, second_moment = (
        state_of(name, array, parameters) for name, array in (("first_moment", first_moment), ("second_moment", second_moment))
    )
    scale = number("gradient_scale", gradient_scale)
    product *= parameters.dtype.type(momentum)  # nothing is refused from here on
    run(
        kernels.nadam_update, parameters.size * _NS,
        gradients, int(t), float(lr), float(betas[0]), float(betas[1]), float(eps), float(momentum), float(following),
        float(product[0]), float(weight_decay), bool(decoupled), scale, parameters, first_moment, second_moment,
    )  # fmt: skip
