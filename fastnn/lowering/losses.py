"""How losses are lowered: each adds its instruction; dz is the place of the gradient, -1 for evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn_kernels.cpu.instructions import losses as ops

from ..losses import CrossEntropyLoss, MSELoss
from ..program import Table
from .common import ACTIVATION_NS, LOSS_NS, NotLowered


def _target_rows(t: Table, size: int) -> int:
    """Where the batch's rows of targets are to be gathered, or, as ~place, where augmentation has left them."""
    return t.room(size) if t.mixed_targets < 0 else ~t.mixed_targets


def _cross_entropy(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    m, work = t.batch, t.batch * k * LOSS_NS
    summed = loss.reduction == "sum"
    reals = lambda: (loss.label_smoothing,)  # noqa: E731
    if labelled:
        t.add(ops.cross_entropy, work, k, z, dz if dz >= 0 else t.room(m * k), t.room(m), t.room(m), summed, reals=reals)
    else:
        places = [t.room(m), t.room(2 * m), t.room(m), t.room(m * k)]
        t.add(ops.soft_cross_entropy, work, k, z, dz, *places, summed, _target_rows(t, m * k), reals=reals)


def _squared_error(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    size = t.batch * k
    summed = loss.reduction == "sum"
    t.add(ops.squared_error, size * ACTIVATION_NS, k, z, dz, t.room(size), t.room(size), summed, _target_rows(t, size))


_LOSSES: dict[type, Callable[[Table, Any, int, int, int, bool], None]] = {
    CrossEntropyLoss: _cross_entropy,
    MSELoss: _squared_error,
}


def lower_loss(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    """The loss of outputs at z, and where dz is not -1 its gradient there."""
    if type(loss) not in _LOSSES:
        raise NotLowered(f"{loss!r} has no instruction")
    _LOSSES[type(loss)](t, loss, k, z, dz, labelled)
