"""Losses and their gradients, row by row; the caller takes the mean or the sum.

Softmax cross-entropy from logits z (m, k), against labels or against rows t of probabilities, with label smoothing ε:

    t' = (1 - ε) · t + ε/k               t the one-hot row of a label
    L  = Σ t' · (log Σ eᶻ - z)            log Σ eᶻ = max z + log Σ e^(z - max z), which cannot overflow
    dz = dL · (Σt' · softmax(z) - t')

Squared error, element by element:

    L = (a - b)²        da = dL · 2 (a - b)

Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 6.2.2; label smoothing: C. Szegedy et al., "Rethinking
the Inception architecture for computer vision", CVPR 2016.
"""

import math

import numpy as np
from numba import prange

from .._jit import kernel, worker
from ._math import exp
from ._rows import tile_rows

__all__ = [
    "cross_entropy_backward",
    "cross_entropy_forward",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "squared_error_backward",
    "squared_error_forward",
]

_CHUNK = 8192


@worker
def _log_sum_exp(row, scratch):
    """log Σ eᶻ of a row; scratch is a row of the same length, for the exponentials, whose loop then vectorises."""
    top = row[0]
    for j in range(1, row.size):
        top = row[j] if row[j] > top else top
    if not math.isfinite(top):  # nothing finite to shift by: infinities and NaN give NaN, as they should
        top = row.dtype.type(0.0)
    for j in range(row.size):
        scratch[j] = exp(row[j] - top)
    total = 0.0
    for j in range(row.size):
        total += scratch[j]
    return top + math.log(total)


@kernel
def cross_entropy_forward(logits, labels, smoothing, scratch, log_sums, losses):
    """The loss of each row against its label.

    logits: (m, k) float. labels: (m,) integers in [0, k). smoothing: float in [0, 1). scratch: (m, k).
    log_sums: (m,), wholly overwritten, for backward. losses: (m,), wholly overwritten.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            row = logits[i]
            log_sums[i] = _log_sum_exp(row, scratch[i])
            loss = log_sums[i] - row[labels[i]]
            if smoothing > 0.0:
                mean = 0.0
                for j in range(k):
                    mean += row[j]
                loss = (1.0 - smoothing) * loss + smoothing * (log_sums[i] - mean / k)
            losses[i] = loss


@kernel
def cross_entropy_backward(dlosses, logits, labels, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses.

    dlosses, log_sums: (m,) float. logits: (m, k). labels: (m,) integers. smoothing: as in forward.
    dlogits: (m, k), wholly overwritten; may be logits.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    everywhere = logits.dtype.type(smoothing / k)
    hit = logits.dtype.type(1.0 - smoothing)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            z, dz, log_sum, weight = logits[i], dlogits[i], log_sums[i], dlosses[i]
            for j in range(k):
                dz[j] = weight * (exp(z[j] - log_sum) - everywhere)
            dz[labels[i]] -= weight * hit


@kernel
def soft_cross_entropy_forward(logits, targets, smoothing, scratch, log_sums, losses):
    """The loss of each row against a row of probabilities.

    logits, targets: (m, k) float. smoothing: float in [0, 1). scratch: (m, k).
    log_sums: (m,), wholly overwritten, for backward. losses: (m,), wholly overwritten.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            z, t = logits[i], targets[i]
            log_sums[i] = _log_sum_exp(z, scratch[i])
            loss = 0.0
            for j in range(k):
                share = (1.0 - smoothing) * t[j] + smoothing / k
                if share != 0.0:  # 0 · ∞ is nothing here
                    loss += share * (log_sums[i] - z[j])
            losses[i] = loss


@kernel
def soft_cross_entropy_backward(dlosses, logits, targets, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses.

    dlosses, log_sums: (m,) float. logits, targets: (m, k). smoothing: as in forward.
    dlogits: (m, k), wholly overwritten; may be logits.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    everywhere = logits.dtype.type(smoothing / k)
    hit = logits.dtype.type(1.0 - smoothing)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            z, t, dz, log_sum, weight = logits[i], targets[i], dlogits[i], log_sums[i], dlosses[i]
            total = dz.dtype.type(0.0)
            for j in range(k):
                total += t[j] * hit + everywhere
            for j in range(k):
                dz[j] = weight * (total * exp(z[j] - log_sum) - (t[j] * hit + everywhere))


@worker
def _squared_error(a, b, losses):
    for i in range(losses.size):
        difference = a[i] - b[i]
        losses[i] = difference * difference


@worker
def _squared_error_gradient(dlosses, a, b, da):
    two = a.dtype.type(2.0)
    for i in range(da.size):
        da[i] = dlosses[i] * (two * (a[i] - b[i]))


@kernel
def squared_error_forward(prediction, target, losses):
    """(prediction - target)², element by element. All (size,) float; losses wholly overwritten; may be either input."""
    for chunk in prange((losses.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _squared_error(prediction[i0:i1], target[i0:i1], losses[i0:i1])


@kernel
def squared_error_backward(dlosses, prediction, target, dprediction):
    """dlosses · 2 (prediction - target). All (size,) float; dprediction wholly overwritten; may be any input."""
    for chunk in prange((dprediction.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _squared_error_gradient(dlosses[i0:i1], prediction[i0:i1], target[i0:i1], dprediction[i0:i1])
