"""Losses against class labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import functional as F
from .._check import Array, as_array, floats, integer, labels, number, weights
from ..functional.losses import label_weights, labels_or_ignored, reduce_losses
from .base import Loss, nonempty_rows

__all__ = ["CrossEntropyLoss", "NLLLoss"]


class CrossEntropyLoss(Loss):
    """Softmax cross-entropy of logits (m, k) against labels (m,) or rows of probabilities (m, k).

    class_weight: (k,), how much each class counts. ignore_index: a label whose rows count nothing. label_smoothing ε: targets
    become (1 - ε) t + ε / k. reduction: 'mean' or 'sum' over rows, 'none' for one value a row. A mean is divided by the sum of
    the weights of the rows and of their labels (against probabilities by that of the rows); a batch in which nothing counts
    costs 0. As torch.nn.CrossEntropyLoss, where class_weight is called weight, and ignore_index is -100.

    >>> loss = CrossEntropyLoss()
    >>> loss.forward(np.zeros((1, 4)), [2])
    1.3862943611198906
    >>> loss.backward()
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """

    _settings = ("class_weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        class_weight: ArrayLike | None = None,
        *,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.class_weight = _class_weights(class_weight)
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, low=-(2**63))
        self.label_smoothing = number("label_smoothing", label_smoothing, low=0.0, high=1.0, open_high=True)

    def forward(self, prediction: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None) -> float | Array:
        """The loss. prediction: logits (m, k). targets: (m,) integers in [0, k) or (m, k) probabilities. sample_weight: (m,)."""
        logits, targets = nonempty_rows(floats("prediction", prediction, ndim=2)), as_array("targets", targets)
        options: dict[str, Any] = {
            "class_weight": self.class_weight,
            "ignore_index": self.ignore_index,
            "sample_weight": sample_weight,
        }
        if targets.ndim == 1 and self.reduction != "none":
            loss, gradient = F.cross_entropy_with_gradient(logits, targets, self.label_smoothing, self.reduction, **options)
            self._saved = (gradient,)
            return loss
        if any(value is not None for value in options.values()):
            self._saved = (logits, targets, options)
            return F.cross_entropy(logits, targets, self.label_smoothing, self.reduction, **options)
        losses, log_sums = F.cross_entropy_with_log_sums(logits, targets, self.label_smoothing)
        self._saved = (logits, targets, {"log_sums": log_sums})
        return reduce_losses(losses, self.reduction)

    def backward(self, dloss: ArrayLike = 1.0) -> Array:
        """dloss times the gradient of the last forward with respect to the logits, (m, k)."""
        saved = self._kept()
        if len(saved) == 1:
            gradient: Array = saved[0] * floats("dloss", dloss, dtype=saved[0].dtype, ndim=0)
            return gradient
        logits, targets, options = saved
        return F.cross_entropy_backward(logits, targets, self.label_smoothing, self.reduction, dloss=dloss, **options)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array; ValueError or TypeError where they do not fit so many rows and outputs."""
        array = as_array(name, targets)
        _check_class_weights(self.class_weight, outputs)
        if array.ndim == 2:
            array = floats(name, array)
            if self.ignore_index is not None:
                raise ValueError(f"{name}: expected labels for a loss with ignore_index, got shape {array.shape}")
            if array.shape[0] != rows or (outputs is not None and array.shape[1] != outputs):
                raise ValueError(
                    f"{name}: expected labels of shape ({rows},) or probabilities of shape ({rows}, {outputs}), got {array.shape}"
                )
            if array.size and not (array.min() >= 0.0 and np.allclose(array.sum(axis=1), 1.0, atol=1e-3)):
                raise ValueError(f"{name}: expected rows of probabilities that sum to 1, got others")
            return array
        return _labels(name, array, rows, outputs, self.ignore_index)

    def divisors(self, targets: Array, sample_weight: Array | None = None) -> tuple[float, float]:
        """What the mean of the losses of such rows is divided by, and that of their scores."""
        if targets.ndim == 1:
            return label_weights(targets, self.class_weight, self.ignore_index, sample_weight)
        return super().divisors(targets, sample_weight)

    def scores(self, prediction: Array, targets: Array, sample_weight: Array | None = None) -> dict[str, float]:
        """The number, or the weight, of rows whose largest logit is the (most probable) label's."""
        return {"accuracy": _hits(prediction, targets, self.ignore_index, sample_weight)}

    def probabilities(self, prediction: Array) -> Array:
        """softmax of the logits."""
        return F.softmax(prediction)

    def labels(self, prediction: Array) -> Array:
        """The number of the largest logit of each row."""
        result: Array = prediction.argmax(axis=1)
        return result


class NLLLoss(Loss):
    """-log p of each row's label, from log-probabilities (m, k) as LogSoftmax gives them.

    class_weight, ignore_index, reduction: as in CrossEntropyLoss, whose loss of logits this is of their LogSoftmax. As
    torch.nn.NLLLoss.

    >>> NLLLoss().forward(np.log([[0.5, 0.5]]), [0])
    0.6931471805599453
    """

    _settings = ("class_weight", "ignore_index")

    def __init__(
        self, class_weight: ArrayLike | None = None, *, ignore_index: int | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.class_weight = _class_weights(class_weight)
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, low=-(2**63))

    def forward(self, prediction: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None) -> float | Array:
        """The loss. prediction: log-probabilities (m, k). targets: (m,) integers in [0, k). sample_weight: (m,)."""
        x, targets = nonempty_rows(floats("prediction", prediction, ndim=2)), as_array("targets", targets)
        options: dict[str, Any] = {
            "class_weight": self.class_weight,
            "ignore_index": self.ignore_index,
            "sample_weight": sample_weight,
        }
        if self.reduction == "none":
            self._saved = (x, targets, options)
            return F.nll_loss(x, targets, "none", **options)
        loss, gradient = F.nll_loss_with_gradient(x, targets, self.reduction, **options)
        self._saved = (gradient,)
        return loss

    def backward(self, dloss: ArrayLike = 1.0) -> Array:
        """dloss times the gradient of the last forward with respect to the log-probabilities, (m, k)."""
        saved = self._kept()
        if len(saved) == 1:
            gradient: Array = saved[0] * floats("dloss", dloss, dtype=saved[0].dtype, ndim=0)
            return gradient
        x, targets, options = saved
        return F.nll_loss_backward(x, targets, "none", dloss=dloss, **options)

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The labels as an array; ValueError or TypeError where they do not fit so many rows and outputs."""
        _check_class_weights(self.class_weight, outputs)
        return _labels(name, as_array(name, targets), rows, outputs, self.ignore_index)

    def divisors(self, targets: Array, sample_weight: Array | None = None) -> tuple[float, float]:
        """What the mean of the losses of such rows is divided by, and that of their scores."""
        return label_weights(targets, self.class_weight, self.ignore_index, sample_weight)

    def scores(self, prediction: Array, targets: Array, sample_weight: Array | None = None) -> dict[str, float]:
        """The number, or the weight, of rows whose most probable class is the label."""
        return {"accuracy": _hits(prediction, targets, self.ignore_index, sample_weight)}

    def probabilities(self, prediction: Array) -> Array:
        """The exponentials of the log-probabilities."""
        return np.exp(prediction)

    def labels(self, prediction: Array) -> Array:
        """The number of the most probable class of each row."""
        result: Array = prediction.argmax(axis=1)
        return result


def _class_weights(class_weight: ArrayLike | None) -> Array | None:
    if class_weight is None:
        return None
    array = floats("class_weight", class_weight, dtype=np.float64, ndim=1)
    array = weights("class_weight", array, array.size, "one for each class", np.float64)
    if not array.any():
        raise ValueError(f"class_weight: expected at least one number above 0, got {array.tolist()}")
    return array


def _check_class_weights(class_weight: Array | None, outputs: int | None) -> None:
    if class_weight is not None and outputs is not None and class_weight.size != outputs:
        raise ValueError(f"class_weight: expected {outputs} numbers, one for each output, got {class_weight.size}")


def _labels(name: str, array: Array, rows: int, outputs: int | None, ignore_index: int | None) -> Array:
    classes = np.iinfo(np.int64).max if outputs is None else outputs
    if ignore_index is None:
        return labels(name, array, rows, classes)
    return labels_or_ignored(name, array, rows, classes, ignore_index)


def _hits(prediction: Array, targets: Array, ignore_index: int | None, sample_weight: Array | None) -> float:
    truth = targets if targets.ndim == 1 else targets.argmax(axis=1)
    hits = prediction.argmax(axis=1) == truth
    if ignore_index is not None and targets.ndim == 1:
        hits &= targets != ignore_index
    return float(np.count_nonzero(hits) if sample_weight is None else sample_weight[hits].sum(dtype=np.float64))
