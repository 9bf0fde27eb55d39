"""The negative log-likelihood of labels, from log-probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastnn_kernels.cpu.label_losses import nll_loss_gradient

from ..._check import Array, choice, floats, integer, output, weights
from .._dispatch import run
from ._common import (
    REDUCTIONS,
    dlosses_of,
    label_weights,
    labels_or_ignored,
    reduce_losses,
    sample_weights,
    without_ignored,
)

__all__ = ["nll_loss", "nll_loss_backward", "nll_loss_with_gradient"]

_NS = 0.5  # an element


class _Problem:
    """Arguments, checked."""

    def __init__(
        self,
        log_probabilities: ArrayLike,
        targets: ArrayLike,
        class_weight: ArrayLike | None,
        ignore_index: int | None,
        sample_weight: ArrayLike | None,
    ) -> None:
        self.x = floats("log_probabilities", log_probabilities, ndim=2)
        if self.x.size == 0:
            raise ValueError(f"log_probabilities: expected at least one row and one class, got shape {self.x.shape}")
        (rows, classes), dtype = self.x.shape, self.x.dtype
        self.class_weight = (
            None if class_weight is None else weights("class_weight", class_weight, classes, "one for each class", dtype)
        )
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, low=-(2**63))
        self.sample_weight = sample_weights(sample_weight, rows, dtype)
        self.targets = labels_or_ignored("targets", targets, rows, classes, self.ignore_index)
        self.divisor = label_weights(self.targets, self.class_weight, self.ignore_index, self.sample_weight)[0]

    def fused(self, row_weights: Array | None, scale: float) -> tuple[Array, Array]:
        """The weighted losses and their gradient times scale, of rows with weights of their own."""
        m, dtype = len(self.x), self.x.dtype
        losses, hits, gradient, none = np.empty(m, dtype), np.empty(m, dtype), np.empty_like(self.x), np.empty(0, dtype)
        run(
            nll_loss_gradient, self.x.size * _NS,
            self.x, self.targets, without_ignored(self.ignore_index), none if self.class_weight is None else self.class_weight,
            none if row_weights is None else row_weights, scale, losses, hits, gradient,
        )  # fmt: skip
        return losses, gradient


def nll_loss(
    log_probabilities: ArrayLike,
    targets: ArrayLike,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
    out: Array | None = None,
) -> float | Array:
    """-log p of each row's label; of LogSoftmax's output it is the cross-entropy.

    log_probabilities: (m, k). targets: (m,) integers in [0, k). The others as in `cross_entropy`.

    >>> nll_loss(np.log([[0.5, 0.5], [0.1, 0.9]]), [0, 1], "sum")
    0.7985076962177715

    Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 5.5.
    """
    problem = _Problem(log_probabilities, targets, class_weight, ignore_index, sample_weight)
    losses = output("out", out, problem.targets.shape, problem.x.dtype, apart=(problem.x,))
    losses[...] = problem.fused(problem.sample_weight, 1.0)[0]
    return reduce_losses(losses, reduction, problem.divisor)


def nll_loss_backward(
    log_probabilities: ArrayLike,
    targets: ArrayLike,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
    dloss: ArrayLike = 1.0,
    out: Array | None = None,
) -> Array:
    """dloss times the gradient of `nll_loss` with respect to its input, (m, k). dloss: a number, or (m,) with 'none'."""
    problem = _Problem(log_probabilities, targets, class_weight, ignore_index, sample_weight)
    dlosses = dlosses_of(dloss, reduction, problem.targets.shape, problem.divisor, problem.x.dtype)
    if problem.sample_weight is not None:
        dlosses = dlosses * problem.sample_weight
    result = output("out", out, problem.x.shape, problem.x.dtype)
    result[...] = problem.fused(dlosses, 1.0)[1]
    return result


def nll_loss_with_gradient(
    log_probabilities: ArrayLike,
    targets: ArrayLike,
    reduction: str = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[float, Array]:
    """`nll_loss` and its gradient (m, k), in one pass. reduction: 'mean' or 'sum'."""
    problem = _Problem(log_probabilities, targets, class_weight, ignore_index, sample_weight)
    choice("reduction", reduction, REDUCTIONS[:2])
    scale = 1.0 if reduction == "sum" else 1.0 / problem.divisor if problem.divisor else 0.0
    losses, gradient = problem.fused(problem.sample_weight, scale)
    return float(reduce_losses(losses, reduction, problem.divisor)), gradient
