"""Losses on arrays, with a mean, a sum or one value each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import losses as kernels

from .._check import Array, as_array, choice, floats, labels, number, output, same_shape
from ._dispatch import run

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_with_gradient",
    "cross_entropy_with_log_sums",
    "mse_loss",
    "mse_loss_backward",
    "reduce_losses",
]

_REDUCTIONS = ("mean", "sum", "none")
_CROSS_ENTROPY_NS = 7.0
_SQUARED_ERROR_NS = 0.1


def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    out: Array | None = None,
) -> float | Array:
    """Softmax cross-entropy from logits.

    logits: (m, k). targets: (m,) integers in [0, k), or (m, k) probabilities (one-hot rows, say). label_smoothing: in
    [0, 1). reduction: 'mean' or 'sum' over rows gives a float, 'none' an array (m,). out: (m,), for the losses of the rows.
    Raises ValueError or TypeError.

    >>> cross_entropy(np.zeros((1, 4)), [2])
    1.3862943611198906

    Source: Goodfellow et al., "Deep Learning" (2016), 6.2.2; label smoothing as in Szegedy et al., CVPR 2016.
    """
    losses, _ = cross_entropy_with_log_sums(logits, targets, label_smoothing, out=out)
    return reduce_losses(losses, reduction)


def cross_entropy_with_log_sums(
    logits: ArrayLike, targets: ArrayLike, label_smoothing: float = 0.0, *, out: Array | None = None
) -> tuple[Array, Array]:
    """The loss of each row, (m,), and its log Σ eᶻ in two parts, (2, m), which `cross_entropy_backward` takes to save a pass."""
    logits, targets, smoothing = _arguments(logits, targets, label_smoothing)
    rows, dtype = logits.shape[0], logits.dtype
    losses = output("out", out, (rows,), dtype, apart=(logits, targets))
    scratch, log_sums = np.empty_like(logits), np.empty((2, rows), dtype)
    kernel = kernels.cross_entropy_forward if targets.ndim == 1 else kernels.soft_cross_entropy_forward
    run(kernel, logits.size * _CROSS_ENTROPY_NS, logits, targets, smoothing, scratch, log_sums, losses)
    return losses, log_sums


def cross_entropy_backward(
    logits: ArrayLike,
    targets: ArrayLike,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    dloss: ArrayLike = 1.0,
    log_sums: Array | None = None,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `cross_entropy` with respect to the logits, (m, k).

    dloss: a number, or (m,) with reduction 'none'. log_sums: from `cross_entropy_with_log_sums`, else computed. out: (m, k).
    """
    if log_sums is None:
        _, log_sums = cross_entropy_with_log_sums(logits, targets, label_smoothing)
    logits, targets, smoothing = _arguments(logits, targets, label_smoothing)
    log_sums = floats("log_sums", log_sums, dtype=logits.dtype)
    same_shape("log_sums", log_sums, (2, len(logits)), "as cross_entropy_with_log_sums gives it")
    weights = _dlosses(dloss, reduction, logits.shape[:1], logits.shape[0], logits.dtype)
    dlogits = output("out", out, logits.shape, logits.dtype)
    kernel = kernels.cross_entropy_backward if targets.ndim == 1 else kernels.soft_cross_entropy_backward
    run(kernel, logits.size * _CROSS_ENTROPY_NS / 3, weights, logits, targets, smoothing, log_sums, dlogits)
    return dlogits


def cross_entropy_with_gradient(
    logits: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0, reduction: str = "mean"
) -> tuple[float, Array]:
    """`cross_entropy` against labels (m,) and its gradient (m, k), in one pass. reduction: 'mean' or 'sum'."""
    logits, labels, smoothing = _arguments(logits, labels, label_smoothing)
    if labels.ndim != 1:
        raise ValueError(f"labels: expected integers of shape ({len(logits)},), got shape {labels.shape}")
    choice("reduction", reduction, _REDUCTIONS[:2])
    m, dtype = len(logits), logits.dtype
    losses, hits, dlogits = np.empty(m, dtype), np.empty(m, dtype), np.empty_like(logits)
    weight = 1.0 / m if reduction == "mean" else 1.0
    run(
        kernels.cross_entropy_gradient, logits.size * _CROSS_ENTROPY_NS / 2,
        logits, labels, smoothing, weight, losses, hits, dlogits,
    )  # fmt: skip
    return float(reduce_losses(losses, reduction)), dlogits


def mse_loss(prediction: ArrayLike, target: ArrayLike, reduction: str = "mean", *, out: Array | None = None) -> float | Array:
    """The squared error (prediction - target)².

    prediction, target: one shape. reduction: 'mean' or 'sum' over all elements gives a float, 'none' an array of that shape.
    out: of that shape, for the errors of the elements.

    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    prediction, target = _pair(prediction, target)
    losses = output("out", out, prediction.shape, prediction.dtype)
    run(
        kernels.squared_error_forward, losses.size * _SQUARED_ERROR_NS,
        prediction.reshape(-1), target.reshape(-1), losses.reshape(-1),
    )  # fmt: skip
    return reduce_losses(losses, reduction)


def mse_loss_backward(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `mse_loss` with respect to the prediction. dloss: a number, or an array with 'none'."""
    prediction, target = _pair(prediction, target)
    weights = _dlosses(dloss, reduction, prediction.shape, prediction.size, prediction.dtype)
    result = output("out", out, prediction.shape, prediction.dtype)
    run(
        kernels.squared_error_backward, result.size * _SQUARED_ERROR_NS,
        weights.reshape(-1), prediction.reshape(-1), target.reshape(-1), result.reshape(-1),
    )  # fmt: skip
    return result


def _arguments(logits: ArrayLike, targets: ArrayLike, label_smoothing: float) -> tuple[Array, Array, float]:
    logits = floats("logits", logits, ndim=2)
    if logits.size == 0:
        raise ValueError(f"logits: expected at least one row and one class, got shape {logits.shape}")
    smoothing = number("label_smoothing", label_smoothing, low=0.0, high=1.0, open_high=True)
    targets = as_array("targets", targets)
    if targets.ndim == 2:
        targets = floats("targets", targets, dtype=logits.dtype)
        same_shape("targets", targets, logits.shape, "a probability for each logit")
        return logits, targets, smoothing
    return logits, labels("targets", targets, *logits.shape), smoothing


def _pair(prediction: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    prediction = floats("prediction", prediction)
    target = floats("target", target, dtype=prediction.dtype)
    same_shape("target", target, prediction.shape, "that of prediction")
    if prediction.size == 0:
        raise ValueError(f"prediction: expected at least one element, got shape {prediction.shape}")
    return prediction, target


def reduce_losses(losses: Array, reduction: str) -> float | Array:
    """The mean or the sum of losses as a float, added up in float64; the losses themselves with 'none'."""
    choice("reduction", reduction, _REDUCTIONS)
    if reduction == "none":
        return losses
    total = float(losses.sum(dtype=np.float64))
    return total / losses.size if reduction == "mean" else total


def _dlosses(dloss: ArrayLike, reduction: str, shape: tuple[int, ...], count: int, dtype: np.dtype) -> Array:
    """The weight of each value of the unreduced loss."""
    choice("reduction", reduction, _REDUCTIONS)
    weights = floats("dloss", dloss, dtype=dtype)
    if reduction == "none" and weights.ndim:
        same_shape("dloss", weights, shape, "a weight for each loss")
        return weights
    if weights.ndim:
        raise ValueError(f"dloss: expected a number with reduction {reduction!r}, got shape {weights.shape}")
    return np.full(shape, weights / count if reduction == "mean" else weights, dtype)
