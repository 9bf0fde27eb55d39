"""How layers are lowered. A layer of a new type: a function here, or an entry beside a similar one, in _LAYERS.

Each function appends the forward of its group, and returns the output and what appends the backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...functional.activations import KINDS
from ...layers import (
    ELU,
    GELU,
    BatchNorm1d,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    Residual,
    RMSNorm,
    SiLU,
    Softmax,
    Softplus,
)
from ..common import NotLowered
from ..groups import ACTIVATIONS, Group, flat_layers, groups_of
from .plan import Plan

__all__ = ["lower_layers"]

Backward = Callable[[Any, bool], Any]  # from dy, and whether dx is wanted, to dx
Lowered = tuple[Any, Backward]


def _linear(plan: Plan, group: Group, x: Any) -> Lowered:
    cuda, layer = plan.cuda, group.layer
    weight, bias = plan.parameter(layer, "weight"), plan.parameter(layer, "bias")
    dweight, dbias = plan.gradient(layer, "weight"), plan.gradient(layer, "bias")
    y, room = plan.empty((plan.m, layer.out_features)), plan.empty((1, 0))
    plan.add(lambda step: cuda.linear_forward(x, weight, bias, group.kind, group.slope, room, y))
    output, through = _after(plan, group, y)

    def backward(dy: Any, wanted: bool) -> Any:
        dz = through(dy)
        dx = plan.empty(x.shape if wanted else (0, 0))
        plan.add(lambda step: cuda.linear_backward(dz, x, weight, False, room, dweight, dbias, dx))
        return dx

    return output, backward


def _after(plan: Plan, group: Group, y: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Dropout after an activation that has been applied, and the backward of both."""
    if group.dropout is not None and plan.training:
        return _drop(plan, group.dropout, y, after_relu=True)
    if group.activation is None:
        return y, lambda dy: dy

    def backward(dy: Any) -> Any:
        dx = plan.xp.empty_like(dy)
        flat_dy, flat_y, flat_dx = dy.reshape(-1), y.reshape(-1), dx.reshape(-1)
        plan.add(lambda step: plan.cuda.activation_backward(flat_dy, flat_y, group.kind, group.slope, flat_dx))
        return dx

    return y, backward


def _drop(plan: Plan, layer: Any, x: Any, after_relu: bool) -> tuple[Any, Callable[[Any], Any]]:
    cuda, seed = plan.cuda, np.uint64(layer.seed)
    y = plan.xp.empty_like(x)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    drawn = [0]

    def forward(step: int) -> None:
        drawn[0] = _next_step(layer)
        cuda.dropout_forward(flat_x, layer.p, seed, drawn[0], layer.stream, flat_y)

    plan.add(forward)

    def backward(dy: Any) -> Any:
        dx = plan.xp.empty_like(dy)
        flat_dy, flat_dx = dy.reshape(-1), dx.reshape(-1)
        if after_relu:
            plan.add(lambda step: cuda.relu_dropout_backward(flat_dy, flat_y, layer.p, flat_dx))
        else:
            plan.add(lambda step: cuda.dropout_backward(flat_dy, layer.p, seed, drawn[0], layer.stream, flat_dx))
        return dx

    return y, backward


def _next_step(layer: Any) -> int:
    """The number of this training forward of a dropout layer, which is counted."""
    step: int = layer.step
    layer.step = (step + 1) % 2**32
    return step


def _dropout(plan: Plan, group: Group, x: Any) -> Lowered:
    if not plan.training:
        return x, _no_backward
    y, through = _drop(plan, group.layer, x, after_relu=False)
    return y, lambda dy, wanted: through(dy)


def _flatten(plan: Plan, group: Group, x: Any) -> Lowered:
    return x, lambda dy, wanted: dy  # rows lie flat in a program


def _no_backward(dy: Any, wanted: bool) -> Any:
    raise AssertionError("a program for use has no backward")


def _activation(plan: Plan, group: Group, x: Any) -> Lowered:
    layer = group.layer
    y, kind = plan.xp.empty_like(x), int(KINDS[layer.kind])
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    plan.add(lambda step: plan.cuda.activation_forward(flat_x, kind, layer.negative_slope, flat_y))
    output, through = _after(plan, group._replace(activation=layer), y)
    return output, lambda dy, wanted: through(dy)


class _Pair(NamedTuple):
    """A layer without parameters that is one kernel each way."""

    name: str  # of the kernels
    reads_output: bool = False  # backward does, instead of the input
    settings: Callable[[Any], tuple[Any, ...]] = lambda layer: ()  # read in each step: they may change
    flat: bool = True  # whether rows do not matter


_PAIRS: dict[type, _Pair] = {
    ELU: _Pair("elu", True, lambda layer: (layer.alpha,)),
    GELU: _Pair("gelu", False, lambda layer: (layer.approximate == "tanh",)),
    SiLU: _Pair("silu"),
    Softplus: _Pair("softplus", False, lambda layer: (layer.beta, layer.threshold)),
    Softmax: _Pair("softmax", True, flat=False),
    LogSoftmax: _Pair("log_softmax", True, flat=False),
}


def _pair(plan: Plan, group: Group, x: Any) -> Lowered:
    layer, entry = group.layer, _PAIRS[type(group.layer)]
    forwards, backwards = (getattr(plan.cuda, f"{entry.name}_{way}") for way in ("forward", "backward"))
    shape = (-1,) if entry.flat else x.shape
    y = plan.xp.empty_like(x)
    given, made = x.reshape(shape), y.reshape(shape)
    plan.add(lambda step: forwards(given, *entry.settings(layer), made))

    def backward(dy: Any, wanted: bool) -> Any:
        dx = plan.xp.empty_like(x)
        slope, kept, result = dy.reshape(shape), made if entry.reads_output else given, dx.reshape(shape)
        plan.add(lambda step: backwards(slope, kept, *entry.settings(layer), result))
        return dx

    return y, backward


def _scale_and_shift(plan: Plan, layer: Any, n: int) -> list[Any]:
    """Scale, shift and where their gradients go, of a layer that may have neither."""
    scales = "weight" in layer.parameters
    shifts = "bias" in layer.parameters
    return [
        plan.parameter(layer, "weight") if scales else plan.xp.ones(n, plan.program.model.dtype),
        plan.parameter(layer, "bias") if shifts else plan.xp.zeros(n, plan.program.model.dtype),
        plan.gradient(layer, "weight") if scales else plan.empty(n),
        plan.gradient(layer, "bias") if shifts else plan.empty(n),
    ]


def _batchnorm(plan: Plan, group: Group, x: Any) -> Lowered:
    cuda, layer, n = plan.cuda, group.layer, group.layer.num_features
    gamma, beta, dgamma, dbeta = _scale_and_shift(plan, layer, n)
    mean, var = plan.buffer(layer, "running_mean"), plan.buffer(layer, "running_var")
    y, stats = plan.xp.empty_like(x), plan.empty((3, n))
    kind, slope, dropout = group.kind, group.slope, group.dropout
    if not plan.training:
        plan.add(lambda step: cuda.batchnorm_inference(x, gamma, beta, mean, var, layer.eps, kind, slope, stats, y))
        return y, _no_backward
    chunks = cuda.row_chunks(plan.m)
    partials = plan.empty((chunks, 4, n), np.float64)

    def forward(step: int) -> None:
        count = layer.buffers["num_batches_tracked"]
        count += 1
        momentum = 1.0 / float(count) if layer.momentum is None else layer.momentum
        draws = (0, 0, 0) if dropout is None else (np.uint64(dropout.seed), _next_step(dropout), dropout.stream)
        cuda.batchnorm_forward(
            x, gamma, beta, layer.eps, momentum, layer.unbiased_running_var, kind, group.slope, group.p, *draws,
            partials, mean, var, stats, y,
        )  # fmt: skip

    plan.add(forward)

    def backward(dy: Any, wanted: bool) -> Any:
        dx, sums = plan.xp.empty_like(x), plan.empty((chunks, 2, n), np.float64)
        output = y if kind else y[:0, :0]
        plan.add(
            lambda step: cuda.batchnorm_backward(
                dy, x, output, gamma, stats, True, kind, group.slope, group.p, sums, dgamma, dbeta, dx
            )
        )
        return dx

    return y, backward


def _row_norm(plan: Plan, group: Group, x: Any) -> Lowered:
    cuda, layer, m, n = plan.cuda, group.layer, plan.m, group.layer.normalized_shape
    gamma, beta, dgamma, dbeta = _scale_and_shift(plan, layer, n)
    y, stats = plan.xp.empty_like(x), plan.empty((3, m))
    plan.add(lambda step: cuda.layernorm_forward(x, gamma, beta, layer.epsilon, layer.centered, stats, y))

    def backward(dy: Any, wanted: bool) -> Any:
        dx, partials = plan.xp.empty_like(x), plan.empty((cuda.layernorm_chunks(m), 2, n), np.float64)
        plan.add(lambda step: cuda.layernorm_backward(dy, x, gamma, stats, layer.centered, partials, dgamma, dbeta, dx))
        return dx

    return y, backward


def _add(plan: Plan, a: Any, b: Any) -> Any:
    out = plan.xp.empty_like(a)
    flat_a, flat_b, flat_out = a.reshape(-1), b.reshape(-1), out.reshape(-1)
    plan.add(lambda step: plan.cuda.add_arrays(flat_a, flat_b, flat_out))
    return out


def _residual(plan: Plan, group: Group, x: Any) -> Lowered:
    branch, backwards = lower_layers(plan, group.layer.layers, x)
    if branch.shape != x.shape:
        raise NotLowered(f"{group.layer!r} does not keep its width")

    def backward(dy: Any, wanted: bool) -> Any:
        gradient = backwards(dy, wanted)
        return _add(plan, gradient, dy) if wanted else gradient

    return _add(plan, x, branch), backward


_LAYERS: dict[type, Callable[[Plan, Group, Any], Lowered]] = {
    Linear: _linear,
    BatchNorm1d: _batchnorm,
    LayerNorm: _row_norm,
    RMSNorm: _row_norm,
    Dropout: _dropout,
    Flatten: _flatten,
    Residual: _residual,
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(_PAIRS, _pair),
}


def lower_layers(plan: Plan, layers: list[Layer], x: Any) -> Lowered:
    """Layers one after another; NotLowered where one has no kernel."""
    layers = list(flat_layers(layers, type(plan.program.model)))
    for layer in layers:
        if type(layer) not in _LAYERS:
            raise NotLowered(f"{layer!r} has no CUDA kernel")
        if layer.training != plan.training:
            raise NotLowered(f"{layer!r} is in another mode than the model")
    backwards: list[Backward] = []
    for group in groups_of(layers):
        x, backward = _LAYERS[type(group.layer)](plan, group, x)
        backwards.append(backward)

    def through_all(dy: Any, wanted: bool) -> Any:
        for position, backward in reversed(list(enumerate(backwards))):
            dy = backward(dy, wanted or position > 0)
        return dy

    return x, through_all
