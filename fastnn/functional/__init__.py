"""Functions on arrays: each checks its arguments, allocates what it returns, and calls one kernel or a few.

They take and return NumPy arrays, hold no state, and are the only door to the kernels: layers, losses and optimisers call
them. Large work runs on several threads (`set_num_threads`), with the same bits on any number.
"""

from ._dispatch import cache_folder, get_num_threads, set_num_threads, threading_layer
from .activations import (
    activation,
    activation_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    selu,
    selu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from .arrays import gather, permutation, random_bits
from .averages import average_update
from .dropout import dropout, dropout_backward
from .linear import LinearGradients, linear, linear_backward
from .losses import (
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_with_gradient,
    cross_entropy_with_log_sums,
    mse_loss,
    mse_loss_backward,
)
from .normalization import BatchNormGradients, batch_norm, batch_norm_backward
from .optimizers import (
    adam_update,
    add_penalty_gradient,
    rmsprop_update,
    sgd_update,
    squared_norm,
)
from .smooth_activations import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
)
from .softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

__all__ = [
    "BatchNormGradients",
    "LinearGradients",
    "activation",
    "activation_backward",
    "adam_update",
    "add_penalty_gradient",
    "average_update",
    "batch_norm",
    "batch_norm_backward",
    "cache_folder",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_with_gradient",
    "cross_entropy_with_log_sums",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "gather",
    "gelu",
    "gelu_backward",
    "get_num_threads",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "mse_loss",
    "mse_loss_backward",
    "permutation",
    "random_bits",
    "relu",
    "relu_backward",
    "rmsprop_update",
    "selu",
    "selu_backward",
    "set_num_threads",
    "sgd_update",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "squared_norm",
    "tanh",
    "tanh_backward",
    "threading_layer",
]
