"""`fastnn train`: from data to a model file, a history and curves."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import sys
import threading
import time
import warnings
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TextIO

import numba
import numpy as np

from .. import __version__
from ..callbacks import Callback, EarlyStopping, ProgressBar
from ..files import save_model, whole_file
from ..functional import set_num_threads
from ..history import History
from ..layers import SELU, BatchNorm1d, Dropout, Layer, LeakyReLU, Linear, ReLU, Sigmoid, Tanh
from ..losses import CrossEntropyLoss, MSELoss
from ..optim import SGD, Adam, Optimizer, RMSprop
from ..regularizers import L2
from ..schedules import CosineAnnealingLR, LinearLR, OneCycleLR, Schedule
from ..sequential import Sequential
from ..trainer import NonFiniteLossError, Trainer
from .data import Training, read_training
from .output import print_json, printable

__all__ = ["train"]

_ACTIVATIONS = {"relu": ReLU, "leaky_relu": LeakyReLU, "sigmoid": Sigmoid, "tanh": Tanh, "selu": SELU}
_BATCH = 64  # of 64, 128, 256 and 512 it validates best on Fashion-MNIST after 10 epochs, with an lr of 1e-3


def train(options: Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    out: TextIO = sys.stderr if options.json else sys.stdout
    if options.early_stopping and options.validation == 0.0:
        raise ValueError("--early-stopping: expected validation rows to watch, got --validation 0")
    optimizer = _optimizer(options)
    if options.threads:
        set_num_threads(options.threads)
    data = read_training(options)
    folder = Path(options.out or Path("out") / data.name)
    _refuse_unwritable(folder)
    batch_size = options.batch_size or _batch_size(len(data.x))
    trainer = _trainer(options, data, optimizer, _schedule(options, optimizer, -(-len(data.x) // batch_size)))
    if min(batch_size, len(data.x)) < 2 and options.batchnorm and options.hidden:
        raise ValueError(
            f"--batch-size: expected batches of at least 2 rows for batch normalisation, got {batch_size} of {len(data.x)} rows"
        )
    with _Interruption() as interruption:
        result = _run(options, data, trainer, batch_size, interruption, out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_model(folder / "model.npz", trainer.model, _extra(options, data, batch_size))
            with whole_file(folder / "history.json") as scratch:
                trainer.history.to_json(scratch)
        except OSError as error:
            print(f"fastnn: {folder} cannot be written: {error}", file=sys.stderr)
            return 1
        if "message" in result:
            print(f"fastnn: {result['message']}", file=sys.stderr)
    files = {name: str(folder / name) for name in ("model.npz", "history.json")}
    if _draw(trainer.history, folder / "curves.png"):
        files["curves.png"] = str(folder / "curves.png")
    result |= _report(trainer, data) | {"files": files}
    _tell(result, trainer.history, out)
    if options.json:
        print_json(result)
    if interruption.signal is not None:
        return 128 + interruption.signal
    return 0 if result["status"] == "done" else 1


def _run(
    options: Namespace, data: Training, trainer: Trainer, batch_size: int, interruption: _Interruption, out: TextIO
) -> dict[str, Any]:
    """Train and test; returns how it ended. From then on interruptions are only noted."""
    result: dict[str, Any] = {"status": "done", "test": None}
    started = time.perf_counter()
    try:
        if not options.quiet:
            _introduce(trainer.model, data, out)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the last batch has 1 row")  # another each epoch: nothing to be done about
            trainer.fit(
                data.x, data.y, options.epochs, batch_size, validation_data=data.validation,
                callbacks=[*_callbacks(options), interruption], progress=False,
            )  # fmt: skip
        result["seconds"] = time.perf_counter() - started
        if data.test is not None:
            x, y = data.test
            result["test"] = data.target.scores(trainer.predict(x), y)
    except NonFiniteLossError as error:
        result |= {"status": "failed", "message": str(error)}
    except KeyboardInterrupt:
        place = "after training" if "seconds" in result else f"in epoch {len(trainer.history) + 1}"
        result |= {"status": "interrupted", "message": f"interrupted {place}: the model is saved as it stood then"}
    interruption.wait = True
    result.setdefault("seconds", time.perf_counter() - started)
    return result


class _Interruption(Callback):
    """Makes KeyboardInterrupt of the first Ctrl-C or SIGTERM; others do nothing then, until all is saved."""

    every_batch = False

    def __init__(self) -> None:
        self.signal: int | None = None
        self.wait = False  # whether even the first is only noted
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._former = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            if not self.wait:
                raise KeyboardInterrupt

    def on_batch_end(self, trainer: Trainer, step: int, logs: dict[str, float]) -> None:
        if self.signal is not None:  # it was raised where nothing passes through, e.g. in a callback of LLVM's
            raise KeyboardInterrupt


class _Lines(Callback):
    """A line an epoch."""

    def on_fit_begin(self, trainer: Trainer, epochs: int, steps: int) -> None:
        self._epochs = epochs

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name not in ("lr", "seconds"))
        print(f"epoch {epoch + 1}/{self._epochs}  {values}  {logs['seconds']:.2f} s", file=sys.stderr, flush=True)


def _callbacks(options: Namespace) -> list[Callback]:
    callbacks: list[Callback] = []
    if not options.quiet:
        bar = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
        callbacks.append(ProgressBar() if bar else _Lines())
    if options.early_stopping:
        callbacks.append(EarlyStopping(patience=options.early_stopping))
    return callbacks


def _optimizer(options: Namespace) -> Optimizer:
    if options.optimizer == "adam":
        if options.momentum is not None:
            raise ValueError("--momentum: expected for sgd or rmsprop, got it for adam")
        return Adam(lr=options.lr or 1e-3)
    if options.optimizer == "rmsprop":
        return RMSprop(lr=options.lr or 1e-3, momentum=options.momentum or 0.0)
    return SGD(lr=options.lr or 0.05, momentum=0.9 if options.momentum is None else options.momentum)


def _schedule(options: Namespace, optimizer: Optimizer, steps: int) -> Schedule | None:
    """How the rate changes over so many steps an epoch.

    In a straight line by default, so that the last epochs settle: with a constant rate the last of 10 epochs of Fashion-MNIST may
    dip by a point; falling gains one on validation rows.
    """
    if options.schedule == "linear":
        return LinearLR(1.0, 0.0, options.epochs)
    if options.schedule == "cosine":
        return CosineAnnealingLR(options.epochs)
    if options.schedule == "onecycle":
        momentum = hasattr(optimizer, "betas") or getattr(optimizer, "momentum", 0.0) > 0.0
        return OneCycleLR(optimizer.lr, epochs=options.epochs, steps_per_epoch=steps, cycle_momentum=momentum)
    return None


def _trainer(options: Namespace, data: Training, optimizer: Optimizer, schedule: Schedule | None) -> Trainer:
    layers: list[Layer] = []
    width = data.features.width
    for size in options.hidden:
        layers.append(Linear(width, size, bias=not options.batchnorm))  # batch normalisation brings its own
        layers += [BatchNorm1d(size)] * options.batchnorm
        layers.append(_ACTIVATIONS[options.activation]())
        layers += [Dropout(options.dropout)] * (options.dropout > 0.0)
        width = size
    layers.append(Linear(width, data.target.outputs))
    model = Sequential(*layers, seed=options.seed, input_scale=data.input_scale)
    loss = MSELoss() if data.target.classes is None else CrossEntropyLoss(label_smoothing=options.label_smoothing)
    regularizer = L2(options.l2) if options.l2 else None
    return Trainer(model, loss, optimizer, regularizer=regularizer, clip_norm=options.clip_norm, schedule=schedule)


def _batch_size(rows: int) -> int:
    """Less for little data, so that an epoch is not just a few steps; statistics of fewer than 16 rows are too noisy."""
    return next((size for size in (_BATCH, _BATCH // 2) if rows >= 50 * size), _BATCH // 4)


def _extra(options: Namespace, data: Training, batch_size: int) -> dict[str, Any]:
    """What is saved beside the model: how it came about, and how to prepare data for it."""
    settings = {name: value for name, value in vars(options).items() if name not in ("run", "json", "quiet", "threads")}
    versions = {"fastnn": __version__, "numba": numba.__version__, "numpy": np.__version__, "python": platform.python_version()}
    preparation = {"features": data.features.to_dict(), "target": data.target.to_dict()}
    return {"settings": settings | {"batch_size": batch_size}, "versions": versions, "preparation": preparation}


def _refuse_unwritable(folder: Path) -> None:
    """An error now, not after training, and without leaving a folder behind if training is refused later."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(f"--out: expected a folder, got {folder}, where {existing} is a file")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"--out: expected a folder to write to, got {folder}, where {existing} may not be written")


def _draw(history: History, path: Path) -> bool:
    """Draw the curves, if there are any; without matplotlib, or where it fails, say so and go on."""
    if not len(history):
        return False
    try:
        with whole_file(path) as scratch:
            history.plot(scratch)
    except (ImportError, OSError) as error:
        print(f"no curves: {error}", file=sys.stderr)
        return False
    return True


def _report(trainer: Trainer, data: Training) -> dict[str, Any]:
    held = {name: 0 if pair is None else len(pair[0]) for name, pair in (("validation", data.validation), ("test", data.test))}
    return {
        "data": data.name,
        "task": "regression" if data.target.classes is None else "classification",
        "rows": {"training": len(data.x)} | held,
        "features": data.features.width,
        "classes": data.target.classes,
        "parameters": trainer.model.parameter_count,
        "epochs": len(trainer.history),
        "last": trainer.history.last(),
    }


def _introduce(model: Sequential, data: Training, out: TextIO) -> None:
    """What is about to be trained, and on what."""
    classes = data.target.classes
    task = f"predicts the number {data.target.name!r}" if classes is None else f"{len(classes)} classes of {data.target.name!r}"
    rows = [f"{len(data.x)} rows to train on"]
    rows += [f"{len(pair[0])} {what}" for what, pair in (("to validate", data.validation), ("to test", data.test)) if pair]
    print(f"{data.name}: {data.features.width} inputs, {task}; {', '.join(rows)}", file=out)
    if data.unseen:
        print(f"{data.unseen} rows held out have a category that no training row has: it counts as none of those", file=out)
    with redirect_stdout(out):
        model.summary()
    out.flush()


def _tell(result: dict[str, Any], history: History, out: TextIO) -> None:
    """The end of the run, for people."""
    seconds = float(history["seconds"].sum()) if len(history) else 0.0
    rest = result["seconds"] - seconds
    before = f", after {rest:.1f} s in which kernels were compiled or loaded" if len(history) and rest >= 1.0 else ""
    print(f"{len(history)} epochs in {seconds:.2f} s{before}", file=out)
    if result["test"] is not None:
        print(f"test: {printable(result['test'])}", file=out)
    print("wrote " + ", ".join(result["files"].values()), file=out)
