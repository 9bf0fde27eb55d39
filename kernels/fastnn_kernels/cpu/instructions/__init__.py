"""The instructions of a compiled program: kernels behind one signature, (row, reals, context); see `program`.

Each function here makes an instruction for one build of its kernels: `build` picks the serial or the parallel one. Its docstring
names the operands of its row, from position 1 on, and of `reals`. Capital names are offsets into `work` unless another array is
named; -1 stands for none. Adding an instruction: write it in its room here, and lower to it in `fastnn/lowering`.

The rooms are apart so that a changed kernel is compiled anew alone: what an instruction was compiled from is its own file, and
what that imports.
"""

__all__ = ["COMMON", "ROOMS"]

# by their modules' names below `cpu`: a program imports those that it is made of
COMMON = (
    "instructions.data", "instructions.layers", "instructions.losses", "instructions.gradients", "optimizers.sgd",
    "optimizers.rmsprop", "optimizers.adam",
)  # fmt: skip
ROOMS = (
    *COMMON, "instructions.augmentation", "instructions.layernorm", "instructions.arithmetic", "instructions.smooth_activations",
    "instructions.softmax", "instructions.label_losses", "instructions.pointwise_losses", "instructions.constraints",
    "optimizers.adagrad", "optimizers.adadelta", "optimizers.nadam", "optimizers.radam", "optimizers.lion", "instructions.rates",
    "instructions.averages",
)  # fmt: skip
