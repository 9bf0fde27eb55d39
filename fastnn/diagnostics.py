"""How signals run through a model: whether its initial weights let it learn.

`signal_report` runs one batch forward and backward through a copy of a model and describes what every layer puts out, and the
gradient that comes back to it: mean, standard deviation, second moment, and the share of units that are dead, saturated or
copies of others. The verdict says what a newcomer needs to know: vanishing, exploding, saturated, symmetric or healthy.

The second moment E[y²] is what runs from layer to layer, not the variance: a ReLU's output has a mean above 0, which is signal
to the next layer too, and He's weights keep E[y²] while they do not keep the variance.

Sources: Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015; Schoenholz et al., "Deep information propagation", ICLR 2017.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, finite, floats, nonempty, quote
from .layers import Layer
from .random import GRADCHECK, Stream
from .sequential import Sequential

__all__ = ["SignalReport", "SignalRow", "signal_report"]

# From the first to the last layer the second moment may change by this factor, a tenfold of the standard deviation. Depth 10
# at width 128: He with ReLU changes it by 1.2, and at width 64, where a draw's luck counts for more, by less than 10; Xavier
# with tanh, which only decays like 1/depth, by 8 at depth 10 and 25 at depth 30; but Xavier with ReLU, which halves it at each
# layer, by 500, and sigmoids, of slope 1/4 at most, by 16^9.
_FACTOR = 100.0
# A unit is flat in a row where its slope is below this share of its function's steepest: |x| above 1.8 for tanh, 3.6 for
# sigmoid, whose gradient then passes at a tenth at best. It is saturated if that is so in more than half of the rows.
_FLAT = 0.1
# A unit of a function that is flat on one side (ReLU, ELU ...) is dead if its slope is below this share in every row; not 0,
# for the exponential tails, and below the slopes that LeakyReLU is used with.
_DEAD = 1e-3
# More than this share of a layer's units is too much to be dead or saturated. Random weights are as often positive as negative,
# so even where all rows look alike no more than half of a ReLU's units are off.
_MOST = 0.5
_VERDICTS = {
    "symmetric": "units are copies of one another and get equal gradients: draw the weights at random",
    "saturated": "most units of a layer pass no gradient: draw smaller weights, scale the input, or normalise",
    "exploding": "the signal grows from layer to layer: He's weights for ReLU, Xavier's for tanh, or normalisation",
    "vanishing": "the signal dies out from layer to layer: He's weights for ReLU, Xavier's for tanh, or normalisation",
    "healthy": "signal and gradient keep their size from layer to layer",
}


@dataclass(frozen=True)
class SignalRow:
    """What one layer puts out, and the gradient with respect to it; NaN where something does not apply.

    name: as in state_dict, e.g. '2' or '3.branch.0'. kind: 'input', 'pre-activation' (what goes into an activation function),
    'activation', 'layer' or 'output' (of the model). dead: the share of units that pass no gradient in any row, for layers
    other than activations of those that are 0 in all rows. saturated: of units of sigmoid-like functions that are flat in
    more than half of the rows. copies: of units that have the same incoming weights and gradients as an earlier unit.
    """

    name: str
    layer: str
    kind: str
    units: int
    mean: float
    std: float
    second_moment: float
    gradient_mean: float
    gradient_std: float
    gradient_second_moment: float
    dead: float
    saturated: float
    copies: float


@dataclass(frozen=True)
class SignalReport:
    """What `signal_report` found. Printing gives a table and the verdict.

    rows: the input and then each layer in the order of the forward. forward_change: the second moment of the last layer's
    output over the first's; backward_change: that of the gradient at the first over the last's, summed over the units, so
    that widths that differ do not count. verdict: see `signal_report`.
    """

    rows: tuple[SignalRow, ...]
    verdict: str
    forward_change: float
    backward_change: float
    layers: int

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [asdict(row) for row in self.rows]

    def __getitem__(self, name: str) -> SignalRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no layer {name!r}; there are {[row.name for row in self.rows]}")

    def __str__(self) -> str:
        head = ("", "layer", "kind", "mean", "std", "E[y²]", "gradient mean", "std", "E[g²]", "dead", "saturated", "copies")
        table = [head, *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for cells in table:
            left = [f"{cell:<{w}}" for cell, w in zip(cells[:3], widths[:3], strict=True)]
            lines.append("  ".join(left + [f"{cell:>{w}}" for cell, w in zip(cells[3:], widths[3:], strict=True)]))
        steps = max(1, self.layers - 1)
        forward, backward = (_root(change, steps) for change in (self.forward_change, self.backward_change))
        lines.append(
            f"{self.verdict}: {_VERDICTS[self.verdict]} (second moment ×{forward:.2g} a layer forward, "
            f"×{backward:.2g} a layer backward)"
        )
        return "\n".join(lines)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the report into an image file (.png, .svg, .pdf). Needs `pip install "fastnn[plot]"`."""
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError('report.plot needs matplotlib: pip install "fastnn[plot]"') from error
        blue, red, grey = "#1f6f8b", "#d1495b", "#888888"
        places = np.arange(len(self.rows))

        def column(name: str) -> Array:
            return np.array([getattr(row, name) for row in self.rows])

        figure = Figure(figsize=(max(9.0, 0.36 * len(places) + 5.0), 7.4), layout="constrained")
        FigureCanvasAgg(figure)
        (signal, moments), (gradients, shares) = figure.subplots(2, 2, sharex=True)
        for axes, prefix, color in ((signal, "", blue), (gradients, "gradient_", red)):
            mean, std = (_drawable(column(f"{prefix}{name}")) for name in ("mean", "std"))
            axes.fill_between(places, mean - std, mean + std, color=color, alpha=0.2, linewidth=0, label="mean ± std")
            axes.plot(places, mean, color=color, marker="o", markersize=3, linewidth=1.5, label="mean")
        signal.set_title("outputs")
        gradients.set_title("gradients with respect to the outputs")
        for name, label, color in (("second_moment", "outputs", blue), ("gradient_second_moment", "gradients", red)):
            values = column(name)
            moments.plot(
                places, _drawable(np.where(values > 0, values, np.nan)), label=label, color=color, marker="o", markersize=3
            )
        moments.set(title="second moments", yscale="log")
        bars = (("dead", grey), ("saturated", red), ("copies", blue))
        for k, (name, color) in enumerate(bars):
            shares.bar(places + 0.27 * (k - 1), np.nan_to_num(column(name)), 0.27, color=color, label=name)
        shares.set(title="share of units", ylim=(0.0, 1.05))
        names = [f"{row.name} {row.layer.partition('(')[0]}".strip() for row in self.rows]
        for axes in (signal, moments, gradients, shares):
            axes.set_xticks(places, names, rotation=90, fontsize=8)
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
        figure.suptitle(f"{self.verdict}: {_VERDICTS[self.verdict]}", fontsize=11)
        figure.savefig(path, dpi=120)


def signal_report(model: Layer, x: ArrayLike, targets: ArrayLike | None = None, loss: Any = None) -> SignalReport:
    """Describe the signals and gradients of every layer for one batch, with a verdict for the whole.

    model: a Sequential or a layer, yours too, in its own mode: in training with batch statistics and dropout live. x: a batch,
    (rows, features); some hundred rows do. targets, loss: the gradient that is sent back is the loss's; without them it is
    random, standard normal at each output. The model is left as it was; what runs is a copy.

    The verdict, the first that holds:

    - symmetric: half of the units of a layer, or more, are copies: they have the same incoming weights and gradients as an
      earlier unit, so that training keeps them equal.
    - exploding: a signal or gradient is not finite.
    - saturated: more than half of the units of an activation layer are flat in more than half of the rows (sigmoid-like), or
      dead in all of them (ReLU-like).
    - vanishing, exploding: the second moment changes by more than 100 from the first layer to the last, a tenfold of the
      standard deviation, forward or (that of the gradient, summed over the units) backward; whichever changes more.
    - healthy: none of these.

    A layer here is one with a weight matrix and what follows up to the next: its activation, normalisation, dropout. A class
    of your own is taken for an activation function if it has `default_weight_init`.

    Raises ValueError or TypeError for bad arguments.

    >>> report = signal_report(Sequential(Linear(9, 9), ReLU(), Linear(9, 9), seed=0), np.eye(9))
    >>> report.verdict, report["1"].kind
    ('healthy', 'activation')
    """
    if not isinstance(model, Layer):
        raise TypeError(f"model: expected a model or a layer, got {quote(model)}")
    if (targets is None) != (loss is None):
        given, missing = ("targets", "loss") if loss is None else ("loss", "targets")
        raise ValueError(f"{missing}: expected one with {given}, got None")
    clone = copy.deepcopy(model)
    x = clone.check_input("x", x) if isinstance(clone, Sequential) else nonempty("x", floats("x", x, dtype=clone.dtype))
    finite("x", x, clone.dtype)
    with np.errstate(all="ignore"):  # an exploding model is what may be shown
        return _judge(*_run(clone, x, targets, copy.deepcopy(loss)))


class _Record:
    """What passes through one layer: put in place of the layer's forward and backward."""

    def __init__(self, name: str, layer: Layer, order: list[_Record]) -> None:
        self.name, self.layer, self.kind = name, layer, "layer"
        self.description = type(layer).__name__ if list(layer.children()) else repr(layer)
        self.mixes = any(a.ndim > 1 for a in layer.parameters.values())
        self.function = _Function.of(layer)
        self.inputs: list[Array] = []
        self.outputs: list[Array] = []
        self.gradients: list[Array] = []
        self._order = order
        self._forward, self._backward = layer.forward, layer.backward
        vars(layer).update(forward=self.forward, backward=self.backward)

    def forward(self, x: Array) -> Array:
        y = self._forward(x)
        if not self.outputs:
            self._order.append(self)  # those inside have come before
        self.inputs.append(_rows(x))
        self.outputs.append(_rows(y))
        return y

    def backward(self, dy: Array) -> Array:
        self.gradients.append(_rows(dy))
        return self._backward(dy)

    def row(self) -> SignalRow:
        y = np.concatenate(self.outputs)
        # backward meets the calls of a layer that is used several times in reverse
        g = np.concatenate(self.gradients[::-1]) if self.gradients else None
        dead, saturated = float((y == 0).all(axis=0).mean()), math.nan
        if self.function is not None:
            dead, saturated = self.function.shares(np.concatenate(self.inputs))
        copies = _copies(self.layer, y, g) if self.mixes and g is not None else math.nan
        return _row(self.name, self.description, self.kind, y, g, dead, saturated, copies)


class _Function:
    """The slopes of an elementwise activation layer, found by its backward: of a copy, which nothing else uses."""

    def __init__(self, layer: Layer, steepest: float, bounded: bool) -> None:
        self._layer, self._steepest, self._bounded = layer, steepest, bounded

    @classmethod
    def of(cls, layer: Layer) -> _Function | None:
        """None for a layer that is no activation function, or not an elementwise one (softmax)."""
        if not hasattr(type(layer), "default_weight_init"):
            return None
        layer = copy.deepcopy(layer)
        grid = np.linspace(-20.0, 20.0, 401)
        pairs = np.stack([grid, grid[::-1]], axis=1)
        signs = np.where(np.arange(pairs.size).reshape(pairs.shape) % 3, 1.0, -1.0)
        slopes = _slopes(layer, pairs)
        steepest = float(np.abs(slopes).max())
        if steepest == 0.0 or not np.array_equal(_slopes(layer, pairs, signs), signs * slopes):
            return None
        return cls(layer, steepest, bool((np.abs(slopes[[0, -1]]) < _FLAT * steepest).all()))

    def shares(self, x: Array) -> tuple[float, float]:
        """Dead and saturated units, as shares."""
        slopes = np.abs(_slopes(self._layer, x)) / self._steepest
        dead = float((slopes < _DEAD).all(axis=0).mean())
        if not self._bounded:
            return dead, math.nan
        return dead, float(((slopes < _FLAT).mean(axis=0) > 0.5).mean())


def _run(model: Layer, x: Array, targets: ArrayLike | None, loss: Any) -> tuple[SignalRow, list[_Record]]:
    """One forward and backward: the input's row, and a record for each layer in the order of the forward."""
    order: list[_Record] = []
    for prefix, layer in list(model.named_layers()):
        if not isinstance(layer, Sequential):
            _Record(prefix.rstrip("."), layer, order)
    output = model.forward(x)
    if loss is None:
        dy: Any = Stream(0, GRADCHECK).normal(output.shape).astype(output.dtype)
    else:
        loss.forward(output, targets)
        dy = loss.backward()
    dx = _rows(model.backward(dy))
    order[-1].kind = "output"
    for before, after in zip([None, *order], order, strict=False):
        if hasattr(type(after.layer), "default_weight_init"):
            after.kind = "activation"
            if before is not None:
                before.kind = "pre-activation"
    taken = order[0].inputs[0]
    return _row("x", "", "input", taken, dx, float((taken == 0).all(axis=0).mean())), order


def _judge(source: SignalRow, records: list[_Record]) -> SignalReport:
    """The verdict, as `signal_report` says."""
    rows = [record.row() for record in records]
    # those that a layer of the user's passed by on the way back have no gradient to judge
    judged = [i for i, record in enumerate(records) if record.gradients]
    # the last of what follows each weight matrix, up to the next; without any matrix every layer counts
    starts = [k for k, i in enumerate(judged) if records[i].mixes]
    ends = [judged[k - 1] for k in starts[1:]] + judged[-1:] if starts else judged
    first, last = rows[ends[0]], rows[ends[-1]]
    forward = _ratio(last.second_moment, first.second_moment)
    backward = _ratio(first.gradient_second_moment * first.units, last.gradient_second_moment * last.units)
    moments = [m for i in judged for m in (rows[i].second_moment, rows[i].gradient_second_moment)]
    furthest = max((forward, backward), key=lambda change: abs(math.log(change)) if 0.0 < change < math.inf else math.inf)
    off = [max(row.dead, np.nan_to_num(row.saturated)) for row in rows if row.kind == "activation"]
    if any(row.copies >= _MOST for row in rows):
        verdict = "symmetric"
    elif not np.isfinite(moments).all():
        verdict = "exploding"
    elif any(share > _MOST for share in off):
        verdict = "saturated"
    elif furthest < 1.0 / _FACTOR:
        verdict = "vanishing"
    else:
        verdict = "exploding" if furthest > _FACTOR else "healthy"
    return SignalReport((source, *rows), verdict, forward, backward, len(ends))


def _row(
    name: str,
    layer: str,
    kind: str,
    y: Array,
    gradient: Array | None,
    dead: float,
    saturated: float = math.nan,
    copies: float = math.nan,
) -> SignalRow:
    missing = (math.nan, math.nan, math.nan)
    back = missing if gradient is None else _moments(gradient)
    return SignalRow(name, layer, kind, y.shape[1], *_moments(y), *back, dead, saturated, copies)


def _copies(layer: Layer, y: Array, gradient: Array) -> float:
    """The share of units with the incoming weights and the gradients of an earlier unit."""
    units = y.shape[1]
    incoming = [a.reshape(-1, units) for a in layer.parameters.values() if a.shape[-1:] == (units,)]
    if units < 2 or not incoming or gradient.shape != y.shape:
        return 0.0
    _, first, group = np.unique(np.concatenate(incoming), axis=1, return_index=True, return_inverse=True)
    originals = first[group.ravel()]
    scale = np.abs(gradient).max()
    same = np.abs(gradient - gradient[:, originals]).max(axis=0) <= 1e-5 * scale
    return float((same & (originals != np.arange(units))).mean())


def _slopes(layer: Layer, x: Array, dy: Array | float = 1.0) -> Array:
    """dy · the derivative of an elementwise layer at x."""
    y = layer.forward(x.astype(layer.dtype))
    return layer.backward(np.full(y.shape, dy, layer.dtype))


def _rows(array: ArrayLike) -> Array:
    """A copy, (rows, units)."""
    array = np.array(array)
    return array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)


def _moments(array: Array) -> tuple[float, float, float]:
    """Mean, standard deviation and second moment, in float64."""
    wide = array.astype(np.float64)
    return float(wide.mean()), float(wide.std()), float(np.square(wide).mean())


def _ratio(after: float, before: float) -> float:
    if before == after:
        return 1.0 if before else 0.0  # no signal anywhere
    return after / before if before else math.inf


def _root(change: float, steps: int) -> float:
    return float(np.power(change, 1.0 / steps))


def _drawable(values: Array) -> Array:
    """Without infinity, and what the axes' margins would take beyond it."""
    return np.where(np.abs(values) < 1e150, values, np.nan)


def _cells(row: SignalRow) -> tuple[str, ...]:
    numbers = (row.mean, row.std, row.second_moment, row.gradient_mean, row.gradient_std, row.gradient_second_moment)
    shares = (row.dead, row.saturated, row.copies)
    return (
        row.name,
        row.layer,
        row.kind,
        *("-" if math.isnan(v) else f"{v:.2g}" for v in numbers),
        *("-" if math.isnan(v) else f"{v:.0%}" for v in shares),
    )
