"""What the trainer works with: the data and its checks, sums over an epoch, the last good state, callbacks."""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, as_array, boolean, finite, quote, weights
from .augment import Augmenter
from .averaging import Average
from .callbacks import Callback, EarlyStopping, ProgressBar
from .layers import Dropout
from .losses import BCEWithLogitsLoss
from .lowering import NotLowered
from .metrics import NAMED
from .optim import Optimizer
from .recording import CSVLogger, LearningRateLogger, LivePlot, ModelCheckpoint
from .sequential import Sequential

__all__ = ["BadRowError", "Course", "Data", "Hooks", "Keeper", "Metrics", "Totals"]


_ADD_NOTHING = (ProgressBar, CSVLogger, LearningRateLogger, LivePlot)  # to the logs of an epoch


class BadRowError(ValueError):
    """NaN or infinity found in a memmap while training."""


class Data:
    """Inputs and targets, checked at the door, read batch by batch."""

    def __init__(
        self,
        model: Sequential,
        loss: Any,
        prefix: str,
        x: ArrayLike,
        y: ArrayLike,
        check_finite: bool,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        self._model, self._x_name = model, f"{prefix}x"
        self.on_device: dict[str, Any] = {}  # copies that a program on a GPU keeps
        self._check_batches = check_finite and isinstance(x, np.memmap)
        self._x = model.check_input(self._x_name, x)
        self._row_shape = np.shape(x)[1:]  # of images, where the model flattens them
        self.rows = len(self._x)
        name = f"{prefix}y"
        self._y = as_array(name, y)
        if self._y.ndim == 0 or len(self._y) != self.rows:
            raise ValueError(f"{name}: expected {self.rows} rows, as many as x, got shape {self._y.shape}")
        self._check_finite, self._loss, self._y_name = check_finite, loss, name
        self._outputs = model.output_features(self._x.shape[1])
        self._check_targets = isinstance(y, np.memmap)
        if not self._check_targets:
            self._y = self._checked_targets(self._y)
        if check_finite and not self._check_batches:
            finite(self._x_name, self._x, model.dtype)
        self.weights = None if sample_weight is None else self._checked_weights(f"{prefix}sample_weight", sample_weight)
        if not self._check_targets and divisors(loss, self._y, self.weights)[0] == 0.0:
            raise ValueError(f"{name}: expected at least one row with a label that counts and weights above 0, got none")

    def _checked_weights(self, name: str, sample_weight: ArrayLike) -> Array:
        for method in ("forward", "scores"):
            if hasattr(self._loss, method) and not _takes_weights(getattr(self._loss, method)):
                raise ValueError(f"{name}: expected None with a loss whose {method} takes no sample_weight, got weights")
        array = weights(name, sample_weight, self.rows, "one for each row of x", self._model.dtype)
        if not array.any():
            raise ValueError(f"{name}: expected at least one number above 0, got zeros")
        return array

    def batch_weights(self, index: Array) -> Array | None:
        """The weights of the rows of a batch; None where all count alike."""
        return None if self.weights is None else self.weights[index]

    def _checked_targets(self, y: Array) -> Array:
        if hasattr(self._loss, "check_targets"):
            y = self._loss.check_targets(self._y_name, y, len(y), self._outputs)
        if self._check_finite:
            finite(self._y_name, y, self._model.dtype)
        return y

    @property
    def columns(self) -> int:
        """Numbers of a row's target."""
        return 1 if self._y.ndim == 1 else self._y.shape[1]

    def prepare(self, augmenter: Augmenter) -> None:
        """Get the augmenter ready for these rows; ValueError where they do not fit."""
        augmenter.prepare(self._row_shape, self._y, self._outputs, self._loss)

    def whole(self) -> tuple[Array, Array]:
        """Inputs and targets for a program, which reads the rows itself; NotLowered where they are checked batch by batch."""
        if self._check_batches or self._check_targets:
            raise NotLowered("the rows of a memmap are checked as they are read")
        return self._x, self._y

    def all_rows(self) -> tuple[Array, Array]:
        """Inputs and checked targets, whatever they are."""
        return self._x, self._checked_targets(self._y) if self._check_targets else self._y

    def batch(self, index: Array) -> tuple[Array, Array]:
        """The rows of a batch, converted; of a memmap they are checked only now."""
        x, y = self._model.gather(self._x, index), self._y[index]
        if self._check_batches and not np.isfinite(x).all():
            row = index[int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])]
            raise BadRowError(f"{self._x_name}: expected finite values, got NaN or infinity in row {row}")
        if self._check_targets:
            try:
                y = self._checked_targets(y)
            except (TypeError, ValueError) as error:
                raise BadRowError(f"{error} (rows counted within a batch)") from error
        return x, y


def _takes_weights(method: Any) -> bool:
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # compiled code does not tell
        return True
    return "sample_weight" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def divisors(loss: Any, y: Array, sample_weight: Array | None) -> tuple[float, float]:
    """What the means of the losses and of the scores of such rows are divided by."""
    if hasattr(loss, "divisors"):
        found: tuple[float, float] = loss.divisors(y, sample_weight)
        return found
    total = float(len(y) if sample_weight is None else sample_weight.sum(dtype=np.float64))
    return total, total


class Totals:
    """Sums over the rows of an epoch. summed: whether the loss is a sum over rows, of which the penalty is then a part."""

    def __init__(self, summed: bool = False) -> None:
        self._summed = summed
        self.rows, self.loss, self.penalty = 0, 0.0, 0.0
        self._weight, self._counted = 0.0, 0.0
        self.scores: dict[str, float] = {}

    def add(self, rows: int, loss: float, penalty: float, scores: dict[str, float], divisors: tuple[float, float]) -> None:
        """Add the loss and the penalty of a batch, as the loss reduces them."""
        self.rows += rows
        self._weight += divisors[0]
        self._counted += divisors[1]
        self.loss += loss if self._summed else loss * divisors[0]
        self.penalty += penalty if self._summed else penalty * rows
        for name, value in scores.items():
            self.scores[name] = self.scores.get(name, 0.0) + value

    def set(
        self, rows: int, loss: float, penalty: float, score: float, divisors: tuple[float, float] | None, name: str | None
    ) -> None:
        """Take over sums over so many rows from a program, which adds in the order of the steps, however it is sliced."""
        self.rows, self.loss, self.penalty = rows, loss, penalty
        self._weight, self._counted = divisors or (rows, rows)
        self.scores = {} if name is None else {name: score}

    def means(self, penalised: bool) -> dict[str, float]:
        """NaN where nothing that counts has been seen yet."""
        penalty = _ratio(self.penalty, self._weight if self._summed else self.rows)
        result = {"loss": _ratio(self.loss, self._weight) + penalty}
        if penalised:
            result["penalty"] = penalty
        return result | {name: _ratio(value, self._counted) for name, value in self.scores.items()}


def _ratio(value: float, divisor: float) -> float:
    return value / divisor if divisor else math.nan


class Course:
    """What a schedule and an average do in each step of an epoch: the same numbers for both roads.

    program: the compiled one, which is handed them, or None.
    """

    def __init__(self, trainer: Any, program: Any, steps: int) -> None:
        self._optimizer, self._average = trainer.optimizer, trainer.average
        self.lrs, self._momenta, self._weights = None, None, None
        schedule, average, done = trainer.schedule, trainer.average, trainer.optimizer.steps
        if schedule is not None:
            t = np.arange(done, done + steps) if schedule.per == "step" else np.array([trainer.epochs_done])
            lrs, momenta = schedule.lrs(t, trainer.base_lr), schedule.momenta(t)
            if not (np.isfinite(lrs) & (lrs >= 0.0)).all():
                raise ValueError(f"schedule: expected finite rates of at least 0, got {lrs.min()} to {lrs.max()} by {schedule!r}")
            self._set(lrs[0], None if momenta is None else momenta[0])
            if schedule.per == "step":
                self.lrs, self._momenta = lrs, momenta
        if average is not None and average.per == "step":
            self._weights = average.weights(np.arange(done + 1, done + 1 + steps))
        if program is not None:
            self._hand_over(program)

    def _hand_over(self, program: Any) -> None:
        if program.weights is not None and self._weights is not None:
            program.weights[: len(self._weights)] = self._weights
        if program.rates is None or self.lrs is None:
            return
        program.rates[: len(self.lrs), :, 0] = self.lrs[:, np.newaxis]
        if self._momenta is not None:
            name = "betas" if hasattr(self._optimizer, "betas") else "momentum"
            kept = getattr(self._optimizer, name)
            settings = []
            for lr, momentum in zip(self.lrs.tolist(), self._momenta.tolist(), strict=True):
                self._set(lr, momentum)
                settings.append(program.rule_settings())
            program.set_rule(settings)
            setattr(self._optimizer, name, kept)
            self.before(0)

    def before(self, step: int) -> None:
        """Set the rule for a step (from 0)."""
        if self.lrs is not None:
            self._set(self.lrs[step], None if self._momenta is None else self._momenta[step])

    def after(self, step: int) -> None:
        """Average after a step."""
        if self._weights is not None and self._weights[step] != 0.0:
            self._average.update(float(self._weights[step]))

    def ran(self, begin: int, end: int) -> None:
        """A program has run steps begin to end - 1: Python's side of it."""
        if end > begin:
            self.before(end - 1)
            if self._weights is not None:
                self._average.count += int(np.count_nonzero(self._weights[begin:end]))

    def _set(self, lr: float, momentum: float | None) -> None:
        self._optimizer.lr = float(lr)
        if momentum is None or momentum != momentum:  # NaN: it stays
            return
        if hasattr(self._optimizer, "betas"):
            self._optimizer.betas = (float(momentum), *self._optimizer.betas[1:])
        else:
            self._optimizer.momentum = float(momentum)


class Metrics:
    """What `evaluate` and `fit` work out from predictions: metrics by name, or functions of targets and outputs."""

    def __init__(self, model: Sequential, loss: Any, metrics: Sequence[str | Callable[[Array, Array], float]]) -> None:
        if not isinstance(metrics, (list, tuple)):
            raise TypeError(f"metrics: expected a list of names and functions, got {quote(metrics)}")
        self._model, self._loss = model, loss
        self._functions: dict[str, tuple[str, Callable[..., Any]]] = {}
        self._weighted = {metric for metric in metrics if isinstance(metric, str)}  # take sample_weight
        for i, metric in enumerate(metrics):
            name = metric if isinstance(metric, str) else getattr(metric, "__name__", "<")
            if isinstance(metric, str) and metric not in NAMED:
                raise ValueError(f"metrics[{i}]: expected one of {', '.join(NAMED)}, or a function, got {metric!r}")
            if not isinstance(metric, str) and (not callable(metric) or name.startswith("<")):
                raise TypeError(f"metrics[{i}]: expected a name or a function with one, got {quote(metric)}")
            kind, function = NAMED[metric] if isinstance(metric, str) else ("outputs", metric)
            if kind != "outputs" and not callable(getattr(loss, kind, None)):
                raise ValueError(
                    f"metrics[{i}]: expected a loss with {kind} for {name!r}, such as CrossEntropyLoss, got {loss!r}"
                )
            if name in self._functions or (name == "loss" and not isinstance(metric, str)):
                raise ValueError(f"metrics[{i}]: expected a name that is not taken, got {name!r}")
            self._functions[name] = kind, function

    @property
    def names(self) -> list[str]:
        """What they are called in the logs."""
        return list(self._functions)

    def check(self, data: Data) -> None:
        """Refuse what `values` cannot work out of this data."""
        of_one_label = [name for name, (kind, _) in self._functions.items() if kind != "outputs"]
        if of_one_label and isinstance(self._loss, BCEWithLogitsLoss) and data.columns > 1:
            raise ValueError(
                f"metrics: expected functions of (y, outputs) where a row has {data.columns} labels, got {of_one_label[0]!r}"
            )

    def values(self, data: Data, batch_size: int) -> dict[str, float]:
        """All of them, over the rows whose label is not ignored; the outputs of all rows are in memory for it."""
        if not self._functions:
            return {}
        self.check(data)
        x, y = data.all_rows()
        outputs, weights = self._model.predict(x, batch_size, check_finite=False), data.weights
        ignored = getattr(self._loss, "ignore_index", None)
        if ignored is not None and y.ndim == 1:
            counts = y != ignored
            if not counts.any():
                return dict.fromkeys(self._functions, float("nan"))
            y, outputs, weights = y[counts], outputs[counts], None if weights is None else weights[counts]
        given = {"outputs": outputs}
        for kind in {kind for kind, _ in self._functions.values()} - {"outputs"}:
            given[kind] = getattr(self._loss, kind)(outputs)
        numbers = y if y.ndim == 1 else y[:, 0] if y.shape[1] == 1 else y.argmax(axis=-1)
        weighted = {} if weights is None else {"sample_weight": weights}
        return {
            name: float(
                function(y if kind == "outputs" else numbers, given[kind], **(weighted if name in self._weighted else {}))
            )
            for name, (kind, function) in self._functions.items()
        }


class Keeper:
    """Copies of the last good state, in arrays that are allocated once."""

    def __init__(
        self, model: Sequential, optimizer: Optimizer, average: Average | None = None, augmenter: Augmenter | None = None
    ) -> None:
        self._model, self._optimizer, self._average = model, optimizer, average
        self._copies, self._forgotten = [np.empty_like(array) for array in self._arrays()], False
        self._counting: list[Any] = [layer for layer in model.walk() if isinstance(layer, Dropout)]
        if augmenter is not None:
            self._counting.append(augmenter)
        self.keep()

    def _arrays(self) -> list[Array]:
        averaged = [] if self._average is None else [self._average.values]
        return [self._model.flat_parameters, self._model.flat_buffers, *self._optimizer.state_arrays(), *averaged]

    def keep(self) -> None:
        for array, saved in zip(self._arrays(), self._copies, strict=True):
            saved[...] = array
        self._steps = self._optimizer.steps
        self._averaged = 0 if self._average is None else self._average.count
        self._counts = [one.step for one in self._counting]

    def forget(self) -> None:
        """The state as it is will stay the good one: nothing is to be restored. Saves the copy after the last epoch."""
        self._copies, self._forgotten = [], True

    def restore(self) -> None:
        if self._forgotten:
            return
        for array, saved in zip(self._arrays(), self._copies, strict=True):
            array[...] = saved
        self._optimizer.steps = self._steps
        if self._average is not None:
            self._average.count = self._averaged
        for one, step in zip(self._counting, self._counts, strict=True):
            one.step = step


def overrides(callback: Callback, hook: str) -> bool:
    """Whether a callback's class, or the callback itself, has a hook of its own."""
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(Callback, hook)


class Hooks:
    """Calls those methods of the callbacks that are overridden."""

    def __init__(self, trainer: Any, callbacks: Sequence[Callback], progress: bool | None) -> None:
        if not isinstance(callbacks, (list, tuple)):
            raise TypeError(f"callbacks: expected a list of Callbacks, got {quote(callbacks)}")
        for i, callback in enumerate(callbacks):
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks[{i}]: expected a Callback, got {quote(callback)}")
        shown = list(callbacks)
        if progress is None:
            progress = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
        if boolean("progress", progress) and not any(isinstance(callback, ProgressBar) for callback in callbacks):
            shown.append(ProgressBar())
        self._trainer = trainer
        self._all = shown
        self._each_batch = [c for c in shown if overrides(c, "on_batch_end")]
        self.every_batch = any(c.every_batch for c in self._each_batch)

    def refuse_unknown_monitors(
        self, score: str | None, scored: bool, penalised: bool, validated: bool, metrics: Sequence[str] = ()
    ) -> None:
        """Refuse to monitor what no epoch will log, which could fail only after one.

        score: the loss's score where it is known; scored: whether there are others, whose names only a step tells.
        metrics: what else is found on the validation data.
        """
        names = ["loss", score] if score else ["loss"]
        known = [*names, "lr", "seconds"] + ["penalty"] * penalised + [f"val_{name}" for name in (*names, *metrics) if validated]

        def check(monitor: str) -> None:
            if monitor not in known and not (scored and (validated or not monitor.startswith("val_"))):
                without = "" if validated else " without validation_data"
                raise ValueError(f"monitor: expected one of {sorted(known)} in a fit{without}, got {monitor!r}")

        schedule = self._trainer.schedule
        if schedule is not None and schedule.monitor is not None:
            check(schedule.monitor)
        for callback in self._all:
            if isinstance(callback, (EarlyStopping, ModelCheckpoint)):
                if callback.monitor is not None:
                    check(callback.monitor)
            elif overrides(callback, "on_epoch_end") and type(callback) not in _ADD_NOTHING:
                return  # the user's own, which may add to the logs for those that follow

    def fit_begin(self, epochs: int, steps: int) -> None:
        for callback in self._all:
            callback.on_fit_begin(self._trainer, epochs, steps)

    def epoch_begin(self, epoch: int) -> None:
        for callback in self._all:
            callback.on_epoch_begin(self._trainer, epoch)

    def batch_end(self, step: int, totals: Totals) -> None:
        if self._each_batch:
            logs = totals.means(self._trainer.regularizer is not None)
            for callback in self._each_batch:
                callback.on_batch_end(self._trainer, step, logs)

    def epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for callback in self._all:
            callback.on_epoch_end(self._trainer, epoch, logs)

    def fit_end(self) -> None:
        """All of them, even where one fails."""
        with ExitStack() as stack:
            for callback in reversed(self._all):
                stack.callback(callback.on_fit_end, self._trainer)
