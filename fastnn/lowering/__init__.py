"""Lowering: a model, with its loss, rule and penalties, as a table of instructions for one compiled function.

`lower_training`, `lower_evaluation` and `lower_prediction` make a `Program` of a `Sequential`, or raise `NotLowered` with the
reason, where a part has no instruction (a layer in Python, a loss of the user's own); such models run layer by layer. A
program shares the model's buffers and plans one workspace for the largest batch; running it allocates nothing. Both roads call
the same kernels in the same order.

`augmentation`, `layers`, `losses` and `rules` hold a table each, from a class to what lowers it. `cuda` makes a program of
launches on a GPU of the same trainer; it is imported when a model is there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn_kernels._jit import Instruction
from fastnn_kernels.cpu import instructions
from fastnn_kernels.cpu.finite import finite_chunks
from fastnn_kernels.cpu.instructions import data

from .._check import Array
from ..layers import Linear
from ..losses import MSELoss
from ..program import Program, Table
from .common import ACTIVATION_NS, FINITE_NS, NotLowered
from .gradients import lower_clipping, lower_constraint, lower_penalty, lower_proximal_step, lower_value_clipping
from .layers import lower_layers
from .losses import lower_loss
from .rates import lower_average, lower_rates
from .rules import lower_rule

__all__ = ["NotLowered", "compile_all", "lower_evaluation", "lower_prediction", "lower_training"]


def lower_training(trainer: Any, source: Array, targets: Array, batch: int, row_weights: Array | None = None) -> Program:
    """A program of training steps on rows of source and targets, in batches of at most `batch` rows.

    trainer: what holds the parts of a step, a `Trainer`. row_weights: of the rows of source. A schedule and an average are
    lowered if they act by steps; `Program.rates` and `Program.weights` then hold what they do in each.
    """
    model, loss = trainer.model, trainer.loss
    t, n, x = _start(model, source, min(batch, len(source)))
    t.row_weights = row_weights
    if trainer.augmenter is not None:
        from .augmentation import lower_augmentation  # sixteen kernels that few programs have

        x = lower_augmentation(t, trainer.augmenter, n, x, targets)
    k, z, backwards = lower_layers(t, n, x, training=True)
    widths = [array.shape[-1] for layer in model.walk() for array in layer.parameters.values()]
    dy = t.start_backward(max([n, k, *(layer.in_features for layer in model.walk() if isinstance(layer, Linear)), *widths]))
    lower_loss(t, loss, k, z, dy, targets.ndim == 1 and t.mixed_targets < 0)
    for position, backward in enumerate(backwards):
        dy = backward(dy, position + 1 < len(backwards))
    if trainer.regularizer is not None:
        lower_penalty(t, trainer.regularizer, loss.reduction == "sum")
    if trainer.clip_value is not None:
        lower_value_clipping(t, trainer.clip_value)
    if trainer.clip_norm is not None:
        lower_clipping(t, trainer.clip_norm)
    first, steps = len(t.rows), -(-len(source) // t.batch)
    moments = lower_rule(t, trainer.optimizer)
    if trainer.regularizer is not None and trainer.regularizer.proximal:
        lower_proximal_step(t, trainer.regularizer, trainer.optimizer)
    if trainer.schedule is not None and trainer.schedule.per == "step":
        lower_rates(t, first, steps, trainer.schedule.momenta(np.zeros(1, np.int64)) is not None)
    if trainer.constraint is not None:
        lower_constraint(t, trainer.constraint)
    if trainer.average is not None and trainer.average.per == "step":
        lower_average(t, trainer.average, steps)
    return Program(t, source, targets, moments)


def lower_evaluation(
    model: Any, loss: Any, source: Array, targets: Array, batch: int, row_weights: Array | None = None, *, quiet: bool = False
) -> Program:
    """A program that adds up the loss and the hits in eval mode; nothing is updated. quiet: say nothing of compilations."""
    t, n, x = _start(model, source, min(batch, len(source)))
    t.row_weights = row_weights
    k, z, _ = lower_layers(t, n, x, training=False)
    lower_loss(t, loss, k, z, -1, targets.ndim == 1)
    return Program(t, source, targets, quiet=quiet)


def lower_prediction(model: Any, source: Array, batch: int) -> Program:
    """A program that gives out the network's outputs in eval mode, for rows like those of source (see `Program.predict`)."""
    t, n, x = _start(model, source, batch)
    if source.dtype.kind == "f":
        t.add(data.look_for_not_finite, t.batch * n * FINITE_NS, n, x, t.partials(finite_chunks(t.batch * n)))
    k, z, _ = lower_layers(t, n, x, training=False)
    t.add(data.emit, 0.0, k, z)
    return Program(t, source, np.empty((0, k), model.dtype))


def _start(model: Any, source: Array, batch: int) -> tuple[Table, int, int]:
    """A table that begins with gathering the inputs; their columns and place."""
    if source.dtype not in data.GATHERS or not source.dtype.isnative or not source.flags.c_contiguous:
        raise NotLowered(f"no instruction reads inputs of dtype {source.dtype}, or that are not C-contiguous")
    t = Table(model, batch)
    n = source.shape[1]
    x = t.room(t.batch * n)
    t.add(data.GATHERS[source.dtype], t.batch * n * ACTIVATION_NS, n, x, reals=lambda: (model.input_scale,))
    return t, n, x


def compile_all(model: Any, progress: Callable[[int, int, str], None] | None = None, everything: bool = False) -> None:
    """Compile, or load from the cache, instructions in both builds, for the dtype of `model`, a Linear(1, 1) in eval mode.

    everything: not only those of the common rooms. progress: called as progress(done, total, name) before each and at the end.
    """
    one = np.zeros((1, 1), model.dtype)
    program = lower_evaluation(model, MSELoss(), one, one, 1, quiet=True)
    program.run(0, 1)  # the interpreter; from here on the program lends its types
    rooms = instructions.ROOMS if everything else instructions.COMMON
    modules = [importlib.import_module(f"fastnn_kernels.cpu.{room}") for room in rooms]
    found = (op for module in modules for op in vars(module).values())
    pieces = [*(op for op in found if isinstance(op, Instruction)), *data.GATHERS.values()]
    for done, op in enumerate(pieces):
        if progress is not None:
            progress(done, len(pieces), op.__name__)
        for parallel in (False, True):
            op.address(parallel, program.types)
    if progress is not None:
        progress(len(pieces), len(pieces), "")
