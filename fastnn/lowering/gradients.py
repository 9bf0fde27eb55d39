"""How penalties and clipping are lowered."""

from __future__ import annotations

from typing import Any

from fastnn_kernels.cpu.instructions import gradients as ops
from fastnn_kernels.cpu.reductions import LANES, sum_chunks

from ..program import Table
from ..regularizers import L1, L2, ElasticNet
from .common import RULE_NS, NotLowered


def lower_penalty(t: Table, regularizer: Any, summed: bool) -> None:
    """The penalty's gradient, on top of the loss's. summed: whether the loss is a sum over rows."""
    if type(regularizer) not in (L1, L2, ElasticNet):
        raise NotLowered(f"{regularizer!r} has no instruction")
    size = t.model.regularized_size
    t.add(
        ops.penalty, size * RULE_NS, size, t.partials(sum_chunks(size) * 2 * LANES + 2), regularizer.scale == "rows", summed,
        reals=lambda: (regularizer.l1, regularizer.l2 * (1.0 if regularizer.half else 2.0)),
    )  # fmt: skip


def lower_clipping(t: Table, clip_norm: float) -> None:
    """Clipping by the global norm, whose factor the rule applies."""
    size = t.model.flat_parameters.size
    t.add(ops.clip_norm, size * RULE_NS, t.partials(sum_chunks(size) * LANES + 1), reals=lambda: (clip_norm,))
