"""Averages of the weights that training passes through, which often predict better than the last ones.

    trainer = Trainer(model, loss, optimizer, average=EMA(0.999))
    trainer.fit(x, y, epochs=20)
    with trainer.average.applied():      # the model has the averaged weights for a while
        trainer.evaluate(x_test, y_test)
    trainer.average.apply()              # and now for good

The average has an array of its own beside the model's and does not touch training. By steps it is an instruction of the
compiled program, one pass over the flat parameters. By hand: `average = EMA().bind(model)`, and `average.update()` after each
`optimizer.step()`.

Parameters are averaged, running statistics are not: those of the model stay in use. For weights far from the model's own, such
as SWA's, they no longer fit; `update_bn(model, x)` takes new ones from data. As torch.optim.swa_utils.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import functional as F
from ._check import Array, boolean, choice, integer, number, quote
from .layers import Dropout
from .sequential import Sequential

__all__ = ["EMA", "SWA", "Average", "update_bn"]


class Average:
    """Base of the averages. `values` holds the averaged flat parameters, `count` how many updates have gone into them.

    start: steps or epochs that pass before anything is averaged. every: then each so manieth is. per: "step" or "epoch", whose
    end counts. validate: whether `fit` validates, and ModelCheckpoint saves, with the averaged weights.
    """

    def __init__(self, start: int, every: int, per: str, validate: bool) -> None:
        self.start = integer("start", start, low=0)
        self.every = integer("every", every, low=1)
        self.per = choice("per", per, ("step", "epoch"))
        self.validate = boolean("validate", validate)
        self.count = 0
        self._model: Any = None
        self._values: Array | None = None

    def bind(self, model: Sequential) -> Self:
        """Set whose parameters are averaged, with nothing averaged yet; returns the average."""
        if not isinstance(model, Sequential) or model.flat_parameters is None:
            raise TypeError(f"model: expected a Sequential that is in no other one, got {quote(model)}")
        self._model, self._values, self.count = model, model.flat_parameters.copy(), 0
        return self

    @property
    def bound(self) -> bool:
        """Whether `bind` has been called."""
        return self._values is not None

    def bound_to(self, model: Any) -> bool:
        """Whether `bind` has been called with this very model."""
        return self._model is model

    @property
    def values(self) -> Array:
        """The average, in the order of the model's flat_parameters; a live array."""
        if self._values is None:
            raise ValueError(f"average: expected bind(model) before its use, got an unbound {self!r}")
        return self._values

    def update(self, weight: float | None = None) -> None:
        """Take the model's present parameters in, with the weight that comes next. weight: another."""
        if weight is None:
            weight = float(self._weight(np.array([self.count + 1]))[0])
        F.average_update(self.values, self._model.flat_parameters, weight)
        self.count += 1

    def weights(self, t: Array) -> Array:
        """The weight of the parameters after steps or epochs t, counted from 1; 0 where nothing is averaged."""
        due = (t > self.start) & ((t - self.start) % self.every == 0)
        return np.where(due, self._weight(np.maximum(self.count + np.cumsum(due), 1)), 0.0)

    def apply(self) -> None:
        """Give the model the averaged parameters for good. ValueError before the first update."""
        self._model.flat_parameters[...] = self._averaged()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged parameters for a while; then its own, and its own running statistics, again."""
        averaged, model = self._averaged(), self._model
        kept = model.flat_parameters.copy(), model.flat_buffers.copy()
        model.flat_parameters[...] = averaged
        try:
            yield
        finally:
            model.flat_parameters[...], model.flat_buffers[...] = kept

    def state_dict(self) -> dict[str, Any]:
        """A copy of the average, and the count of updates."""
        return {"values": self.values.copy(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict() of an average of as many parameters; else ValueError."""
        values = np.asarray(state["values"])
        if values.shape != self.values.shape:
            raise ValueError(f"state: expected values of shape {self.values.shape}, got {values.shape}")
        self.values[...], self.count = values, integer("count", state["count"], low=0)

    def _averaged(self) -> Array:
        values = self.values
        if self.count == 0:
            raise ValueError(f"average: expected at least one update before its use, got none by {self!r}")
        return values

    def _weight(self, n: Array) -> Array:
        """The weight of update number n, from 1."""
        raise NotImplementedError

    def _repr(self, *parts: str) -> str:
        options = [f"start={self.start}", f"every={self.every}", f"per={self.per!r}", f"validate={self.validate}"]
        return f"{type(self).__name__}({', '.join([*parts, *options])})"


class EMA(Average):
    """An exponential moving average of the weights: a = decay · a + (1 - decay) · w, after each step.

    The first update copies the weights, as torch's AveragedModel with get_ema_multi_avg_fn does, so that they keep the weight
    decayⁿ for long. bias_correction: as if the average began at 0 and were divided by 1 - decayⁿ, as Adam's moments are; then
    the first n updates count alike at first. warmup: update n has the decay min(decay, (1 + n) / (10 + n)), as TensorFlow's.

    Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992).
    """

    def __init__(
        self,
        decay: float = 0.999,
        *,
        bias_correction: bool = False,
        warmup: bool = False,
        start: int = 0,
        every: int = 1,
        per: str = "step",
        validate: bool = False,
    ) -> None:
        super().__init__(start, every, per, validate)
        self.decay = number("decay", decay, low=0.0, high=1.0, open_high=True)
        self.bias_correction = boolean("bias_correction", bias_correction)
        self.warmup = boolean("warmup", warmup)
        if bias_correction and warmup:
            raise ValueError("warmup: expected it or bias_correction, got both")

    def _weight(self, n: Array) -> Array:
        if self.bias_correction:
            return (1.0 - self.decay) / (1.0 - np.power(self.decay, n))
        decay = np.minimum(self.decay, (1.0 + n) / (10.0 + n)) if self.warmup else self.decay
        return np.where(n == 1, 1.0, 1.0 - decay)

    def __repr__(self) -> str:
        return self._repr(f"{self.decay}", f"bias_correction={self.bias_correction}", f"warmup={self.warmup}")


class SWA(Average):
    """Stochastic weight averaging: the mean of the weights at the ends of epochs, or of every k-th step.

    `SWA(start=15)` averages the ends of all epochs from the 16th on, `SWA(start=1000, every=100, per="step")` steps 1100, 1200
    and so on. Follow it with `update_bn` where the model normalises by batch. Source: Izmailov et al., UAI 2018.
    """

    def __init__(self, start: int = 0, every: int = 1, *, per: str = "epoch", validate: bool = False) -> None:
        super().__init__(start, every, per, validate)

    def _weight(self, n: Array) -> Array:
        return 1.0 / n

    def __repr__(self) -> str:
        return self._repr()


def update_bn(model: Sequential, x: ArrayLike, batch_size: int = 1024) -> None:
    """Take the running statistics of a model's normalisation layers anew, as the average over the batches of one pass over x.

    x: (rows, features), not shuffled; a last batch too small to normalise is left out. The model's mode and dropout's steps
    stay as they were, and where it fails the statistics too. Dropout is at work in the pass, as in training. As
    torch.optim.swa_utils.update_bn.
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"model: expected a Sequential, got {quote(model)}")
    x = model.check_input("x", x)
    batch_size = integer("batch_size", batch_size, low=1)
    layers = [layer for layer in model.walk() if {"running_mean", "num_batches_tracked"} <= layer.buffers.keys()]
    least = max(layer.min_training_rows for layer in model.walk())
    if min(len(x), batch_size) < least:
        raise ValueError(f"x: expected batches of at least {least} rows, got {min(len(x), batch_size)}")
    if not layers:
        return
    momenta: list[Any] = [getattr(layer, "momentum", None) for layer in layers]
    modes = [(layer, layer.training) for layer in model.walk()]
    steps = [(layer, layer.step) for layer in model.walk() if isinstance(layer, Dropout)]
    before = model.flat_buffers.copy()
    model.train()
    try:
        for layer in layers:
            layer.momentum = None
            for name, array in layer.buffers.items():
                array[...] = 1.0 if name == "running_var" else 0.0
        for first in range(0, len(x), batch_size):
            rows = np.arange(first, min(len(x), first + batch_size))
            if len(rows) >= least:
                model.forward_batch(model.gather(x, rows))
        if not np.isfinite(model.flat_buffers).all():
            raise ValueError("x: expected rows of which the statistics are finite, got NaN or infinite ones")
    except BaseException:
        model.flat_buffers[...] = before
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for layer, mode in modes:
            layer.training = mode
        for dropout, step in steps:
            dropout.step = step
