"""Lowering: a model, with its loss, rule and penalties, as a table of instructions for one compiled function.

`lower_training`, `lower_evaluation` and `lower_prediction` make a `Program` of a `Sequential`, or raise `NotLowered` with the
reason, where a part has no instruction (a layer in Python, a loss of the user's own); such models run layer by layer. A
program shares the model's buffers and plans one workspace for the largest batch; running it allocates nothing. Both roads call
the same kernels in the same order.

Adding a layer, loss or rule: an instruction in `fastnn_kernels.cpu.instructions`, and one entry in `_LAYERS`, `_LOSSES` or
`_RULES`, whose function says which operands it takes.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn_kernels._jit import Instruction, cache_folder
from fastnn_kernels.cpu import instructions as ops
from fastnn_kernels.cpu._rows import row_chunks
from fastnn_kernels.cpu.gemm import scratch_size
from fastnn_kernels.cpu.program import COUNTERS, FIRST, PENALTY, SCALE, SCORE, STOP, TOTAL, Context, run_steps
from fastnn_kernels.cpu.reductions import LANES, sum_chunks

from ._check import Array
from ._memory import aligned_zeros, padded
from .functional import _dispatch
from .functional.activations import KINDS
from .layers import SELU, BatchNorm1d, Dropout, Layer, LeakyReLU, Linear, ReLU, Sigmoid, Tanh
from .losses import CrossEntropyLoss, MSELoss
from .optim import SGD, Adam, RMSprop
from .regularizers import L1, L2, ElasticNet

__all__ = ["NotLowered", "Program", "compile_all", "lower_evaluation", "lower_prediction", "lower_training"]

_WIDTH = 17  # operands of the longest instruction, and its address
_REALS = 6
_SLICE_SECONDS = 0.05
_COMPILATION_SECONDS = 2.0  # for an instruction, roughly

# what an element (for a product a multiply-add) takes on one core, roughly; picks the serial or the parallel build
_PRODUCT_NS, _BATCHNORM_NS, _DROPOUT_NS, _ACTIVATION_NS, _LOSS_NS, _RULE_NS = 1 / 110, 0.3, 0.32, 0.1, 3.0, 0.2


class NotLowered(Exception):  # noqa: N818 - not an error: the model runs layer by layer
    """A part of the model has no instruction; the message says which."""


class _Table:
    """A program in the making: instructions, room in the workspace, counters."""

    def __init__(self, model: Any, batch: int) -> None:
        self.model, self.batch = model, batch
        self.rows: list[tuple[Any, bool, tuple[int, ...], Callable[[], tuple[float, ...]]]] = []
        self.work = self.scratch = 0
        self.constants: list[tuple[int, int, float]] = []
        self.counters: list[tuple[Callable[[], int], Callable[[int], None]]] = []
        self._products: tuple[int, int] | None = None
        self._gradients = (0, 0)

    def add(self, op: Any, nanoseconds: float, *operands: int, reals: Callable[[], tuple[float, ...]] = tuple) -> None:
        """Append an instruction. nanoseconds: of its kernels on one core for a full batch, which picks the build."""
        parallel = _dispatch.parallel_pays(nanoseconds)
        self.rows.append((op, parallel, tuple(int(operand) for operand in operands), reals))

    def room(self, size: int) -> int:
        """Offset of so many new elements of work."""
        offset = self.work
        self.work += padded(size, self.model.dtype)
        return offset

    def partials(self, size: int) -> int:
        """Offset of room in scratch; all instructions share it, since none keeps anything there."""
        self.scratch = max(self.scratch, size)
        return 0

    def products(self, nanoseconds: float) -> tuple[int, int]:
        """Offset of scratch for products, which all share, and into how many pieces one of so much work is cut."""
        if self._products is None:
            threads = _dispatch.max_threads()
            self._products = self.room(threads * scratch_size()), threads
        return self._products[0], self._products[1] if _dispatch.parallel_pays(nanoseconds) else 1

    def start_backward(self, columns: int) -> int:
        """Make room for gradients of so many columns at most; returns the place of the loss's."""
        self._gradients = self.room(self.batch * columns), self.room(self.batch * columns)
        return self._gradients[0]

    def other(self, place: int) -> int:
        """The other of the two rooms for gradients."""
        return self._gradients[place == self._gradients[0]]

    def constant(self, size: int, value: float) -> int:
        """Offset of room that holds a constant."""
        offset = self.room(size)
        self.constants.append((offset, size, value))
        return offset

    def counter(self, read: Callable[[], int], write: Callable[[int], None]) -> int:
        """Place in state of a number that Python holds between runs."""
        self.counters.append((read, write))
        place: int = COUNTERS + len(self.counters) - 1
        return place


def _offset(array: Array | None, flat: Array) -> int:
    """Where a view starts in its flat buffer; -1 for none."""
    if array is None:
        return -1
    return (array.ctypes.data - flat.ctypes.data) // flat.itemsize


# Layers are lowered in groups of those that run in one pass. Each group adds its forward, and returns its output's columns and
# place, and what adds its backward.

_Backward = Callable[[int, bool], int]  # from the place of dy, and whether dx is wanted, to the place of dx
_Lowered = tuple[int, int, _Backward]


class _Group(NamedTuple):
    """A layer, with the activation and the dropout after it where they run in the same pass."""

    layer: Any
    activation: Any = None
    dropout: Any = None

    @property
    def kind(self) -> int:
        return int(KINDS[self.activation.kind if self.activation else None])

    @property
    def slope(self) -> float:
        return float(self.activation.negative_slope) if self.activation else 0.0

    @property
    def p(self) -> float:
        return float(self.dropout.p) if self.dropout else 0.0


_ACTIVATIONS = (ReLU, LeakyReLU, Sigmoid, Tanh, SELU)


def _groups(layers: list[Layer]) -> Iterable[_Group]:
    """Linear or BatchNorm1d with the activation that follows, and after ReLU, whose output shows what was dropped, dropout."""
    position = 0

    def next_is(kinds: tuple[type, ...]) -> bool:
        return position < len(layers) and type(layers[position]) in kinds

    while position < len(layers):
        layer, activation, dropout = layers[position], None, None
        position += 1
        if type(layer) in (Linear, BatchNorm1d) and next_is(_ACTIVATIONS):
            activation = layers[position]
            position += 1
        if ReLU in (type(layer), type(activation)) and next_is((Dropout,)):
            dropout = layers[position]
            position += 1
        yield _Group(layer, activation, dropout)


def _linear(t: _Table, group: _Group, n: int, x: int, training: bool) -> _Lowered:
    model, layer = t.model, group.layer
    outputs = layer.out_features
    weight, bias = layer.parameters["weight"], layer.parameters.get("bias")
    place = _offset(weight, model.flat_parameters)
    y = t.room(t.batch * outputs)
    work = t.batch * weight.size * _PRODUCT_NS
    t.add(
        ops.linear_forward, work, n, outputs, x, place, _offset(bias, model.flat_parameters), group.kind, y,
        *t.products(work), reals=lambda: (group.slope,),
    )  # fmt: skip
    after = _after(t, group, outputs, y, training)

    def backward(dy: int, wanted: bool) -> int:
        dy = after.backward(dy)
        dx = t.other(dy)
        gradients = [_offset(layer.gradients.get(name), model.flat_gradients) for name in ("weight", "bias")]
        both = work * (1 + wanted)
        t.add(ops.linear_backward, both, n, outputs, dy, x, place, *t.products(both), *gradients, dx if wanted else -1)
        return dx

    return outputs, after.y, backward


class _After(NamedTuple):
    """What follows a layer's own forward: where its output is, and how its gradient comes through."""

    y: int
    backward: Callable[[int], int]


def _after(t: _Table, group: _Group, n: int, y: int, training: bool) -> _After:
    """Dropout after an activation that has been applied, and the backward of both."""
    size = t.batch * n
    if group.dropout is not None and training:
        dropped, _ = _add_dropout(t, group.dropout, n, y)

        def through_both(dy: int) -> int:
            dx = t.other(dy)
            t.add(ops.relu_dropout_backward, size * _ACTIVATION_NS, n, dy, dropped, dx, reals=lambda: (group.p,))
            return dx

        return _After(dropped, through_both)
    if group.activation is None:
        return _After(y, lambda dy: dy)

    def through_activation(dy: int) -> int:
        dx = t.other(dy)
        reals = lambda: (group.slope,)  # noqa: E731 - read at each run: settings may change
        t.add(ops.activation_backward, size * _ACTIVATION_NS, n, group.kind, dy, y, dx, reals=reals)
        return dx

    return _After(y, through_activation)


def _batchnorm(t: _Table, group: _Group, n: int, x: int, training: bool) -> _Lowered:
    model, layer = t.model, group.layer
    gamma, beta = (_offset(layer.parameters.get(name), model.flat_parameters) for name in ("weight", "bias"))
    mean, var, count = (
        _offset(layer.buffers[name], model.flat_buffers) for name in ("running_mean", "running_var", "num_batches_tracked")
    )
    ones, zeros = (-1, -1) if layer.affine else (t.constant(n, 1.0), t.constant(n, 0.0))
    stats, y = t.room(3 * n), t.room(t.batch * n)
    work = t.batch * n * _BATCHNORM_NS
    if not training:
        reals = lambda: (layer.eps, group.slope)  # noqa: E731
        t.add(ops.batchnorm_inference, work, n, x, gamma, beta, ones, zeros, mean, var, stats, y, group.kind, reals=reals)
        return n, y, _no_backward
    dropout = (0, 0, -1) if group.dropout is None else _dropout_operands(t, group.dropout)
    t.add(
        ops.batchnorm_forward, work + (t.batch * n * _DROPOUT_NS if group.dropout else 0.0),
        n, x, gamma, beta, ones, zeros, mean, var, count, stats, y, t.partials(row_chunks(t.batch) * 4 * n), group.kind, *dropout,
        reals=lambda: (
            layer.eps, -1.0 if layer.momentum is None else layer.momentum, float(layer.unbiased_running_var), group.slope, group.p
        ),
    )  # fmt: skip

    def backward(dy: int, wanted: bool) -> int:
        gradients = [_offset(layer.gradients.get(name), model.flat_gradients) for name in ("weight", "bias")]
        unused = -1 if layer.affine else t.room(2 * n)
        partials, dx = t.partials(row_chunks(t.batch) * 2 * n), t.other(dy)
        t.add(
            ops.batchnorm_backward, work, n, x, y, gamma, ones, *gradients, unused, stats, dy, dx, partials, group.kind,
            reals=lambda: (group.slope, group.p),
        )  # fmt: skip
        return dx

    return n, y, backward


def _dropout_operands(t: _Table, layer: Any) -> tuple[int, int, int]:
    """Seed, stream and the place of the step."""
    counter = t.counter(lambda: layer.step, lambda value: setattr(layer, "step", value))
    return int(np.uint64(layer.seed).astype(np.int64)), layer.stream, counter


def _add_dropout(t: _Table, layer: Any, n: int, x: int) -> tuple[int, tuple[int, int, int]]:
    """Dropout's forward; returns the place of its output, and what its backward takes too."""
    y, operands = t.room(t.batch * n), _dropout_operands(t, layer)
    t.add(ops.dropout_forward, t.batch * n * _DROPOUT_NS, n, x, y, *operands, reals=lambda: (layer.p,))
    return y, operands


def _dropout(t: _Table, group: _Group, n: int, x: int, training: bool) -> _Lowered:
    if not training:
        return n, x, _no_backward
    layer = group.layer
    y, operands = _add_dropout(t, layer, n, x)

    def backward(dy: int, wanted: bool) -> int:
        t.add(ops.dropout_backward, t.batch * n * _DROPOUT_NS, n, dy, dy, *operands, reals=lambda: (layer.p,))
        return dy

    return n, y, backward


def _activation(t: _Table, group: _Group, n: int, x: int, training: bool) -> _Lowered:
    group = group._replace(activation=group.layer)
    y = t.room(t.batch * n)
    work = t.batch * n * _ACTIVATION_NS
    t.add(ops.activation_forward, work, n, group.kind, x, y, reals=lambda: (group.slope,))
    after = _after(t, group, n, y, training)
    return n, after.y, lambda dy, _: after.backward(dy)


def _no_backward(dy: int, wanted: bool) -> int:
    raise AssertionError("a program for use has no backward")


_LAYERS: dict[type, Callable[[_Table, _Group, int, int, bool], _Lowered]] = {
    Linear: _linear,
    BatchNorm1d: _batchnorm,
    Dropout: _dropout,
    **dict.fromkeys(_ACTIVATIONS, _activation),
}


def _lower_layers(t: _Table, n: int, x: int, training: bool) -> tuple[int, int, list[_Backward]]:
    """Forward of all layers, nested ones too; the columns and place of the output, and the backwards in reverse."""
    layers = list(_flat(t.model))
    backwards: list[_Backward] = []
    for layer in layers:
        if type(layer) not in _LAYERS:
            raise NotLowered(f"{layer!r} has no instruction")
        if layer.training != training:
            raise NotLowered(f"{layer!r} is in another mode than the model")
    for group in _groups(layers):
        n, x, backward = _LAYERS[type(group.layer)](t, group, n, x, training)
        backwards.insert(0, backward)
    return n, x, backwards


def _flat(model: Any) -> Iterable[Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers") and type(layer) is type(model):
            if layer.input_scale != 1.0:
                raise NotLowered("a nested model has an input_scale of its own")
            yield from _flat(layer)
        else:
            yield layer


# losses: each adds its instruction; dz is the place of the gradient, -1 for evaluation


def _cross_entropy(t: _Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    m, work = t.batch, t.batch * k * _LOSS_NS
    summed = loss.reduction == "sum"
    reals = lambda: (loss.label_smoothing,)  # noqa: E731
    if labelled:
        t.add(ops.cross_entropy, work, k, z, dz if dz >= 0 else t.room(m * k), t.room(m), t.room(m), summed, reals=reals)
    else:
        places = [t.room(m), t.room(2 * m), t.room(m), t.room(m * k)]
        t.add(ops.soft_cross_entropy, work, k, z, dz, *places, summed, t.room(m * k), reals=reals)


def _squared_error(t: _Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    size = t.batch * k
    summed = loss.reduction == "sum"
    t.add(ops.squared_error, size * _ACTIVATION_NS, k, z, dz, t.room(size), t.room(size), summed, t.room(size))


_LOSSES: dict[type, Callable[[_Table, Any, int, int, int, bool], None]] = {
    CrossEntropyLoss: _cross_entropy,
    MSELoss: _squared_error,
}


# update rules


def _steps(t: _Table, rule: Any) -> int:
    return t.counter(lambda: rule.steps, lambda value: setattr(rule, "steps", value))


def _eps(rule: Any) -> tuple[float, float]:
    return (rule.eps, 0.0) if rule.eps_inside_sqrt else (0.0, rule.eps)


def _sgd(t: _Table, rule: Any, work: float) -> None:
    t.add(
        ops.sgd, work, rule.nesterov, _steps(t, rule),
        reals=lambda: (rule.lr, rule.momentum, rule.dampening, rule.weight_decay),
    )  # fmt: skip


def _rmsprop(t: _Table, rule: Any, work: float) -> None:
    t.add(
        ops.rmsprop, work, _steps(t, rule),
        reals=lambda: (rule.lr, rule.alpha, *_eps(rule), rule.momentum, rule.weight_decay),
    )  # fmt: skip


def _adam(t: _Table, rule: Any, work: float) -> None:
    t.add(
        ops.adam, work, rule.bias_correction, _steps(t, rule),
        reals=lambda: (rule.lr, *rule.betas, *_eps(rule), rule.weight_decay),
    )  # fmt: skip


# each with the names of its state in the order of the instruction's moments
_RULES: dict[type, tuple[Callable[[_Table, Any, float], None], tuple[str, ...]]] = {
    SGD: (_sgd, ("velocity",)),
    RMSprop: (_rmsprop, ("square", "mean", "velocity")),
    Adam: (_adam, ("first_moment", "second_moment", "largest_moment")),
}


def lower_training(
    model: Any, loss: Any, rule: Any, regularizer: Any, clip_norm: float | None, source: Array, targets: Array, batch: int
) -> Program:
    """A program of training steps on rows of source and targets, in batches of at most `batch` rows."""
    t, n, x = _start(model, source, min(batch, len(source)))
    if type(loss) not in _LOSSES:
        raise NotLowered(f"{loss!r} has no instruction")
    if type(rule) not in _RULES:
        raise NotLowered(f"{rule!r} has no instruction")
    if regularizer is not None and type(regularizer) not in (L1, L2, ElasticNet):
        raise NotLowered(f"{regularizer!r} has no instruction")
    k, z, backwards = _lower_layers(t, n, x, training=True)
    widths = [array.shape[-1] for layer in model.walk() for array in layer.parameters.values()]
    dy = t.start_backward(max([n, k, *(layer.in_features for layer in model.walk() if isinstance(layer, Linear)), *widths]))
    _LOSSES[type(loss)](t, loss, k, z, dy, targets.ndim == 1)
    for position, backward in enumerate(backwards):
        dy = backward(dy, position + 1 < len(backwards))
    if regularizer is not None:
        size = model.regularized_size
        t.add(
            ops.penalty, size * _RULE_NS, size, t.partials(sum_chunks(size) * 2 * LANES + 2),
            regularizer.scale == "rows", loss.reduction == "sum",
            reals=lambda: (regularizer.l1, regularizer.l2 * (1.0 if regularizer.half else 2.0)),
        )  # fmt: skip
    size = model.flat_parameters.size
    if clip_norm is not None:
        t.add(ops.clip_norm, size * _RULE_NS, t.partials(sum_chunks(size) * LANES + 1), reals=lambda: (clip_norm,))
    lower, moments = _RULES[type(rule)]
    lower(t, rule, size * _RULE_NS)
    return Program(t, source, targets, lambda: [rule.state_array(name) for name in moments])


def lower_evaluation(model: Any, loss: Any, source: Array, targets: Array, batch: int, *, quiet: bool = False) -> Program:
    """A program that adds up the loss and the hits in eval mode; nothing is updated. quiet: say nothing of compilations."""
    t, n, x = _start(model, source, min(batch, len(source)))
    if type(loss) not in _LOSSES:
        raise NotLowered(f"{loss!r} has no instruction")
    k, z, _ = _lower_layers(t, n, x, training=False)
    _LOSSES[type(loss)](t, loss, k, z, -1, targets.ndim == 1)
    return Program(t, source, targets, quiet=quiet)


def lower_prediction(model: Any, source: Array, batch: int) -> Program:
    """A program that gives out the network's outputs in eval mode, for rows like those of source (see `Program.predict`)."""
    t, n, x = _start(model, source, batch)
    k, z, _ = _lower_layers(t, n, x, training=False)
    t.add(ops.emit, 0.0, k, z)
    return Program(t, source, np.empty((0, k), model.dtype))


def _start(model: Any, source: Array, batch: int) -> tuple[_Table, int, int]:
    """A table that begins with gathering the inputs; their columns and place."""
    if source.dtype not in ops.GATHERS or not source.dtype.isnative or not source.flags.c_contiguous:
        raise NotLowered(f"no instruction reads inputs of dtype {source.dtype}, or that are not C-contiguous")
    t = _Table(model, batch)
    n = source.shape[1]
    x = t.room(t.batch * n)
    t.add(ops.GATHERS[source.dtype], t.batch * n * _ACTIVATION_NS, n, x, reals=lambda: (model.input_scale,))
    return t, n, x


class Program:
    """A lowered model, ready to run on the data that it was lowered for."""

    def __init__(
        self,
        table: _Table,
        source: Array,
        targets: Array,
        moments: Callable[[], list[Array | None]] = list,
        *,
        quiet: bool = False,
    ) -> None:
        self._model, self._moments, self._counters = table.model, moments, table.counters
        self._columns = [reals for _, _, _, reals in table.rows]
        self._parallel = any(parallel for _, parallel, _, _ in table.rows)
        dtype = self._model.dtype
        self._work, self._scratch = aligned_zeros(table.work, dtype), aligned_zeros(table.scratch, np.float64)
        for offset, size, value in table.constants:
            self._work[offset : offset + size] = value
        self._state = np.zeros(COUNTERS + len(table.counters), np.int64)
        self.results = np.zeros(5)
        self._rows, self.batch = len(source), table.batch
        self._pace = 1
        self._source = _bytes_of(source)
        labelled = targets.ndim == 1 and targets.dtype.kind in "iu"
        self._labels = targets if labelled else None
        self.targets = np.empty(0, dtype) if labelled else np.ascontiguousarray(targets, dtype)
        self._keep_alive = source
        self._order = np.arange(len(source))
        self._ordered_labels = np.zeros(0, np.int64)
        self.set_order(self._order)
        self._kept_context: Context | None = None
        self._reals, self._last_reals = np.zeros((len(table.rows), _REALS)), [(0.0,) * _REALS] * len(table.rows)
        self._table = np.zeros((len(table.rows), _WIDTH), np.int64)
        for i, (_, _, operands, _) in enumerate(table.rows):
            self._table[i, 1 : 1 + len(operands)] = operands
        arguments = self._table[0], self._reals[0], self._context()
        if not quiet:
            _announce([(op, parallel) for op, parallel, _, _ in table.rows if not op.is_ready(parallel, *arguments)])
        for i, (op, parallel, _, _) in enumerate(table.rows):
            self._table[i, 0] = op.address(parallel, *arguments)

    @property
    def steps(self) -> int:
        """Batches in a pass over the rows."""
        return -(-self._rows // self.batch)

    def slices(self, one_by_one: bool = False) -> Iterator[tuple[int, int]]:
        """Pieces of a pass for `run`, as (first step, end), of some 50 ms by how long the caller took for the last one."""
        begin = 0
        while begin < self.steps:
            end = min(self.steps, begin + (1 if one_by_one else self._pace))
            started = time.perf_counter()
            yield begin, end
            if end - begin == self._pace:
                elapsed = max(time.perf_counter() - started, 1e-6)
                self._pace = max(1, min(4 * self._pace, int(self._pace * _SLICE_SECONDS / elapsed)))
            begin = end

    def predict(self, x: Array) -> Array:
        """The outputs for rows x, C-contiguous and of the dtype and width that the program was lowered for."""
        rows, width = len(x), self.targets.shape[1]
        if rows <= self.batch:  # in one step, through arrays that stay: taking in others would be most of the time of one row
            if self._kept_context is None:
                self._use(np.zeros((self.batch, x.shape[1]), x.dtype), np.empty((self.batch, width), self.targets.dtype))
                self._kept_context = self._context()
            self._keep_alive[:rows] = x
            self._rows = rows
            self.run(0, 1)
            return self.targets[:rows].copy()
        out = np.empty((rows, width), self.targets.dtype)
        self._kept_context = None
        self._use(x, out)
        for begin, end in self.slices():
            self.run(begin, end)
        self._use(x[:0], out[:0])
        return out

    def _use(self, x: Array, out: Array) -> None:
        """Read inputs from x, in their order, and write outputs to out."""
        self._keep_alive, self._source, self.targets, self._rows = x, _bytes_of(x), out, len(x)
        if len(self._order) < len(x):
            self._order = np.arange(len(x))

    def set_order(self, order: Array, rows: int | None = None) -> None:
        """Start a pass: the order of its rows, how many of them are used, and sums of zero."""
        self._order = np.ascontiguousarray(order, np.int64)
        self._rows = len(order) if rows is None else rows
        self.results[:] = 0.0
        if self._labels is not None:
            self._ordered_labels = np.ascontiguousarray(self._labels[self._order], np.int64)

    def sums(self) -> tuple[float, float, float]:
        """Loss, penalty and hits, added up over the rows of this pass so far, in the order of the steps."""
        return float(self.results[TOTAL]), float(self.results[PENALTY]), float(self.results[SCORE])

    @property
    def stopped_by_norm(self) -> bool:
        """Whether the last run stopped for the gradient's norm, not for the loss."""
        return bool(self.results[STOP] == 2.0)

    def run(self, begin: int, end: int, *, to_the_end: bool = False) -> int:
        """Run steps begin to end - 1 of a pass; returns the step at which it stopped, end if it did not.

        It stops where the loss, or the gradient's norm, is not finite, unless it is to go on to the end.
        """
        for place, (read, _) in enumerate(self._counters, COUNTERS):
            self._state[place] = read()
        for i, reals in enumerate(self._columns):
            values = reals()
            if values != self._last_reals[i]:
                self._reals[i, : len(values)] = self._last_reals[i] = values
        self.results[STOP], self.results[SCALE] = 0.0, 1.0
        arguments = self.batch, self._rows, self._table, self._reals, self._kept_context or self._context()
        try:
            self._call(begin, end, *arguments)
            while to_the_end and self.results[STOP] != 0.0:
                self.results[STOP] = 0.0
                self._call(int(self._state[FIRST]) // self.batch + 1, end, *arguments)
        finally:  # Ctrl-C is raised right after the call: the steps have been made all the same
            for place, (_, write) in enumerate(self._counters, COUNTERS):
                write(int(self._state[place]))
        return int(self._state[FIRST]) // self.batch if self.results[STOP] else end

    def _call(self, *arguments: Any) -> None:
        if self._parallel:
            _dispatch.launch(run_steps.serial, *arguments)
        else:
            run_steps.serial(*arguments)

    def _context(self) -> Context:
        empty = np.empty(0, self._model.dtype)
        moments = [empty if array is None else array for array in self._moments()]
        model = self._model
        return Context(
            self._state, self.results, model.flat_parameters, model.flat_gradients, model.flat_buffers, self._work,
            self._scratch, *(moments + [empty] * (3 - len(moments))), self._source, self._order, self._ordered_labels,
            self.targets.reshape(-1),
        )  # fmt: skip


def _announce(missing: list[tuple[Any, bool]]) -> None:
    """Say that instructions are about to be compiled, which would look like a program that hangs."""
    names = sorted({op.__name__ for op, _ in missing})
    if names:
        seconds = len(set(missing)) * _COMPILATION_SECONDS
        sys.stderr.write(
            f"fastnn: compiling {', '.join(names)}: once on this machine, some {max(1, round(seconds))} s "
            f"(kept in {cache_folder() or 'memory only'})\n"
        )
        sys.stderr.flush()


def _bytes_of(array: Array) -> Array:
    """The memory of an array as bytes, without a copy, of one type whether or not it may be written."""
    if array.nbytes == 0:
        return np.empty(0, np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * array.nbytes).from_address(array.ctypes.data))


def compile_all(model: Any, progress: Callable[[int, int, str], None] | None = None) -> None:
    """Compile, or load from the cache, all instructions in both builds, for the dtype of `model`, a Linear(1, 1) in eval mode.

    progress: called as progress(done, total, name) before each and at the end.
    """
    one = np.zeros((1, 1), model.dtype)
    program = lower_evaluation(model, MSELoss(), one, one, 1, quiet=True)
    program.run(0, 1)  # the interpreter; from here on the program lends its types
    pieces = [*(op for op in vars(ops).values() if isinstance(op, Instruction)), *ops.GATHERS.values()]
    for done, op in enumerate(pieces):
        if progress is not None:
            progress(done, len(pieces), op.__name__)
        for parallel in (False, True):
            op.address(parallel, program._table[0], program._reals[0], program._context())
    if progress is not None:
        progress(len(pieces), len(pieces), "")
