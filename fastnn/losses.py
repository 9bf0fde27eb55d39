"""Losses: a value and a gradient for a batch; the arithmetic is `fastnn.functional`'s.

A loss of your own is any object with `forward(prediction, targets)`, which returns a number, and `backward()`, which returns
the gradient with respect to the prediction. What the trainer uses beyond that, where it is there:

    check_targets(name, targets, rows, outputs)     the targets as an array, or an error
    scores(prediction, targets)                     named sums over the rows, e.g. {"accuracy": number of hits}
    probabilities(prediction), labels(prediction)   the link from outputs to probabilities and labels
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import functional as F
from ._check import Array, as_array, choice, floats, labels, number, reals, same_shape
from .functional.losses import reduce_losses

__all__ = ["CrossEntropyLoss", "MSELoss"]


class CrossEntropyLoss:
    """Softmax cross-entropy of logits (m, k) against labels (m,) or rows of probabilities (m, k).

    label_smoothing ε: targets become (1 - ε) t + ε / k. reduction: 'mean' or 'sum' over rows, 'none' for one value a row.
    As torch.nn.CrossEntropyLoss.

    >>> loss = CrossEntropyLoss()
    >>> loss.forward(np.zeros((1, 4)), [2])
    1.3862943611198906
    >>> loss.backward()
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """

    def __init__(self, *, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        self.label_smoothing = number("label_smoothing", label_smoothing, low=0.0, high=1.0, open_high=True)
        self.reduction = choice("reduction", reduction, ("mean", "sum", "none"))
        self._saved: tuple[Array, ...] | None = None

    def forward(self, prediction: ArrayLike, targets: ArrayLike) -> float | Array:
        """The loss. prediction: logits (m, k). targets: (m,) integers in [0, k) or (m, k) probabilities."""
        logits, targets = _rows(floats("prediction", prediction, ndim=2)), as_array("targets", targets)
        if targets.ndim == 1 and self.reduction != "none":
            loss, gradient = F.cross_entropy_with_gradient(logits, targets, self.label_smoothing, self.reduction)
            self._saved = (gradient,)
            return loss
        losses, log_sums = F.cross_entropy_with_log_sums(logits, targets, self.label_smoothing)
        self._saved = (logits, targets, log_sums)
        return reduce_losses(losses, self.reduction)

    def backward(self, dloss: ArrayLike = 1.0) -> Array:
        """dloss times the gradient of the last forward with respect to the logits, (m, k)."""
        saved = _kept(self._saved, self)
        if len(saved) == 1:
            return saved[0] * floats("dloss", dloss, dtype=saved[0].dtype, ndim=0)
        logits, targets, log_sums = saved
        return F.cross_entropy_backward(logits, targets, self.label_smoothing, self.reduction, dloss=dloss, log_sums=log_sums)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array; ValueError or TypeError where they do not fit so many rows and outputs."""
        array = as_array(name, targets)
        if array.ndim == 2:
            array = floats(name, array)
            if array.shape[0] != rows or (outputs is not None and array.shape[1] != outputs):
                raise ValueError(
                    f"{name}: expected labels of shape ({rows},) or probabilities of shape ({rows}, {outputs}), got {array.shape}"
                )
            if array.size and not (array.min() >= 0.0 and np.allclose(array.sum(axis=1), 1.0, atol=1e-3)):
                raise ValueError(f"{name}: expected rows of probabilities that sum to 1, got others")
            return array
        return labels(name, array, rows, np.iinfo(np.int64).max if outputs is None else outputs)

    def scores(self, prediction: Array, targets: Array) -> dict[str, float]:
        """The number of rows whose largest logit is the (most probable) label's."""
        truth = targets if targets.ndim == 1 else targets.argmax(axis=1)
        return {"accuracy": float(np.count_nonzero(prediction.argmax(axis=1) == truth))}

    def probabilities(self, prediction: Array) -> Array:
        """softmax of the logits."""
        return F.softmax(prediction)

    def labels(self, prediction: Array) -> Array:
        """The number of the largest logit of each row."""
        result: Array = prediction.argmax(axis=1)
        return result

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_saved": None}

    def __repr__(self) -> str:
        return f"CrossEntropyLoss(label_smoothing={self.label_smoothing!r}, reduction={self.reduction!r})"


class MSELoss:
    """The squared error (prediction - target)². reduction: 'mean' or 'sum' over all elements, or 'none'. As torch.nn.MSELoss.

    Targets of shape (m,) stand for one column.

    >>> MSELoss().forward(np.array([[1.0], [2.0]]), [1.0, 4.0])
    2.0
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = choice("reduction", reduction, ("mean", "sum", "none"))
        self._saved: tuple[Array, Array] | None = None

    def forward(self, prediction: ArrayLike, targets: ArrayLike) -> float | Array:
        """The loss. prediction: (m, k). targets: (m, k), or (m,) where k is 1."""
        prediction = _rows(floats("prediction", prediction))
        targets = _column(floats("targets", targets, dtype=prediction.dtype), prediction.shape)
        same_shape("targets", targets, prediction.shape, "that of prediction")
        loss = F.mse_loss(prediction, targets, self.reduction)
        self._saved = (prediction, targets)
        return loss

    def backward(self, dloss: ArrayLike = 1.0) -> Array:
        """dloss times the gradient of the last forward with respect to the prediction."""
        prediction, targets = _kept(self._saved, self)
        return F.mse_loss_backward(prediction, targets, self.reduction, dloss=dloss)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array (rows, outputs); ValueError or TypeError where they do not fit."""
        array = reals(name, targets)
        array = _column(array, (rows, outputs or 1))
        if array.ndim != 2 or array.shape[0] != rows or (outputs is not None and array.shape[1] != outputs):
            raise ValueError(f"{name}: expected shape ({rows}, {outputs}), got {np.shape(targets)}")
        return array

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_saved": None}

    def __repr__(self) -> str:
        return f"MSELoss(reduction={self.reduction!r})"


def _rows(prediction: Array) -> Array:
    if prediction.size == 0:
        raise ValueError(f"prediction: expected at least one row and one column, got shape {prediction.shape}")
    return prediction


def _column(targets: Array, shape: tuple[int, ...]) -> Array:
    return targets[:, np.newaxis] if targets.ndim == 1 and len(shape) == 2 and shape[1] == 1 else targets


def _kept(saved: tuple[Array, ...] | None, loss: object) -> tuple[Array, ...]:
    if saved is None:
        raise ValueError(f"backward: expected a forward of {loss!r} before it, got none")
    return saved
