"""What can be done between batches and epochs.

A callback of your own derives from `Callback` and overrides what it needs. A trainer calls only what is overridden, so that one
without on_batch_end leaves compiled steps together. Files, tables and pictures: `fastnn.recording`.

There is none that stops on NaN, since `fit` always does: a loss, a gradient's norm (with clip_norm) or weights that are not
finite raise NonFiniteLossError at once, and the last good weights come back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ._check import Array, boolean, choice, integer, number, quote

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "LambdaCallback", "ProgressBar"]

_RISING = ("acc", "auc", "f1", "precision", "recall", "r2")  # what of these names is the better the larger


class Callback:
    """Base of the callbacks. `logs` maps names to numbers (loss, accuracy, val_loss ...); trainer.stop() ends training."""

    every_batch = True  # False: on_batch_end may be called for the last of several steps only, some 20 times a second

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        """Before the first epoch; steps is the number of batches an epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before an epoch (from 0)."""

    def on_batch_end(self, trainer: Trainer, step: int, logs: dict[str, float]) -> None:
        """After a step (from 0 in each epoch), with the epoch's running means."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch and its validation."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """However training ended: by itself, by stop(), by an error, by Ctrl-C."""


class LambdaCallback(Callback):
    """Plain functions as hooks, called with what the method of that name gets.

    every_batch: whether on_batch_end is called for each step, which takes compiled steps apart, or some 20 times a second.

    >>> LambdaCallback(on_epoch_end=lambda trainer, epoch, logs: print(epoch, logs["loss"])).every_batch
    True
    """

    def __init__(
        self,
        *,
        on_fit_begin: Callable[[Trainer, int, int], object] | None = None,
        on_epoch_begin: Callable[[Trainer, int], object] | None = None,
        on_batch_end: Callable[[Trainer, int, dict[str, float]], object] | None = None,
        on_epoch_end: Callable[[Trainer, int, dict[str, float]], object] | None = None,
        on_fit_end: Callable[[Trainer], object] | None = None,
        every_batch: bool = True,
    ) -> None:
        given = {
            "on_fit_begin": on_fit_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_batch_end": on_batch_end,
            "on_epoch_end": on_epoch_end,
            "on_fit_end": on_fit_end,
        }
        for name, function in given.items():
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name}: expected a function, got {quote(function)}")
                setattr(self, name, function)
        self.every_batch = boolean("every_batch", every_batch)


class EarlyStopping(Callback):
    """End training when a value has not improved for `patience` epochs.

    monitor: a name in the logs. min_delta: what counts as an improvement. mode: 'min', 'max', or 'auto', which takes 'max' for
    accuracy, auc, f1, precision, recall and r2. baseline: a value that the first epochs must beat. restore_best_weights: put
    the best epoch's parameters and running statistics, and the trainer's average of weights, back, however training ends.
    start_from_epoch: epochs before which nothing counts. verbose: print a line when it stops. As in Keras, except that
    restore_best_weights is on.

    After training: best (the value), best_epoch, stopped_epoch (None if it did not stop training); epochs from 0.

    Source: L. Prechelt, "Early stopping - but when?", 1998.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
        verbose: bool = False,
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor: expected the name of a value in the logs, got {quote(monitor)}")
        self.monitor = monitor
        self.min_delta = number("min_delta", min_delta, low=0.0)
        self.patience = integer("patience", patience, low=0)
        self.mode = choice("mode", mode, ("auto", "min", "max"))
        self.baseline = None if baseline is None else number("baseline", baseline)
        self.restore_best_weights = boolean("restore_best_weights", restore_best_weights)
        self.start_from_epoch = integer("start_from_epoch", start_from_epoch, low=0)
        self.verbose = boolean("verbose", verbose)
        self._sign = direction(monitor, mode)
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._wait = 0
        self._weights: dict[str, Array] | None = None
        self._average: dict[str, Any] | None = None

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._reset()

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if self.monitor not in logs:
            raise ValueError(f"monitor: expected one of {sorted(logs)}, got {self.monitor!r}")
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        if self._improves(value):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._weights = trainer.model.state_dict()
                self._average = None if trainer.average is None else trainer.average.state_dict()
            if self.baseline is None or self._sign * (value - self.baseline) > self.min_delta:
                self._wait = 0
                return
        self._wait += 1
        if self._wait >= max(1, self.patience):
            self.stopped_epoch = epoch
            trainer.stop()
            if self.verbose:
                print(f"epoch {epoch + 1}: {self.monitor} has not improved since epoch {(self.best_epoch or 0) + 1}, stopping")

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)
            self._weights = None
        if trainer.average is not None and self._average is not None:
            trainer.average.load_state_dict(self._average)
            self._average = None

    def _improves(self, value: float) -> bool:
        if np.isnan(value):
            return False
        return self.best is None or self._sign * (value - self.best) > self.min_delta


class ProgressBar(Callback):
    """A bar for each epoch, with the running loss and the epoch's results. Needs `pip install "fastnn[progress]"`."""

    every_batch = False

    def __init__(self, file: TextIO | None = None) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError('a progress bar needs tqdm: pip install "fastnn[progress]"') from error
        self._make = tqdm
        self._file = file
        self._bar: Any = None

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        self._bar = self._make(
            total=self._steps,
            desc=f"epoch {epoch + 1}/{self._epochs}",
            unit="step",
            file=self._file or sys.stderr,
            dynamic_ncols=True,
            leave=True,
        )

    def on_batch_end(self, trainer: Trainer, step: int, logs: dict[str, float]) -> None:
        if self._bar.update(step + 1 - self._bar.n):  # true when the bar is drawn again, some ten times a second
            self._bar.set_postfix(_shown(logs), refresh=False)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(_shown(logs), refresh=True)
        self._close()

    def on_fit_end(self, trainer: Trainer) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_bar": None, "_file": None}


def direction(monitor: str, mode: str) -> float:
    """1 if larger is better, else -1."""
    return 1.0 if mode == "max" or (mode == "auto" and any(word in monitor for word in _RISING)) else -1.0


def _shown(logs: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in logs.items() if name not in ("lr", "seconds")}
