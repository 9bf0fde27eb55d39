"""How update rules are lowered: a line for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastnn_kernels.cpu.optimizers.adadelta import adadelta
from fastnn_kernels.cpu.optimizers.adagrad import adagrad
from fastnn_kernels.cpu.optimizers.adam import adam
from fastnn_kernels.cpu.optimizers.lion import lion
from fastnn_kernels.cpu.optimizers.nadam import nadam
from fastnn_kernels.cpu.optimizers.radam import radam
from fastnn_kernels.cpu.optimizers.rmsprop import rmsprop
from fastnn_kernels.cpu.optimizers.sgd import sgd

from .._check import Array
from ..optim import SGD, SGDW, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop
from ..program import Table
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
        sgd, ("velocity",), lambda r: (r.lr, r.momentum, r.dampening, r.weight_decay), lambda r: (r.nesterov, r.decoupled)
    ),
    RMSprop: _Rule(
        rmsprop, ("square", "mean", "velocity"), lambda r: (r.lr, r.alpha, *_eps(r), r.momentum, r.weight_decay)
    ),
    Adam: _Rule(
        adam, ("first_moment", "second_moment", "largest_moment"),
        lambda r: (r.lr, *r.betas, *_eps(r), r.weight_decay), lambda r: (r.bias_correction, r.decoupled),
    ),
    Adagrad: _Rule(adagrad, ("total",), lambda r: (r.lr, r.lr_decay, *_eps(r), r.weight_decay)),
    Adadelta: _Rule(adadelta, ("square", "change"), lambda r: (r.lr, r.rho, r.eps, r.weight_decay)),
    NAdam: _Rule(
        nadam, ("first_moment", "second_moment", "product"),
        lambda r: (r.lr, *r.betas, r.eps, r.weight_decay, r.momentum_decay), lambda r: (r.decoupled_weight_decay,),
    ),
    RAdam: _Rule(
        radam, ("first_moment", "second_moment"),
        lambda r: (r.lr, *r.betas, r.eps, r.weight_decay), lambda r: (r.decoupled_weight_decay,),
    ),
    Lion: _Rule(lion, ("momentum",), lambda r: (r.lr, *r.betas, r.weight_decay)),
}  # fmt: skip
_RULES |= {AdamW: _RULES[Adam], SGDW: _RULES[SGD]}


def lower_rule(t: Table, rule: Any) -> Callable[[], list[Array | None]]:
    """The update; returns what gives the rule's state arrays as they are then."""
    if type(rule) not in _RULES:
        raise NotLowered(f"{rule!r} has no instruction")
    entry = _RULES[type(rule)]
    steps = t.counter(lambda: rule.steps, lambda value: setattr(rule, "steps", value))
    work = t.model.flat_parameters.size * RULE_NS
    t.add(entry.instruction, work, steps, *entry.flags(rule), reals=lambda: entry.reals(rule))
    return lambda: [rule.state_array(name) for name in entry.moments]
