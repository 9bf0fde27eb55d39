"""How layers are lowered. A layer of a new type: a function here, or an entry beside a similar one, in _LAYERS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn_kernels.cpu._rows import row_chunks
from fastnn_kernels.cpu.instructions import arithmetic, softmax
from fastnn_kernels.cpu.instructions import layernorm as rows
from fastnn_kernels.cpu.instructions import layers as ops
from fastnn_kernels.cpu.instructions import smooth_activations as smooth
from fastnn_kernels.cpu.layernorm import layernorm_chunks

from ..functional.row_normalization import LAYERNORM_NS
from ..functional.smooth_activations import ELU_NS, GELU_NS, SILU_NS, SOFTPLUS_NS
from ..functional.softmax import SOFTMAX_NS
from ..layers import (
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
from ..program import Table
from .common import ACTIVATION_NS, BATCHNORM_NS, DROPOUT_NS, PRODUCT_NS, NotLowered, offset
from .groups import ACTIVATIONS, Group, flat_layers, groups_of

# Each group adds its forward, and returns its output's columns and place, and what adds its backward.

Backward = Callable[[int, bool], int]  # from the place of dy, and whether dx is wanted, to the place of dx
Lowered = tuple[int, int, Backward]


def _linear(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    model, layer = t.model, group.layer
    outputs = layer.out_features
    weight, bias = layer.parameters["weight"], layer.parameters.get("bias")
    place = offset(weight, model.flat_parameters)
    y = t.room(t.batch * outputs)
    # a result of few columns takes as long as one of a whole vector's
    work = t.batch * n * max(outputs, 16) * PRODUCT_NS
    t.add(
        ops.linear_forward, work, n, outputs, x, place, offset(bias, model.flat_parameters), group.kind, y,
        *t.products(work), reals=lambda: (group.slope,),
    )  # fmt: skip
    after = _after(t, group, outputs, y, training)

    def backward(dy: int, wanted: bool) -> int:
        dy = after.backward(dy)
        dx = t.other(dy)
        gradients = [offset(layer.gradients.get(name), model.flat_gradients) for name in ("weight", "bias")]
        both = work * (1 + wanted)
        t.add(ops.linear_backward, both, n, outputs, dy, x, place, *t.products(both), *gradients, dx if wanted else -1)
        return dx

    return outputs, after.y, backward


class _After(NamedTuple):
    """What follows a layer's own forward: where its output is, and how its gradient comes through."""

    y: int
    backward: Callable[[int], int]


def _after(t: Table, group: Group, n: int, y: int, training: bool) -> _After:
    """Dropout after an activation that has been applied, and the backward of both."""
    size = t.batch * n
    if group.dropout is not None and training:
        dropped, _ = _add_dropout(t, group.dropout, n, y)

        def through_both(dy: int) -> int:
            dx = t.other(dy)
            t.add(ops.relu_dropout_backward, size * ACTIVATION_NS, n, dy, dropped, dx, reals=lambda: (group.p,))
            return dx

        return _After(dropped, through_both)
    if group.activation is None:
        return _After(y, lambda dy: dy)

    def through_activation(dy: int) -> int:
        dx = t.other(dy)
        reals = lambda: (group.slope,)  # noqa: E731 - read at each run: settings may change
        t.add(ops.activation_backward, size * ACTIVATION_NS, n, group.kind, dy, y, dx, reals=reals)
        return dx

    return _After(y, through_activation)


def _batchnorm(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    model, layer = t.model, group.layer
    gamma, beta = (offset(layer.parameters.get(name), model.flat_parameters) for name in ("weight", "bias"))
    mean, var, count = (
        offset(layer.buffers[name], model.flat_buffers) for name in ("running_mean", "running_var", "num_batches_tracked")
    )
    ones, zeros = (-1, -1) if layer.affine else (t.constant(n, 1.0), t.constant(n, 0.0))
    stats, y = t.room(3 * n), t.room(t.batch * n)
    work = t.batch * n * BATCHNORM_NS
    if not training:
        reals = lambda: (layer.eps, group.slope)  # noqa: E731
        t.add(ops.batchnorm_inference, work, n, x, gamma, beta, ones, zeros, mean, var, stats, y, group.kind, reals=reals)
        return n, y, _no_backward
    dropout = (0, 0, -1) if group.dropout is None else _dropout_operands(t, group.dropout)
    t.add(
        ops.batchnorm_forward, work + (t.batch * n * DROPOUT_NS if group.dropout else 0.0),
        n, x, gamma, beta, ones, zeros, mean, var, count, stats, y, t.partials(row_chunks(t.batch) * 4 * n), group.kind, *dropout,
        reals=lambda: (
            layer.eps, -1.0 if layer.momentum is None else layer.momentum, float(layer.unbiased_running_var), group.slope, group.p
        ),
    )  # fmt: skip

    def backward(dy: int, wanted: bool) -> int:
        gradients = [offset(layer.gradients.get(name), model.flat_gradients) for name in ("weight", "bias")]
        unused = -1 if layer.affine else t.room(2 * n)
        partials, dx = t.partials(row_chunks(t.batch) * 2 * n), t.other(dy)
        t.add(
            ops.batchnorm_backward, work, n, x, y, gamma, ones, *gradients, unused, stats, dy, dx, partials, group.kind,
            reals=lambda: (group.slope, group.p),
        )  # fmt: skip
        return dx

    return n, y, backward


def _dropout_operands(t: Table, layer: Any) -> tuple[int, int, int]:
    """Seed, stream and the place of the step."""
    counter = t.counter(lambda: layer.step, lambda value: setattr(layer, "step", value))
    return int(np.uint64(layer.seed).astype(np.int64)), layer.stream, counter


def _add_dropout(t: Table, layer: Any, n: int, x: int) -> tuple[int, tuple[int, int, int]]:
    """Dropout's forward; returns the place of its output, and what its backward takes too."""
    y, operands = t.room(t.batch * n), _dropout_operands(t, layer)
    t.add(ops.dropout_forward, t.batch * n * DROPOUT_NS, n, x, y, *operands, reals=lambda: (layer.p,))
    return y, operands


def _dropout(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    if not training:
        return n, x, _no_backward
    layer = group.layer
    y, operands = _add_dropout(t, layer, n, x)

    def backward(dy: int, wanted: bool) -> int:
        t.add(ops.dropout_backward, t.batch * n * DROPOUT_NS, n, dy, dy, *operands, reals=lambda: (layer.p,))
        return dy

    return n, y, backward


def _activation(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    group = group._replace(activation=group.layer)
    y = t.room(t.batch * n)
    work = t.batch * n * ACTIVATION_NS
    t.add(ops.activation_forward, work, n, group.kind, x, y, reals=lambda: (group.slope,))
    after = _after(t, group, n, y, training)
    return n, after.y, lambda dy, _: after.backward(dy)


class _Pair(NamedTuple):
    """A layer without parameters that is lowered to one instruction each way."""

    forward: Any
    backward: Any
    element_ns: tuple[float, float]
    reads_output: bool = False  # backward does, instead of the input
    reals: Callable[[Any], tuple[float, ...]] = lambda layer: ()  # read at each run: settings may change


_PAIRS: dict[type, _Pair] = {
    ELU: _Pair(smooth.elu_forward, smooth.elu_backward, ELU_NS, True, lambda layer: (layer.alpha,)),
    GELU: _Pair(smooth.gelu_forward, smooth.gelu_backward, GELU_NS, False, lambda layer: (layer.approximate == "tanh",)),
    SiLU: _Pair(smooth.silu_forward, smooth.silu_backward, SILU_NS),
    Softplus: _Pair(
        smooth.softplus_forward, smooth.softplus_backward, SOFTPLUS_NS, False, lambda layer: (layer.beta, layer.threshold)
    ),
    Softmax: _Pair(softmax.softmax_forward, softmax.softmax_backward, (SOFTMAX_NS, SOFTMAX_NS), True),
    LogSoftmax: _Pair(softmax.log_softmax_forward, softmax.log_softmax_backward, (SOFTMAX_NS, SOFTMAX_NS), True),
}


def _pair(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    entry, layer = _PAIRS[type(group.layer)], group.layer
    y, size = t.room(t.batch * n), t.batch * n
    t.add(entry.forward, size * entry.element_ns[0], n, x, y, reals=lambda: entry.reals(layer))

    def backward(dy: int, wanted: bool) -> int:
        dx, kept = t.other(dy), y if entry.reads_output else x
        t.add(entry.backward, size * entry.element_ns[1], n, dy, kept, dx, reals=lambda: entry.reals(layer))
        return dx

    return n, y, backward


def _flatten(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    return n, x, lambda dy, _: dy  # rows lie flat in a program


def _no_backward(dy: int, wanted: bool) -> int:
    raise AssertionError("a program for use has no backward")


def _row_norm(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    model, layer = t.model, group.layer
    gamma, beta = (offset(layer.parameters.get(name), model.flat_parameters) for name in ("weight", "bias"))
    ones = -1 if gamma >= 0 else t.constant(n, 1.0)
    zeros = -1 if beta >= 0 else t.constant(n, 0.0)
    stats, y, work = t.room(3 * t.batch), t.room(t.batch * n), t.batch * n * LAYERNORM_NS
    reals = lambda: (layer.epsilon,)  # noqa: E731
    t.add(rows.layernorm_forward, work, n, x, gamma, beta, ones, zeros, stats, y, layer.centered, reals=reals)

    def backward(dy: int, wanted: bool) -> int:
        dx = t.other(dy)
        gradients = [offset(layer.gradients.get(name), model.flat_gradients) for name in ("weight", "bias")]
        partials = t.partials(layernorm_chunks(t.batch) * 2 * n)
        t.add(
            rows.layernorm_backward, 2 * work, n, x, dy, dx, gamma, ones, *gradients, t.room(2 * n), stats, partials,
            layer.centered,
        )  # fmt: skip
        return dx

    return n, y, backward


def _residual(t: Table, group: Group, n: int, x: int, training: bool) -> Lowered:
    work = t.batch * n * ACTIVATION_NS
    width, z, backwards = _lower_each(t, group.layer.layers, n, x, training)
    if width != n:
        raise NotLowered(f"{group.layer!r} does not keep its width")
    y = t.room(t.batch * n)
    t.add(arithmetic.add_arrays, work, n, x, z, y)

    def backward(dy: int, wanted: bool) -> int:
        if wanted:
            kept = t.room(t.batch * n)  # the branch's gradients take turns in the room that dy is in
            t.add(arithmetic.copy_rows, 0.0, n, dy, kept)
        for position, inner in enumerate(backwards):
            dy = inner(dy, wanted or position + 1 < len(backwards))
        if wanted:
            t.add(arithmetic.add_arrays, work, n, dy, kept, dy)
        return dy

    return n, y, backward


_LAYERS: dict[type, Callable[[Table, Group, int, int, bool], Lowered]] = {
    LayerNorm: _row_norm,
    RMSNorm: _row_norm,
    Residual: _residual,
    Linear: _linear,
    BatchNorm1d: _batchnorm,
    Dropout: _dropout,
    Flatten: _flatten,
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(_PAIRS, _pair),
}


def lower_layers(t: Table, n: int, x: int, training: bool) -> tuple[int, int, list[Backward]]:
    """Forward of all layers, nested ones too; the columns and place of the output, and the backwards in reverse."""
    return _lower_each(t, t.model.layers, n, x, training)


def _lower_each(t: Table, layers: list[Layer], n: int, x: int, training: bool) -> tuple[int, int, list[Backward]]:
    backwards: list[Backward] = []
    layers = list(flat_layers(layers, type(t.model)))
    for layer in layers:
        if type(layer) not in _LAYERS:
            raise NotLowered(f"{layer!r} has no instruction")
        if layer.training != training:
            raise NotLowered(f"{layer!r} is in another mode than the model")
    for group in groups_of(layers):
        n, x, backward = _LAYERS[type(group.layer)](t, group, n, x, training)
        backwards.insert(0, backward)
    return n, x, backwards
