"""What losses share: weights and their sums, reductions, and the weight that each value of a loss has in its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..._check import Array, as_array, choice, floats, labels, same_shape, weights

__all__ = ["REDUCTIONS", "dlosses_of", "label_weights", "labels_or_ignored", "reduce_losses", "sample_weights", "without_ignored"]

REDUCTIONS = ("mean", "sum", "none")


def sample_weights(sample_weight: ArrayLike | None, rows: int, dtype: DTypeLike) -> Array | None:
    """Weights of rows, checked; None for none."""
    return None if sample_weight is None else weights("sample_weight", sample_weight, rows, "one for each row", dtype)


def labels_or_ignored(name: str, value: ArrayLike, rows: int, classes: int, ignore_index: int | None) -> Array:
    """Labels in [0, classes), or ignore_index, as int64."""
    if ignore_index is None:
        return labels(name, value, rows, classes)
    array = as_array(name, value)
    ignored = array == ignore_index
    return np.where(ignored, np.int64(ignore_index), labels(name, np.where(ignored, array.dtype.type(0), array), rows, classes))


def without_ignored(ignore_index: int | None) -> int:
    """The label that kernels leave out; -1 is none, since labels have been checked."""
    return -1 if ignore_index is None else ignore_index


def label_weights(
    targets: Array, class_weight: Array | None, ignore_index: int | None, sample_weight: Array | None
) -> tuple[float, float]:
    """What the mean over rows with labels is divided by, and the weight of the rows that are not ignored."""
    if class_weight is None and ignore_index is None and sample_weight is None:
        return float(len(targets)), float(len(targets))
    counted = np.ones(len(targets)) if sample_weight is None else sample_weight.astype(np.float64)
    if ignore_index is not None:
        counted = np.where(targets == ignore_index, 0.0, counted)
    if class_weight is None:
        return float(counted.sum()), float(counted.sum())
    own = class_weight.astype(np.float64)[np.where(counted == 0.0, 0, targets)]
    return float((counted * own).sum()), float(counted.sum())


def weigh_rows(losses: Array, weights: Array) -> None:
    """Multiply the losses of each row by its weight, in place; a row of weight 0 counts nothing, whatever is in it."""
    with np.errstate(invalid="ignore", over="ignore"):
        losses *= weights.reshape(-1, *(1 for _ in losses.shape[1:]))
    losses[weights == 0.0] = 0.0


def reduce_losses(losses: Array, reduction: str, weight: float | None = None) -> float | Array:
    """The mean or the sum of losses as a float, added up in float64; the losses themselves with 'none'.

    weight: what a mean is divided by, instead of the number of losses; a mean over nothing is 0.
    """
    choice("reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return losses
    total = float(losses.sum(dtype=np.float64))
    if reduction == "sum":
        return total
    if weight is None:
        return total / losses.size
    return total / weight if weight else 0.0


def dlosses_of(dloss: ArrayLike, reduction: str, shape: tuple[int, ...], weight: float, dtype: DTypeLike) -> Array:
    """The weight of each value of the unreduced loss. weight: what a mean is divided by."""
    choice("reduction", reduction, REDUCTIONS)
    given = floats("dloss", dloss, dtype=dtype)
    if reduction == "none" and given.ndim:
        same_shape("dloss", given, shape, "a weight for each loss")
        return given
    if given.ndim:
        raise ValueError(f"dloss: expected a number with reduction {reduction!r}, got shape {given.shape}")
    if reduction == "mean":
        given = given / weight if weight else given * 0.0
    return np.full(shape, given, dtype)
