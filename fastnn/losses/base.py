"""What all losses are: settings, and what the last forward left for backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import functional as F
from .._check import Array, choice, floats, reals, same_shape

__all__ = ["Loss", "column", "nonempty_rows"]


class Loss:
    """Base of the losses here; a loss of your own need not derive from it (see `fastnn.losses`).

    A loss goes element by element, through a function of `fastnn.functional`, unless it overrides `forward`, `backward` and
    `check_targets`.
    """

    _function = ""
    _settings: tuple[str, ...] = ()  # what the function takes, and repr shows, beside the reduction

    def __init__(self, reduction: str) -> None:
        self.reduction = choice("reduction", reduction, ("mean", "sum", "none"))
        self._saved: Any = None

    def _kept(self) -> Any:
        if self._saved is None:
            raise ValueError(f"backward: expected a forward of {self!r} before it, got none")
        return self._saved

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._settings}

    def forward(self, prediction: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None) -> float | Array:
        """The loss. prediction: (m, k). targets: (m, k), or (m,) where k is 1. sample_weight: (m,)."""
        prediction = nonempty_rows(floats("prediction", prediction))
        targets = column(floats("targets", targets, dtype=prediction.dtype), prediction.shape)
        same_shape("targets", targets, prediction.shape, "that of prediction")
        options = self._options() | {"sample_weight": sample_weight, "reduction": self.reduction}
        loss: float | Array = getattr(F, self._function)(prediction, targets, **options)
        self._saved = prediction, targets, options
        return loss

    def backward(self, dloss: ArrayLike = 1.0) -> Array:
        """dloss times the gradient of the last forward with respect to the prediction."""
        prediction, targets, options = self._kept()
        gradient: Array = getattr(F, f"{self._function}_backward")(prediction, targets, dloss=dloss, **options)
        return gradient

    def check_targets(self, name: str, targets: ArrayLike, rows: int, outputs: int | None) -> Array:
        """The targets as an array (rows, outputs); ValueError or TypeError where they do not fit."""
        array = column(reals(name, targets), (rows, outputs or 1))
        if array.ndim != 2 or array.shape[0] != rows or (outputs is not None and array.shape[1] != outputs):
            raise ValueError(f"{name}: expected shape ({rows}, {outputs}), got {np.shape(targets)}")
        return array

    def divisors(self, targets: Array, sample_weight: Array | None = None) -> tuple[float, float]:
        """What the mean of the losses of such rows is divided by, and that of their scores, up to the number of outputs."""
        total = float(len(targets) if sample_weight is None else sample_weight.sum(dtype=np.float64))
        return total, total

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_saved": None}

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in (*self._settings, "reduction")}
        shown = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def nonempty_rows(prediction: Array) -> Array:
    """A prediction with something in it."""
    if prediction.size == 0:
        raise ValueError(f"prediction: expected at least one row and one column, got shape {prediction.shape}")
    return prediction


def column(targets: Array, shape: tuple[int, ...]) -> Array:
    """Targets (m,) as (m, 1) where the prediction has one column."""
    return targets[:, np.newaxis] if targets.ndim == 1 and len(shape) == 2 and shape[1] == 1 else targets
