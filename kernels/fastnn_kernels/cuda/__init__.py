"""Kernels for NVIDIA's GPUs: the names and the argument order of `cpu`, on arrays that live on the device.

They are plain functions that pick grid and block by shape and launch one kernel or a few, which the host does not wait for.
Arrays are CuPy's, contiguous, of one dtype. Results are the same to the last bit in every run on one kind of device, and the
CPU's to rounding; random masks are the CPU's to the bit. How much scratch they need, `row_chunks`, `layernorm_chunks`,
`sum_chunks`, `finite_chunks` and `scratch_size` of this package say.
"""

from .activations import (
    IDENTITY,
    LEAKY_RELU,
    RELU,
    SELU,
    SIGMOID,
    TANH,
    activation_backward,
    activation_forward,
)
from .arithmetic import add_arrays
from .averages import average_update
from .batchnorm import batchnorm_backward, batchnorm_forward, batchnorm_inference, row_chunks
from .clipping import clip_values
from .constraints import limit_column_norms, soft_threshold
from .dropout import dropout_backward, dropout_forward, relu_dropout_backward
from .finite import find_not_finite, finite_chunks
from .gather import gather_rows
from .label_losses import nll_loss_gradient, weighted_cross_entropy_gradient
from .layernorm import layernorm_backward, layernorm_chunks, layernorm_forward
from .linear import linear_backward, linear_forward, scratch_size
from .losses import (
    cross_entropy_backward,
    cross_entropy_forward,
    cross_entropy_gradient,
    soft_cross_entropy_backward,
    soft_cross_entropy_forward,
    squared_error_backward,
    squared_error_forward,
)
from .optimizers import (
    adadelta_update,
    adagrad_update,
    adam_update,
    lion_update,
    nadam_update,
    radam_update,
    rmsprop_update,
    sgd_update,
)
from .pointwise_losses import (
    ABSOLUTE,
    HUBER,
    LOGISTIC,
    POISSON,
    POISSON_LOG,
    SQUARED,
    pointwise_loss_backward,
    pointwise_loss_forward,
    pointwise_loss_gradient,
)
from .random import random_bits
from .reductions import LANES, penalty_update, squared_norm, sum_chunks
from .smooth_activations import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)
from .softmax import log_softmax_backward, log_softmax_forward, softmax_backward, softmax_forward

__all__ = [
    "ABSOLUTE",
    "HUBER",
    "IDENTITY",
    "LANES",
    "LEAKY_RELU",
    "LOGISTIC",
    "POISSON",
    "POISSON_LOG",
    "RELU",
    "SELU",
    "SIGMOID",
    "SQUARED",
    "TANH",
    "activation_backward",
    "activation_forward",
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "add_arrays",
    "average_update",
    "batchnorm_backward",
    "batchnorm_forward",
    "batchnorm_inference",
    "clip_values",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_gradient",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "find_not_finite",
    "finite_chunks",
    "gather_rows",
    "gelu_backward",
    "gelu_forward",
    "layernorm_backward",
    "layernorm_chunks",
    "layernorm_forward",
    "limit_column_norms",
    "linear_backward",
    "linear_forward",
    "lion_update",
    "log_softmax_backward",
    "log_softmax_forward",
    "nadam_update",
    "nll_loss_gradient",
    "penalty_update",
    "pointwise_loss_backward",
    "pointwise_loss_forward",
    "pointwise_loss_gradient",
    "radam_update",
    "random_bits",
    "relu_dropout_backward",
    "rmsprop_update",
    "row_chunks",
    "scratch_size",
    "sgd_update",
    "silu_backward",
    "silu_forward",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "soft_threshold",
    "softmax_backward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "squared_error_backward",
    "squared_error_forward",
    "squared_norm",
    "sum_chunks",
    "weighted_cross_entropy_gradient",
]
