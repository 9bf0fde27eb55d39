"""How losses are lowered. One of a new type: a function here, or an entry beside a similar one, in _LOSSES.

Each function appends the loss of outputs z and its gradient dz. Weighted losses, and hits, which the host weighs, go to the
rows' places in the arrays of the pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...functional.losses import logistic_factors, without_ignored
from ...losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, PoissonNLLLoss
from ..common import NotLowered
from .plan import Plan

__all__ = ["SCORED", "check_loss", "element_by_element", "lower_loss"]

SCORED = (CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss)  # count hits


def _share(plan: Plan, step: int, each: int = 1) -> float:
    """What the gradient of a row is multiplied by, for a sum or a mean; nothing counts in a batch of weight 0."""
    if plan.program.loss.reduction == "sum":
        return 1.0
    weight = plan.program.weight_of(step, plan.m) * each
    return 1.0 / weight if weight > 0.0 else 0.0


def _class_weights(plan: Plan, loss: Any) -> Any:
    program = plan.program
    return program.nothing if loss.class_weight is None else program.taken(loss.class_weight.astype(program.model.dtype))


def _row_weights(plan: Plan, rows: slice) -> Any:
    """Of the step's rows; (0,) where all are 1."""
    weights = plan.program.row_weights
    return plan.program.nothing if weights is None else weights[rows]


def _cross_entropy(plan: Plan, loss: Any, z: Any, dz: Any) -> None:
    program, cuda = plan.program, plan.cuda
    if program.targets.ndim == 2:
        _soft_cross_entropy(plan, loss, z, dz)
        return
    classes, ignored = _class_weights(plan, loss), without_ignored(loss.ignore_index)

    def labelled(step: int) -> None:
        rows, share = plan.rows(step), _share(plan, step)
        labels, places = program.targets[rows], (program.losses[rows], program.hits[rows], dz)
        if program.weighed:
            weights = _row_weights(plan, rows)
            cuda.weighted_cross_entropy_gradient(z, labels, loss.label_smoothing, ignored, classes, weights, share, *places)
        else:
            cuda.cross_entropy_gradient(z, labels, loss.label_smoothing, share, *places)

    plan.add(labelled)


def _soft_cross_entropy(plan: Plan, loss: Any, z: Any, dz: Any) -> None:
    program, cuda, xp, k = plan.program, plan.cuda, plan.xp, z.shape[1]
    sums, shares = plan.empty((2, plan.m)), plan.empty(plan.m)
    classes = _class_weights(plan, loss)

    def soft(step: int) -> None:
        rows, smoothing = plan.rows(step), loss.label_smoothing
        targets, losses = program.targets[rows], program.losses[rows]
        program.hits[rows] = z.argmax(axis=1) == targets.argmax(axis=1)
        if classes.size:  # a class's weight is a part of its share
            targets, smoothing = (targets * (1.0 - smoothing) + smoothing / k) * classes, 0.0
        shares[...] = _share(plan, step)
        cuda.soft_cross_entropy_forward(z, targets, smoothing, dz, sums, losses)
        if program.row_weights is None:
            cuda.soft_cross_entropy_backward(shares, z, targets, smoothing, sums, dz)
            return
        weights = _row_weights(plan, rows)
        shares[...] *= weights
        cuda.soft_cross_entropy_backward(shares, z, targets, smoothing, sums, dz)
        counts = weights != 0.0  # a row of weight 0 counts nothing, whatever is in it
        losses[...] = xp.where(counts, losses, 0.0) * weights
        dz[...] = xp.where(counts[:, None], dz, 0.0)

    plan.add(soft)


def _nll(plan: Plan, loss: Any, z: Any, dz: Any) -> None:
    program, classes, ignored = plan.program, _class_weights(plan, loss), without_ignored(loss.ignore_index)

    def labelled(step: int) -> None:
        rows = plan.rows(step)
        places = program.losses[rows], program.hits[rows], dz
        plan.cuda.nll_loss_gradient(
            z, program.targets[rows], ignored, classes, _row_weights(plan, rows), _share(plan, step), *places
        )

    plan.add(labelled)


def _pointwise(kind: str, parameter: Callable[[Any], float] = lambda loss: 0.0) -> Callable[[Plan, Any, Any, Any], None]:
    """Lowers a loss that goes element by element. kind: the name of its number."""

    def lower(plan: Plan, loss: Any, z: Any, dz: Any) -> None:
        program, k, number = plan.program, z.shape[1], getattr(plan.cuda, kind)
        positive, full, scored = getattr(loss, "pos_weight", None), getattr(loss, "full", False), type(loss) in SCORED
        factors = program.nothing if positive is None else program.taken(logistic_factors(positive, k, program.model.dtype))

        def pointwise(step: int) -> None:
            rows = plan.rows(step)
            targets, share = program.targets[rows], _share(plan, step, k)
            losses = program.losses[rows.start * k : rows.stop * k].reshape(plan.m, k)
            weights = _row_weights(plan, rows)
            plan.cuda.pointwise_loss_gradient(number, z, targets, parameter(loss), full, factors, weights, share, losses, dz)
            if scored:
                program.hits[rows] = ((z > 0.0) == (targets > 0.5)).mean(axis=1)

        plan.add(pointwise)

    return lower


def _poisson(plan: Plan, loss: Any, z: Any, dz: Any) -> None:
    _pointwise("POISSON_LOG" if loss.log_input else "POISSON", lambda loss: loss.eps)(plan, loss, z, dz)


_POINTWISE: dict[type, Callable[[Plan, Any, Any, Any], None]] = {
    MSELoss: _pointwise("SQUARED"),
    L1Loss: _pointwise("ABSOLUTE"),
    HuberLoss: _pointwise("HUBER", lambda loss: loss.delta),
    PoissonNLLLoss: _poisson,
    BCEWithLogitsLoss: _pointwise("LOGISTIC"),
}
_LOSSES: dict[type, Callable[[Plan, Any, Any, Any], None]] = {CrossEntropyLoss: _cross_entropy, NLLLoss: _nll, **_POINTWISE}


def element_by_element(loss: Any) -> bool:
    """Whether a row has a loss for each of its outputs."""
    return type(loss) in _POINTWISE


def check_loss(loss: Any) -> None:
    """NotLowered where a loss has no kernel."""
    if type(loss) not in _LOSSES:
        raise NotLowered(f"{loss!r} has no CUDA kernel")


def lower_loss(plan: Plan, z: Any) -> Any:
    """Append the loss of outputs z; returns where its gradient will be."""
    loss, dz = plan.program.loss, plan.xp.empty_like(z)
    _LOSSES[type(loss)](plan, loss, z, dz)
    return dz
