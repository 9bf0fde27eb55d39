"""How losses are lowered: each adds its instruction; dz is the place of the gradient, -1 for evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn_kernels.cpu import pointwise_losses as kinds
from fastnn_kernels.cpu.instructions import label_losses, pointwise_losses
from fastnn_kernels.cpu.instructions import losses as ops

from ..functional.losses import logistic_factors, without_ignored
from ..losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, PoissonNLLLoss
from ..program import Table
from .common import ACTIVATION_NS, LOSS_NS, NotLowered


def _target_rows(t: Table, size: int) -> int:
    """Where the batch's rows of targets are to be gathered, or, as ~place, where augmentation has left them."""
    return t.room(size) if t.mixed_targets < 0 else ~t.mixed_targets


def _cross_entropy(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    m, work = t.batch, t.batch * k * LOSS_NS
    summed = loss.reduction == "sum"
    reals = lambda: (loss.label_smoothing,)  # noqa: E731
    weighted = t.row_weights is not None or loss.class_weight is not None
    if labelled and (weighted or loss.ignore_index is not None):
        _label_loss(t, label_losses.weighted_cross_entropy, work, loss, k, z, dz, reals)
    elif labelled:
        t.add(ops.cross_entropy, work, k, z, dz if dz >= 0 else t.room(m * k), t.room(m), t.room(m), summed, reals=reals)
    else:
        places = [t.room(m), t.room(2 * m), t.room(m), t.room(m * k)]
        targets = _target_rows(t, m * k)
        if weighted:
            t.weighs = True
            more = t.room(m * k), _class_weights(t, loss, k)
            t.add(label_losses.weighted_soft_cross_entropy, work, k, z, dz, *places, summed, targets, *more, reals=reals)
        else:
            t.add(ops.soft_cross_entropy, work, k, z, dz, *places, summed, targets, reals=reals)


def _nll(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    _label_loss(t, label_losses.nll_loss, t.batch * k * ACTIVATION_NS, loss, k, z, dz, tuple)


def _label_loss(
    t: Table, op: Any, work: float, loss: Any, k: int, z: int, dz: int, reals: Callable[[], tuple[float, ...]]
) -> None:
    m = t.batch
    t.weighs = True
    places = dz if dz >= 0 else t.room(m * k), t.room(m), t.room(m)
    ignored = without_ignored(loss.ignore_index)
    t.add(op, work, k, z, *places, loss.reduction == "sum", _class_weights(t, loss, k), ignored, reals=reals)


def _class_weights(t: Table, loss: Any, k: int) -> int:
    return -1 if loss.class_weight is None else t.constant(k, loss.class_weight)


def _squared_error(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    if t.row_weights is not None:
        _pointwise(kinds.SQUARED)(t, loss, k, z, dz, labelled)
        return
    size = t.batch * k
    summed = loss.reduction == "sum"
    t.add(ops.squared_error, size * ACTIVATION_NS, k, z, dz, t.room(size), t.room(size), summed, _target_rows(t, size))


def _pointwise(
    kind: int, nanoseconds: float = 0.3, parameter: Callable[[Any], float] = lambda loss: 0.0
) -> Callable[[Table, Any, int, int, int, bool], None]:
    """Lowers a loss that goes element by element; nanoseconds: for each."""

    def lower(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
        size = t.batch * k
        t.weighs = True
        place, count = -1, 0
        if getattr(loss, "pos_weight", None) is not None:
            factors = logistic_factors(loss.pos_weight, k, t.model.dtype)
            place, count = t.constant(factors.size, factors), factors.size
        t.add(
            pointwise_losses.pointwise_loss, size * nanoseconds, kind, k, z, dz if dz >= 0 else t.room(size), t.room(size),
            loss.reduction == "sum", _target_rows(t, size), place, count, getattr(loss, "full", False),
            reals=lambda: (parameter(loss),),
        )  # fmt: skip

    return lower


def _poisson(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    kind, nanoseconds = (kinds.POISSON_LOG, 0.6) if loss.log_input else (kinds.POISSON, 2.5)
    _pointwise(kind, nanoseconds, lambda loss: loss.eps)(t, loss, k, z, dz, labelled)


_LOSSES: dict[type, Callable[[Table, Any, int, int, int, bool], None]] = {
    CrossEntropyLoss: _cross_entropy,
    NLLLoss: _nll,
    MSELoss: _squared_error,
    L1Loss: _pointwise(kinds.ABSOLUTE),
    HuberLoss: _pointwise(kinds.HUBER, parameter=lambda loss: loss.delta),
    PoissonNLLLoss: _poisson,
    BCEWithLogitsLoss: _pointwise(kinds.LOGISTIC, 1.5),
}


def lower_loss(t: Table, loss: Any, k: int, z: int, dz: int, labelled: bool) -> None:
    """The loss of outputs at z, and where dz is not -1 its gradient there."""
    if type(loss) not in _LOSSES:
        raise NotLowered(f"{loss!r} has no instruction")
    _LOSSES[type(loss)](t, loss, k, z, dz, labelled)
