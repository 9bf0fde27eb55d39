"""Learning rates that change as training goes on.

`Trainer(..., schedule=CosineAnnealingLR(20))`. Names, arguments and values are those of torch.optim.lr_scheduler, but a schedule
here is a function: `schedule.lr(t, base_lr)` is the rate of step or epoch number t, from 0, whatever happened before, and only
`ReduceLROnPlateau` has a memory. So one schedule can serve several trainers, and training that goes on needs nothing but t.

`per` says what t counts: "epoch" the trainer's epochs, "step" the optimiser's steps, both over all calls of `fit`. base_lr is
the optimiser's learning rate when the trainer was made (`trainer.base_lr`). By steps the rates are worked out for an epoch at
once, and a compiled program reads them.

A schedule of your own derives from `Schedule` and overrides `lrs`; where a formula for one t is all it takes, use `LambdaLR`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ._check import Array, boolean, choice, integer, number, quote

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "Warmup",
]


class Schedule:
    """Base of the schedules. per: "epoch" or "step", what t counts."""

    length: int | None = None  # how many values of t there are; None: no end
    monitor: str | None = None  # a name in the logs that `observe` wants at the end of each epoch

    def __init__(self, per: str) -> None:
        self.per = choice("per", per, ("epoch", "step"))

    def lr(self, t: int, base_lr: float = 1.0) -> float:
        """The rate of step or epoch t, from 0."""
        return float(self.lrs(np.array([integer("t", t, low=0)]), base_lr)[0])

    def lrs(self, t: Array, base_lr: float) -> Array:
        """The rates (n,) float64 of steps or epochs t (n,) int64."""
        raise NotImplementedError(f"{type(self).__name__} has no lrs")

    def momenta(self, t: Array) -> Array | None:
        """The momentum, or β₁, of steps or epochs t; None where the schedule leaves it alone."""
        return None

    def observe(self, logs: Mapping[str, float], lr: float) -> None:
        """Called after each epoch with what it logged and the rate that it ended with."""

    def __repr__(self) -> str:
        parts = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if value != parameter.default:
                parts.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


class ConstantLR(Schedule):
    """base_lr · factor for the first total_iters, then base_lr."""

    def __init__(self, factor: float = 1.0 / 3.0, total_iters: int = 5, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.factor = number("factor", factor, low=0.0, high=1.0)
        self.total_iters = integer("total_iters", total_iters, low=1)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return np.where(t < self.total_iters, base_lr * self.factor, base_lr)


class StepLR(Schedule):
    """base_lr · gamma^⌊t / step_size⌋.

    >>> [StepLR(2, gamma=0.5).lr(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, step_size: int, gamma: float = 0.1, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.step_size = integer("step_size", step_size, low=1)
        self.gamma = number("gamma", gamma, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return _powers(base_lr, self.gamma, t // self.step_size)


class MultiStepLR(Schedule):
    """base_lr, times gamma from each milestone on. A milestone given twice counts twice."""

    def __init__(self, milestones: Sequence[int], gamma: float = 0.1, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.milestones = sorted(_integers("milestones", milestones))
        self.gamma = number("gamma", gamma, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return _powers(base_lr, self.gamma, np.searchsorted(self.milestones, t, side="right"))


class ExponentialLR(Schedule):
    """base_lr · gamma^t."""

    def __init__(self, gamma: float, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.gamma = number("gamma", gamma, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return _powers(base_lr, self.gamma, t)


class LinearLR(Schedule):
    """base_lr times a factor that goes in a straight line from start_factor to end_factor at t = total_iters, and stays there.

    A decay to nothing over the 20 epochs of a fit is LinearLR(1.0, 0.0, 20): the last of them has a twentieth of the rate.
    """

    def __init__(
        self, start_factor: float = 1.0 / 3.0, end_factor: float = 1.0, total_iters: int = 5, *, per: str = "epoch"
    ) -> None:
        super().__init__(per)
        self.start_factor = number("start_factor", start_factor, low=0.0, high=1.0, open_low=True)
        self.end_factor = number("end_factor", end_factor, low=0.0, high=1.0)
        self.total_iters = integer("total_iters", total_iters, low=1)

    def lrs(self, t: Array, base_lr: float) -> Array:
        done = np.minimum(t, self.total_iters) / self.total_iters
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)


class PolynomialLR(Schedule):
    """base_lr · (1 - t / total_iters)^power, 0 from total_iters on."""

    def __init__(self, total_iters: int = 5, power: float = 1.0, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.total_iters = integer("total_iters", total_iters, low=1)
        self.power = number("power", power, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return base_lr * np.power(1.0 - np.minimum(t, self.total_iters) / self.total_iters, self.power)


class CosineAnnealingLR(Schedule):
    """eta_min + (base_lr - eta_min) (1 + cos(π t / T_max)) / 2: down to eta_min at T_max, and up again after it.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts.
    """

    def __init__(self, T_max: int, eta_min: float = 0.0, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.T_max = integer("T_max", T_max, low=1)
        self.eta_min = number("eta_min", eta_min, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        return _cosine(base_lr, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """A cosine from base_lr to eta_min over T_0, then over T_0 · T_mult, T_0 · T_mult² ..., each from base_lr again.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
    """

    def __init__(self, T_0: int, T_mult: int = 1, eta_min: float = 0.0, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.T_0 = integer("T_0", T_0, low=1)
        self.T_mult = integer("T_mult", T_mult, low=1)
        self.eta_min = number("eta_min", eta_min, low=0.0)

    def lrs(self, t: Array, base_lr: float) -> Array:
        if self.T_mult == 1:
            return _cosine(base_lr, self.eta_min, (t % self.T_0) / self.T_0)
        starts = [0]  # whole numbers: a logarithm would miss a restart by rounding
        while starts[-1] <= t.max(initial=0):
            starts.append(starts[-1] + self.T_0 * self.T_mult ** (len(starts) - 1))
        cycle = np.searchsorted(starts, t, side="right") - 1
        first, end = np.array(starts)[cycle], np.array(starts)[cycle + 1]
        return _cosine(base_lr, self.eta_min, (t - first) / (end - first))


class OneCycleLR(Schedule):
    """Up from max_lr / div_factor to max_lr in the first pct_start of the steps, then down to a final_div_factor-th of the start.

    total_steps: how many steps there are, or epochs and steps_per_epoch; `fit` refuses to go beyond. anneal_strategy: 'cos' or
    'linear'. three_phase: down as slowly as up, and then to the end. cycle_momentum: the momentum (β₁ of Adam and its kin) goes
    from max_momentum to base_momentum and back meanwhile; the rule must have one already, where torch gives it one. The
    optimiser's own lr plays no part. By steps unless told otherwise.

    Source: Smith and Topin, "Super-convergence", arXiv:1708.07120; the two phases are fastai's and torch's.
    """

    def __init__(
        self,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        *,
        per: str = "step",
    ) -> None:
        super().__init__(per)
        self.max_lr = number("max_lr", max_lr, low=0.0)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("total_steps: expected it, or epochs and steps_per_epoch, got none")
            total_steps = integer("epochs", epochs, low=1) * integer("steps_per_epoch", steps_per_epoch, low=1)
        self.total_steps = self.length = integer("total_steps", total_steps, low=1)
        self.epochs, self.steps_per_epoch = None, None  # total_steps has taken them over
        self.pct_start = number("pct_start", pct_start, low=0.0, high=1.0)
        self.anneal_strategy = choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.cycle_momentum = boolean("cycle_momentum", cycle_momentum)
        self.base_momentum = number("base_momentum", base_momentum, low=0.0, high=1.0, open_high=True)
        self.max_momentum = number("max_momentum", max_momentum, low=0.0, high=1.0, open_high=True)
        self.div_factor = number("div_factor", div_factor, low=0.0, open_low=True)
        self.final_div_factor = number("final_div_factor", final_div_factor, low=0.0, open_low=True)
        self.three_phase = boolean("three_phase", three_phase)

    def lrs(self, t: Array, base_lr: float) -> Array:
        start = self.max_lr / self.div_factor
        end = start / self.final_div_factor
        return self._anneal(t, [start, self.max_lr, start, end] if self.three_phase else [start, self.max_lr, end])

    def momenta(self, t: Array) -> Array | None:
        if not self.cycle_momentum:
            return None
        values = [self.max_momentum, self.base_momentum, self.max_momentum]
        return self._anneal(t, [*values, self.max_momentum] if self.three_phase else values)

    def _anneal(self, t: Array, values: list[float]) -> Array:
        """From each value to the next, in phases that end at these steps."""
        rise, last = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        ends = [rise, 2.0 * rise, last] if self.three_phase else [rise, last]
        result, begin = np.empty(len(t)), 0.0
        todo = np.ones(len(t), bool)
        for i, end in enumerate(ends):
            now = todo & (t <= end) if i + 1 < len(ends) else todo
            share = (t[now] - begin) / (end - begin) if end != begin else np.ones(int(now.sum()))
            if self.anneal_strategy == "cos":
                result[now] = _cosine(values[i], values[i + 1], share)
            else:
                result[now] = values[i] + (values[i + 1] - values[i]) * share
            todo, begin = todo & ~now, end
        return result


class LambdaLR(Schedule):
    """base_lr · lr_lambda(t). A lambda cannot be pickled with its trainer; a function with a name can."""

    def __init__(self, lr_lambda: Callable[[int], float], *, per: str = "epoch") -> None:
        super().__init__(per)
        if not callable(lr_lambda):
            raise TypeError(f"lr_lambda: expected a function of t, got {quote(lr_lambda)}")
        self.lr_lambda = lr_lambda

    def lrs(self, t: Array, base_lr: float) -> Array:
        return base_lr * np.array([float(self.lr_lambda(int(i))) for i in t])


class SequentialLR(Schedule):
    """One schedule after another: schedulers[i + 1] starts, at its own 0, at milestones[i]. All count the same thing."""

    def __init__(self, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise TypeError(f"schedulers: expected a list of schedules, got {quote(schedulers)}")
        for i, schedule in enumerate(schedulers):
            closed_form(f"schedulers[{i}]", schedule)
            if schedule.per != schedulers[0].per:
                raise ValueError(f"schedulers[{i}]: expected per={schedulers[0].per!r} as the first has, got {schedule.per!r}")
        super().__init__(schedulers[0].per)
        self.schedulers = list(schedulers)
        self.milestones = _integers("milestones", milestones)
        if len(self.milestones) != len(schedulers) - 1 or sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones: expected {len(schedulers) - 1} growing numbers, got {self.milestones}")
        for i, (first, end) in enumerate(pairwise([0, *self.milestones])):
            length = self.schedulers[i].length
            if length is not None and end - first > length:
                raise ValueError(f"milestones[{i}]: expected at most {first + length}, where schedulers[{i}] ends, got {end}")
        last = self.schedulers[-1].length
        self.length = None if last is None else last + (self.milestones[-1] if self.milestones else 0)

    def _pieces(self, t: Array) -> list[tuple[Schedule, Array, Array]]:
        """Each schedule with which of t are its own, and its t of them."""
        which = np.searchsorted(self.milestones, t, side="right")
        firsts = [0, *self.milestones]
        return [(s, which == i, t[which == i] - firsts[i]) for i, s in enumerate(self.schedulers)]

    def lrs(self, t: Array, base_lr: float) -> Array:
        result = np.empty(len(t))
        for schedule, mine, own in self._pieces(t):
            result[mine] = schedule.lrs(own, base_lr)
        return result

    def momenta(self, t: Array) -> Array | None:
        values = [(mine, schedule.momenta(own)) for schedule, mine, own in self._pieces(t)]
        if all(momenta is None for _, momenta in values):
            return None
        result = np.full(len(t), np.nan)  # NaN: as it was
        for mine, momenta in values:
            if momenta is not None:
                result[mine] = momenta
        return result


class Warmup(Schedule):
    """Up in a straight line for so many steps, the first with a (steps + 1)-th of the rate; then another schedule, from its 0 on.

    lr(t) = (t + 1) / (steps + 1) · then.lr(0) for t < steps, so that no step is lost on a rate of 0. then: a schedule, whose
    unit the steps are counted in; None holds base_lr. per: the unit where there is no other schedule. Source: Goyal et al.,
    "Accurate, large minibatch SGD", arXiv:1706.02677.

    >>> schedule = Warmup(4, then=CosineAnnealingLR(100, per="step"))
    >>> [round(schedule.lr(t), 2) for t in range(6)]
    [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    """

    def __init__(self, steps: int, then: Schedule | None = None, *, per: str = "step") -> None:
        super().__init__(per if then is None else closed_form("then", then).per)
        self.steps = integer("steps", steps, low=0)
        self.then = then
        self.length = None if then is None or then.length is None else steps + then.length

    def lrs(self, t: Array, base_lr: float) -> Array:
        later = np.maximum(t - self.steps, 0)
        rates = np.full(len(t), float(base_lr)) if self.then is None else self.then.lrs(later, base_lr)
        return np.where(t < self.steps, (t + 1) / (self.steps + 1), 1.0) * rates

    def momenta(self, t: Array) -> Array | None:
        return None if self.then is None else self.then.momenta(np.maximum(t - self.steps, 0))


class ReduceLROnPlateau(Schedule):
    """The rate times factor when a value that an epoch logs has not improved for more than `patience` epochs.

    monitor: a name in the logs. mode: 'min' or 'max'. threshold: how much better counts, in relation to the best
    (threshold_mode 'rel') or absolutely ('abs'). cooldown: epochs after a reduction in which nothing counts. min_lr: the least
    rate. eps: smaller changes of the rate are not made. The rate is the trainer's own from the first reduction on, and the
    memory is this object's: one trainer each.

    >>> schedule = ReduceLROnPlateau(patience=0, factor=0.5)
    >>> for loss in (3.0, 2.0, 2.5):
    ...     schedule.observe({"val_loss": loss}, 0.1)
    >>> schedule.lr(3, 0.1)
    0.05
    """

    monitor: str

    def __init__(
        self,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
        *,
        monitor: str = "val_loss",
    ) -> None:
        super().__init__("epoch")
        self.mode = choice("mode", mode, ("min", "max"))
        self.factor = number("factor", factor, low=0.0, high=1.0, open_high=True)
        self.patience = integer("patience", patience, low=0)
        self.threshold = number("threshold", threshold, low=0.0)
        self.threshold_mode = choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = integer("cooldown", cooldown, low=0)
        self.min_lr = number("min_lr", min_lr, low=0.0)
        self.eps = number("eps", eps, low=0.0)
        if not isinstance(monitor, str):
            raise TypeError(f"monitor: expected the name of a value in the logs, got {quote(monitor)}")
        self.monitor = monitor
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = self.cooling = 0
        self._lr: float | None = None

    def lrs(self, t: Array, base_lr: float) -> Array:
        return np.full(len(t), base_lr if self._lr is None else self._lr)

    def observe(self, logs: Mapping[str, float], lr: float) -> None:
        value = float(logs[self.monitor])
        self.bad_epochs = 0 if self._improves(value) else self.bad_epochs + 1
        if self.bad_epochs == 0:
            self.best = value
        if self.cooling > 0:
            self.cooling -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            less = max(lr * self.factor, self.min_lr)
            if lr - less > self.eps:
                self._lr = less
            self.cooling, self.bad_epochs = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1.0 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold


def closed_form(name: str, schedule: Any) -> Schedule:
    """A schedule that is a function of t, as one that is part of another must be."""
    if not isinstance(schedule, Schedule) or schedule.monitor is not None:
        raise TypeError(f"{name}: expected a schedule that follows from t alone, got {quote(schedule)}")
    return schedule


def _powers(base_lr: float, gamma: float, n: Array) -> Array:
    result: Array = base_lr * np.power(gamma, n)
    return result


def _cosine(start: float, end: float, share: Array) -> Array:
    """Half a wave from start at share 0 to end at share 1."""
    result: Array = end + (start - end) * (1.0 + np.cos(np.pi * share)) / 2.0
    return result


def _integers(name: str, values: Sequence[int]) -> list[int]:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{name}: expected a list of integers, got {quote(values)}")
    return [integer(f"{name}[{i}]", value, low=0) for i, value in enumerate(values)]
