"""Losses and their gradients, row by row: see `cpu.losses` for the formulas.

Some threads of a block take a row together; sums over a row are float64's, in shared memory.
"""

import math

import numpy as np

from ._rows import first_largest, row_grid
from ._sums import add_lanes
from ._target import BLOCK, cuda, groups, kernel, scalar

__all__ = [
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_gradient",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "squared_error_backward",
    "squared_error_forward",
]


@kernel
def _labels(z, labels, smoothing, fused, weight, log_sums, losses, hits, dz):
    """The losses, and either the two parts of log Σ eᶻ, or hits and the gradient of weight · Σ losses."""
    sums = cuda.shared.array(BLOCK, np.float64)
    places = cuda.shared.array(BLOCK, np.int32)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = z.shape
    best = first_largest(z, i, lane, width, place, places)
    total, rest = 0.0, 0.0
    if i < m:
        top = z[i, best]
        for j in range(lane, k, width):
            total += np.float64(math.exp(z[i, j] - top))
            rest += np.float64(top - z[i, j])
    total = add_lanes(total, sums, place, lane, width)
    if smoothing > 0.0:
        rest = add_lanes(rest, sums, place, lane, width)
    if i < m:
        top, label = z[i, best], labels[i]
        if lane == 0:
            log_sum = math.log(total)
            loss = log_sum + np.float64(top - z[i, label])
            if smoothing > 0.0:
                loss = (1.0 - smoothing) * loss + smoothing * (log_sum + rest / k)
            losses[i] = loss
            if fused:
                hits[i] = 1.0 if best == label else 0.0
            else:
                log_sums[0, i] = top
                log_sums[1, i] = log_sum
        if fused:
            everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
            share = z.dtype.type(1.0 / total)
            for j in range(lane, k, width):
                d = weight * (math.exp(z[i, j] - top) * share - everywhere)
                dz[i, j] = d - weight * hit if j == label else d


@kernel
def _labels_backward(dlosses, z, labels, smoothing, log_sums, dz):
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = z.shape
    if i < m:
        everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
        weight, top, log_sum, label = dlosses[i], log_sums[0, i], log_sums[1, i], labels[i]
        for j in range(cuda.threadIdx.x, k, cuda.blockDim.x):
            share = math.exp((z[i, j] - top) - log_sum)
            dz[i, j] = weight * (share - (everywhere + hit)) if j == label else weight * (share - everywhere)


@kernel
def _soft(z, t, smoothing, log_sums, losses):
    sums = cuda.shared.array(BLOCK, np.float64)
    places = cuda.shared.array(BLOCK, np.int32)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = z.shape
    best = first_largest(z, i, lane, width, place, places)
    total = 0.0
    if i < m:
        top = z[i, best]
        for j in range(lane, k, width):
            total += np.float64(math.exp(z[i, j] - top))
    total = add_lanes(total, sums, place, lane, width)
    loss = 0.0
    if i < m:
        top, log_sum = z[i, best], math.log(total)
        for j in range(lane, k, width):
            share = np.float64(t[i, j]) * (1.0 - smoothing) + smoothing / k
            if share != 0.0:  # 0 · ∞ is nothing here
                loss += share * (log_sum + np.float64(top - z[i, j]))
        if lane == 0:
            log_sums[0, i] = top
            log_sums[1, i] = log_sum
    loss = add_lanes(loss, sums, place, lane, width)
    if i < m and lane == 0:
        losses[i] = loss


@kernel
def _soft_backward(dlosses, z, t, smoothing, log_sums, dz):
    sums = cuda.shared.array(BLOCK, np.float64)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = z.shape
    everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    total = 0.0
    if i < m:
        for j in range(lane, k, width):
            total += np.float64(t[i, j] * hit + everywhere)
    total = add_lanes(total, sums, place, lane, width)
    if i < m:
        weight, top, log_sum = dlosses[i], log_sums[0, i], log_sums[1, i]
        whole = z.dtype.type(total)
        for j in range(lane, k, width):
            dz[i, j] = weight * (whole * math.exp((z[i, j] - top) - log_sum) - (t[i, j] * hit + everywhere))


@kernel
def _squared_error(a, b, losses):
    i = cuda.grid(1)
    if i < losses.size:
        difference = a[i] - b[i]
        losses[i] = difference * difference


@kernel
def _squared_error_backward(dlosses, a, b, da):
    i = cuda.grid(1)
    if i < da.size:
        da[i] = dlosses[i] * (a.dtype.type(2.0) * (a[i] - b[i]))


def cross_entropy_forward(logits, labels, smoothing, scratch, log_sums, losses):
    """The loss of each row against its label. logits: (m, k). scratch is not used. log_sums: (2, m). losses: (m,)."""
    one = scalar(logits, 1.0)
    _labels(*row_grid(*logits.shape), logits, labels, float(smoothing), False, one, log_sums, losses, logits.reshape(-1), logits)


def cross_entropy_backward(dlosses, logits, labels, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses, (m, k); dlogits may be logits."""
    _labels_backward(*row_grid(*logits.shape), dlosses, logits, labels, float(smoothing), log_sums, dlogits)


def cross_entropy_gradient(logits, labels, smoothing, weight, losses, hits, dlogits):
    """Forward and backward in one pass: losses and hits (m,), and the gradient (m, k) of weight · Σ losses."""
    factor = scalar(logits, weight)
    _labels(*row_grid(*logits.shape), logits, labels, float(smoothing), True, factor, dlogits, losses, hits, dlogits)


def soft_cross_entropy_forward(logits, targets, smoothing, scratch, log_sums, losses):
    """The loss of each row against a row of probabilities. scratch is not used."""
    _soft(*row_grid(*logits.shape), logits, targets, float(smoothing), log_sums, losses)


def soft_cross_entropy_backward(dlosses, logits, targets, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses, (m, k); dlogits may be logits."""
    _soft_backward(*row_grid(*logits.shape), dlosses, logits, targets, float(smoothing), log_sums, dlogits)


def squared_error_forward(prediction, target, losses):
    """(prediction - target)², element by element. All (size,)."""
    _squared_error(groups(losses.size, BLOCK), BLOCK, prediction, target, losses)


def squared_error_backward(dlosses, prediction, target, dprediction):
    """dlosses · 2 (prediction - target). All (size,)."""
    _squared_error_backward(groups(dprediction.size, BLOCK), BLOCK, dlosses, prediction, target, dprediction)
