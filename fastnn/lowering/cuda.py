"""Lowering for an NVIDIA GPU: a model's step as a list of launches, on copies of its arrays that live on the device.

A `CudaProgram` stands in for `fastnn.program.Program` where the trainer's model has been moved by `to("cuda")`. At the start of
a pass it takes parameters, running statistics and the rule's state to the device, and at the end it brings them back: so between
passes they are in the model's own buffers, where callbacks, checkpoints, predictions and everything else find them, and a
checkpoint knows no device. The data stays there for the whole `fit`.

Within a pass the host only launches. Losses, hits, penalties and norms stay in arrays of the pass, which are looked at
once for a slice of steps: that one was not finite shows at the slice's end.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn_kernels.cpu.instructions.data import GATHERS

from .._check import Array
from ..cuda import is_available, reason
from ..functional.activations import KINDS
from ..functional.losses import label_weights, logistic_factors, without_ignored
from ..layers import (
    ELU,
    GELU,
    SELU,
    BatchNorm1d,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    ReLU,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from ..losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, PoissonNLLLoss
from ..optim import SGD, SGDW, Adadelta, Adagrad, Adam, AdamW, Lion, RAdam, RMSprop
from ..program import REALS
from ..regularizers import L1, L2, ElasticNet, MaxNorm
from .common import NotLowered, offset
from .layers import Group, _flat, _groups

__all__ = ["CudaProgram", "lower_cuda_evaluation", "lower_cuda_training"]

_SLICE_SECONDS = 0.05
_ACTIVATIONS = (ReLU, LeakyReLU, Sigmoid, Tanh, SELU)
# the kernels' name, whether backward reads the output, and settings
_SMOOTH: dict[type, tuple[str, bool, Callable[[Any], tuple[Any, ...]]]] = {
    ELU: ("elu", True, lambda layer: (layer.alpha,)),
    GELU: ("gelu", False, lambda layer: (layer.approximate == "tanh",)),
    SiLU: ("silu", False, lambda layer: ()),
    Softplus: ("softplus", False, lambda layer: (layer.beta, layer.threshold)),
}
_POINTWISE = (L1Loss, HuberLoss, PoissonNLLLoss, BCEWithLogitsLoss)

Launch = Callable[[int], None]  # of a step; rows are those of the plan
Backward = Callable[[Any, bool], Any]  # from dy, and whether dx is wanted, to dx; appends launches
Store = dict[str, Any]


def lower_cuda_training(
    trainer: Any, source: Array, targets: Array, batch: int, weights: Array | None, store: Store
) -> CudaProgram:
    """A program of training steps; NotLowered where a part has no kernel. store: what of the data is on the device already."""
    for name, value in (("sample_weight", weights), ("augmentation", trainer.augmenter)):
        if value is not None:
            raise NotLowered(f"{name} has no CUDA kernel")
    schedule, regularizer = trainer.schedule, trainer.regularizer
    if schedule is not None and schedule.per == "step" and schedule.momenta(np.zeros(1, np.int64)) is not None:
        raise NotLowered(f"{schedule!r} cycles the momentum, which a CUDA program does not")
    if regularizer is not None and (type(regularizer) not in (L1, L2, ElasticNet) or regularizer.proximal):
        raise NotLowered(f"{regularizer!r} has no CUDA kernel")
    if trainer.constraint is not None and type(trainer.constraint) is not MaxNorm:
        raise NotLowered(f"{trainer.constraint!r} has no CUDA kernel")
    if type(trainer.optimizer) not in _RULES:
        raise NotLowered(f"{trainer.optimizer!r} has no CUDA kernel")
    return CudaProgram(trainer.model, trainer.loss, source, targets, batch, store, trainer)


def lower_cuda_evaluation(
    model: Any, loss: Any, source: Array, targets: Array, batch: int, weights: Array | None, store: Store
) -> CudaProgram:
    """A program that adds up the loss and the hits in eval mode."""
    if weights is not None:
        raise NotLowered("sample_weight has no CUDA kernel")
    return CudaProgram(model, loss, source, targets, batch, store, None)


class CudaProgram:
    """A model's step on a GPU, with the face of `Program`. trainer: None for evaluation."""

    def __init__(self, model: Any, loss: Any, source: Array, targets: Array, batch: int, store: Store, trainer: Any) -> None:
        if not is_available():
            raise NotLowered(str(reason()))
        self._cuda: Any = importlib.import_module("fastnn_kernels.cuda")
        self._clip: Any = importlib.import_module("fastnn_kernels.cuda.reductions").clip_by_norm
        target = importlib.import_module("fastnn_kernels.cuda._target")
        self._xp: Any = target.cupy or np
        self._model, self._loss, self._trainer = model, loss, trainer
        self._rows, self.batch, self._pace = len(source), min(batch, len(source)), 1
        self._groups = list(_groups(list(_flat(model.layers, type(model)))))
        self._check(targets)
        rows, width = len(source), targets.shape[1] if targets.ndim == 2 else 1
        if "source" not in store:
            kind = model.dtype if targets.ndim == 2 or targets.dtype.kind == "f" else np.int64
            store["source"] = self._taken(source if source.dtype in GATHERS else source.astype(model.dtype))
            store["targets"] = self._taken(np.ascontiguousarray(targets, kind).reshape(targets.shape))
        self._source, self._targets, self._labelled = store["source"], store["targets"], targets.ndim == 1
        weighs = self._labelled and (loss.class_weight is not None or loss.ignore_index is not None)
        self._weighed = targets if weighs else None  # of which the host adds up the labels' weights
        self._divisors: list[tuple[float, float]] = []  # of each step
        self._each = width if type(loss) in (MSELoss, *_POINTWISE) else 1  # losses of a row
        steps, dtype = self.steps, model.dtype
        self.rates = self.weights = None
        if trainer is not None:
            if trainer.schedule is not None and trainer.schedule.per == "step":
                self.rates = np.zeros((steps, 1, REALS))
            if trainer.average is not None and trainer.average.per == "step":
                self.weights = np.zeros(steps)
        self._losses, self._hits = self._empty(rows * self._each, dtype), self._empty(rows, dtype)
        self._norms, self._penalties = self._empty((steps, 1), np.float64), self._empty((steps, 2), np.float64)
        self._plans: dict[int, list[Launch]] = {}
        self.stopped_by_norm = False
        self._parameters, self._buffers = self._taken(model.flat_parameters), self._taken(model.flat_buffers)
        self._gradients = self._empty(model.flat_parameters.size, dtype)
        self._gradients[...] = 0.0  # between the arrays too
        self._state: dict[str, Any] = {}
        self.set_order(np.arange(rows))

    def _check(self, targets: Array) -> None:
        for layer in _flat(self._model.layers, type(self._model)):
            if type(layer) not in (Linear, BatchNorm1d, LayerNorm, RMSNorm, Dropout, Flatten, *_ACTIVATIONS, *_SMOOTH):
                raise NotLowered(f"{layer!r} has no CUDA kernel")
            if layer.training != (self._trainer is not None):
                raise NotLowered(f"{layer!r} is in another mode than the model")
        loss = self._loss
        if type(loss) not in (CrossEntropyLoss, NLLLoss, MSELoss, *_POINTWISE):
            raise NotLowered(f"{loss!r} has no CUDA kernel")
        if type(loss) is CrossEntropyLoss and targets.ndim == 2 and loss.class_weight is not None:
            raise NotLowered(f"{loss!r} against probabilities has no CUDA kernel")

    # the face of a Program

    @property
    def steps(self) -> int:
        """Batches in a pass over the rows."""
        return -(-self._rows // self.batch)

    def slices(self, one_by_one: bool = False) -> Iterator[tuple[int, int]]:
        """Pieces of a pass for `run`, of some 50 ms."""
        begin = 0
        while begin < self.steps:
            end = min(self.steps, begin + (1 if one_by_one else self._pace))
            started = time.perf_counter()
            yield begin, end
            if end - begin == self._pace:
                elapsed = max(time.perf_counter() - started, 1e-6)
                self._pace = max(1, min(4 * self._pace, int(self._pace * _SLICE_SECONDS / elapsed)))
            begin = end

    def set_order(self, order: Array, rows: int | None = None) -> None:
        """Start a pass: the order of its rows, how many are used, and the model's arrays as they are now."""
        self._rows = len(order) if rows is None else rows
        self._order = self._taken(np.ascontiguousarray(order, np.int64))
        self._ordered = self._targets[self._order]
        self._sums, self._counted = [0.0, 0.0, 0.0], [0.0, 0.0]
        if self._weighed is not None:
            labels, loss = self._weighed[order][: self._rows], self._loss
            self._divisors = [
                label_weights(labels[first : first + self.batch], loss.class_weight, loss.ignore_index, None)
                for first in range(0, self._rows, self.batch)
            ]
        self.stopped_by_norm = False
        self._parameters[...] = self._taken(self._model.flat_parameters)
        self._buffers[...] = self._taken(self._model.flat_buffers)
        for name, array in self._states():
            if name in self._state and self._state[name].shape == array.shape:
                self._state[name][...] = self._taken(array)
            else:
                self._state[name] = self._taken(array)
                self._plans.clear()

    def run(self, begin: int, end: int, *, to_the_end: bool = False) -> int:
        """Run steps begin to end - 1; returns the first whose loss or norm was not finite, end if there was none."""
        self.stopped_by_norm = False
        try:
            for step in range(begin, end):
                rows = min(self.batch, self._rows - step * self.batch)
                if rows not in self._plans:
                    self._plans[rows] = self._plan(rows)
                if self.rates is not None:
                    self._trainer.optimizer.lr = float(self.rates[step, 0, 0])
                for launch in self._plans[rows]:
                    launch(step)
        except BaseException:  # Ctrl-C: what has been launched is done
            self._bring_back()
            raise
        stopped = self._add_up(begin, end)
        if end == self.steps:
            self._bring_back()
        return end if stopped is None or to_the_end else stopped

    def sums(self) -> tuple[float, float, float, tuple[float, float] | None]:
        """Loss, penalty and hits, added up over the rows of this pass so far, and what they are divided by; None for the rows."""
        loss, penalty, hits = self._sums
        return loss, penalty, hits, None if self._weighed is None else (self._counted[0], self._counted[1])

    # arrays

    def _taken(self, array: Array) -> Any:
        """A copy on the device."""
        return self._xp.array(array, order="C")

    def _empty(self, shape: Any, dtype: Any) -> Any:
        return self._xp.empty(shape, dtype)

    def _host(self, array: Any) -> Array:
        """A copy on the host; waits for the device."""
        result: Array = array if isinstance(array, np.ndarray) else array.get()
        return result

    def _view(self, array: Array | None, flat: Array, on_device: Any) -> Any:
        """What a view of one of the model's flat buffers is on the device."""
        if array is None:
            return on_device[:0]
        place = offset(array, flat)
        return on_device[place : place + array.size].reshape(array.shape)

    def _states(self) -> list[tuple[str, Array]]:
        """What the trainer holds beside the model: the rule's state, and an average by steps."""
        if self._trainer is None:
            return []
        rule = self._trainer.optimizer
        arrays = [(name, rule.state_array(name)) for name in _RULES[type(rule)][0]]
        states = [(name, array) for name, array in arrays if array is not None]
        return states if self.weights is None else [*states, ("average", self._trainer.average.values)]

    def _bring_back(self) -> None:
        if self._trainer is None:
            return
        model = self._model
        counts = [(layer, int(layer.num_batches_tracked)) for layer in self._norm_layers()]
        model.flat_parameters[...] = self._host(self._parameters)
        model.flat_buffers[...] = self._host(self._buffers)
        for layer, count in counts:  # counted on the host, which needs it for a cumulative average
            layer.buffers["num_batches_tracked"][...] = count
        for name, array in self._states():
            array[...] = self._host(self._state[name])

    def _norm_layers(self) -> list[Any]:
        return [group.layer for group in self._groups if type(group.layer) is BatchNorm1d]

    def _add_up(self, begin: int, end: int) -> int | None:
        """Take the slice's figures in; the first step with one that is not finite."""
        stopped = None
        first, last = begin * self.batch, min(end * self.batch, self._rows)
        losses = self._host(self._losses[first * self._each : last * self._each]).astype(float).reshape(-1, self._each)
        hits = self._host(self._hits[first:last]) if self._scored else np.zeros(last - first)
        norms = self._host(self._norms[begin:end]) if self._clips else np.zeros((end - begin, 1))
        penalties = self._host(self._penalties[begin:end]) if self._penalised else np.zeros((end - begin, 2))
        summed = self._loss.reduction == "sum"
        for step in range(begin, end):
            rows = slice((step - begin) * self.batch, min((step - begin + 1) * self.batch, last - first))
            loss = float(losses[rows].sum()) / (1 if summed else self._each)
            if self._divisors:
                weight, counted = self._divisors[step]
                loss = loss if summed or weight > 0.0 else 0.0  # where nothing counts
                self._counted[0] += weight
                self._counted[1] += counted
            self._sums[0] += loss
            self._sums[2] += float(hits[rows].sum())
            if self._penalised:
                self._sums[1] += self._penalty(penalties[step - begin, 0], penalties[step - begin, 1], rows.stop - rows.start)
            norm = float(norms[step - begin, 0])
            if stopped is None and not (math.isfinite(loss) and math.isfinite(norm)):
                stopped, self.stopped_by_norm = step, math.isfinite(loss)
        return stopped

    @property
    def _scored(self) -> bool:
        return type(self._loss) in (CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss)

    @property
    def _clips(self) -> bool:
        return self._trainer is not None and self._trainer.clip_norm is not None

    @property
    def _penalised(self) -> bool:
        return self._trainer is not None and self._trainer.regularizer is not None

    def _strengths(self, rows: int) -> tuple[float, float]:
        regularizer = self._trainer.regularizer
        share = 1.0 / rows if regularizer.scale == "rows" else 1.0
        return regularizer.l1 * share, regularizer.l2 * share * (1.0 if regularizer.half else 2.0)

    def _penalty(self, absolute: float, squares: float, rows: int) -> float:
        l1, l2 = self._strengths(rows)
        value = l1 * float(absolute) + 0.5 * l2 * float(squares)
        return value if self._loss.reduction == "sum" else value * rows

    # the plan of a step of so many rows

    def _plan(self, m: int) -> list[Launch]:
        cuda, model, training = self._cuda, self._model, self._trainer is not None
        plan: list[Launch] = []
        x = self._empty((m, self._source.shape[1]), model.dtype)

        def gather(step: int, x: Any = x) -> None:
            first = step * self.batch
            cuda.gather_rows(self._source, self._order[first : first + m], model.input_scale, x)

        plan.append(gather)
        backwards = []
        for group in self._groups:
            x, backward = self._forward(group, x, m, plan, training)
            backwards.append(backward)
        dy = self._loss_launches(x, m, plan)
        if not training:
            return plan
        for position, backward in reversed(list(enumerate(backwards))):
            dy = backward(dy, position > 0)
        self._finish(plan, m)
        return plan

    def _forward(self, group: Group, x: Any, m: int, plan: list[Launch], training: bool) -> tuple[Any, Backward]:
        """Append the forward of a group; its output, and what appends the backward."""
        layer = group.layer
        if type(layer) is Linear:
            y, backward = self._linear(group, x, m, plan)
            if group.dropout is not None and training:
                dropped, through = self._dropout(group.dropout, y, plan, after_relu=True)
                return dropped, lambda dy, wanted: backward(through(dy), wanted)
            if group.activation is None:
                return y, backward
            through = self._activation_backward(group, y, plan)
            return y, lambda dy, wanted: backward(through(dy), wanted)
        if type(layer) is BatchNorm1d:
            return self._batchnorm(group, x, m, plan, training)
        if type(layer) in (LayerNorm, RMSNorm):
            return self._row_norm(layer, x, m, plan)
        if type(layer) in _SMOOTH:
            return self._smooth(layer, x, plan)
        if type(layer) is Dropout:
            if not training:
                return x, lambda dy, wanted: dy
            y, through = self._dropout(layer, x, plan, after_relu=False)
            return y, lambda dy, wanted: through(dy)
        if type(layer) is Flatten:
            return x, lambda dy, wanted: dy
        group = group._replace(activation=layer)
        y = self._xp.empty_like(x)
        flat_x, flat_y, kind = x.reshape(-1), y.reshape(-1), int(KINDS[layer.kind])
        plan.append(lambda step: self._cuda.activation_forward(flat_x, kind, layer.negative_slope, flat_y))
        if group.dropout is not None and training:
            dropped, through = self._dropout(group.dropout, y, plan, after_relu=True)
            return dropped, lambda dy, wanted: through(dy)
        through = self._activation_backward(group, y, plan)
        return y, lambda dy, wanted: through(dy)

    def _linear(self, group: Group, x: Any, m: int, plan: list[Launch]) -> tuple[Any, Backward]:
        cuda, model, layer = self._cuda, self._model, group.layer
        weight, bias = (
            self._view(layer.parameters.get(name), model.flat_parameters, self._parameters) for name in ("weight", "bias")
        )
        dweight, dbias = (
            self._view(layer.gradients.get(name), model.flat_gradients, self._gradients) for name in ("weight", "bias")
        )
        y, room = self._empty((m, layer.out_features), model.dtype), self._empty((1, 0), model.dtype)
        plan.append(lambda step: cuda.linear_forward(x, weight, bias, group.kind, group.slope, room, y))

        def backward(dy: Any, wanted: bool) -> Any:
            dx = self._empty(x.shape if wanted else (0, 0), model.dtype)
            plan.append(lambda step: cuda.linear_backward(dy, x, weight, False, room, dweight, dbias, dx))
            return dx

        return y, backward

    def _batchnorm(self, group: Group, x: Any, m: int, plan: list[Launch], training: bool) -> tuple[Any, Backward]:
        cuda, model, layer, n = self._cuda, self._model, group.layer, group.layer.num_features
        parameters, gradients, buffers = layer.parameters, layer.gradients, layer.buffers
        if layer.affine:
            gamma, beta = (self._view(parameters[name], model.flat_parameters, self._parameters) for name in ("weight", "bias"))
            dgamma, dbeta = (self._view(gradients[name], model.flat_gradients, self._gradients) for name in ("weight", "bias"))
        else:
            gamma, beta = self._xp.ones(n, model.dtype), self._xp.zeros(n, model.dtype)
            dgamma, dbeta = self._empty(n, model.dtype), self._empty(n, model.dtype)
        mean, var = (self._view(buffers[name], model.flat_buffers, self._buffers) for name in ("running_mean", "running_var"))
        y, stats = self._xp.empty_like(x), self._empty((3, n), model.dtype)
        chunks = cuda.row_chunks(m)
        partials = self._empty((chunks, 4, n), np.float64)
        kind, slope = group.kind, group.slope
        if not training:
            plan.append(lambda step: cuda.batchnorm_inference(x, gamma, beta, mean, var, layer.eps, kind, slope, stats, y))
            return y, lambda dy, wanted: dy
        dropout = group.dropout

        def forward(step: int) -> None:
            count = layer.buffers["num_batches_tracked"]
            count += 1
            momentum = 1.0 / float(count) if layer.momentum is None else layer.momentum
            draws = (0, 0, 0) if dropout is None else (np.uint64(dropout.seed), _next_step(dropout), dropout.stream)
            cuda.batchnorm_forward(
                x, gamma, beta, layer.eps, momentum, layer.unbiased_running_var, kind, group.slope, group.p, *draws,
                partials, mean, var, stats, y,
            )  # fmt: skip

        plan.append(forward)

        def backward(dy: Any, wanted: bool) -> Any:
            dx, sums = self._xp.empty_like(x), self._empty((chunks, 2, n), np.float64)
            output = y if kind else y[:0, :0]
            plan.append(
                lambda step: cuda.batchnorm_backward(
                    dy, x, output, gamma, stats, True, kind, group.slope, group.p, sums, dgamma, dbeta, dx
                )
            )
            return dx

        return y, backward

    def _row_norm(self, layer: Any, x: Any, m: int, plan: list[Launch]) -> tuple[Any, Backward]:
        cuda, model, n = self._cuda, self._model, layer.normalized_shape
        gamma, beta = self._xp.ones(n, model.dtype), self._xp.zeros(n, model.dtype)
        dgamma, dbeta = self._empty(n, model.dtype), self._empty(n, model.dtype)
        parameters, gradients = layer.parameters, layer.gradients
        if "weight" in parameters:
            gamma = self._view(parameters["weight"], model.flat_parameters, self._parameters)
            dgamma = self._view(gradients["weight"], model.flat_gradients, self._gradients)
        if "bias" in parameters:
            beta = self._view(parameters["bias"], model.flat_parameters, self._parameters)
            dbeta = self._view(gradients["bias"], model.flat_gradients, self._gradients)
        y, stats = self._xp.empty_like(x), self._empty((3, m), model.dtype)
        plan.append(lambda step: cuda.layernorm_forward(x, gamma, beta, layer.epsilon, layer.centered, stats, y))

        def backward(dy: Any, wanted: bool) -> Any:
            dx, partials = self._xp.empty_like(x), self._empty((cuda.layernorm_chunks(m), 2, n), np.float64)
            plan.append(lambda step: cuda.layernorm_backward(dy, x, gamma, stats, layer.centered, partials, dgamma, dbeta, dx))
            return dx

        return y, backward

    def _smooth(self, layer: Any, x: Any, plan: list[Launch]) -> tuple[Any, Backward]:
        name, reads_output, settings = _SMOOTH[type(layer)]
        forwards, backwards = (getattr(self._cuda, f"{name}_{way}") for way in ("forward", "backward"))
        y = self._xp.empty_like(x)
        flat_x, flat_y = x.reshape(-1), y.reshape(-1)
        plan.append(lambda step: forwards(flat_x, *settings(layer), flat_y))

        def backward(dy: Any, wanted: bool) -> Any:
            dx = self._xp.empty_like(x)
            flat_dy, kept, flat_dx = dy.reshape(-1), flat_y if reads_output else flat_x, dx.reshape(-1)
            plan.append(lambda step: backwards(flat_dy, kept, *settings(layer), flat_dx))
            return dx

        return y, backward

    def _dropout(self, layer: Any, x: Any, plan: list[Launch], after_relu: bool) -> tuple[Any, Callable[[Any], Any]]:
        cuda, seed = self._cuda, np.uint64(layer.seed)
        y = self._xp.empty_like(x)
        flat_x, flat_y = x.reshape(-1), y.reshape(-1)
        drawn = [0]

        def forward(step: int) -> None:
            drawn[0] = _next_step(layer)
            cuda.dropout_forward(flat_x, layer.p, seed, drawn[0], layer.stream, flat_y)

        plan.append(forward)

        def backward(dy: Any) -> Any:
            dx = self._xp.empty_like(dy)
            flat_dy, flat_dx = dy.reshape(-1), dx.reshape(-1)
            if after_relu:
                plan.append(lambda step: cuda.relu_dropout_backward(flat_dy, flat_y, layer.p, flat_dx))
            else:
                plan.append(lambda step: cuda.dropout_backward(flat_dy, layer.p, seed, drawn[0], layer.stream, flat_dx))
            return dx

        return y, backward

    def _activation_backward(self, group: Group, y: Any, plan: list[Launch]) -> Callable[[Any], Any]:
        def backward(dy: Any) -> Any:
            dx = self._xp.empty_like(dy)
            flat_dy, flat_y, flat_dx = dy.reshape(-1), y.reshape(-1), dx.reshape(-1)
            plan.append(lambda step: self._cuda.activation_backward(flat_dy, flat_y, group.kind, group.slope, flat_dx))
            return dx

        return backward

    def _loss_launches(self, z: Any, m: int, plan: list[Launch]) -> Any:
        """Append the loss; the place of its gradient. Losses and hits go to the rows' places in the arrays of the pass."""
        cuda, loss, dz = self._cuda, self._loss, self._xp.empty_like(z)
        summed, batch, each = loss.reduction == "sum", self.batch, self._each
        if type(loss) is MSELoss:
            flat_z, flat_dz = z.reshape(-1), dz.reshape(-1)
            shares = self._xp.full(m * each, 1.0 if summed else 1.0 / (m * each), z.dtype)

            def squared(step: int) -> None:
                first = step * batch
                targets = self._ordered[first : first + m].reshape(-1)
                cuda.squared_error_forward(flat_z, targets, self._losses[first * each : (first + m) * each])
                cuda.squared_error_backward(shares, flat_z, targets, flat_dz)

            plan.append(squared)
        elif type(loss) in _POINTWISE:
            self._pointwise_loss(z, dz, m, plan)
        elif self._weighed is not None or type(loss) is NLLLoss:
            self._label_loss(z, dz, m, plan)
        elif self._labelled:

            def labelled(step: int) -> None:
                rows = slice(step * batch, step * batch + m)
                cuda.cross_entropy_gradient(
                    z, self._ordered[rows], loss.label_smoothing, 1.0 if summed else 1.0 / m, self._losses[rows],
                    self._hits[rows], dz,
                )  # fmt: skip

            plan.append(labelled)
        else:
            sums, shares = self._empty((2, m), z.dtype), self._xp.full(m, 1.0 if summed else 1.0 / m, z.dtype)

            def soft(step: int) -> None:
                rows = slice(step * batch, step * batch + m)
                targets = self._ordered[rows]
                cuda.soft_cross_entropy_forward(z, targets, loss.label_smoothing, dz, sums, self._losses[rows])
                cuda.soft_cross_entropy_backward(shares, z, targets, loss.label_smoothing, sums, dz)
                self._hits[rows] = z.argmax(axis=1) == targets.argmax(axis=1)

            plan.append(soft)
        return dz

    def _pointwise_loss(self, z: Any, dz: Any, m: int, plan: list[Launch]) -> None:
        cuda, loss, batch, k, nothing = self._cuda, self._loss, self.batch, self._each, self._empty(0, z.dtype)
        share, positive, scored = (
            1.0 if loss.reduction == "sum" else 1.0 / (m * k),
            getattr(loss, "pos_weight", None),
            self._scored,
        )
        factors = nothing if positive is None else self._taken(logistic_factors(positive, k, self._model.dtype))

        def pointwise(step: int) -> None:
            first = step * batch
            targets, losses = self._ordered[first : first + m], self._losses[first * k : (first + m) * k].reshape(m, k)
            kind, parameter = _kind(cuda, loss)
            full = getattr(loss, "full", False)
            cuda.pointwise_loss_gradient(kind, z, targets, parameter, full, factors, nothing, share, losses, dz)
            if scored:
                self._hits[first : first + m] = ((z > 0.0) == (targets > 0.5)).mean(axis=1)

        plan.append(pointwise)

    def _label_loss(self, z: Any, dz: Any, m: int, plan: list[Launch]) -> None:
        cuda, loss, batch, nothing = self._cuda, self._loss, self.batch, self._empty(0, z.dtype)
        classes = nothing if loss.class_weight is None else self._taken(loss.class_weight.astype(self._model.dtype))
        summed, ignored = loss.reduction == "sum", without_ignored(loss.ignore_index)

        def labelled(step: int) -> None:
            rows = slice(step * batch, step * batch + m)
            weight = self._divisors[step][0] if self._divisors else float(m)
            share = 1.0 if summed else (1.0 / weight if weight > 0.0 else 0.0)
            rule, outputs = (ignored, classes, nothing, share), (self._losses[rows], self._hits[rows], dz)
            if type(loss) is NLLLoss:
                cuda.nll_loss_gradient(z, self._ordered[rows], *rule, *outputs)
            else:
                cuda.weighted_cross_entropy_gradient(z, self._ordered[rows], loss.label_smoothing, *rule, *outputs)

        plan.append(labelled)

    def _finish(self, plan: list[Launch], m: int) -> None:
        """Penalty, clipping, update, average."""
        cuda, trainer, rule = self._cuda, self._trainer, self._trainer.optimizer
        weights, gradients = self._parameters, self._gradients
        if self._penalised:
            size = self._model.regularized_size
            partials = self._empty((cuda.sum_chunks(size), 2 * cuda.LANES), np.float64)
            plan.append(
                lambda step: cuda.penalty_update(
                    weights[:size], *self._strengths(m), partials, gradients[:size], self._penalties[step]
                )
            )
        if trainer.clip_value is not None:
            plan.append(lambda step: cuda.clip_values(trainer.clip_value, gradients))
        if self._clips:
            room = self._empty((cuda.sum_chunks(gradients.size), cuda.LANES), np.float64)

            def clip(step: int) -> None:
                cuda.squared_norm(gradients, room, self._norms[step])
                self._clip(self._norms[step], trainer.clip_norm, gradients)

            plan.append(clip)
        names, update = _RULES[type(rule)]
        nothing = weights[:0]
        state = [self._state.get(name, nothing) for name in names]

        def apply(step: int) -> None:
            update(cuda, rule, gradients, weights, *state)
            rule.steps += 1

        plan.append(apply)
        if trainer.constraint is not None:
            for weight in trainer.constraint.weights(self._model):
                self._bound(self._view(weight, self._model.flat_parameters, weights), plan)
        if self.weights is not None:
            plan.append(self._average)

    def _bound(self, weight: Any, plan: list[Launch]) -> None:
        cuda, constraint, room = self._cuda, self._trainer.constraint, self._empty(weight.shape[1], np.float64)
        plan.append(lambda step: cuda.limit_column_norms(constraint.largest, room, weight))

    def _average(self, step: int) -> None:
        assert self.weights is not None
        if self.weights[step] != 0.0:
            self._cuda.average_update(self._parameters, float(self.weights[step]), self._state["average"])


def _kind(cuda: Any, loss: Any) -> tuple[int, float]:
    """The number of a loss that goes element by element, and its parameter."""
    if type(loss) is HuberLoss:
        return cuda.HUBER, loss.delta
    if type(loss) is PoissonNLLLoss:
        return (cuda.POISSON_LOG if loss.log_input else cuda.POISSON), loss.eps
    return (cuda.ABSOLUTE if type(loss) is L1Loss else cuda.LOGISTIC), 0.0


def _next_step(layer: Any) -> int:
    """The number of this training forward of a dropout layer, which is counted."""
    step: int = layer.step
    layer.step = (step + 1) % 2**32
    return step


def _eps(rule: Any) -> tuple[float, float]:
    return (rule.eps, 0.0) if rule.eps_inside_sqrt else (0.0, rule.eps)


def _sgd(cuda: Any, r: Any, g: Any, w: Any, velocity: Any) -> None:
    first = r.steps == 0
    cuda.sgd_update(g, r.lr, r.momentum, r.dampening, r.nesterov, r.weight_decay, r.decoupled, 1.0, first, w, velocity)


def _rmsprop(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.rmsprop_update(g, r.lr, r.alpha, *_eps(r), r.momentum, r.weight_decay, 1.0, w, *state)


def _adam(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    settings = r.lr, *r.betas, *_eps(r), r.bias_correction, r.weight_decay, r.decoupled
    cuda.adam_update(g, r.steps + 1, *settings, 1.0, w, *state)


def _adagrad(cuda: Any, r: Any, g: Any, w: Any, total: Any) -> None:
    cuda.adagrad_update(g, r.steps + 1, r.lr, r.lr_decay, *_eps(r), r.weight_decay, 1.0, w, total)


def _adadelta(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.adadelta_update(g, r.lr, r.rho, r.eps, r.weight_decay, 1.0, w, *state)


def _radam(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.radam_update(g, r.steps + 1, r.lr, *r.betas, r.eps, r.weight_decay, r.decoupled_weight_decay, 1.0, w, *state)


def _lion(cuda: Any, r: Any, g: Any, w: Any, momentum: Any) -> None:
    cuda.lion_update(g, r.lr, *r.betas, r.weight_decay, 1.0, w, momentum)


# names of a rule's state, in the kernel's order, and the update; NAdam's needs the product of its momenta on the host
_RULES: dict[type, tuple[tuple[str, ...], Callable[..., None]]] = {
    SGD: (("velocity",), _sgd),
    SGDW: (("velocity",), _sgd),
    RMSprop: (("square", "mean", "velocity"), _rmsprop),
    Adam: (("first_moment", "second_moment", "largest_moment"), _adam),
    AdamW: (("first_moment", "second_moment", "largest_moment"), _adam),
    Adagrad: (("total",), _adagrad),
    Adadelta: (("square", "change"), _adadelta),
    RAdam: (("first_moment", "second_moment"), _radam),
    Lion: (("momentum",), _lion),
}
