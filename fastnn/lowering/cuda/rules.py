"""How what comes after the gradients is lowered: penalty, clipping, the update, what bounds the weights, their average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...optim import SGD, SGDW, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop
from ..common import NotLowered
from .plan import Plan, place_of

__all__ = ["lower_update", "state_names"]


def _eps(rule: Any) -> tuple[float, float]:
    return (rule.eps, 0.0) if rule.eps_inside_sqrt else (0.0, rule.eps)


def _sgd(cuda: Any, r: Any, g: Any, w: Any, velocity: Any) -> None:
    first = r.steps == 0
    cuda.sgd_update(g, r.lr, r.momentum, r.dampening, r.nesterov, r.weight_decay, r.decoupled, 1.0, first, w, velocity)


def _rmsprop(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.rmsprop_update(g, r.lr, r.alpha, *_eps(r), r.momentum, r.weight_decay, 1.0, w, *state)


def _adam(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    settings = r.lr, *r.betas, *_eps(r), r.bias_correction, r.weight_decay, r.decoupled
    cuda.adam_update(g, r.steps + 1, *settings, 1.0, w, *state)


def _adagrad(cuda: Any, r: Any, g: Any, w: Any, total: Any) -> None:
    cuda.adagrad_update(g, r.steps + 1, r.lr, r.lr_decay, *_eps(r), r.weight_decay, 1.0, w, total)


def _adadelta(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.adadelta_update(g, r.lr, r.rho, r.eps, r.weight_decay, 1.0, w, *state)


def _nadam(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    t, product = r.steps + 1, r.state_array("product")  # which stays on the host
    now, following = (r.betas[0] * (1.0 - 0.5 * 0.96 ** (when * r.momentum_decay)) for when in (t, t + 1))
    product *= product.dtype.type(now)
    cuda.nadam_update(
        g, t, r.lr, *r.betas, r.eps, now, following, float(product[0]), r.weight_decay, r.decoupled_weight_decay, 1.0, w, *state
    )


def _radam(cuda: Any, r: Any, g: Any, w: Any, *state: Any) -> None:
    cuda.radam_update(g, r.steps + 1, r.lr, *r.betas, r.eps, r.weight_decay, r.decoupled_weight_decay, 1.0, w, *state)


def _lion(cuda: Any, r: Any, g: Any, w: Any, momentum: Any) -> None:
    cuda.lion_update(g, r.lr, *r.betas, r.weight_decay, 1.0, w, momentum)


# names of a rule's state on the device, in the kernel's order, and the update
_RULES: dict[type, tuple[tuple[str, ...], Callable[..., None]]] = {
    SGD: (("velocity",), _sgd),
    SGDW: (("velocity",), _sgd),
    RMSprop: (("square", "mean", "velocity"), _rmsprop),
    Adam: (("first_moment", "second_moment", "largest_moment"), _adam),
    AdamW: (("first_moment", "second_moment", "largest_moment"), _adam),
    Adagrad: (("total",), _adagrad),
    Adadelta: (("square", "change"), _adadelta),
    NAdam: (("first_moment", "second_moment"), _nadam),
    RAdam: (("first_moment", "second_moment"), _radam),
    Lion: (("momentum",), _lion),
}


def state_names(rule: Any) -> tuple[str, ...]:
    """What of a rule's state goes to the device; NotLowered where the rule has no kernel."""
    if type(rule) not in _RULES:
        raise NotLowered(f"{rule!r} has no CUDA kernel")
    return _RULES[type(rule)][0]


def lower_update(plan: Plan) -> None:
    """Append all that follows the gradients."""
    program = plan.program
    cuda, trainer, rule = plan.cuda, program.trainer, program.trainer.optimizer
    weights, gradients, size = program.parameters, program.gradients, program.model.regularized_size
    if trainer.regularizer is not None:
        partials = plan.empty((cuda.sum_chunks(size), 2 * cuda.LANES), np.float64)

        def penalise(step: int) -> None:
            l1, l2 = program.strengths(plan.m)
            smooth = 0.0 if trainer.regularizer.proximal else l1
            cuda.penalty_update(weights[:size], smooth, l2, partials, gradients[:size], program.penalties[step])

        plan.add(penalise)
    if trainer.clip_value is not None:
        plan.add(lambda step: cuda.clip_values(trainer.clip_value, gradients))
    if trainer.clip_norm is not None:
        room = plan.empty((cuda.sum_chunks(gradients.size), cuda.LANES), np.float64)

        def clip(step: int) -> None:
            cuda.squared_norm(gradients, room, program.norms[step])
            program.clip(program.norms[step], trainer.clip_norm, gradients)

        plan.add(clip)
    state = [program.state.get(name, program.nothing) for name in state_names(rule)]
    update = _RULES[type(rule)][1]

    def apply(step: int) -> None:
        update(cuda, rule, gradients, weights, *state)
        rule.steps += 1

    plan.add(apply)
    if trainer.regularizer is not None and trainer.regularizer.proximal:
        plan.add(lambda step: cuda.soft_threshold(rule.lr * program.strengths(plan.m)[0], weights[:size]))
    if trainer.constraint is not None:
        for weight in trainer.constraint.weights(program.model):
            _bound(plan, place_of(weight, program.model.flat_parameters, weights))
    if program.weights is not None:
        plan.add(program.average)


def _bound(plan: Plan, weight: Any) -> None:
    room = plan.empty(weight.shape[1], np.float64)
    plan.add(lambda step: plan.cuda.limit_column_norms(plan.program.trainer.constraint.largest, room, weight))
