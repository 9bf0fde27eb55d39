"""The kernels themselves, for use one by one: compiled loops that check nothing and write into arrays that you allocate.

    from fastnn import kernels
    kernels.activation_forward(x, kernels.RELU, 0.0, y)            # one thread
    kernels.activation_forward.parallel(x, kernels.RELU, 0.0, y)   # several, the same bits

Each docstring gives the equation and the arrays' shapes; CONTRIBUTING.md has the contract. For checked arguments and
allocated results use `fastnn.functional`.
"""

from fastnn_kernels.cpu._rows import row_chunks, tile_rows
from fastnn_kernels.cpu.activations import (
    IDENTITY,
    LEAKY_RELU,
    RELU,
    SELU,
    SIGMOID,
    TANH,
    activation_backward,
    activation_forward,
)
from fastnn_kernels.cpu.arithmetic import add_arrays
from fastnn_kernels.cpu.augmentation.affine import affine_images
from fastnn_kernels.cpu.augmentation.blur import blur_images, blur_scratch
from fastnn_kernels.cpu.augmentation.colour import brightness_images, contrast_images, saturation_images
from fastnn_kernels.cpu.augmentation.draws import mixing_draws, uniforms
from fastnn_kernels.cpu.augmentation.erase import cutout_images, erase_images
from fastnn_kernels.cpu.augmentation.mixing import cutmix_images, mixup_rows, one_hot
from fastnn_kernels.cpu.augmentation.noise import gaussian_noise
from fastnn_kernels.cpu.augmentation.shift import crop_images, flip_images
from fastnn_kernels.cpu.averages import average_update
from fastnn_kernels.cpu.batchnorm import batchnorm_backward, batchnorm_forward, batchnorm_inference
from fastnn_kernels.cpu.clipping import clip_values
from fastnn_kernels.cpu.constraints import limit_column_norms, soft_threshold
from fastnn_kernels.cpu.dropout import dropout_backward, dropout_forward, relu_dropout_backward
from fastnn_kernels.cpu.finite import find_not_finite, finite_chunks
from fastnn_kernels.cpu.gather import gather_rows
from fastnn_kernels.cpu.gemm import scratch_size
from fastnn_kernels.cpu.label_losses import nll_loss_gradient, weighted_cross_entropy_gradient
from fastnn_kernels.cpu.layernorm import layernorm_backward, layernorm_chunks, layernorm_forward
from fastnn_kernels.cpu.linear import linear_backward, linear_forward
from fastnn_kernels.cpu.losses import (
    cross_entropy_backward,
    cross_entropy_forward,
    cross_entropy_gradient,
    soft_cross_entropy_backward,
    soft_cross_entropy_forward,
    squared_error_backward,
    squared_error_forward,
)
from fastnn_kernels.cpu.optimizers.adadelta import adadelta_update
from fastnn_kernels.cpu.optimizers.adagrad import adagrad_update
from fastnn_kernels.cpu.optimizers.adam import adam_update
from fastnn_kernels.cpu.optimizers.lion import lion_update
from fastnn_kernels.cpu.optimizers.nadam import nadam_update
from fastnn_kernels.cpu.optimizers.radam import radam_update
from fastnn_kernels.cpu.optimizers.rmsprop import rmsprop_update
from fastnn_kernels.cpu.optimizers.sgd import sgd_update
from fastnn_kernels.cpu.pointwise_losses import (
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
from fastnn_kernels.cpu.random import permute, random_bits
from fastnn_kernels.cpu.reductions import LANES, penalty_update, squared_norm, sum_chunks
from fastnn_kernels.cpu.smooth_activations import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)
from fastnn_kernels.cpu.softmax import log_softmax_backward, log_softmax_forward, softmax_backward, softmax_forward

__all__ = [
    "layernorm_forward",
    "layernorm_backward",
    "layernorm_chunks",
    "add_arrays",
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
    "average_update",
    "affine_images",
    "batchnorm_backward",
    "batchnorm_forward",
    "batchnorm_inference",
    "blur_images",
    "blur_scratch",
    "brightness_images",
    "contrast_images",
    "crop_images",
    "clip_values",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_gradient",
    "cutmix_images",
    "cutout_images",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "find_not_finite",
    "finite_chunks",
    "erase_images",
    "flip_images",
    "gather_rows",
    "gaussian_noise",
    "limit_column_norms",
    "linear_backward",
    "linear_forward",
    "lion_update",
    "gelu_backward",
    "gelu_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "mixing_draws",
    "mixup_rows",
    "one_hot",
    "nadam_update",
    "nll_loss_gradient",
    "penalty_update",
    "permute",
    "pointwise_loss_backward",
    "pointwise_loss_forward",
    "pointwise_loss_gradient",
    "random_bits",
    "relu_dropout_backward",
    "radam_update",
    "rmsprop_update",
    "row_chunks",
    "saturation_images",
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
    "uniforms",
    "tile_rows",
    "weighted_cross_entropy_gradient",
]
