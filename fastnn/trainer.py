"""The training loop: batches, steps, validation, callbacks."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import functional as F
from ._check import Array, boolean, integer, number, quote
from ._training import BadRowError, Course, Data, Hooks, Keeper, Metrics, Totals, divisors
from .augment import Augmentation, Augmenter, Compose
from .averaging import Average
from .callbacks import Callback
from .history import History
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, NLLLoss
from .lowering import NotLowered, lower_evaluation, lower_training
from .optim import Optimizer
from .program import Program
from .random import SHUFFLE, Stream
from .regularizers import ElasticNet, MaxNorm
from .schedules import Schedule
from .sequential import Sequential

if TYPE_CHECKING:
    from .lowering.cuda import CudaProgram

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

    model: a Sequential. loss: one of `fastnn.losses`, such as CrossEntropyLoss(), or an object with forward and backward,
    with the mean or the sum over a batch. optimizer: SGD, Adam and their like; the trainer binds it. regularizer: L1, L2 or
    ElasticNet on the weights. clip_norm: the largest global norm of the gradient. clip_value: the largest size of each of
    its elements, cut before the norm is taken. constraint: MaxNorm. schedule: how the learning rate changes, by epochs or by
    steps (see `fastnn.schedules`); it starts from the optimiser's rate as it is now, `base_lr`, and goes on from one fit to
    the next. average: EMA or SWA of the weights (see `fastnn.averaging`). augmentation: a list of what is done to the
    batches that it trains on (see `fastnn.augment`), with image_shape, (H, W) or (C, H, W), for rows that are images; where
    it mixes targets, the accuracy of training is that of the most probable label. compiled: None runs training as a compiled
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
        clip_value: float | None = None,
        constraint: MaxNorm | None = None,
        schedule: Schedule | None = None,
        average: Average | None = None,
        augmentation: Compose | Augmentation | Sequence[Augmentation] | None = None,
        image_shape: tuple[int, ...] | None = None,
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
        if schedule is not None and not isinstance(schedule, Schedule):
            raise TypeError(f"schedule: expected one such as StepLR(10), got {quote(schedule)}")
        if average is not None and not isinstance(average, Average):
            raise TypeError(f"average: expected EMA or SWA, got {quote(average)}")
        if average is not None and average.bound and not average.bound_to(model):
            raise ValueError("average: expected one that is not bound to another model")
        if schedule is not None and schedule.momenta(np.zeros(1, np.int64)) is not None and not _has_momentum(optimizer):
            raise ValueError(
                f"schedule: expected an optimiser with momentum or betas for {type(schedule).__name__} to cycle, got "
                f"{optimizer!r}; cycle_momentum=False leaves it alone"
            )
        if constraint is not None and not isinstance(constraint, MaxNorm):
            raise TypeError(f"constraint: expected MaxNorm, got {quote(constraint)}")
        self.clip_value = None if clip_value is None else number("clip_value", clip_value, low=0.0, open_low=True)
        self.constraint = constraint
        self.clip_norm = None if clip_norm is None else number("clip_norm", clip_norm, low=0.0, open_low=True)
        self.compiled = None if compiled is None else boolean("compiled", compiled)
        self.model, self.loss, self.regularizer = model, loss, regularizer
        self.augmenter = None if augmentation is None else Augmenter(augmentation, image_shape, model.seed)
        self.optimizer = optimizer if optimizer.bound else optimizer.bind(model)
        self.schedule, self.base_lr = schedule, optimizer.lr
        self.average = average if average is None or average.bound else average.bind(model)
        self.road = "not trained yet"
        self.history = History()
        self.epochs_done = 0
        self.step_lrs: Array | None = None  # of the last epoch, where a schedule goes by steps
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
        metrics: Sequence[str | Callable[[Array, Array], float]] = (),
        callbacks: Sequence[Callback] = (),
        shuffle: bool = True,
        drop_last: bool = False,
        check_finite: bool = True,
        progress: bool | None = None,
    ) -> History:
        """Train for some epochs; returns their curves. Calling it again goes on where it stopped.

        x: (rows, features) of any real dtype, or images (rows, H, W) or (rows, C, H, W) for a model that begins with `Flatten`;
        it is converted batch by batch. A numpy.memmap is never read whole. y: (rows,) labels, (rows, k) probabilities, or what
        the loss takes. sample_weight: (rows,), at least 0: how much each row counts in loss, gradient and accuracy; means are
        divided by the sum of the weights, batch by batch, and a batch whose weights are all 0 has a gradient of 0. Batch
        statistics are those of all rows alike. validation_data: (x, y) or (x, y, sample_weight), evaluated after each epoch.
        metrics: what else is worked out of the validation data, as in `evaluate`; logged as val_f1_macro and so on.
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
        more = Metrics(self.model, self.loss, metrics)
        if metrics and validation is None:
            raise ValueError(f"metrics: expected none without validation_data, on which they are found, got {quote(metrics)}")
        if validation is not None:
            more.check(validation)
        self.optimizer.check_settings()
        sizes = self._batch_sizes(data.rows, batch_size, drop_last)
        self._check_length(epochs, len(sizes))
        hooks = Hooks(self, callbacks, progress)
        score = self._score_name()
        hooks.refuse_unknown_monitors(
            score, score is None and hasattr(self.loss, "scores"), self.regularizer is not None, validation is not None,
            more.names,
        )  # fmt: skip
        if self.augmenter is not None:
            data.prepare(self.augmenter)
        program = self._training_program(data, batch_size)
        self.history = History()
        self._stopping = False
        keeper = Keeper(self.model, self.optimizer, self.average, self.augmenter)
        try:
            hooks.fit_begin(epochs, len(sizes))
            for epoch in range(epochs):
                started = time.perf_counter()
                course = Course(self, program, len(sizes))
                self.step_lrs = course.lrs
                hooks.epoch_begin(epoch)
                logs = self._run_epoch(epoch, data, program, sizes, shuffle, hooks, course)
                if not _all_finite(self.model.flat_parameters):
                    raise NonFiniteLossError("the weights became NaN or infinite", epoch + 1, len(sizes))
                self.epochs_done += 1
                if self.average is not None and self.average.per == "epoch":
                    weight = float(self.average.weights(np.array([self.epochs_done]))[0])
                    if weight:
                        self.average.update(weight)
                if epoch + 1 < epochs:
                    keeper.keep()
                else:
                    keeper.forget()
                if validation is not None:
                    with self._validated_weights():
                        found = self._evaluate(validation, batch_size) | more.values(validation, max(batch_size, 1024))
                    logs |= {f"val_{name}": value for name, value in found.items()}
                logs |= {"lr": self.optimizer.lr, "seconds": time.perf_counter() - started}
                self.history.append(logs)
                if self.schedule is not None:
                    self.schedule.observe(logs, self.optimizer.lr)
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
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 1024,
        *,
        sample_weight: ArrayLike | None = None,
        metrics: Sequence[str | Callable[[Array, Array], float]] = (),
    ) -> dict[str, float]:
        """The loss (without penalty) and scores in eval mode: {'loss': ..., 'accuracy': ...}. Arguments as in `fit`.

        metrics: names out of `fastnn.metrics.NAMED`, such as "f1_macro", "roc_auc" or "calibration_error", and functions
        f(y, outputs) of targets as the loss has them (of MSELoss always (rows, k)) and outputs (rows, k), logged by their names.
        They are worked out of all predictions at once, which takes a second pass; those with names heed sample_weight.
        Rows whose label the loss ignores are left out of them.
        """
        more = Metrics(self.model, self.loss, metrics)
        data = Data(self.model, self.loss, "", x, y, True, sample_weight)
        batch_size = integer("batch_size", batch_size, low=1)
        return self._evaluate(data, batch_size) | more.values(data, batch_size)

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

    def _check_length(self, epochs: int, steps: int) -> None:
        """A schedule that ends lasts for all that is to be done."""
        if self.schedule is None or self.schedule.length is None:
            return
        by_step = self.schedule.per == "step"
        done, more = (self.optimizer.steps, epochs * steps) if by_step else (self.epochs_done, epochs)
        if done + more > self.schedule.length:
            raise ValueError(
                f"schedule: expected one of at least {done + more} {self.schedule.per}s, with those already done, for this fit, "
                f"got {self.schedule!r}, which has {self.schedule.length}"
            )

    def _validated_weights(self) -> AbstractContextManager[None]:
        """The weights that are validated: the model's own, or their average where that is asked for."""
        validated = self.average is not None and self.average.validate and self.average.count > 0
        return self.average.applied() if validated and self.average is not None else nullcontext()

    def _training_program(self, data: Data, batch_size: int) -> Program | CudaProgram | None:
        """The compiled program of a step; None where training goes layer by layer."""
        self.model.train()
        if self.model.device == "cuda":
            self.road = "CUDA program"
            parts = *data.whole(), batch_size, data.weights, data.on_device
            return self._on_cuda(lambda lowering: lowering.lower_cuda_training(self, *parts))
        reason = "compiled=False"
        if self.compiled is not False:
            try:
                program = lower_training(self, *data.whole(), batch_size, data.weights)
                self.road = "compiled program"
                return program
            except NotLowered as refusal:
                reason = str(refusal)
                if self.compiled:
                    raise ValueError(f"compiled: expected a model, loss and rule with instructions: {reason}") from None
        self.road = f"layer by layer: {reason}"
        return None

    @staticmethod
    def _on_cuda(lower: Callable[[Any], CudaProgram]) -> CudaProgram:
        from .lowering import cuda  # some 5 ms that those without a GPU save

        try:
            return lower(cuda)
        except NotLowered as refusal:
            raise ValueError(f"model: expected one that can train by CUDA kernels, or model.to('cpu'): {refusal}") from None

    def _run_epoch(
        self,
        epoch: int,
        data: Data,
        program: Program | CudaProgram | None,
        sizes: list[int],
        shuffle: bool,
        hooks: Hooks,
        course: Course,
    ) -> dict[str, float]:
        self.model.train()
        order = (
            Stream(self.model.seed, SHUFFLE, step=self.epochs_done).permutation(data.rows) if shuffle else np.arange(data.rows)
        )
        if program is not None:
            return self._run_compiled(epoch, program, order, sizes, hooks, course)
        totals = self._totals()
        first = 0
        for step, size in enumerate(sizes):
            index = order[first : first + size]
            (x, y), weights = data.batch(index), data.batch_weights(index)
            first += size
            course.before(step)
            if self.augmenter is not None:
                x, y = self.augmenter(x, y)
            loss, penalty, scores = self._step(x, y, weights, epoch, step)
            course.after(step)
            totals.add(size, loss, penalty, scores, divisors(self.loss, y, weights))
            hooks.batch_end(step, totals)
        return totals.means(self.regularizer is not None)

    def _run_compiled(
        self, epoch: int, program: Program | CudaProgram, order: Array, sizes: list[int], hooks: Hooks, course: Course
    ) -> dict[str, float]:
        """An epoch in slices of some 50 ms, so that Ctrl-C, progress and callbacks get their turn."""
        program.set_order(order, sum(sizes))
        totals = self._totals()
        for begin, end in program.slices(hooks.every_batch):
            done = self.optimizer.steps
            try:
                stopped = program.run(begin, end)
            finally:  # Ctrl-C is raised after the call
                course.ran(begin, begin + self.optimizer.steps - done)
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
        if self.clip_value is not None:
            F.clip_values(self.model.flat_gradients, self.clip_value)
        scale = 1.0
        if self.clip_norm is not None:
            norm = math.sqrt(F.squared_norm(self.model.flat_gradients))
            if not math.isfinite(norm):
                raise NonFiniteLossError(f"the gradient's norm became {norm}", epoch + 1, step + 1)
            scale = min(1.0, self.clip_norm / (norm + 1e-6))
        self.optimizer.step(scale)
        if self.regularizer:
            self.regularizer.proximal_step(self.model, len(x), self.optimizer.lr)
        if self.constraint is not None:
            self.constraint.apply(self.model)
        return loss, penalty, self._scores(prediction, y, weights)

    def _scores(self, prediction: Array, y: Array, weights: Array | None) -> dict[str, float]:
        return self.loss.scores(prediction, y, **_weighted(weights)) if hasattr(self.loss, "scores") else {}

    def _evaluation_program(self, data: Data, batch_size: int) -> Program | CudaProgram | None:
        if self.model.device == "cuda":
            parts = *data.whole(), batch_size, data.weights, data.on_device
            return self._on_cuda(lambda lowering: lowering.lower_cuda_evaluation(self.model, self.loss, *parts))
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
        if self.clip_value is not None:
            parts.append(f"clip_value={self.clip_value!r}")
        if self.constraint is not None:
            parts.append(f"constraint={self.constraint!r}")
        if self.clip_norm is not None:
            parts.append(f"clip_norm={self.clip_norm!r}")
        if self.schedule is not None:
            parts.append(f"schedule={self.schedule!r}")
        if self.average is not None:
            parts.append(f"average={self.average!r}")
        if self.augmenter is not None:
            parts += [f"augmentation={self.augmenter.compose.augmentations!r}", f"image_shape={self.augmenter.image_shape!r}"]
        return f"Trainer({', '.join(parts)})"


def _has_momentum(optimizer: Optimizer) -> bool:
    return hasattr(optimizer, "betas") or getattr(optimizer, "momentum", 0.0) > 0.0


def _all_finite(values: Array) -> bool:
    # a norm of finite numbers may overflow, and takes half as long as NumPy's look at each
    return bool(np.isfinite(F.squared_norm(values)) or np.isfinite(values).all())


def _weighted(weights: Array | None) -> dict[str, Array]:
    """What a loss is called with beside prediction and targets: nothing where all rows count alike."""
    return {} if weights is None else {"sample_weight": weights}
