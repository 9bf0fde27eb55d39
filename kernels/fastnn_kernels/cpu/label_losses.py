"""Losses against labels in which rows and classes have weights, and some labels count nothing.

With s the weight of a row, c that of each class, ε the label smoothing, and y the row's label:

    softmax cross-entropy of logits z      L = s Σ q · (log Σ eᶻ - z),   q = (1 - ε) c_y · (the one-hot row of y) + c ε/k
                                           dz = s (Σq · softmax(z) - q)
    negative log-likelihood of log p       L = -s c_y · log p_y,   d log p = -s c_y at y, else 0

A row whose label is `ignore_index`, or whose weight is 0, counts nothing, whatever is in it.

Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 6.2.2; smoothing with weights of classes as
torch.nn.CrossEntropyLoss has it.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._rows import tile_rows
from ._softmax import exponentials, is_largest, largest, less_top, sum_of, top_of
from ._views import view_at

__all__ = ["nll_loss_gradient", "weighted_cross_entropy_gradient"]


@apart
def _fill(row, value):
    for j in range(row.size):
        row[j] = value


@apart
def _times(row, factor):
    for j in range(row.size):
        row[j] *= factor


@apart
def _less_scaled(row, factor, c):
    for j in range(row.size):
        row[j] -= factor * c[j]


@apart
def _cross_entropy_rows(z, labels, k, smoothing, ignored, classes, weights, scale, i0, i1, losses, hits, dz):
    """Rows i0 to i1 - 1, few enough for the L1 cache."""
    zero, one, factor = z.dtype.type(0.0), z.dtype.type(1.0), z.dtype.type(scale)
    each, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    everything = zero
    for j in range(classes.size):
        everything += classes[j]
    if classes.size == 0:
        everything = z.dtype.type(k)
    for i in range(i0, i1):
        losses[i] = top_of(z, i * k, k)
    for i in range(i0, i1):
        less_top(view_at(z, i * k, (k,)), losses[i], view_at(dz, i * k, (k,)))
    exponentials(dz, i0 * k, i1 * k)
    for i in range(i0, i1):
        first, label, top = i * k, labels[i], losses[i]
        weight = weights[i] if weights.size else one
        if label == ignored or weight == zero:
            losses[i], hits[i] = zero, zero
            _fill(view_at(dz, first, (k,)), zero)
            continue
        own = hit * classes[label] if classes.size else hit
        total = sum_of(dz, first, k)
        log_sum = z.dtype.type(math.log(total))
        loss = own * (log_sum + (top - z[first + label]))
        if smoothing > 0.0:
            rest = 0.0
            for j in range(k):
                c = classes[j] if classes.size else one
                if c != zero:  # 0 · ∞ is nothing here
                    rest += c * (log_sum + (top - z[first + j]))
            loss += each * rest
        losses[i] = weight * loss
        hits[i] = one if is_largest(z, first, k, label, top, total) else zero
        amount = factor * weight
        share = dz[first + label] / total
        _times(view_at(dz, first, (k,)), amount * ((own + each * everything) / total))
        if smoothing > 0.0:
            if classes.size:
                _less_scaled(view_at(dz, first, (k,)), amount * each, classes)
            else:
                for e in range(first, first + k):
                    dz[e] -= amount * each
        c = classes[label] if classes.size else one
        dz[first + label] = amount * ((own + each * everything) * share - (own + each * c))


@kernel
def weighted_cross_entropy_gradient(
    logits, labels, smoothing, ignore_index, class_weights, row_weights, scale, losses, hits, dlogits
):
    """Forward and backward in one pass: the weighted loss of each row, and the gradient of scale · Σ losses.

    logits: (m, k) float. labels: (m,) integers in [0, k) or ignore_index. smoothing: float in [0, 1). ignore_index: integer.
    class_weights: (k,) float, or (0,) for 1. row_weights: (m,) float, or (0,) for 1. scale: float. losses: (m,), wholly
    overwritten. hits: (m,), wholly overwritten: 1 where the label has the first largest logit and the row counts, else 0.
    dlogits: (m, k), wholly overwritten.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    z, dz = logits.reshape(m * k), dlogits.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _cross_entropy_rows(
            z, labels, k, smoothing, ignore_index, class_weights, row_weights, scale, first, min(m, first + rows), losses,
            hits, dz,
        )  # fmt: skip


@apart
def _nll_rows(x, labels, k, ignored, classes, weights, scale, i0, i1, losses, hits, dx):
    zero, one, factor = x.dtype.type(0.0), x.dtype.type(1.0), x.dtype.type(scale)
    _fill(dx[i0 * k : i1 * k], zero)
    for i in range(i0, i1):
        label, weight = labels[i], weights[i] if weights.size else one
        if label == ignored or weight == zero:
            losses[i], hits[i] = zero, zero
            continue
        amount = weight * classes[label] if classes.size else weight
        losses[i] = -amount * x[i * k + label]
        hits[i] = one if largest(x, i * k, k) == label else zero
        dx[i * k + label] = -factor * amount


@kernel
def nll_loss_gradient(
    log_probabilities, labels, ignore_index, class_weights, row_weights, scale, losses, hits, dlog_probabilities
):
    """Forward and backward in one pass: the weighted loss of each row, and the gradient of scale · Σ losses.

    log_probabilities: (m, k) float. dlog_probabilities: (m, k), wholly overwritten. The others as in
    `weighted_cross_entropy_gradient`.
    """
    m, k = log_probabilities.shape
    rows = tile_rows(k)
    x, dx = log_probabilities.reshape(m * k), dlog_probabilities.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _nll_rows(x, labels, k, ignore_index, class_weights, row_weights, scale, first, min(m, first + rows), losses, hits, dx)
