"""The training loop: batches, steps, validation, callbacks."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import functional as F
from ._check import Array, boolean, integer, number, quote
from ._training import BadRowError, Data, Hooks, Keeper, Totals, divisors
from .callbacks import Callback
from .history import History
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, NLLLoss
from .lowering import NotLowered, lower_evaluation, lower_training
from .optim import Optimizer
from .program import Program
from .random import SHUFFLE, Stream
from .regularizers import ElasticNet
from .sequential import Sequential

__all__ = ["NonFiniteLossError", "Trainer"]


class NonFiniteLossError(ArithmeticError):
    """The loss or the gradient became NaN or infinite. `epoch` and `step`, from 1, say where."""

    def __init__(self, what: str, epoch: int, step: int) -> None:
        super().__init__(
            f"{what} in epoch {epoch}, step {step}; the model has the weights of the last whole epoch with a finite loss "
            "again, or those that EarlyStopping holds best. A smaller learning rate or clip_norm may help"
        )
        self.what, self.epoch, self.step = what, epoch, step

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.epoch, self.step)


class Trainer:
    """Trains a model with a loss and an optimiser.

    model: a Sequential. loss: CrossEntropyLoss(), MSELoss() or an object with forward and backward (see `fastnn.losses`),
    with the mean or the sum over a batch. optimizer: SGD, RMSprop, Adam; the trainer binds it. regularizer: L1, L2 or
    ElasticNet on the weights. clip_norm: the largest global norm of the gradient. compiled: None runs training as a compiled
    program (see `fastnn.lowering`) wherever every part has an instruction, and layer by layer otherwise, e.g. with layers of
    your own; True insists on the program (ValueError where there is none), False on the layers. `road` says which it was.

    Runs are reproducible: with one seed of the model, on any number of threads, the same bits.

    >>> model = Sequential(Linear(2, 8), Tanh(), Linear(8, 2), seed=0)
    >>> trainer = Trainer(model, loss=CrossEntropyLoss(), optimizer=Adam(lr=0.05))
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> history = trainer.fit(x, np.array([0, 1, 1, 0]), epochs=100, batch_size=4)
    >>> trainer.evaluate(x, np.array([0, 1, 1, 0]))["accuracy"]
    1.0
    """

    def __init__(
        self,
        model: Sequential,
        loss: Any,
        optimizer: Optimizer,
        *,
        regularizer: ElasticNet | None = None,
        clip_norm: float | None = None,
        compiled: bool | None = None,
    ) -> None:
        if not isinstance(model, Sequential):
            raise TypeError(f"model: expected a Sequential, got {quote(model)}")
        if model.flat_parameters is None:
            raise ValueError("model: expected a model that is not inside another one, which holds its parameters")
        if (
            isinstance(loss, type)
            or not callable(getattr(loss, "forward", None))
            or not callable(getattr(loss, "backward", None))
        ):
            raise TypeError(f"loss: expected an object with forward and backward, got {quote(loss)}")
        if getattr(loss, "reduction", "mean") == "none":
            raise ValueError("loss: expected reduction 'mean' or 'sum' for training, got 'none'")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an optimiser such as Adam(), got {quote(optimizer)}")
        if regularizer is not None and not isinstance(regularizer, ElasticNet):
            raise TypeError(f"regularizer: expected L1, L2 or ElasticNet, got {quote(regularizer)}")
        if optimizer.bound and not optimizer.bound_to(model):
            raise ValueError("optimizer: expected one that is not bound to another model's arrays")
        self.clip_norm = None if clip_norm is None else number("clip_norm", clip_norm, low=0.0, open_low=True)
        self.model, self.loss, self.regularizer = model, loss, regularizer
        self.optimizer = optimizer if optimizer.bound else optimizer.bind(model)
        self.compiled = None if compiled is None else boolean("compiled", compiled)
        self.road = "not trained yet"
        self.history = History()
        self.epochs_done = 0
        self._stopping = False

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        shuffle: bool = True,
        drop_last: bool = False,
        check_finite: bool = True,
        progress: bool | None = None,
    ) -> History:
        """Train for some epochs; returns their curves. Calling it again goes on where it stopped.

        x: (rows, features) of any real dtype; it is converted batch by batch. A numpy.memmap is never read whole. y: (rows,)
        labels, (rows, k) probabilities, or what the loss takes. sample_weight: (rows,), at least 0: how much each row counts in
        loss, gradient and accuracy; means are divided by the sum of the weights, batch by batch, and a batch whose weights are
        all 0 has a gradient of 0. Batch statistics are those of all rows alike. validation_data: (x, y) or
        (x, y, sample_weight), evaluated after each epoch.
        shuffle: a new order each epoch, from the model's seed. drop_last: leave out a last batch that is not full; one of a
        single row is left out anyway, with a warning, if the model normalises by batch. check_finite: refuse NaN and
        infinity in the data (a memmap's rows are looked at as they are read). progress: a bar (True needs tqdm); None shows
        it on a terminal where tqdm is installed.

        Raises ValueError or TypeError for bad arguments, before anything has changed, and NonFiniteLossError when the loss
        stops being finite; the weights of the last whole epoch with a finite loss are then back (or, with EarlyStopping, the
        best).
        """
        epochs = integer("epochs", epochs, low=1)
        batch_size = integer("batch_size", batch_size, low=1)
        shuffle, drop_last = boolean("shuffle", shuffle), boolean("drop_last", drop_last)
        data = Data(self.model, self.loss, "", x, y, boolean("check_finite", check_finite), sample_weight)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise TypeError(f"validation_data: expected (x, y) or (x, y, sample_weight), got {quote(validation_data)}")
            validation = Data(self.model, self.loss, "validation ", *validation_data[:2], check_finite, *validation_data[2:])
        self.optimizer.check_settings()
        sizes = self._batch_sizes(data.rows, batch_size, drop_last)
        hooks = Hooks(self, callbacks, progress)
        score = self._score_name()
        hooks.refuse_unknown_monitors(
            score, score is None and hasattr(self.loss, "scores"), self.regularizer is not None, validation is not None
        )
        program = self._training_program(data, batch_size)
        self.history = History()
        self._stopping = False
        keeper = Keeper(self.model, self.optimizer)
        try:
            hooks.fit_begin(epochs, len(sizes))
            for epoch in range(epochs):
                started = time.perf_counter()
                hooks.epoch_begin(epoch)
                logs = self._run_epoch(epoch, data, program, sizes, shuffle, hooks)
                if not np.isfinite(self.model.flat_parameters).all():
                    raise NonFiniteLossError("the weights became NaN or infinite", epoch + 1, len(sizes))
                self.epochs_done += 1
                keeper.keep()
                if validation is not None:
                    logs |= {f"val_{name}": value for name, value in self._evaluate(validation, batch_size).items()}
                logs |= {"lr": self.optimizer.lr, "seconds": time.perf_counter() - started}
                self.history.append(logs)
                hooks.epoch_end(epoch, logs)
                if self._stopping:
                    break
        except (NonFiniteLossError, BadRowError):
            keeper.restore()
            raise
        finally:
            hooks.fit_end()
        return self.history

    def stop(self) -> None:
        """End training after the current epoch; for callbacks."""
        self._stopping = True

    def evaluate(
        self, x: ArrayLike, y: ArrayLike, batch_size: int = 1024, *, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """The loss (without penalty) and scores in eval mode: {'loss': ..., 'accuracy': ...}. Arguments as in `fit`."""
        data = Data(self.model, self.loss, "", x, y, True, sample_weight)
        return self._evaluate(data, integer("batch_size", batch_size, low=1))

    def predict(self, x: ArrayLike, batch_size: int = 4096, *, check_finite: bool = True) -> Array:
        """The network's outputs in eval mode, (rows, k). check_finite: refuse NaN and infinity in x, as in `fit`."""
        return self.model.predict(x, batch_size, check_finite=check_finite)

    def predict_proba(self, x: ArrayLike, batch_size: int = 4096, *, check_finite: bool = True) -> Array:
        """Probabilities (rows, k): the outputs through the loss's link, softmax for CrossEntropyLoss, σ for BCEWithLogitsLoss."""
        result: Array = self._link("probabilities")(self.predict(x, batch_size, check_finite=check_finite))
        return result

    def predict_labels(self, x: ArrayLike, batch_size: int = 4096, *, check_finite: bool = True) -> Array:
        """The label of each row, (rows,) int64; of BCEWithLogitsLoss with k outputs, k labels each, (rows, k)."""
        result: Array = self._link("labels")(self.predict(x, batch_size, check_finite=check_finite))
        return result

    def _link(self, name: str) -> Any:
        link = getattr(self.loss, name, None)
        if link is None:
            raise ValueError(f"loss: expected one with {name}, such as CrossEntropyLoss, got {self.loss!r}")
        return link

    def _batch_sizes(self, rows: int, batch_size: int, drop_last: bool) -> list[int]:
        """Rows of each batch of an epoch."""
        least = max(layer.min_training_rows for layer in self.model.walk())
        if min(rows, batch_size) < least:
            name, value = ("batch_size", batch_size) if batch_size < least else ("x", rows)
            raise ValueError(f"{name}: expected at least {least} rows for a model that normalises by batch, got {value}")
        sizes = [batch_size] * (rows // batch_size)
        rest = rows % batch_size
        if rest and not (drop_last and sizes):
            if rest >= least:
                sizes.append(rest)
            else:
                warnings.warn(
                    f"the last batch has {rest} row, too few for a model that normalises by batch: it is left out, another "
                    "row each epoch if shuffled",
                    UserWarning,
                    stacklevel=3,
                )
        return sizes

    def _training_program(self, data: Data, batch_size: int) -> Program | None:
        """The compiled program of a step; None where training goes layer by layer."""
        self.model.train()
        reason = "compiled=False"
        if self.compiled is not False:
            try:
                x, y = data.whole()
                program = lower_training(
                    self.model, self.loss, self.optimizer, self.regularizer, self.clip_norm, x, y, batch_size,
                    data.weights,
                )  # fmt: skip
                self.road = "compiled program"
                return program
            except NotLowered as refusal:
                reason = str(refusal)
                if self.compiled:
                    raise ValueError(f"compiled: expected a model, loss and rule with instructions: {reason}") from None
        self.road = f"layer by layer: {reason}"
        return None

    def _run_epoch(
        self, epoch: int, data: Data, program: Program | None, sizes: list[int], shuffle: bool, hooks: Hooks
    ) -> dict[str, float]:
        self.model.train()
        order = (
            Stream(self.model.seed, SHUFFLE, step=self.epochs_done).permutation(data.rows) if shuffle else np.arange(data.rows)
        )
        if program is not None:
            return self._run_compiled(epoch, program, order, sizes, hooks)
        totals = self._totals()
        first = 0
        for step, size in enumerate(sizes):
            index = order[first : first + size]
            (x, y), weights = data.batch(index), data.batch_weights(index)
            first += size
            loss, penalty, scores = self._step(x, y, weights, epoch, step)
            totals.add(size, loss, penalty, scores, divisors(self.loss, y, weights))
            hooks.batch_end(step, totals)
        return totals.means(self.regularizer is not None)

    def _run_compiled(self, epoch: int, program: Program, order: Array, sizes: list[int], hooks: Hooks) -> dict[str, float]:
        """An epoch in slices of some 50 ms, so that Ctrl-C, progress and callbacks get their turn."""
        program.set_order(order, sum(sizes))
        totals = self._totals()
        for begin, end in program.slices(hooks.every_batch):
            stopped = program.run(begin, end)
            if stopped < end:
                what = "the gradient's norm" if program.stopped_by_norm else "the loss"
                raise NonFiniteLossError(f"{what} became NaN or infinite", epoch + 1, stopped + 1)
            totals.set(sum(sizes[:end]), *program.sums(), self._score_name())
            hooks.batch_end(end - 1, totals)
        return totals.means(self.regularizer is not None)

    def _score_name(self) -> str | None:
        """The score that programs count for this loss."""
        return "accuracy" if isinstance(self.loss, (CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss)) else None

    def _totals(self) -> Totals:
        return Totals(getattr(self.loss, "reduction", "mean") == "sum")

    def _step(self, x: Array, y: Array, weights: Array | None, epoch: int, step: int) -> tuple[float, float, dict[str, float]]:
        """One update. Returns loss and penalty, as the loss reduces them, and the sums of the scores."""
        prediction = self.model.forward_batch(x)
        loss = float(self.loss.forward(prediction, y, **_weighted(weights)))
        if not math.isfinite(loss):
            raise NonFiniteLossError(f"the loss became {loss}", epoch + 1, step + 1)
        self.model.backward(self.loss.backward())
        penalty = self.regularizer.add_gradient(self.model, len(x)) if self.regularizer else 0.0
        scale = 1.0
        if self.clip_norm is not None:
            norm = math.sqrt(F.squared_norm(self.model.flat_gradients))
            if not math.isfinite(norm):
                raise NonFiniteLossError(f"the gradient's norm became {norm}", epoch + 1, step + 1)
            scale = min(1.0, self.clip_norm / (norm + 1e-6))
        self.optimizer.step(scale)
        return loss, penalty, self._scores(prediction, y, weights)

    def _scores(self, prediction: Array, y: Array, weights: Array | None) -> dict[str, float]:
        return self.loss.scores(prediction, y, **_weighted(weights)) if hasattr(self.loss, "scores") else {}

    def _evaluation_program(self, data: Data, batch_size: int) -> Program | None:
        if self.compiled is False:
            return None
        try:
            return lower_evaluation(self.model, self.loss, *data.whole(), batch_size, data.weights)
        except NotLowered:
            return None

    def _evaluate(self, data: Data, batch_size: int) -> dict[str, float]:
        totals = self._totals()
        with self.model.in_eval_mode():
            program = self._evaluation_program(data, batch_size)
            if program is not None:
                for begin, end in program.slices():
                    program.run(begin, end, to_the_end=True)
                totals.set(data.rows, *program.sums(), self._score_name())
                return totals.means(False)
            for first in range(0, data.rows, batch_size):
                index = np.arange(first, min(data.rows, first + batch_size))
                (x, y), weights = data.batch(index), data.batch_weights(index)
                prediction = self.model.forward_batch(x)
                loss = float(self.loss.forward(prediction, y, **_weighted(weights)))
                totals.add(len(x), loss, 0.0, self._scores(prediction, y, weights), divisors(self.loss, y, weights))
        return totals.means(False)

    def __repr__(self) -> str:
        parts = [repr(self.model), f"loss={self.loss!r}", f"optimizer={self.optimizer!r}"]
        if self.regularizer is not None:
            parts.append(f"regularizer={self.regularizer!r}")
        if self.clip_norm is not None:
            parts.append(f"clip_norm={self.clip_norm!r}")
        return f"Trainer({', '.join(parts)})"


def _weighted(weights: Array | None) -> dict[str, Array]:
    """What a loss is called with beside prediction and targets: nothing where all rows count alike."""
    return {} if weights is None else {"sample_weight": weights}
