"""Scores of predictions, in NumPy: scikit-learn's names, arguments and values, and calibration.

    metrics.accuracy(y, trainer.predict_labels(x))
    metrics.roc_auc(y, trainer.predict_proba(x)[:, 1])
    trainer.evaluate(x, y, metrics=["f1_macro", "roc_auc"])

y_true comes first. Labels are integers or anything else that sorts. sample_weight: (rows,), at least 0, a weight for each row.
By name, for `Trainer.evaluate` and `Trainer.fit`, see `NAMED`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, as_array, choice, integer, nonempty, reals, same_shape

__all__ = [
    "NAMED",
    "accuracy",
    "calibration_error",
    "confusion_matrix",
    "f1",
    "mae",
    "mse",
    "nll",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "temperature_scale",
    "top_k_accuracy",
]

_AVERAGES = ("binary", "macro", "micro", "weighted", "none")


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The share of rows with the right label. y_true, y_pred: (rows,).

    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    true, predicted = _labels(y_true, y_pred)
    return _mean(true == predicted, _weights(sample_weight, true))


def top_k_accuracy(y_true: ArrayLike, scores: ArrayLike, k: int = 2, *, sample_weight: ArrayLike | None = None) -> float:
    """The share of rows whose label is among the k with the largest scores; of equal scores the later class comes first.

    y_true: (rows,) integers in [0, classes). scores: (rows, classes), logits or probabilities.
    """
    true, rows = _class_scores(y_true, scores)
    k = integer("k", k, low=1)
    best = np.argsort(rows, axis=1, kind="stable")[:, ::-1][:, :k]
    return _mean((best == true[:, np.newaxis]).any(axis=1), _weights(sample_weight, true))


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> Array:
    """How often each label (rows) was taken for each (columns): int64, or float64 with sample_weight.

    labels: which, in what order; those that occur, sorted, by default. Rows with others are left out.

    >>> confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1])
    array([[1, 1],
           [0, 2]])
    """
    true, predicted = _labels(y_true, y_pred)
    weights = _weights(sample_weight, true)
    matrix = _confusion(true, predicted, _known(labels, true, predicted), weights)
    return matrix if sample_weight is not None else np.rint(matrix).astype(np.int64)


def precision(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "binary",
    pos_label: Any = 1,
    labels: ArrayLike | None = None,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Of the rows that were given a label, the share that has it: tp / (tp + fp).

    average: 'binary' for pos_label alone, 'macro' the mean over the labels, 'weighted' by how often each occurs, 'micro' over
    all rows together, 'none' an array with one value a label. labels: which count. zero_division: what 0/0 is.
    """
    return _scores(y_true, y_pred, average, pos_label, labels, zero_division, sample_weight)[0]


def recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "binary",
    pos_label: Any = 1,
    labels: ArrayLike | None = None,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Of the rows that have a label, the share that was given it: tp / (tp + fn). Arguments as in `precision`."""
    return _scores(y_true, y_pred, average, pos_label, labels, zero_division, sample_weight)[1]


def f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str = "binary",
    pos_label: Any = 1,
    labels: ArrayLike | None = None,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn). Arguments as in `precision`.

    >>> f1([0, 1, 1, 1], [0, 1, 0, 1])
    0.8
    """
    return _scores(y_true, y_pred, average, pos_label, labels, zero_division, sample_weight)[2]


def roc_auc(y_true: ArrayLike, scores: ArrayLike, *, average: str = "macro", sample_weight: ArrayLike | None = None) -> float:
    """The area under the ROC curve: how likely a row of the class scores higher than one of the others, ties counting half.

    Two classes: scores (rows,), larger for the larger label; or (rows, 2), of which the second column counts. More: scores
    (rows, classes), of the sorted labels; each class against the rest, and their 'macro' or 'weighted' mean (by how often each
    occurs). ValueError where a class has no rows or all: the curve is not defined.

    Source: Hanley and McNeil, Radiology 143 (1982).

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    true, rows = nonempty("y_true", as_array("y_true", y_true)), reals("scores", scores).astype(np.float64)
    same_shape("y_true", true, rows.shape[:1], "one label a row of scores")
    choice("average", average, ("macro", "weighted"))
    weights, classes = _weights(sample_weight, true), np.unique(true)
    if len(classes) < 2:
        raise ValueError(f"y_true: expected rows of at least two classes, got {classes.tolist()} alone")
    if not np.isfinite(rows).all():
        raise ValueError("scores: expected finite values, got NaN or infinity")
    if len(classes) == 2 and (rows.ndim == 1 or rows.shape[1] <= 2):
        return _auc(true == classes[1], rows if rows.ndim == 1 else rows[:, -1], weights)
    if rows.ndim != 2 or rows.shape[1] != len(classes):
        raise ValueError(f"scores: expected shape ({len(true)}, {len(classes)}), a column for each class, got {rows.shape}")
    areas = [_auc(true == label, rows[:, column], weights) for column, label in enumerate(classes)]
    shares = [weights[true == label].sum() for label in classes] if average == "weighted" else None
    return float(np.average(areas, weights=shares))


def mse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean squared error, over all columns. y_true, y_pred: (rows,) or (rows, k)."""
    true, predicted = _values(y_true, y_pred)
    return _mean(((true - predicted) ** 2).mean(axis=1), _weights(sample_weight, true))


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean absolute error, over all columns. y_true, y_pred: (rows,) or (rows, k)."""
    true, predicted = _values(y_true, y_pred)
    return _mean(np.abs(true - predicted).mean(axis=1), _weights(sample_weight, true))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """1 - Σ(y - ŷ)² / Σ(y - ȳ)², the mean over the columns; of a constant column 1 where it is met exactly, else 0.

    y_true, y_pred: (rows,) or (rows, k), at least two rows (ValueError otherwise).
    """
    true, predicted = _values(y_true, y_pred)
    if len(true) < 2:
        raise ValueError(f"y_true: expected at least two rows, got {len(true)}")
    weights = _weights(sample_weight, true)[:, np.newaxis]
    residual = (weights * (true - predicted) ** 2).sum(axis=0)
    spread = (weights * (true - (weights * true).sum(axis=0) / weights.sum()) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.where(spread > 0.0, 1.0 - residual / spread, np.where(residual > 0.0, 0.0, 1.0))
    return float(column.mean())


def nll(y_true: ArrayLike, probabilities: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean of -log of the label's probability, cut off at the dtype's epsilon as scikit-learn's log_loss does.

    y_true: (rows,) integers in [0, classes). probabilities: (rows, classes).
    """
    true, rows = _class_scores(y_true, probabilities, "probabilities")
    eps = np.finfo(rows.dtype).eps
    chosen = rows[np.arange(len(true)), true].astype(np.float64)
    return _mean(-np.log(np.clip(chosen, eps, 1.0 - eps)), _weights(sample_weight, true))


def calibration_error(
    y_true: ArrayLike, probabilities: ArrayLike, *, bins: int = 15, sample_weight: ArrayLike | None = None
) -> float:
    """Expected calibration error: how far confidence and accuracy are apart, on average over bins of equal width.

    Σ over the bins of (rows in it / all rows) · |its accuracy - its mean confidence|, where a row's confidence is its largest
    probability. y_true: (rows,) integers in [0, classes). probabilities: (rows, classes). A bin holds its upper end.

    Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017.

    >>> calibration_error([0, 1], [[0.8, 0.2], [0.8, 0.2]], bins=10)
    0.30000000000000004
    """
    true, rows = _class_scores(y_true, probabilities, "probabilities")
    bins = integer("bins", bins, low=1)
    weights = _weights(sample_weight, true)
    confidence = rows.max(axis=1).astype(np.float64)
    if not ((confidence >= 0.0) & (confidence <= 1.0 + 1e-6)).all():
        raise ValueError(
            f"probabilities: expected values from 0 to 1, got up to {confidence.max()}: softmax makes them of logits"
        )
    where = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    gap = np.bincount(where, weights * ((rows.argmax(axis=1) == true) - confidence), bins)
    return float(np.abs(gap).sum() / weights.sum())


def temperature_scale(logits: ArrayLike, y_true: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The temperature T at which softmax(logits / T) has the least cross-entropy; found on validation rows, used on others.

    T above 1 says that the network is too sure of itself. Labels and their order stay as they are. logits: (rows, classes).
    y_true: (rows,) integers in [0, classes). Newton's method on 1/T, in which the loss is convex, within [1/1000, 1000]; the
    end is returned where the loss falls up to it, e.g. at 1/1000 if all rows are right.

    Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017.

    >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    >>> round(temperature_scale(logits, [0, 0, 0, 1]), 6)  # three in four are right: log(3) would do for 4
    3.640957
    """
    true, rows = _class_scores(y_true, logits, "logits")
    if not np.isfinite(rows).all():
        raise ValueError("logits: expected finite values, got NaN or infinity")
    weights = _weights(sample_weight, true)
    weights = weights / weights.sum()
    z = rows.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    chosen = z[np.arange(len(true)), true]

    def slopes(beta: float) -> tuple[float, float]:
        """First and second derivative of the loss: E[z] - z_y, and the variance of z, under softmax(β z)."""
        p = np.exp(beta * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        return float(weights @ (mean - chosen)), float(weights @ ((p * z * z).sum(axis=1) - mean * mean))

    low, high = 1e-3, 1e3
    if slopes(high)[0] <= 0.0:
        return 1.0 / high
    if slopes(low)[0] >= 0.0:
        return 1.0 / low
    beta = 1.0
    for _ in range(200):
        slope, curvature = slopes(beta)
        low, high = (beta, high) if slope < 0.0 else (low, beta)
        step = beta - slope / curvature if curvature > 0.0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - beta) <= 1e-14 * beta or high - low <= 1e-14 * high:
            break
        beta = following
    return 1.0 / beta


# by name: what of a prediction it takes, and the function

NAMED: dict[str, tuple[str, Callable[..., Any]]] = {
    "accuracy": ("labels", accuracy),
    **{f"top_{k}_accuracy": ("probabilities", partial(top_k_accuracy, k=k)) for k in (2, 3, 5)},
    **{
        name if average == "binary" else f"{name}_{average}": ("labels", partial(function, average=average))
        for name, function in (("precision", precision), ("recall", recall), ("f1", f1))
        for average in ("binary", "macro", "micro", "weighted")
    },
    "roc_auc": ("probabilities", roc_auc),
    "roc_auc_weighted": ("probabilities", partial(roc_auc, average="weighted")),
    "nll": ("probabilities", nll),
    "calibration_error": ("probabilities", calibration_error),
    "mse": ("outputs", mse),
    "mae": ("outputs", mae),
    "r2": ("outputs", r2),
}


# parts


def _labels(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    true, predicted = nonempty("y_true", as_array("y_true", y_true)), as_array("y_pred", y_pred)
    if true.ndim != 1:
        raise ValueError(f"y_true: expected shape (rows,), got {true.shape}")
    same_shape("y_pred", predicted, true.shape, "that of y_true")
    return true, predicted


def _class_scores(y_true: ArrayLike, scores: ArrayLike, name: str = "scores") -> tuple[Array, Array]:
    rows = nonempty(name, reals(name, scores))
    if rows.ndim != 2:
        raise ValueError(f"{name}: expected shape (rows, classes), got {rows.shape}")
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    true = as_array("y_true", y_true)
    same_shape("y_true", true, rows.shape[:1], f"one label a row of {name}")
    if true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= rows.shape[1]:
        raise ValueError(f"y_true: expected integers from 0 to {rows.shape[1] - 1}, columns of {name}, got others")
    return true, rows


def _values(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    true, predicted = nonempty("y_true", reals("y_true", y_true)), reals("y_pred", y_pred)
    if true.ndim == 1 and predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]  # a network's only output
    same_shape("y_pred", predicted, true.shape, "that of y_true")
    return tuple(array.astype(np.float64).reshape(len(true), -1) for array in (true, predicted))  # type: ignore[return-value]


def _weights(sample_weight: ArrayLike | None, like: Array) -> Array:
    if sample_weight is None:
        return np.ones(len(like))
    weights = reals("sample_weight", sample_weight).astype(np.float64)
    same_shape("sample_weight", weights, like.shape[:1], "one a row")
    if not (weights >= 0.0).all() or not 0.0 < weights.sum() < math.inf:
        raise ValueError("sample_weight: expected weights of at least 0, not all 0, got others")
    return weights


def _mean(values: Array, weights: Array) -> float:
    return float(values @ weights / weights.sum())


def _known(labels: ArrayLike | None, true: Array, predicted: Array) -> Array:
    if labels is None:
        return np.union1d(true, predicted)
    known = nonempty("labels", as_array("labels", labels))
    if known.ndim != 1 or len(np.unique(known)) != len(known):
        raise ValueError(f"labels: expected each label once, got {known.tolist()}")
    return known


def _confusion(true: Array, predicted: Array, known: Array, weights: Array) -> Array:
    order = np.argsort(known, kind="stable")
    ordered, n = known[order], len(known)

    def places(values: Array) -> tuple[Array, Array]:
        found = np.minimum(np.searchsorted(ordered, values), n - 1)
        return order[found], ordered[found] == values

    (i, true_known), (j, predicted_known) = places(true), places(predicted)
    inside = true_known & predicted_known
    result: Array = np.bincount((i * n + j)[inside], weights[inside], n * n).reshape(n, n)
    return result


def _scores(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str,
    pos_label: Any,
    labels: ArrayLike | None,
    zero_division: float,
    sample_weight: ArrayLike | None,
) -> tuple[Any, Any, Any]:
    """Precision, recall and F1."""
    choice("average", average, _AVERAGES)
    if zero_division not in (0.0, 1.0) and not np.isnan(zero_division):
        raise ValueError(f"zero_division: expected 0, 1 or NaN, got {zero_division!r}")
    true, predicted = _labels(y_true, y_pred)
    weights, present = _weights(sample_weight, true), np.union1d(true, predicted)
    known = _known(labels, true, predicted)
    if average == "binary":
        if len(present) > 2:
            raise ValueError(f"average: expected 'macro', 'micro', 'weighted' or 'none' for {len(present)} labels, got 'binary'")
        if pos_label not in present and len(present) == 2:
            raise ValueError(f"pos_label: expected one of {present.tolist()}, got {pos_label!r}")
        known = np.array([pos_label])
    matrix = _confusion(true, predicted, np.concatenate([known, np.setdiff1d(present, known)]), weights)
    n = len(known)
    hits, given, there = matrix.diagonal()[:n], matrix.sum(axis=0)[:n], matrix.sum(axis=1)[:n]
    counts = there
    if average == "micro":
        hits, given, there = hits.sum(keepdims=True), given.sum(keepdims=True), there.sum(keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        results = [
            np.where(below > 0.0, above / below, zero_division)
            for above, below in ((hits, given), (hits, there), (2.0 * hits, given + there))
        ]
    if average == "none":
        return results[0], results[1], results[2]
    shares = counts if average == "weighted" else np.ones(len(results[0]))
    return _average(results[0], shares), _average(results[1], shares), _average(results[2], shares)


def _average(values: Array, weights: Array) -> float:
    """The mean over the labels that have a value; weights count unless all are 0."""
    there = ~np.isnan(values)
    if not there.any():
        return math.nan
    return float(np.average(values[there], weights=weights[there] if weights[there].sum() > 0.0 else None))


def _auc(positive: Array, scores: Array, weights: Array) -> float:
    """By ranks: for each row of the class, the weight of others below it, and half of those equal to it."""
    for label, there in (("positive", positive), ("negative", ~positive)):
        if weights[there].sum() == 0.0:
            raise ValueError(f"y_true: expected rows of weight in the class and outside it, got no {label} ones")
    levels, where = np.unique(scores, return_inverse=True)
    inside = np.bincount(where, weights * positive, len(levels))
    outside = np.bincount(where, weights * ~positive, len(levels))
    below = np.cumsum(outside) - outside
    return float((inside * (below + 0.5 * outside)).sum() / (inside.sum() * outside.sum()))
