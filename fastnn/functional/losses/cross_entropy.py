"""Softmax cross-entropy from logits, against labels or probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu import losses as kernels
from fastnn_kernels.cpu.label_losses import weighted_cross_entropy_gradient

from ..._check import Array, as_array, choice, floats, integer, number, output, same_shape, weights
from .._dispatch import run
from ._common import (
    REDUCTIONS,
    dlosses_of,
    label_weights,
    labels_or_ignored,
    reduce_losses,
    sample_weights,
    weigh_rows,
    without_ignored,
)

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_with_gradient",
    "cross_entropy_with_log_sums",
]

_NS = 3.0  # an element


class _Problem:
    """Arguments, checked."""

    def __init__(
        self,
        logits: ArrayLike,
        targets: ArrayLike,
        label_smoothing: float,
        class_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        self.logits = floats("logits", logits, ndim=2)
        (self.rows, classes), dtype = self.logits.shape, self.logits.dtype
        if self.logits.size == 0:
            raise ValueError(f"logits: expected at least one row and one class, got shape {self.logits.shape}")
        self.smoothing = number("label_smoothing", label_smoothing, low=0.0, high=1.0, open_high=True)
        self.class_weight = (
            None if class_weight is None else weights("class_weight", class_weight, classes, "one for each class", dtype)
        )
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, low=-(2**63))
        self.sample_weight = sample_weights(sample_weight, self.rows, dtype)
        targets = as_array("targets", targets)
        self.labelled = targets.ndim != 2
        if self.labelled:
            self.targets = labels_or_ignored("targets", targets, self.rows, classes, self.ignore_index)
            self.weighted = not (self.class_weight is None and self.ignore_index is None and self.sample_weight is None)
            return
        if self.ignore_index is not None:
            raise ValueError(f"ignore_index: expected None with probabilities as targets, got {self.ignore_index}")
        self.targets = floats("targets", targets, dtype=dtype)
        same_shape("targets", self.targets, self.logits.shape, "a probability for each logit")
        self.weighted = self.sample_weight is not None
        if self.class_weight is not None:  # a class's weight is a part of its share
            everywhere = self.smoothing / classes
            self.targets = (self.targets * dtype.type(1.0 - self.smoothing) + dtype.type(everywhere)) * self.class_weight
            self.smoothing = 0.0

    @property
    def divisor(self) -> float:
        """What the mean is divided by."""
        if self.labelled and self.weighted:
            return label_weights(self.targets, self.class_weight, self.ignore_index, self.sample_weight)[0]
        return float(self.rows if self.sample_weight is None else self.sample_weight.sum(dtype=np.float64))

    def fused(self, row_weights: Array | None, scale: float) -> tuple[Array, Array]:
        """The weighted losses against labels and their gradient times scale, of rows with weights of their own."""
        m, dtype = self.rows, self.logits.dtype
        losses, hits, dlogits, none = np.empty(m, dtype), np.empty(m, dtype), np.empty_like(self.logits), np.empty(0, dtype)
        if self.weighted:
            run(
                weighted_cross_entropy_gradient, self.logits.size * _NS,
                self.logits, self.targets, self.smoothing, without_ignored(self.ignore_index),
                none if self.class_weight is None else self.class_weight, none if row_weights is None else row_weights, scale,
                losses, hits, dlogits,
            )  # fmt: skip
        else:
            run(
                kernels.cross_entropy_gradient, self.logits.size * _NS,
                self.logits, self.targets, self.smoothing, scale, losses, hits, dlogits,
            )  # fmt: skip
        return losses, dlogits

    def forward(self, losses: Array) -> Array:
        """The losses of rows, weighted; returns the two parts of log Σ eᶻ where `backward` needs them."""
        log_sums = np.empty((2, self.rows), self.logits.dtype)
        if self.labelled and self.weighted:
            losses[...] = self.fused(self.sample_weight, 1.0)[0]
            return log_sums
        scratch = np.empty_like(self.logits)
        kernel = kernels.cross_entropy_forward if self.labelled else kernels.soft_cross_entropy_forward
        run(kernel, self.logits.size * _NS, self.logits, self.targets, self.smoothing, scratch, log_sums, losses)
        if self.sample_weight is not None:
            weigh_rows(losses, self.sample_weight)
        return log_sums

    def backward(self, dlosses: Array, log_sums: Array | None, dlogits: Array) -> Array:
        """The gradient of Σ dlosses · losses."""
        if self.sample_weight is not None:
            dlosses = dlosses * self.sample_weight
        if self.labelled and self.weighted:
            dlogits[...] = self.fused(dlosses, 1.0)[1]
            return dlogits
        if log_sums is None:
            log_sums = self._unweighted_log_sums()
        kernel = kernels.cross_entropy_backward if self.labelled else kernels.soft_cross_entropy_backward
        run(kernel, self.logits.size * _NS / 2, dlosses, self.logits, self.targets, self.smoothing, log_sums, dlogits)
        if self.sample_weight is not None:
            dlogits[self.sample_weight == 0.0] = 0.0
        return dlogits

    def _unweighted_log_sums(self) -> Array:
        return self.forward(np.empty(self.rows, self.logits.dtype))


def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """Softmax cross-entropy from logits.

    logits: (m, k). targets: (m,) integers in [0, k), or (m, k) probabilities (one-hot rows, say). label_smoothing: in
    [0, 1). reduction: 'mean' or 'sum' over rows gives a float, 'none' an array (m,). class_weight: (k,), of the classes.
    ignore_index: a label whose rows count nothing. sample_weight: (m,), of the rows. A mean is divided by the sum of the weights
    of the rows and of their labels; against probabilities, as in torch, by the sum of the rows' alone. Where that is 0, so is
    the mean. out: (m,), for the losses of the rows. Raises ValueError or TypeError.

    >>> cross_entropy(np.zeros((1, 4)), [2])
    1.3862943611198906
    >>> cross_entropy(np.array([[0.0, 0.0], [0.0, 9.0], [3.0, 3.0]]), [0, -100, 1], class_weight=[1.0, 2.0], ignore_index=-100)
    0.6931471805599453

    Source: Goodfellow et al., "Deep Learning" (2016), 6.2.2; label smoothing as in Szegedy et al., CVPR 2016.
    """
    problem = _Problem(logits, targets, label_smoothing, class_weight, ignore_index, sample_weight)
    losses = output("out", out, (problem.rows,), problem.logits.dtype, apart=(problem.logits, problem.targets))
    problem.forward(losses)
    return reduce_losses(losses, reduction, problem.divisor if problem.weighted else None)


def cross_entropy_with_log_sums(
    logits: ArrayLike, targets: ArrayLike, label_smoothing: float = 0.0, *, out: Array | None = None
) -> tuple[Array, Array]:
    """The loss of each row, (m,), and its log Σ eᶻ in two parts, (2, m), which `cross_entropy_backward` takes to save a pass."""
    problem = _Problem(logits, targets, label_smoothing)
    losses = output("out", out, (problem.rows,), problem.logits.dtype, apart=(problem.logits, problem.targets))
    return losses, problem.forward(losses)


def cross_entropy_backward(
    logits: ArrayLike,
    targets: ArrayLike,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    log_sums: Array | None = None,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `cross_entropy` with respect to the logits, (m, k).

    dloss: a number, or (m,) with reduction 'none'. log_sums: from `cross_entropy_with_log_sums`, else computed; not used with
    weights against labels. out: (m, k).
    """
    problem = _Problem(logits, targets, label_smoothing, class_weight, ignore_index, sample_weight)
    logits = problem.logits
    if log_sums is not None:
        log_sums = floats("log_sums", log_sums, dtype=logits.dtype)
        same_shape("log_sums", log_sums, (2, problem.rows), "as cross_entropy_with_log_sums gives it")
    dlosses = dlosses_of(dloss, reduction, logits.shape[:1], problem.divisor, logits.dtype)
    return problem.backward(dlosses, log_sums, output("out", out, logits.shape, logits.dtype))


def cross_entropy_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[float, Array]:
    """`cross_entropy` against labels (m,) and its gradient (m, k), in one pass. reduction: 'mean' or 'sum'."""
    problem = _Problem(logits, labels, label_smoothing, class_weight, ignore_index, sample_weight)
    if not problem.labelled:
        raise ValueError(f"labels: expected integers of shape ({problem.rows},), got shape {problem.targets.shape}")
    choice("reduction", reduction, REDUCTIONS[:2])
    divisor = problem.divisor
    scale = 1.0 if reduction == "sum" else 1.0 / divisor if divisor else 0.0
    losses, dlogits = problem.fused(problem.sample_weight, scale)
    return float(reduce_losses(losses, reduction, divisor if problem.weighted else None)), dlogits
