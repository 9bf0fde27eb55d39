"""How penalties, clipping and constraints are lowered."""

from __future__ import annotations

from typing import Any

from fastnn_kernels.cpu.instructions import constraints
from fastnn_kernels.cpu.instructions import gradients as ops
from fastnn_kernels.cpu.reductions import LANES, sum_chunks

from ..program import Table
from ..regularizers import L1, L2, ElasticNet, MaxNorm
from .common import RULE_NS, NotLowered, offset


def lower_penalty(t: Table, regularizer: Any, summed: bool) -> None:
    """The penalty's gradient, on top of the loss's. summed: whether the loss is a sum over rows."""
    if type(regularizer) not in (L1, L2, ElasticNet):
        raise NotLowered(f"{regularizer!r} has no instruction")
    size = t.model.regularized_size
    t.add(
        ops.penalty, size * RULE_NS, size, t.partials(sum_chunks(size) * 2 * LANES + 2), regularizer.scale == "rows", summed,
        reals=lambda: (
            0.0 if regularizer.proximal else regularizer.l1, regularizer.l2 * (1.0 if regularizer.half else 2.0),
            regularizer.l1 if regularizer.proximal else 0.0,
        ),
    )  # fmt: skip


def lower_proximal_step(t: Table, regularizer: Any, rule: Any) -> None:
    """The soft threshold after the rule, by the rule's learning rate, which comes first as in a rule's instruction."""
    size = t.model.regularized_size
    rows = regularizer.scale == "rows"
    t.add(constraints.soft_threshold, size * RULE_NS / 2, size, rows, reals=lambda: (rule.lr, regularizer.l1))


def lower_value_clipping(t: Table, clip_value: float) -> None:
    """Clipping of each element of the gradient."""
    t.add(constraints.clip_values, t.model.flat_parameters.size * RULE_NS / 2, reals=lambda: (clip_value,))


def lower_constraint(t: Table, constraint: Any) -> None:
    """The bound on the norms of incoming weights, layer by layer."""
    if type(constraint) is not MaxNorm:
        raise NotLowered(f"{constraint!r} has no instruction")
    for weight in constraint.weights(t.model):
        t.add(
            constraints.limit_column_norms, weight.size * RULE_NS, *weight.shape, offset(weight, t.model.flat_parameters),
            t.partials(weight.shape[1]), reals=lambda: (constraint.largest,),
        )  # fmt: skip


def lower_clipping(t: Table, clip_norm: float) -> None:
    """Clipping by the global norm, whose factor the rule applies."""
    size = t.model.flat_parameters.size
    t.add(ops.clip_norm, size * RULE_NS, t.partials(sum_chunks(size) * LANES + 1), reals=lambda: (clip_norm,))
