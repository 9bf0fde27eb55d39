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

from .._jit import apart, kernel
from ._math import log
from ._rows import tile_rows
from ._softmax import add, exponentials, is_largest, largest, less_top, scaled_shares, sum_of, top_of
from ._views import on_stack, view_at

__all__ = [
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_gradient",
    "largest",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "squared_error_backward",
    "squared_error_forward",
]

_CHUNK = 8192
_NARROW, _ROWS = 32, 64  # at most so many columns, and rows side by side, in the turned form
_turned, _side_by_side = on_stack(_NARROW * _ROWS), on_stack(_ROWS)


# The largest logit and log Σ e^(z - max z) are kept apart: their sum would be rounded at the size of the logits, and with it
# every softmax in backward. Where the largest logit is infinite, all that follows is NaN.


@apart
def _exponentials_of_rows(z, k, i0, i1, tops, out):
    """e^(z - max z) of rows i0 to i1 - 1, few enough for the L1 cache."""
    for i in range(i0, i1):
        tops[i] = top_of(z, i * k, k)
    for i in range(i0, i1):
        less_top(view_at(z, i * k, (k,)), tops[i], view_at(out, i * k, (k,)))
    exponentials(out, i0 * k, i1 * k)


@apart
def _label_losses(z, labels, k, smoothing, i0, i1, scratch, tops, log_sums, losses):
    _exponentials_of_rows(z, k, i0, i1, tops, scratch)
    for i in range(i0, i1):
        first, top = i * k, tops[i]
        log_sum = z.dtype.type(math.log(sum_of(scratch, first, k)))
        loss = log_sum + (top - z[first + labels[i]])
        if smoothing > 0.0:
            mean = 0.0
            for e in range(first, first + k):
                mean += top - z[e]
            loss = (1.0 - smoothing) * loss + smoothing * (log_sum + mean / k)
        log_sums[i], losses[i] = log_sum, loss


@apart
def _soft_losses(z, t, k, smoothing, i0, i1, scratch, tops, log_sums, losses):
    everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    _exponentials_of_rows(z, k, i0, i1, tops, scratch)
    for i in range(i0, i1):
        first, top = i * k, tops[i]
        log_sum = z.dtype.type(math.log(sum_of(scratch, first, k)))
        loss = 0.0
        for e in range(first, first + k):
            share = t[e] * hit + everywhere
            if share != 0.0:  # 0 · ∞ is nothing here
                loss += share * (log_sum + (top - z[e]))
        log_sums[i], losses[i] = log_sum, loss


@apart
def _less_both(z, top, log_sum, out):
    for j in range(z.size):
        out[j] = (z[j] - top) - log_sum


@apart
def _softmax_of_rows(z, k, i0, i1, tops, log_sums, out):
    for i in range(i0, i1):
        _less_both(view_at(z, i * k, (k,)), tops[i], log_sums[i], view_at(out, i * k, (k,)))
    exponentials(out, i0 * k, i1 * k)


@apart
def _label_gradients(weights, z, labels, k, smoothing, i0, i1, tops, log_sums, dz):
    everywhere, hit, one = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing), z.dtype.type(1.0)
    _softmax_of_rows(z, k, i0, i1, tops, log_sums, dz)
    for i in range(i0, i1):
        place = i * k + labels[i]
        share = dz[place]
        scaled_shares(view_at(dz, i * k, (k,)), weights[i], one, everywhere)
        dz[place] = weights[i] * (share - (everywhere + hit))


@apart
def _soft_gradient(weight, t, hit, everywhere, dz):
    """From the softmax in dz."""
    total = t.dtype.type(0.0)
    for j in range(t.size):
        total += t[j] * hit + everywhere
    for j in range(t.size):
        dz[j] = weight * (total * dz[j] - (t[j] * hit + everywhere))


@apart
def _soft_gradients(weights, z, t, k, smoothing, i0, i1, tops, log_sums, dz):
    everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    _softmax_of_rows(z, k, i0, i1, tops, log_sums, dz)
    for i in range(i0, i1):
        _soft_gradient(weights[i], view_at(t, i * k, (k,)), hit, everywhere, view_at(dz, i * k, (k,)))


@kernel
def cross_entropy_forward(logits, labels, smoothing, scratch, log_sums, losses):
    """The loss of each row against its label.

    logits: (m, k) float. labels: (m,) integers in [0, k). smoothing: float in [0, 1). scratch: (m, k).
    log_sums: (2, m), wholly overwritten, for backward: max z and log Σ e^(z - max z). losses: (m,), wholly overwritten.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    z, room = logits.reshape(m * k), scratch.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _label_losses(z, labels, k, smoothing, first, min(m, first + rows), room, log_sums[0], log_sums[1], losses)


@kernel
def cross_entropy_backward(dlosses, logits, labels, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses.

    dlosses: (m,) float. log_sums: (2, m) from forward. logits: (m, k). labels: (m,) integers. smoothing: as in forward.
    dlogits: (m, k), wholly overwritten; may be logits.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    z, dz = logits.reshape(m * k), dlogits.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _label_gradients(dlosses, z, labels, k, smoothing, first, min(m, first + rows), log_sums[0], log_sums[1], dz)


@apart
def _fused_rows(z, labels, k, smoothing, weight, i0, i1, losses, hits, dz):
    """Rows i0 to i1 - 1, few enough for the L1 cache. The exponentials of all rows are taken in one loop, which vectorises."""
    everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    scale, zero, one = z.dtype.type(weight), z.dtype.type(0.0), z.dtype.type(1.0)
    for i in range(i0, i1):
        losses[i] = top_of(z, i * k, k)
    for i in range(i0, i1):
        less_top(view_at(z, i * k, (k,)), losses[i], view_at(dz, i * k, (k,)))
    exponentials(dz, i0 * k, i1 * k)
    for i in range(i0, i1):
        first, label, top = i * k, labels[i], losses[i]
        total = sum_of(dz, first, k)
        log_sum = z.dtype.type(math.log(total))
        loss = log_sum + (top - z[first + label])
        if smoothing > 0.0:
            mean = 0.0
            for e in range(first, first + k):
                mean += top - z[e]
            loss = (1.0 - smoothing) * loss + smoothing * (log_sum + mean / k)
        losses[i] = loss
        hits[i] = one if is_largest(z, first, k, label, top, total) else zero
        scaled_shares(view_at(dz, first, (k,)), scale, one / total, everywhere)
        dz[first + label] -= scale * hit


@apart
def _turn(z, k, t, rows):
    """Rows of z as columns of t."""
    for r in range(rows):
        for j in range(k):
            t[j * rows + r] = z[r * k + j]


@apart
def _turn_back(t, rows, dz, k):
    for r in range(rows):
        for j in range(k):
            dz[r * k + j] = t[j * rows + r]


@apart
def _keep_largest(column, place, top, best):
    for r in range(column.size):
        best[r] = place if column[r] > top[r] else best[r]
        top[r] = column[r] if column[r] > top[r] else top[r]


@apart
def _subtract(column, values):
    for r in range(column.size):
        column[r] -= values[r]


@apart
def _logarithms(values, logs):
    for r in range(values.size):
        logs[r] = log(values[r])


@apart
def _shares(column, total, scale, everywhere):
    one = column.dtype.type(1.0)
    for r in range(column.size):
        column[r] = scale * (column[r] * (one / total[r]) - everywhere)


@apart
def _fused_narrow_rows(z, labels, k, smoothing, weight, losses, hits, dz):
    """Some rows of few columns, turned, so that every loop runs over all rows side by side and vectorises.

    1024 rows of 10: 13 µs where rows one by one take 36 (float32, AVX-512, Zen 5). Loops of a length that the compiler knows
    would be unrolled instead.
    """
    everywhere, hit = z.dtype.type(smoothing / k), z.dtype.type(1.0 - smoothing)
    scale, zero, one = z.dtype.type(weight), z.dtype.type(0.0), z.dtype.type(1.0)
    rows = losses.size
    t, best, total, top, log_sum = _turned(z), _side_by_side(z), _side_by_side(z), _side_by_side(z), _side_by_side(z)
    _turn(z, k, t, rows)
    for r in range(rows):
        top[r], best[r] = t[r], zero
    for j in range(1, k):
        _keep_largest(view_at(t, j * rows, (rows,)), z.dtype.type(j), top, best)
    for j in range(k):
        _subtract(view_at(t, j * rows, (rows,)), top)
    exponentials(t, 0, k * rows)
    for r in range(rows):
        total[r] = zero
    for j in range(k):
        add(view_at(t, j * rows, (rows,)), total)
    _logarithms(view_at(total, 0, (rows,)), log_sum)
    for j in range(k):
        _shares(view_at(t, j * rows, (rows,)), total, scale, everywhere)
    _turn_back(t, rows, dz, k)
    for r in range(rows):
        first, label = r * k, labels[r]
        loss = log_sum[r] + (top[r] - z[first + label])
        if smoothing > 0.0:
            mean = 0.0
            for e in range(first, first + k):
                mean += top[r] - z[e]
            loss = (1.0 - smoothing) * loss + smoothing * (log_sum[r] + mean / k)
        losses[r] = loss
        place = largest(z, first, k) if math.isnan(total[r]) else np.int64(best[r])
        hits[r] = one if place == label else zero
        dz[first + label] -= scale * hit


@kernel
def cross_entropy_gradient(logits, labels, smoothing, weight, losses, hits, dlogits):
    """Forward and backward in one pass: the loss of each row against its label, and the gradient of weight · Σ losses.

    logits: (m, k) float. labels: (m,) integers in [0, k). smoothing: float in [0, 1). weight: float, 1/m for the mean.
    losses: (m,), wholly overwritten. hits: (m,), wholly overwritten: 1 where the label has the first largest logit, else 0.
    dlogits: (m, k), wholly overwritten.
    """
    m, k = logits.shape
    narrow = k <= _NARROW
    rows = _ROWS if narrow else tile_rows(k)
    z, dz = logits.reshape(m * k), dlogits.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        end = min(m, first + rows)
        if narrow:
            size = (end - first) * k
            _fused_narrow_rows(
                view_at(z, first * k, (size,)), labels[first:end], k, smoothing, weight, losses[first:end], hits[first:end],
                view_at(dz, first * k, (size,)),
            )  # fmt: skip
        else:
            _fused_rows(z, labels, k, smoothing, weight, first, end, losses, hits, dz)


@kernel
def soft_cross_entropy_forward(logits, targets, smoothing, scratch, log_sums, losses):
    """The loss of each row against a row of probabilities.

    logits, targets: (m, k) float. smoothing: float in [0, 1). scratch: (m, k).
    log_sums: (2, m), wholly overwritten, for backward: max z and log Σ e^(z - max z). losses: (m,), wholly overwritten.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    z, t, room = logits.reshape(m * k), targets.reshape(m * k), scratch.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _soft_losses(z, t, k, smoothing, first, min(m, first + rows), room, log_sums[0], log_sums[1], losses)


@kernel
def soft_cross_entropy_backward(dlosses, logits, targets, smoothing, log_sums, dlogits):
    """The gradient of Σ dlosses · losses.

    dlosses: (m,) float. log_sums: (2, m) from forward. logits, targets: (m, k). smoothing: as in forward.
    dlogits: (m, k), wholly overwritten; may be logits.
    """
    m, k = logits.shape
    rows = tile_rows(k)
    z, t, dz = logits.reshape(m * k), targets.reshape(m * k), dlogits.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _soft_gradients(dlosses, z, t, k, smoothing, first, min(m, first + rows), log_sums[0], log_sums[1], dz)


@apart
def _squared_error(a, b, losses):
    for i in range(losses.size):
        difference = a[i] - b[i]
        losses[i] = difference * difference


@apart
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
