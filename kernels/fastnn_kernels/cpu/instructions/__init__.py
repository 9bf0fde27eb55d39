"""The instructions of a compiled program: kernels behind one signature, (row, reals, context); see `program`.

Each function here makes an instruction for one build of its kernels: `build` picks the serial or the parallel one. Its docstring
names the operands of its row, from position 1 on, and of `reals`. Capital names are offsets into `work` unless another array is
named; -1 stands for none. Adding an instruction: write it in its room here, and lower to it in `fastnn/lowering`.

The rooms are apart so that a changed kernel is compiled anew alone: what an instruction was compiled from is its own file, and
what that imports.
"""

from ..optimizers import adadelta, adagrad, adam, lion, nadam, radam, rmsprop, sgd
from . import (
    arithmetic,
    augmentation,
    averages,
    constraints,
    data,
    gradients,
    label_losses,
    layernorm,
    layers,
    losses,
    pointwise_losses,
    rates,
    smooth_activations,
    softmax,
)

__all__ = ["COMMON", "ROOMS"]

COMMON = (data, layers, losses, gradients, sgd, rmsprop, adam)  # what most programs are made of
ROOMS = (
    data, augmentation, layers, layernorm, arithmetic, smooth_activations, softmax, losses, label_losses, pointwise_losses,
    gradients, constraints,
    sgd, rmsprop, adam, adagrad, adadelta, nadam, radam, lion, rates, averages,
)  # fmt: skip
