"""Losses on arrays, with a mean, a sum or one value each.

sample_weight, (rows,), multiplies the losses of a row; class_weight, (k,), those of labels of a class. A mean is then divided by
the sum of the weights, not by the rows; where they add up to 0 the mean and its gradient are 0. A row of weight 0 counts nothing,
also where its loss is not finite. With 'none' the losses come weighted.
"""

from ._common import label_weights, labels_or_ignored, reduce_losses, sample_weights, without_ignored
from .cross_entropy import (
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_with_gradient,
    cross_entropy_with_log_sums,
)
from .nll import nll_loss, nll_loss_backward, nll_loss_with_gradient
from .pointwise import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    huber_loss,
    huber_loss_backward,
    l1_loss,
    l1_loss_backward,
    logistic_factors,
    mse_loss,
    mse_loss_backward,
    poisson_nll_loss,
    poisson_nll_loss_backward,
)

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_with_gradient",
    "cross_entropy_with_log_sums",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "label_weights",
    "labels_or_ignored",
    "logistic_factors",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "nll_loss_with_gradient",
    "poisson_nll_loss",
    "poisson_nll_loss_backward",
    "reduce_losses",
    "sample_weights",
    "without_ignored",
]
