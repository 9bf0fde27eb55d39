"""Gradient checking: analytic gradients against two-sided differences, in float64.

For each parameter, and for the input, the analytic gradient g is compared with ĝ = (J(θ + ε) - J(θ - ε)) / 2ε by
‖g - ĝ‖₂ / (‖g‖₂ + ‖ĝ‖₂): below 1e-7 excellent, below 1e-5 good, below 1e-3 suspicious, else wrong.

The check works on a float64 copy, so the object itself is left as it is. Before each evaluation the state that a forward
changes (running statistics, dropout's step, a random generator, whatever else a layer holds) is put back, so batch statistics
are live and a dropout mask is the same in both evaluations. J is the loss, or, without one, Σ c · output with fixed random c;
the latter is summed after the outputs' difference is taken, which keeps rounding of the large common part out.

Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 11.5. Leaving out kinks follows chainer's gradient_check in
purpose; the test is our own (see `_kinked`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, floats, integer, number, quote
from .layers import Layer
from .random import GRADCHECK, Stream
from .regularizers import ElasticNet

__all__ = ["GradcheckEntry", "GradcheckReport", "gradcheck"]

# A difference quotient of something that does not change is off by up to 0.4 ulps of ‖terms of J‖ / ε, root mean square: that
# of biases before batch normalisation, for 8 to 500 rows and both ε.
_ULPS = 2.0
_GRADES = ((1e-7, "excellent"), (1e-5, "good"), (1e-3, "suspicious"), (math.inf, "wrong"))


@dataclass(frozen=True)
class GradcheckEntry:
    """The outcome for one array. `checked` numbers were compared, `kinks` left out; `worst` is the index that is furthest off.

    name: as in state_dict, '2.weight' of the layer at place 2, or 'x'. layer: that layer's class, '' for x. Where nothing could
    be checked the difference is NaN and the verdict "unchecked".
    """

    name: str
    layer: str
    difference: float
    verdict: str
    checked: int
    kinks: int
    worst: tuple[int, ...]
    analytic: float
    numeric: float


@dataclass(frozen=True)
class GradcheckReport:
    """The outcome for all arrays. Printing gives a table."""

    entries: tuple[GradcheckEntry, ...]

    @property
    def difference(self) -> float:
        """The largest difference of all arrays."""
        return max((entry.difference for entry in self.entries if entry.checked), default=math.nan)

    @property
    def verdict(self) -> str:
        """The worst of all arrays: wrong, suspicious, unchecked (all of some array was left out), good or excellent."""
        verdict = _grade(self.difference)
        unchecked = any(not entry.checked for entry in self.entries)
        return "unchecked" if unchecked and verdict in ("good", "excellent") else verdict

    def __bool__(self) -> bool:
        """Whether the gradients are right, so that `assert gradcheck(...)` means what it says."""
        return self.verdict in ("good", "excellent")

    @property
    def kinks(self) -> int:
        """How many numbers were left out for sitting at a kink."""
        return sum(entry.kinks for entry in self.entries)

    def __getitem__(self, name: str) -> GradcheckEntry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(f"no array {name!r}; there are {[entry.name for entry in self.entries]}")

    def __str__(self) -> str:
        rows = [("array", "layer", "difference", "verdict", "checked", "kinks", "furthest off", "analytic", "numeric")]
        for e in self.entries:
            worst = str(list(e.worst)) if e.checked else "-"
            numbers = (f"{e.analytic:.6g}", f"{e.numeric:.6g}") if e.checked else ("-", "-")
            rows.append((e.name, e.layer, f"{e.difference:.1e}", e.verdict, str(e.checked), str(e.kinks), worst, *numbers))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def gradcheck(
    target: Any,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Any = None,
    sample_weight: ArrayLike | None = None,
    regularizer: ElasticNet | None = None,
    epsilon: float = 1e-6,
    max_checks: int | None = None,
    floor: float = 1e-8,
    seed: int = 0,
) -> GradcheckReport:
    """Check the gradients of a model, a layer (your own too) or a loss.

    target: a Sequential or Layer with input x; or a loss (forward(prediction, targets), backward()) with prediction x and
    targets y. loss: for a model, the loss to check through, with targets y; without it a random projection of the output is
    checked. sample_weight: weights of the rows, for the loss. regularizer: added to the loss; needs a Sequential. epsilon:
    half the distance of the two evaluations. max_checks: check at most so many random numbers of each array; None checks
    all. floor: gradients whose norms are both below it, or below what rounding alone makes of a difference, pass as zero,
    such as that of a bias right before batch normalisation. seed: of the projection and the choice.

    The mode (train or eval) is the target's own. Returns a report with an entry for each parameter, by its name in
    state_dict, and for 'x'. Raises ValueError or TypeError for bad arguments.

    >>> print(gradcheck(Linear(3, 2, seed=0), np.ones((4, 3))).verdict)
    excellent
    """
    epsilon = number("epsilon", epsilon, low=0.0, open_low=True)
    floor = number("floor", floor, low=0.0)
    if max_checks is not None:
        max_checks = integer("max_checks", max_checks, low=1)
    problem = _Problem(target, x, y, loss, sample_weight, regularizer, Stream(seed, GRADCHECK))
    gradients = problem.gradients()
    tolerance = _GRADES[0][0]
    entries = []
    for position, (name, array) in enumerate(problem.arrays.items()):
        indices = np.arange(array.size)
        if max_checks is not None and array.size > max_checks:
            indices = np.sort(Stream(seed, GRADCHECK, 1 + position).permutation(array.size)[:max_checks])
        entries.append(_compare(name, array, gradients[name], indices, problem, epsilon, floor, tolerance))
    return GradcheckReport(tuple(entries))


class _Problem:
    """A function J of named arrays, with its analytic gradients, on a float64 copy of what is checked."""

    def __init__(
        self,
        target: Any,
        x: ArrayLike,
        y: ArrayLike | None,
        loss: Any,
        sample_weight: ArrayLike | None,
        regularizer: ElasticNet | None,
        draws: Stream,
    ) -> None:
        self._x = floats("x", x, dtype=np.float64).copy()
        self._y = y
        self._weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._regularizer = regularizer
        if isinstance(target, Layer):
            self._layer: Layer | None = target.astype(np.float64)
            self._loss = copy.deepcopy(loss)
        elif callable(getattr(target, "forward", None)) and callable(getattr(target, "backward", None)):
            if loss is not None:
                raise ValueError("loss: expected none when the target is itself a loss")
            self._layer, self._loss = None, copy.deepcopy(target)
        else:
            raise TypeError(f"target: expected a model, a layer or a loss, got {quote(target)}")
        if self._loss is None and sample_weight is not None:
            raise ValueError("sample_weight: expected None without a loss, got weights")
        if self._loss is not None and y is None:
            raise ValueError("y: expected targets for the loss, got None")
        if regularizer is not None and not hasattr(self._layer, "flat_parameters"):
            raise TypeError(f"regularizer: expected a Sequential with it, got {quote(target)}")
        if regularizer is not None and regularizer.proximal:
            raise ValueError(f"regularizer: expected one that acts by its gradient, not by a proximal step, got {regularizer!r}")
        layers = [] if self._layer is None else list(self._layer.named_layers())
        self._state = _State([layer for _, layer in layers], self._loss)
        self.arrays = {prefix + name: a for prefix, layer in layers for name, a in layer.parameters.items()}
        self._own_gradients = {p + name: a for p, layer in layers for name, a in layer.gradients.items()}
        self.classes = {prefix + name: type(layer).__name__ for prefix, layer in layers for name in layer.parameters}
        self.arrays["x"] = self._x
        before = self._x.copy()
        output = self.output()
        if not np.array_equal(self._x, before, equal_nan=True):
            raise ValueError("target: expected a forward that leaves its input as it is, got one that writes into it")
        self._projection = None if self._loss is not None else draws.normal(output.shape)

    def output(self) -> Array:
        """What J is a function of: the output, or the loss as an array of one number."""
        self._state.restore()
        output = self._x if self._layer is None else self._layer.forward(self._x)
        if self._loss is None:
            return np.array(output)
        value = np.atleast_1d(np.asarray(self._loss.forward(output, self._y, **self._weighted), dtype=np.float64)).copy()
        return value if self._regularizer is None else np.append(value, self._penalty())

    def gradients(self) -> dict[str, Array]:
        """The analytic gradients of J at the present point, by name."""
        self.output()
        for gradient in self._own_gradients.values():
            gradient[...] = np.nan  # so that one that is added to, or not written, shows
        dy: Any = self._projection if self._loss is None else self._loss.backward()
        dx = dy if self._layer is None else self._layer.backward(dy)
        if self._regularizer is not None:
            self._penalty()
        return {"x": np.array(dx)} | {name: a.copy() for name, a in self._own_gradients.items()}

    def change(self, array: Array, index: int, delta: float) -> Array:
        """The output with one number moved."""
        old = array.flat[index]
        array.flat[index] = old + delta
        result = self.output()
        array.flat[index] = old
        return result

    def total(self, difference: Array) -> float:
        """J of a difference of outputs; J is linear in what `output` returns."""
        weights = np.ones_like(difference) if self._projection is None else self._projection
        return math.fsum((weights * difference).ravel())

    def magnitude(self, output: Array) -> float:
        """The size of the terms that J adds up, and so of its rounding."""
        return self.total(np.abs(output)) if self._projection is None else float(np.abs(self._projection * output).sum())

    def resolution(self, output: Array, epsilon: float) -> float:
        """What rounding makes of a difference quotient whose true value is 0."""
        terms = output if self._projection is None else self._projection * output
        return float(_ULPS * np.finfo(np.float64).eps * np.linalg.norm(terms) / epsilon)

    def _penalty(self) -> float:
        assert self._regularizer is not None
        model: Any = self._layer
        return self._regularizer.add_gradient(model, len(self._x))


class _State:
    """What a forward may change besides its output: buffers, and whatever else layers and loss hold, generators for example."""

    def __init__(self, layers: list[Layer], loss: Any) -> None:
        owners = [*layers, *([] if loss is None else [loss])]
        self._buffers = [(a, a.copy()) for layer in layers for a in layer.buffers.values()]
        # layers and the arrays that differences are taken of stay themselves wherever they are held
        held = [a for layer in layers for arrays in (layer.parameters, layer.gradients, layer.buffers) for a in arrays.values()]
        held += [a for layer in layers for name, a in vars(layer).items() if name.startswith("flat_")]
        self._kept: dict[int, Any] = {id(one): one for one in (*layers, *held)}
        self._attributes = [getattr(owner, "__dict__", {}) for owner in owners]
        fixed = ("_parameters", "_gradients", "buffers")
        changing = [{k: v for k, v in attributes.items() if k not in fixed} for attributes in self._attributes]
        self._saved = copy.deepcopy(changing, dict(self._kept))  # at once, so that what they share stays shared

    def restore(self) -> None:
        for buffer, saved in self._buffers:
            buffer[...] = saved
        for attributes, fresh in zip(self._attributes, copy.deepcopy(self._saved, dict(self._kept)), strict=True):
            attributes.update(fresh)


def _compare(
    name: str,
    array: Array,
    gradient: Array,
    indices: Array,
    problem: _Problem,
    epsilon: float,
    floor: float,
    tolerance: float,
) -> GradcheckEntry:
    if gradient.shape != array.shape:
        raise ValueError(f"{name}: expected a gradient of shape {array.shape}, got {gradient.shape}")

    def central(index: int) -> float:
        difference = problem.change(array, index, epsilon) - problem.change(array, index, -epsilon)
        return problem.total(difference) / (2.0 * epsilon)

    analytic = gradient.ravel()[indices]
    numeric = np.array([central(int(i)) for i in indices])
    scale = float(np.linalg.norm(analytic) + np.linalg.norm(numeric))
    # only what is off can be at a kink that matters
    off = np.abs(analytic - numeric) > 0.1 * tolerance * scale / math.sqrt(max(1, len(indices)))
    smooth = np.ones(len(indices), bool)
    for k in np.flatnonzero(off):
        smooth[k] = not _kinked(problem, array, int(indices[k]), epsilon, tolerance * scale)
    analytic, numeric, kept = analytic[smooth], numeric[smooth], indices[smooth]
    zero = max(floor, problem.resolution(problem.output(), epsilon) * math.sqrt(len(kept)))
    norms = float(np.linalg.norm(analytic)), float(np.linalg.norm(numeric))
    gap = float(np.linalg.norm(analytic - numeric))
    difference = 0.0 if max(norms) <= zero else gap / (norms[0] + norms[1])
    if not math.isfinite(gap):
        difference = math.inf
    if not len(kept):
        difference = math.nan
    worst = int(np.nanargmax(np.abs(analytic - numeric))) if len(kept) and not np.isnan(gap) else 0
    return GradcheckEntry(
        name=name,
        layer=problem.classes.get(name, ""),
        difference=difference,
        verdict=_grade(difference),
        checked=len(kept),
        kinks=int(len(indices) - len(kept)),
        worst=tuple(int(i) for i in np.unravel_index(kept[worst], array.shape)) if len(kept) else (),
        analytic=float(analytic[worst]) if len(kept) else math.nan,
        numeric=float(numeric[worst]) if len(kept) else math.nan,
    )


def _kinked(problem: _Problem, array: Array, index: int, epsilon: float, tolerance: float) -> bool:
    """Whether J has a kink within epsilon that a central difference feels.

    A kink of slope jump j at distance d < h adds j (h - d) to the second difference s(h) = J(+h) - 2 J(0) + J(-h), to which a
    smooth function gives h² J''. So s(h)/h² is the same at all h for a smooth function, and runs wild for a kinked one. Three
    steps are compared, since two could agree by chance, none much below epsilon, where rounding would run wild as well. The
    spread is taken in units of the error that it makes in the slope, and must exceed what rounding can do.
    """
    center = problem.output()

    def curvature(h: float) -> float:
        bend = (problem.change(array, index, h) - center) + (problem.change(array, index, -h) - center)
        return problem.total(bend) / (h * h)

    bends = [curvature(epsilon * share) for share in (1.0, 0.75, 0.5)]
    rounding = 1e-14 * problem.magnitude(center) / epsilon
    return (max(bends) - min(bends)) * epsilon / 2.0 > tolerance + rounding


def _grade(difference: float) -> str:
    if math.isnan(difference):
        return "unchecked"
    return next((word for bound, word in _GRADES if difference < bound), "wrong")
