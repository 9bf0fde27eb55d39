"""Lowering: a model, with its loss, rule and penalties, as a table of instructions for one compiled function.

`lower_training`, `lower_evaluation` and `lower_prediction` make a `Program` of a `Sequential`, or raise `NotLowered` with the
reason, where a part has no instruction (a layer in Python, a loss of the user's own); such models run layer by layer. A
program shares the model's buffers and plans one workspace for the largest batch; running it allocates nothing. Both roads call
the same kernels in the same order.

`layers`, `losses` and `rules` hold a table each, from a class to what lowers it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn_kernels._jit import Instruction
from fastnn_kernels.cpu import instructions
from fastnn_kernels.cpu.instructions import data

from .._check import Array
from ..layers import Linear
from ..losses import MSELoss
from ..program import Program, Table
from .common import ACTIVATION_NS, NotLowered
from .layers import lower_layers
from .losses import lower_loss
from .rules import lower_clipping, lower_penalty, lower_rule

__all__ = ["NotLowered", "compile_all", "lower_evaluation", "lower_prediction", "lower_training"]


def lower_training(
    model: Any, loss: Any, rule: Any, regularizer: Any, clip_norm: float | None, source: Array, targets: Array, batch: int,
    row_weights: Array | None = None,
) -> Program:  # fmt: skip
    """A program of training steps on rows of source and targets, in batches of at most `batch` rows."""
    t, n, x = _start(model, source, min(batch, len(source)))
    t.row_weights = row_weights
    k, z, backwards = lower_layers(t, n, x, training=True)
    widths = [array.shape[-1] for layer in model.walk() for array in layer.parameters.values()]
    dy = t.start_backward(max([n, k, *(layer.in_features for layer in model.walk() if isinstance(layer, Linear)), *widths]))
    lower_loss(t, loss, k, z, dy, targets.ndim == 1)
    for position, backward in enumerate(backwards):
        dy = backward(dy, position + 1 < len(backwards))
    if regularizer is not None:
        lower_penalty(t, regularizer, loss.reduction == "sum")
    if clip_norm is not None:
        lower_clipping(t, clip_norm)
    moments = lower_rule(t, rule)
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


def compile_all(model: Any, progress: Callable[[int, int, str], None] | None = None) -> None:
    """Compile, or load from the cache, all instructions in both builds, for the dtype of `model`, a Linear(1, 1) in eval mode.

    progress: called as progress(done, total, name) before each and at the end.
    """
    one = np.zeros((1, 1), model.dtype)
    program = lower_evaluation(model, MSELoss(), one, one, 1, quiet=True)
    program.run(0, 1)  # the interpreter; from here on the program lends its types
    pieces = [
        *(op for room in instructions.ROOMS for op in vars(room).values() if isinstance(op, Instruction)),
        *data.GATHERS.values(),
    ]
    for done, op in enumerate(pieces):
        if progress is not None:
            progress(done, len(pieces), op.__name__)
        for parallel in (False, True):
            op.address(parallel, program._table[0], program._reals[0], program._context())
    if progress is not None:
        progress(len(pieces), len(pieces), "")
