"""Callbacks that write down what happens: model files, a table, pictures, learning rates.

All act after an epoch, so that none costs training its slices of many steps.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import pickle
import sys
import time
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._check import Array, boolean, choice, integer, number, quote
from .callbacks import Callback, direction
from .files import save_model, whole_file

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CSVLogger", "LearningRateLogger", "LivePlot", "ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """Save the model after epochs, or only after the best so far.

    path: may name the epoch, counted from the trainer's first as 1, and what it logged:
    "out/model-{epoch:03d}-{val_loss:.4f}.npz". Its folder is made. content: "model" writes what `load_model` reads, "trainer"
    pickles the whole trainer, with the optimiser, schedule and average, which goes on to the same bits. monitor, mode: as in
    EarlyStopping. save_best_only: only where the monitored value is the best yet. every: each so manieth epoch. verbose: print
    a line for each file. Where the trainer validates with averaged weights (`EMA(validate=True)`), these are what the model is
    saved with.

    After training: best (the value), best_path, last_path.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        monitor: str = "val_loss",
        mode: str = "auto",
        *,
        save_best_only: bool = False,
        content: str = "model",
        every: int = 1,
        verbose: bool = False,
    ) -> None:
        self.path = _path("path", path)
        self.save_best_only = boolean("save_best_only", save_best_only)
        self._monitored, self.mode = _text("monitor", monitor), choice("mode", mode, ("auto", "min", "max"))
        self.content = choice("content", content, ("model", "trainer"))
        self.every = integer("every", every, low=1)
        self.verbose = boolean("verbose", verbose)
        self._sign = direction(monitor, mode)
        if save_best_only and self.every != 1:
            raise ValueError(f"every: expected 1 with save_best_only, got {self.every}")
        self.best: float | None = None
        self.best_path: Path | None = None
        self.last_path: Path | None = None

    @property
    def monitor(self) -> str | None:
        """The monitored name; None where nothing is."""
        return self._monitored if self.save_best_only else None

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        value = logs.get(self._monitored)
        if value is None and self.save_best_only:
            raise ValueError(f"monitor: expected one of {sorted(logs)}, got {self._monitored!r}")
        better = value is not None and not np.isnan(value) and (self.best is None or self._sign * (value - self.best) > 0.0)
        if better:
            self.best = value
        if not better if self.save_best_only else trainer.epochs_done % self.every:
            return
        path = self._place(trainer.epochs_done, logs)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.content == "model":
            average = trainer.average
            with average.applied() if average is not None and average.validate and average.count else nullcontext():
                save_model(path, trainer.model)
        else:
            with whole_file(path) as scratch:
                scratch.write_bytes(pickle.dumps(trainer))
        self.last_path = path
        if better:
            self.best_path = path
        if self.verbose:
            print(f"epoch {trainer.epochs_done}: wrote {path}")

    def _place(self, epoch: int, logs: dict[str, float]) -> Path:
        try:
            return Path(str(self.path).format(epoch=epoch, **logs))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path: expected names out of {['epoch', *sorted(logs)]} in it, got {str(self.path)!r}") from error


class CSVLogger(Callback):
    """A line of a CSV file for each epoch, written at once: epoch, from 1, and what it logged.

    append: go on with a file that is there, whose columns stay; without it the file begins anew. A value without a column is
    left out, a column without a value is empty.
    """

    def __init__(self, path: str | PathLike[str], *, append: bool = False, separator: str = ",") -> None:
        self.path = _path("path", path)
        self.append = boolean("append", append)
        self.separator = _text("separator", separator)
        if len(separator) != 1:
            raise ValueError(f"separator: expected one character, got {separator!r}")
        self._columns: list[str] = []
        self._first = 0

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._columns, self._first = [], trainer.epochs_done if self.append else 0
        if self.append and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                self._columns = next(csv.reader(file, delimiter=self.separator), [])

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        fresh = not self._columns
        if fresh:
            self._columns = ["epoch", *logs]
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w" if fresh else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore", delimiter=self.separator, lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow({"epoch": self._first + epoch + 1} | {name: repr(float(value)) for name, value in logs.items()})


class LearningRateLogger(Callback):
    """Keeps the learning rate of every step of a fit in `lrs`, and on request prints it after each epoch.

    The history has the rate that each epoch ended with; this is for schedules by steps. What another callback does to the rate
    within an epoch is not in it.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = boolean("verbose", verbose)
        self._parts: list[Array] = []

    @property
    def lrs(self) -> Array:
        """(steps,) float64."""
        return np.concatenate(self._parts) if self._parts else np.empty(0)

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._parts, self._steps = [], steps

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._parts.append(np.full(self._steps, logs["lr"]) if trainer.step_lrs is None else trainer.step_lrs.copy())
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {logs['lr']:.4g}")


class LivePlot(Callback):
    """Draws the curves so far after each epoch: into a picture file that is replaced, and in a notebook under the cell.

    path: .png, .svg or .pdf; None where only the notebook shows it. seconds: the least time between two pictures, each of which
    takes some 0.1 s; the last one is always drawn. Needs `pip install "fastnn[plot]"`.
    """

    def __init__(self, path: str | PathLike[str] | None = None, *, seconds: float = 1.0) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            raise ImportError('LivePlot needs matplotlib: pip install "fastnn[plot]"')
        self.path = None if path is None else _path("path", path)
        self.seconds = number("seconds", seconds, low=0.0)
        self._drawn_at, self._drawn, self._handle = 0.0, 0, None

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._drawn_at, self._drawn, self._handle = -float("inf"), 0, None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if time.perf_counter() - self._drawn_at >= self.seconds:
            self._draw(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._drawn < len(trainer.history):
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        self._drawn = len(trainer.history)
        if self.path is not None:
            with whole_file(self.path) as scratch:
                trainer.history.plot(scratch)
        display = _notebook()
        if display is not None:
            picture = io.BytesIO()
            trainer.history.plot(picture)
            image = display.Image(picture.getvalue())
            if self._handle is None:
                self._handle = display.display(image, display_id=True)
            else:
                self._handle.update(image)
        self._drawn_at = time.perf_counter()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None}


def _notebook() -> Any:
    """IPython.display in a notebook's kernel, else None."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display")


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f"{name}: expected a path, got {quote(value)}")
    return Path(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, got {quote(value)}")
    return value
