"""Losses that compare outputs and targets element by element."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .. import functional as F
from .._check import Array, boolean, floats, number, quote, weights
from .base import Loss, column

__all__ = ["BCEWithLogitsLoss", "HuberLoss", "L1Loss", "MSELoss", "PoissonNLLLoss"]


class MSELoss(Loss):
    """The squared error (prediction - target)². reduction: 'mean' or 'sum' over all elements, or 'none'. As torch.nn.MSELoss.

    Targets of shape (m,) stand for one column.

    >>> MSELoss().forward(np.array([[1.0], [2.0]]), [1.0, 4.0])
    2.0
    """

    _function = "mse_loss"

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)


class L1Loss(Loss):
    """The absolute error |prediction - target|. reduction and targets as in MSELoss. As torch.nn.L1Loss.

    >>> L1Loss().forward(np.array([[1.0], [2.0]]), [1.0, 4.0])
    1.0
    """

    _function = "l1_loss"

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)


class HuberLoss(Loss):
    """Half the squared error up to delta, and beyond it a straight line: d²/2, or delta (|d| - delta/2).

    reduction and targets as in MSELoss. As torch.nn.HuberLoss.

    >>> HuberLoss().forward(np.array([[1.0], [2.0]]), [1.0, 4.0])
    0.75

    Source: P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).
    """

    _function, _settings = "huber_loss", ("delta",)

    def __init__(self, *, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.delta = number("delta", delta, low=0.0, open_low=True)


class PoissonNLLLoss(Loss):
    """The negative log-likelihood of counts under a Poisson distribution.

    log_input: the outputs x are logarithms of rates, and the loss is eˣ - t x; else they are the rates, above -eps, and the loss
    is x - t log(x + eps). full: with Stirling's approximation of log t!, which does not change the gradient. reduction and
    targets (at least 0) as in MSELoss. As torch.nn.PoissonNLLLoss.

    >>> PoissonNLLLoss().forward(np.array([[0.0], [0.0]]), [1.0, 4.0])
    1.0
    """

    _function, _settings = "poisson_nll_loss", ("log_input", "full", "eps")

    def __init__(self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.full = boolean("log_input", log_input), boolean("full", full)
        self.eps = number("eps", eps, low=0.0, open_low=True)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array (rows, outputs); ValueError or TypeError where they do not fit, or are below 0."""
        array = super().check_targets(name, targets, rows, outputs)
        if array.size and array.min() < 0:
            raise ValueError(f"{name}: expected numbers of at least 0, got {array.min()}")
        return array


class BCEWithLogitsLoss(Loss):
    """Cross-entropy of σ(logit) against 0, 1 or what is between, for each output by itself: two classes, or many labels.

    pos_weight: how much a target of 1 counts beside one of 0, a number or (k,). reduction and targets as in MSELoss. As
    torch.nn.BCEWithLogitsLoss. Its accuracy is the share of all outputs that are on the target's side of 0, where a
    target above 1/2 stands for 1.

    >>> BCEWithLogitsLoss().forward(np.array([[0.0], [100.0]]), [1, 1])
    0.34657359027997264
    """

    _function, _settings = "binary_cross_entropy_with_logits", ("pos_weight",)

    def __init__(self, *, pos_weight: ArrayLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.pos_weight: Array | None = None
        if pos_weight is not None:
            array = np.atleast_1d(floats("pos_weight", pos_weight, dtype=np.float64))
            if array.ndim != 1 or array.size == 0:
                raise ValueError(f"pos_weight: expected a number, or one for each output, got {quote(pos_weight)}")
            self.pos_weight = weights("pos_weight", array, array.size, "one for each output", np.float64)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array (rows, outputs); ValueError or TypeError where they do not fit, or are not in [0, 1]."""
        array = super().check_targets(name, targets, rows, outputs)
        if self.pos_weight is not None and self.pos_weight.size not in (1, array.shape[1]):
            raise ValueError(f"pos_weight: expected {array.shape[1]} numbers, one for each output, got {self.pos_weight.size}")
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"{name}: expected numbers from 0 to 1, got values from {array.min()} to {array.max()}")
        return array

    def scores(self, prediction: Array, targets: Array, sample_weight: Array | None = None) -> dict[str, float]:
        """The share of outputs on the target's side, added up over the rows."""
        hits = ((prediction > 0.0) == (column(targets, prediction.shape) > 0.5)).mean(axis=1)
        return {"accuracy": float(hits.sum() if sample_weight is None else (hits * sample_weight).sum(dtype=np.float64))}

    def probabilities(self, prediction: Array) -> Array:
        """σ of the logits, (m, k)."""
        return F.sigmoid(prediction)

    def labels(self, prediction: Array) -> Array:
        """1 where the logit is above 0, else 0: (m,) for one output, (m, k) for several."""
        result = (prediction > 0.0).astype(np.int64)
        return result[:, 0] if result.shape[1] == 1 else result
