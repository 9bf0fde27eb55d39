"""What runs a step's launches, with the arrays of a pass."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn_kernels.cpu.instructions.data import GATHERS

from ..._check import Array
from ...cuda import is_available, reason
from ...layers import BatchNorm1d
from ...program import Pace
from ..common import NotLowered
from .layers import lower_layers
from .losses import SCORED, check_loss, element_by_element, lower_loss
from .plan import Plan
from .rules import lower_update, state_names

__all__ = ["CudaProgram"]


class CudaProgram:
    """A model's step on a GPU, with the face of `fastnn.program.Program`. trainer: None for evaluation.

    On the device are `parameters`, `gradients`, `buffers` and `state`, and of a pass, in its order, `targets`, `row_weights`
    (None where all are 1), `losses`, `hits`, `norms` and `penalties`.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        source: Array,
        targets: Array,
        batch: int,
        row_weights: Array | None,
        store: dict[str, Any],
        trainer: Any,
    ) -> None:
        if not is_available():
            raise NotLowered(str(reason()))
        self.cuda: Any = importlib.import_module("fastnn_kernels.cuda")
        self.clip: Any = importlib.import_module("fastnn_kernels.cuda.reductions").clip_by_norm
        self.xp: Any = importlib.import_module("fastnn_kernels.cuda._target").cupy or np
        check_loss(loss)
        self.model, self.loss, self.trainer = model, loss, trainer
        rows, dtype = len(source), model.dtype
        self._rows, self.batch, self._pace = rows, min(batch, rows), Pace()
        if "source" not in store:
            kind = dtype if targets.ndim == 2 or targets.dtype.kind == "f" else np.int64
            store["source"] = self.taken(source if source.dtype in GATHERS else source.astype(dtype))
            store["targets"] = self.taken(np.ascontiguousarray(targets, kind).reshape(targets.shape))
            store["weights"] = None if row_weights is None else self.taken(row_weights.astype(dtype))
        self._source, self._targets, self._weights = store["source"], store["targets"], store["weights"]
        self._host_targets, self._host_weights = targets, row_weights
        self.weighed = row_weights is not None or any(
            getattr(loss, name, None) is not None for name in ("class_weight", "ignore_index")
        )
        self._divisors: list[tuple[float, float]] = []  # of each step
        self._each = targets.shape[1] if targets.ndim == 2 and element_by_element(loss) else 1  # losses of a row
        steps = self.steps
        self.rates = self.weights = None
        self._cycles = False  # whether the schedule sets the momentum too
        if trainer is not None:
            if trainer.schedule is not None and trainer.schedule.per == "step":
                self.rates = np.zeros((steps, 1, 2))  # the learning rate, and the momentum where the schedule cycles it
            if trainer.average is not None and trainer.average.per == "step":
                self.weights = np.zeros(steps)
        self.nothing = self._empty(0, dtype)
        self.losses, self.hits = self._empty(rows * self._each, dtype), self._empty(rows, dtype)
        self.norms, self.penalties = self._empty((steps, 1), np.float64), self._empty((steps, 2), np.float64)
        self.stopped_by_norm = False
        self.parameters, self.buffers = self.taken(model.flat_parameters), self.taken(model.flat_buffers)
        self.gradients = self._empty(model.flat_parameters.size, dtype)
        self.gradients[...] = 0.0  # between the arrays too
        self.state: dict[str, Any] = {}
        self._plans: dict[int, Plan] = {}
        self.set_order(np.arange(rows))
        self._plans[self.batch] = self._plan(self.batch)  # where a part has no kernel it shows now

    # the face of a Program

    @property
    def steps(self) -> int:
        """Batches in a pass over the rows."""
        return -(-self._rows // self.batch)

    def slices(self, one_by_one: bool = False) -> Iterator[tuple[int, int]]:
        """Pieces of a pass for `run`, as (first step, end)."""
        return self._pace.slices(self.steps, one_by_one)

    def set_order(self, order: Array, rows: int | None = None) -> None:
        """Start a pass: the order of its rows, how many are used, and the model's arrays as they are now."""
        self._rows = len(order) if rows is None else rows
        self._order = self.taken(np.ascontiguousarray(order, np.int64))
        self.targets = self._targets[self._order]
        self.row_weights = None if self._weights is None else self._weights[self._order]
        self._sums, self._counted = [0.0, 0.0, 0.0], [0.0, 0.0]
        self._hit_weights = None if self._host_weights is None else self._host_weights[order]
        if self.weighed:
            found = self._host_targets[order][: self._rows]
            self._divisors = [
                self.loss.divisors(found[rows], None if self._hit_weights is None else self._hit_weights[rows])
                for rows in (slice(first, first + self.batch) for first in range(0, self._rows, self.batch))
            ]
        self.stopped_by_norm = False
        self.parameters[...] = self.taken(self.model.flat_parameters)
        self.buffers[...] = self.taken(self.model.flat_buffers)
        for name, array in self._states():
            if name in self.state and self.state[name].shape == array.shape:
                self.state[name][...] = self.taken(array)
            else:
                self.state[name] = self.taken(array)
                self._plans.clear()

    def rule_settings(self) -> list[tuple[float, ...]]:
        """What a schedule sets of the rule, as it is now: the learning rate, and the momentum that it may cycle."""
        rule = self.trainer.optimizer
        return [(rule.lr, rule.betas[0] if hasattr(rule, "betas") else getattr(rule, "momentum", 0.0))]

    def set_rule(self, settings: list[list[tuple[float, ...]]]) -> None:
        """What `rule_settings` are to be in each step of a pass."""
        assert self.rates is not None
        self.rates[: len(settings)] = settings
        self._cycles = True

    def run(self, begin: int, end: int, *, to_the_end: bool = False) -> int:
        """Run steps begin to end - 1; returns the first whose loss or norm was not finite, end if there was none."""
        self.stopped_by_norm = False
        try:
            for step in range(begin, end):
                rows = min(self.batch, self._rows - step * self.batch)
                if rows not in self._plans:
                    self._plans[rows] = self._plan(rows)
                self._set_rates(step)
                for launch in self._plans[rows].launches:
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
        return loss, penalty, hits, (self._counted[0], self._counted[1]) if self.weighed else None

    # what the plans ask for

    def taken(self, array: Array) -> Any:
        """A copy on the device."""
        return self.xp.array(array, order="C")

    def weight_of(self, step: int, rows: int) -> float:
        """What the mean of a step's losses is divided by."""
        return self._divisors[step][0] if self.weighed else float(rows)

    def strengths(self, rows: int) -> tuple[float, float]:
        """l1 and l2 of the penalty on a batch of so many rows."""
        regularizer = self.trainer.regularizer
        share = 1.0 / rows if regularizer.scale == "rows" else 1.0
        return regularizer.l1 * share, regularizer.l2 * share * (1.0 if regularizer.half else 2.0)

    def average(self, step: int) -> None:
        """Move the average of the weights after a step."""
        assert self.weights is not None
        if self.weights[step] != 0.0:
            self.cuda.average_update(self.parameters, float(self.weights[step]), self.state["average"])

    # inside

    def _plan(self, m: int) -> Plan:
        plan = Plan(self, m)
        x = plan.empty((m, self._source.shape[1]))
        plan.add(lambda step: self.cuda.gather_rows(self._source, self._order[plan.rows(step)], self.model.input_scale, x))
        z, backward = lower_layers(plan, self.model.layers, x)
        dz = lower_loss(plan, z)
        if plan.training:
            backward(dz, False)
            lower_update(plan)
        return plan

    def _empty(self, shape: Any, dtype: Any) -> Any:
        return self.xp.empty(shape, dtype)

    def _host(self, array: Any) -> Array:
        """A copy on the host; waits for the device."""
        result: Array = array if isinstance(array, np.ndarray) else array.get()
        return result

    def _set_rates(self, step: int) -> None:
        if self.rates is None:
            return
        rule, (lr, momentum) = self.trainer.optimizer, self.rates[step, 0].tolist()
        rule.lr = lr
        if self._cycles and hasattr(rule, "betas"):
            rule.betas = (momentum, *rule.betas[1:])
        elif self._cycles:
            rule.momentum = momentum

    def _states(self) -> list[tuple[str, Array]]:
        """What the trainer holds beside the model: the rule's state, and an average by steps."""
        if self.trainer is None:
            return []
        rule = self.trainer.optimizer
        arrays = [(name, rule.state_array(name)) for name in state_names(rule)]
        states = [(name, array) for name, array in arrays if array is not None]
        return states if self.weights is None else [*states, ("average", self.trainer.average.values)]

    def _bring_back(self) -> None:
        if self.trainer is None:
            return
        model = self.model
        counts = [
            (layer, int(layer.num_batches_tracked)) for layer in model.walk() if type(layer) is BatchNorm1d
        ]  # on the host, which needs them for a cumulative average
        model.flat_parameters[...] = self._host(self.parameters)
        model.flat_buffers[...] = self._host(self.buffers)
        for layer, count in counts:
            layer.buffers["num_batches_tracked"][...] = count
        for name, array in self._states():
            array[...] = self._host(self.state[name])

    def _add_up(self, begin: int, end: int) -> int | None:
        """Take the slice's figures in; the first step with one that is not finite."""
        stopped, trainer = None, self.trainer
        penalised = trainer is not None and trainer.regularizer is not None
        clips = trainer is not None and trainer.clip_norm is not None
        first, last = begin * self.batch, min(end * self.batch, self._rows)
        losses = self._host(self.losses[first * self._each : last * self._each]).astype(float).reshape(-1, self._each)
        hits = self._host(self.hits[first:last]).astype(float) if type(self.loss) in SCORED else np.zeros(last - first)
        if self._hit_weights is not None:
            hits *= self._hit_weights[first:last]
        norms = self._host(self.norms[begin:end]) if clips else np.zeros((end - begin, 1))
        penalties = self._host(self.penalties[begin:end]) if penalised else np.zeros((end - begin, 2))
        summed = self.loss.reduction == "sum"
        for step in range(begin, end):
            rows = slice((step - begin) * self.batch, min((step - begin + 1) * self.batch, last - first))
            loss = float(losses[rows].sum()) / (1 if summed else self._each)
            if self.weighed:
                weight, counted = self._divisors[step]
                loss = loss if summed or weight > 0.0 else 0.0  # where nothing counts
                self._counted[0] += weight
                self._counted[1] += counted
            self._sums[0] += loss
            self._sums[2] += float(hits[rows].sum())
            if penalised:
                self._sums[1] += self._penalty(penalties[step - begin, 0], penalties[step - begin, 1], rows.stop - rows.start)
            norm = float(norms[step - begin, 0])
            if stopped is None and not (math.isfinite(loss) and math.isfinite(norm)):
                stopped, self.stopped_by_norm = step, math.isfinite(loss)
        return stopped

    def _penalty(self, absolute: float, squares: float, rows: int) -> float:
        l1, l2 = self.strengths(rows)
        value = l1 * float(absolute) + 0.5 * l2 * float(squares)
        return value if self.loss.reduction == "sum" else value * rows
