"""Losses against labels with weights of rows and classes, and labels that count nothing: see `cpu.label_losses` for the formulas.

Some threads of a block take a row together; sums over a row are float64's, in shared memory.
"""

import math

import numpy as np

from ._rows import first_largest, row_grid
from ._sums import add_lanes
from ._target import BLOCK, cuda, kernel, scalar

__all__ = ["nll_loss_gradient", "weighted_cross_entropy_gradient"]


@kernel
def _cross_entropy(z, labels, smoothing, ignored, classes, weights, scale, losses, hits, dz):
    sums = cuda.shared.array(BLOCK, np.float64)
    places = cuda.shared.array(BLOCK, np.int32)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = z.shape
    zero, one = z.dtype.type(0.0), z.dtype.type(1.0)
    best = first_largest(z, i, lane, width, place, places)
    label, weight, own, top = 0, zero, one, zero
    if i < m:
        label = labels[i]
        if label != ignored:
            weight = weights[i] if weights.size > 0 else one
            own = classes[label] if classes.size > 0 else one
            top = z[i, best]
    total, rest, everything = 0.0, 0.0, 0.0
    if weight != zero:
        for j in range(lane, k, width):
            total += np.float64(math.exp(z[i, j] - top))
            c = classes[j] if classes.size > 0 else one
            if c != zero:  # 0 · ∞ is nothing here
                rest += np.float64(c) * np.float64(top - z[i, j])
                everything += np.float64(c)
    total = add_lanes(total, sums, place, lane, width)
    if smoothing > 0.0:
        rest = add_lanes(rest, sums, place, lane, width)
        everything = add_lanes(everything, sums, place, lane, width)
    if i < m:
        if weight == zero:
            if lane == 0:
                losses[i] = zero
                hits[i] = zero
            for j in range(lane, k, width):
                dz[i, j] = zero
        else:
            each, hit = smoothing / k, (1.0 - smoothing) * np.float64(own)
            if lane == 0:
                log_sum = math.log(total)
                loss = hit * (log_sum + np.float64(top - z[i, label]))
                if smoothing > 0.0:
                    loss += each * (everything * log_sum + rest)
                losses[i] = np.float64(weight) * loss
                hits[i] = one if best == label else zero
            amount, self_share = scale * weight, z.dtype.type(hit)
            sum_of_shares = hit + each * everything if smoothing > 0.0 else hit
            factor, everywhere = z.dtype.type(sum_of_shares / total), z.dtype.type(each)
            for j in range(lane, k, width):
                share = everywhere * classes[j] if classes.size > 0 else everywhere
                share = share + self_share if j == label else share
                dz[i, j] = amount * (math.exp(z[i, j] - top) * factor - share)


@kernel
def _nll(x, labels, ignored, classes, weights, scale, losses, hits, dx):
    places = cuda.shared.array(BLOCK, np.int32)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = x.shape
    zero, one = x.dtype.type(0.0), x.dtype.type(1.0)
    best = first_largest(x, i, lane, width, place, places)
    if i < m:
        label, weight = labels[i], weights[i] if weights.size > 0 else one
        counts = label != ignored and weight != zero
        amount = weight
        if counts and classes.size > 0:
            amount = weight * classes[label]
        if lane == 0:
            losses[i] = -amount * x[i, label] if counts else zero
            hits[i] = one if counts and best == label else zero
        for j in range(lane, k, width):
            dx[i, j] = -scale * amount if counts and j == label else zero


def weighted_cross_entropy_gradient(
    logits, labels, smoothing, ignore_index, class_weights, row_weights, scale, losses, hits, dlogits
):
    """Forward and backward in one pass: weighted losses and hits (m,), and the gradient (m, k) of scale · Σ losses.

    class_weights: (k,), or (0,) for 1. row_weights: (m,), or (0,) for 1.
    """
    rule = float(smoothing), int(ignore_index), class_weights, row_weights, scalar(logits, scale)
    _cross_entropy(*row_grid(*logits.shape), logits, labels, *rule, losses, hits, dlogits)


def nll_loss_gradient(
    log_probabilities, labels, ignore_index, class_weights, row_weights, scale, losses, hits, dlog_probabilities
):
    """Forward and backward in one pass; arguments as in `weighted_cross_entropy_gradient`."""
    rule = int(ignore_index), class_weights, row_weights, scalar(log_probabilities, scale)
    _nll(*row_grid(*log_probabilities.shape), log_probabilities, labels, *rule, losses, hits, dlog_probabilities)
