"""How update rules, penalties and clipping are lowered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastnn_kernels.cpu.instructions import rules as ops
from fastnn_kernels.cpu.reductions import LANES, sum_chunks

from .._check import Array
from ..optim import SGD, Adam, RMSprop
from ..program import Table
from ..regularizers import L1, L2, ElasticNet
from .common import RULE_NS, NotLowered


class _Rule(NamedTuple):
    """How a rule is lowered: its instruction, and what it reads of the rule."""

    instruction: Any
    moments: tuple[str, ...]  # names of its state, in the order of the program's moments
    reals: Callable[[Any], tuple[float, ...]]  # read at each run: settings may change
    flags: Callable[[Any], tuple[int, ...]] = lambda rule: ()


def _eps(rule: Any) -> tuple[float, float]:
    """Inside and outside the root."""
    return (rule.eps, 0.0) if rule.eps_inside_sqrt else (0.0, rule.eps)


_RULES: dict[type, _Rule] = {
    SGD: _Rule(
        ops.sgd, ("velocity",), lambda r: (r.lr, r.momentum, r.dampening, r.weight_decay), lambda r: (r.nesterov,)
    ),
    RMSprop: _Rule(
        ops.rmsprop, ("square", "mean", "velocity"), lambda r: (r.lr, r.alpha, *_eps(r), r.momentum, r.weight_decay)
    ),
    Adam: _Rule(
        ops.adam, ("first_moment", "second_moment", "largest_moment"),
        lambda r: (r.lr, *r.betas, *_eps(r), r.weight_decay), lambda r: (r.bias_correction,),
    ),
}  # fmt: skip


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


def lower_rule(t: Table, rule: Any) -> Callable[[], list[Array | None]]:
    """The update; returns what gives the rule's state arrays as they are then."""
    if type(rule) not in _RULES:
        raise NotLowered(f"{rule!r} has no instruction")
    entry = _RULES[type(rule)]
    steps = t.counter(lambda: rule.steps, lambda value: setattr(rule, "steps", value))
    work = t.model.flat_parameters.size * RULE_NS
    t.add(entry.instruction, work, steps, *entry.flags(rule), reals=lambda: entry.reals(rule))
    return lambda: [rule.state_array(name) for name in entry.moments]
