"""Lowering for an NVIDIA GPU: a model's step as a list of launches, on copies of its arrays that live on the device.

A `CudaProgram` stands in for `fastnn.program.Program` where the trainer's model has been moved by `to("cuda")`. At the start of
a pass it takes parameters, running statistics and the rule's state to the device, and at the end it brings them back: so between
passes they are in the model's own buffers, where callbacks, checkpoints, predictions and everything else find them, and a
checkpoint knows no device. The data stays there for the whole `fit`.

Within a pass the host only launches. Losses, hits, penalties and norms stay in arrays of the pass, which are looked at
once for a slice of steps: that one was not finite shows at the slice's end.

`program` holds what runs; a `Plan` is a step in the making, which `layers`, `losses` and `rules` fill, each with a table from a
class to what lowers it.
"""

from __future__ import annotations

from typing import Any

from ..._check import Array
from ...regularizers import L1, L2, ElasticNet, MaxNorm
from ..common import NotLowered
from .program import CudaProgram

__all__ = ["CudaProgram", "lower_cuda_evaluation", "lower_cuda_training"]


def lower_cuda_training(
    trainer: Any, source: Array, targets: Array, batch: int, weights: Array | None, store: dict[str, Any]
) -> CudaProgram:
    """A program of training steps; NotLowered where a part has no kernel. store: what of the data is on the device already."""
    for name, value, kinds in (
        ("augmentation", trainer.augmenter, ()),
        ("regularizer", trainer.regularizer, (L1, L2, ElasticNet)),
        ("constraint", trainer.constraint, (MaxNorm,)),
    ):
        if value is not None and type(value) not in kinds:
            raise NotLowered(f"{name} has no CUDA kernel: {value!r}")
    return CudaProgram(trainer.model, trainer.loss, source, targets, batch, weights, store, trainer)


def lower_cuda_evaluation(
    model: Any, loss: Any, source: Array, targets: Array, batch: int, weights: Array | None, store: dict[str, Any]
) -> CudaProgram:
    """A program that adds up the loss and the hits in eval mode."""
    return CudaProgram(model, loss, source, targets, batch, weights, store, None)
