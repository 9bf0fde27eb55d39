"""Update rules and what goes with them, on flat arrays that are changed in place."""

from __future__ import annotations

import numpy as np

from fastnn_kernels.cpu import optimizers as kernels
from fastnn_kernels.cpu import reductions

from .._check import Array, floats, integer, number, output, quote
from ._dispatch import run

__all__ = ["add_penalty_gradient", "adam_update", "rmsprop_update", "sgd_update", "squared_norm"]

_SGD_NS, _RMSPROP_NS, _ADAM_NS = 0.15, 0.3, 0.4
_NORM_NS, _PENALTY_NS = 0.27, 0.6
_LEAST_EPS = 1e-37  # smaller ones vanish in float32, and 0/0 is NaN wherever a gradient has always been 0


def check_sgd(lr: float, momentum: float, dampening: float, nesterov: bool, weight_decay: float) -> None:
    """The settings of SGD are possible, or an error names the one that is not."""
    _check_common(lr, weight_decay)
    number("momentum", momentum, low=0.0)
    number("dampening", dampening)
    if nesterov and (momentum == 0.0 or dampening != 0.0):
        raise ValueError(f"nesterov: expected momentum > 0 and dampening 0 with it, got {momentum} and {dampening}")


def check_rmsprop(lr: float, rho: float, eps: float, momentum: float, weight_decay: float, *, rho_name: str = "rho") -> None:
    """The settings of RMSprop are possible, or an error names the one that is not."""
    _check_common(lr, weight_decay)
    number(rho_name, rho, low=0.0, high=1.0)
    number("eps", eps, low=_LEAST_EPS)
    number("momentum", momentum, low=0.0)


def check_adam(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    """The settings of Adam are possible, or an error names the one that is not."""
    _check_common(lr, weight_decay)
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas: expected two numbers, got {quote(betas)}")
    for i, beta in enumerate(betas):
        number(f"betas[{i}]", beta, low=0.0, high=1.0, open_high=True)
    number("eps", eps, low=_LEAST_EPS)


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
    gradient_scale: float = 1.0,
    first_step: bool = False,
) -> None:
    """One step of SGD, in place. parameters, gradients, velocity: (size,), one dtype; velocity only with momentum.

    The rule and its sources: `fastnn_kernels.cpu.optimizers`.

    >>> w = np.array([1.0])
    >>> sgd_update(w, np.array([0.5]), lr=0.1)
    >>> w
    array([0.95])
    """
    check_sgd(lr, momentum, dampening, nesterov, weight_decay)
    _writable(parameters=parameters)
    gradients = _flat("gradients", gradients, parameters)
    velocity = _state("velocity", velocity, parameters, needed=momentum != 0.0)
    run(
        kernels.sgd_update, parameters.size * _SGD_NS,
        gradients, float(lr), float(momentum), float(dampening), bool(nesterov), float(weight_decay),
        number("gradient_scale", gradient_scale), bool(first_step), parameters, velocity,
    )  # fmt: skip


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
    _writable(parameters=parameters)
    gradients = _flat("gradients", gradients, parameters)
    inside, outside = (eps, 0.0) if eps_inside_sqrt else (0.0, eps)
    run(
        kernels.rmsprop_update, parameters.size * _RMSPROP_NS,
        gradients, float(lr), float(rho), float(inside), float(outside), float(momentum), float(weight_decay),
        number("gradient_scale", gradient_scale), parameters, _state("square", square, parameters),
        _state("mean", mean, parameters, needed=centered), _state("velocity", velocity, parameters, needed=momentum != 0.0),
    )  # fmt: skip


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
    gradient_scale: float = 1.0,
) -> None:
    """Step number t (from 1) of Adam, in place. All arrays (size,), one dtype; largest_moment only with amsgrad."""
    check_adam(lr, betas, eps, weight_decay)
    integer("t", t, low=1)
    _writable(parameters=parameters)
    gradients = _flat("gradients", gradients, parameters)
    inside, outside = (eps, 0.0) if eps_inside_sqrt else (0.0, eps)
    run(
        kernels.adam_update, parameters.size * _ADAM_NS,
        gradients, int(t), float(lr), float(betas[0]), float(betas[1]), float(inside), float(outside),
        bool(bias_correction), float(weight_decay), number("gradient_scale", gradient_scale), parameters,
        _state("first_moment", first_moment, parameters), _state("second_moment", second_moment, parameters),
        _state("largest_moment", largest_moment, parameters, needed=amsgrad),
    )  # fmt: skip


def squared_norm(x: Array) -> float:
    """Σ x² in float64. x: any shape, float32 or float64. The order of additions depends on the size alone.

    >>> squared_norm(np.array([3.0, 4.0]))
    25.0
    """
    x = floats("x", x).reshape(-1)
    partials, out = np.empty((reductions.sum_chunks(x.size), reductions.LANES)), np.empty(1)
    run(reductions.squared_norm, x.size * _NORM_NS, x, partials, out)
    return float(out[0])


def add_penalty_gradient(weights: Array, gradients: Array, l1: float, l2: float) -> tuple[float, float]:
    """gradients += l1 · sign(weights) + l2 · weights, in place; returns Σ|weights| and Σ weights².

    weights, gradients: (size,), one dtype.
    """
    _writable(gradients=gradients)
    weights = _flat("weights", weights, gradients)
    partials, out = np.empty((reductions.sum_chunks(weights.size), 2 * reductions.LANES)), np.empty(2)
    l1, l2 = number("l1", l1, low=0.0), number("l2", l2, low=0.0)
    run(reductions.penalty_update, weights.size * _PENALTY_NS, weights, l1, l2, partials, gradients, out)
    return float(out[0]), float(out[1])


def _check_common(lr: float, weight_decay: float) -> None:
    number("lr", lr, low=0.0)
    number("weight_decay", weight_decay, low=0.0)


def _writable(**arrays: Array) -> None:
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected a 1-D float32 or float64 array, got {quote(array)}")
        output(name, array, array.shape, array.dtype)


def _flat(name: str, array: Array, like: Array) -> Array:
    if not isinstance(array, np.ndarray) or array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(f"{name}: expected shape {like.shape} and dtype {like.dtype}, got {quote(array)}")
    return np.ascontiguousarray(array)


def _state(name: str, array: Array | None, like: Array, *, needed: bool = True) -> Array:
    if not needed:
        return np.empty(0, like.dtype)
    if array is None:
        raise ValueError(f"{name}: expected an array for this variant of the rule, got None")
    return output(name, array, like.shape, like.dtype)
