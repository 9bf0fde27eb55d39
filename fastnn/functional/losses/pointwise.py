"""Losses that compare a prediction with a target element by element."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import losses as squared
from fastnn_kernels.cpu import pointwise_losses as kernels
from fastnn_kernels.cpu._rows import tile_rows

from ..._check import Array, boolean, floats, number, output, reals, same_shape, weights
from .._dispatch import run
from ._common import dlosses_of, reduce_losses, sample_weights, weigh_rows

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "logistic_factors",
    "mse_loss",
    "mse_loss_backward",
    "poisson_nll_loss",
    "poisson_nll_loss_backward",
]

_NS = {
    kernels.SQUARED: 0.1, kernels.ABSOLUTE: 0.1, kernels.HUBER: 0.1, kernels.POISSON: 2.0, kernels.POISSON_LOG: 0.4,
    kernels.LOGISTIC: 1.0,
}  # fmt: skip


def mse_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """The squared error (prediction - target)².

    prediction, target: one shape. reduction: 'mean' or 'sum' over all elements gives a float, 'none' an array of that shape.
    sample_weight: (rows,), of the first axis (see `fastnn.functional.losses`). out: of that shape, for the errors of the
    elements.

    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    return _forward(kernels.SQUARED, prediction, target, reduction, sample_weight, out)


def mse_loss_backward(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `mse_loss` with respect to the prediction. dloss: a number, or an array with 'none'."""
    return _backward(kernels.SQUARED, prediction, target, reduction, sample_weight, dloss, out)


def l1_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """The absolute error |prediction - target|. Arguments as in `mse_loss`.

    >>> l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    return _forward(kernels.ABSOLUTE, prediction, target, reduction, sample_weight, out)


def l1_loss_backward(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `l1_loss` with respect to the prediction, 0 where it is exact."""
    return _backward(kernels.ABSOLUTE, prediction, target, reduction, sample_weight, dloss, out)


def huber_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    *,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """d²/2 where |d| < delta, else delta (|d| - delta/2), with d = prediction - target.

    delta: above 0. The others as in `mse_loss`.

    >>> huber_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.75

    Source: P. J. Huber, Annals of Mathematical Statistics 35 (1964).
    """
    return _forward(kernels.HUBER, prediction, target, reduction, sample_weight, out, _delta(delta))


def huber_loss_backward(
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    *,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `huber_loss` with respect to the prediction."""
    return _backward(kernels.HUBER, prediction, target, reduction, sample_weight, dloss, out, _delta(delta))


def poisson_nll_loss(
    prediction: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """The negative log-likelihood of counts under a Poisson distribution, without its constant.

    log_input: prediction x is the logarithm of the rate, and the loss eˣ - target · x; else it is the rate, and the loss
    x - target · log(x + eps). full: add Stirling's approximation of log target! where target > 1. The others as in `mse_loss`.
    Targets are at least 0.

    >>> poisson_nll_loss(np.array([0.0, 0.0]), np.array([1.0, 4.0]))
    1.0

    Source: McCullagh and Nelder, "Generalized Linear Models" (1989), 6; as torch.nn.PoissonNLLLoss.
    """
    kind, eps = _poisson(log_input, eps)
    return _forward(kind, prediction, _counts(target), reduction, sample_weight, out, eps, boolean("full", full))


def poisson_nll_loss_backward(
    prediction: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
    *,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `poisson_nll_loss` with respect to the prediction; full makes no difference."""
    kind, eps = _poisson(log_input, eps)
    boolean("full", full)
    return _backward(kind, prediction, _counts(target), reduction, sample_weight, dloss, out, eps)


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    pos_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """The cross-entropy of probabilities σ(logits) against targets in [0, 1], element by element, each a question by itself.

    pos_weight p: a number, or (k,) for the columns: the loss is -p · target · log σ(z) - (1 - target) · log(1 - σ(z)). The others
    as in `mse_loss`; a mean is not divided by pos_weight, as in torch.

    >>> binary_cross_entropy_with_logits(np.array([0.0, 100.0]), np.array([1.0, 1.0]))
    0.34657359027997264

    Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 6.2.2.
    """
    logits, target = _pair(logits, _shares(target), "logits")
    factors = _factors(pos_weight, logits.shape, logits.dtype)
    return _forward(kernels.LOGISTIC, logits, target, reduction, sample_weight, out, factors=factors)


def binary_cross_entropy_with_logits_backward(
    logits: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    *,
    pos_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `binary_cross_entropy_with_logits` with respect to the logits."""
    logits, target = _pair(logits, _shares(target), "logits")
    factors = _factors(pos_weight, logits.shape, logits.dtype)
    return _backward(kernels.LOGISTIC, logits, target, reduction, sample_weight, dloss, out, factors=factors)


def _forward(
    kind: int,
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str,
    sample_weight: ArrayLike | None,
    out: Array | None,
    parameter: float = 0.0,
    full: bool = False,
    factors: Array | None = None,
) -> float | Array:
    x, t = _pair(prediction, target)
    rows = _rows(sample_weight, x)
    losses = output("out", out, x.shape, x.dtype)
    arguments = x.reshape(-1), t.reshape(-1)
    if kind == kernels.SQUARED:
        run(squared.squared_error_forward, x.size * _NS[kind], *arguments, losses.reshape(-1))
    else:
        factors = np.empty(0, x.dtype) if factors is None else factors
        run(
            kernels.pointwise_loss_forward, x.size * _NS[kind],
            kind, *arguments, parameter, full, factors, losses.reshape(-1),
        )  # fmt: skip
    if rows is None:
        return reduce_losses(losses, reduction)
    weigh_rows(losses, rows)
    return reduce_losses(losses, reduction, _total(rows, x))


def _backward(
    kind: int,
    prediction: ArrayLike,
    target: ArrayLike,
    reduction: str,
    sample_weight: ArrayLike | None,
    dloss: ArrayLike,
    out: Array | None,
    parameter: float = 0.0,
    factors: Array | None = None,
) -> Array:
    x, t = _pair(prediction, target)
    rows = _rows(sample_weight, x)
    dlosses = dlosses_of(dloss, reduction, x.shape, x.size if rows is None else _total(rows, x), x.dtype)
    if rows is not None:
        dlosses = dlosses * _along_rows(rows, x)
    result = output("out", out, x.shape, x.dtype)
    arguments = x.reshape(-1), t.reshape(-1)
    if kind == kernels.SQUARED:
        run(squared.squared_error_backward, x.size * _NS[kind], dlosses.reshape(-1), *arguments, result.reshape(-1))
    else:
        factors = np.empty(0, x.dtype) if factors is None else factors
        run(
            kernels.pointwise_loss_backward, x.size * _NS[kind],
            dlosses.reshape(-1), kind, *arguments, parameter, factors, result.reshape(-1),
        )  # fmt: skip
    if rows is not None:
        result[rows == 0.0] = 0.0
    return result


def _pair(prediction: ArrayLike, target: ArrayLike, name: str = "prediction") -> tuple[Array, Array]:
    prediction = floats(name, prediction)
    target = floats("target", target, dtype=prediction.dtype)
    same_shape("target", target, prediction.shape, f"that of {name}")
    if prediction.size == 0:
        raise ValueError(f"{name}: expected at least one element, got shape {prediction.shape}")
    return prediction, target


def _rows(sample_weight: ArrayLike | None, x: Array) -> Array | None:
    if sample_weight is not None and x.ndim == 0:
        raise ValueError("sample_weight: expected None for a single number, got weights of rows")
    return sample_weights(sample_weight, len(x), x.dtype) if x.ndim else None


def _along_rows(rows: Array, x: Array) -> Array:
    return rows.reshape(-1, *(1 for _ in x.shape[1:]))


def _total(rows: Array, x: Array) -> float:
    """What a weighted mean over all elements is divided by."""
    return float(rows.sum(dtype=np.float64)) * (x.size // len(x))


def _delta(delta: float) -> float:
    return number("delta", delta, low=0.0, open_low=True)


def _poisson(log_input: bool, eps: float) -> tuple[int, float]:
    kind = kernels.POISSON_LOG if boolean("log_input", log_input) else kernels.POISSON
    return kind, number("eps", eps, low=0.0, open_low=True)


def _counts(target: ArrayLike) -> Array:
    array = reals("target", target)
    if array.size and array.min() < 0.0:
        raise ValueError(f"target: expected numbers of at least 0, got {array.min()}")
    return array


def _shares(target: ArrayLike) -> Array:
    array = reals("target", target)
    if array.size and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(f"target: expected numbers from 0 to 1, got values from {array.min()} to {array.max()}")
    return array


def _factors(pos_weight: ArrayLike | None, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
    """pos_weight as kernels take it: for a few rows of the last axis."""
    if pos_weight is None:
        return None
    k = shape[-1] if shape else 1
    return logistic_factors(pos_weight, k, dtype)


def logistic_factors(pos_weight: ArrayLike, k: int, dtype: np.dtype) -> Array:
    """Weights of the positives of k columns, a number or (k,), for as many rows as kernels take at once."""
    array = floats("pos_weight", pos_weight, dtype=dtype)
    each = np.full(k, array) if array.ndim == 0 or array.shape == (1,) else array
    return np.tile(weights("pos_weight", each, k, "one for each column", dtype), tile_rows(k))
