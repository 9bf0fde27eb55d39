"""Sums over flat arrays: the squared norm of a gradient, and the penalty of regularised weights with its gradient.

    squared norm:  Σ g²
    penalty:       Σ|w| and Σ w²;  gradient += l1 · sign(w) + l2 · w,  with sign(0) = 0

A sum runs over chunks of 16384 elements, each in 32 float64 lanes that hold every 32nd element, and then over the chunks in
order: the size alone fixes the order of additions. float64 lanes keep the square of a large float32 from overflowing.

Source: R. Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, for the norm's use; any text on
L1 and L2 regularisation for the penalty.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel, shared

__all__ = ["LANES", "penalty_update", "squared_norm", "sum_chunks"]

CHUNK = 16384
LANES = 32


@shared
def sum_chunks(size):
    """Rows of partial sums that an array of this size needs."""
    return max(1, (size + CHUNK - 1) // CHUNK)


@apart
def _sum_of_squares(x, lanes):
    for lane in range(LANES):
        lanes[lane] = 0.0
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        group = x[i : i + LANES]
        for lane in range(LANES):
            value = np.float64(group[lane])
            lanes[lane] += value * value
    for i in range(whole, x.size):
        lanes[i - whole] += np.float64(x[i]) * np.float64(x[i])


@apart
def _total(partials, column, chunks):
    total = 0.0
    for c in range(chunks):
        for lane in range(LANES):
            total += partials[c, column * LANES + lane]
    return total


@kernel
def squared_norm(x, partials, out):
    """out[0] = Σ x².

    x: (size,) float. partials: scratch (sum_chunks(size), 32) float64. out: (1,) float64, wholly overwritten.
    """
    chunks = sum_chunks(x.size)
    for chunk in prange(chunks):
        first = np.intp(chunk) * CHUNK
        _sum_of_squares(x[first : first + CHUNK], partials[np.intp(chunk), :LANES])
    out[0] = _total(partials, 0, chunks)


@apart
def _penalty_chunk(w, l1, l2, g, absolute):
    zero = w.dtype.type(0.0)
    for lane in range(LANES):
        absolute[lane] = 0.0
    whole = w.size - w.size % LANES
    for i in range(0, whole, LANES):
        group = w[i : i + LANES]
        for lane in range(LANES):
            absolute[lane] += np.float64(abs(group[lane]))
    for i in range(whole, w.size):
        absolute[i - whole] += np.float64(abs(w[i]))
    for i in range(w.size):
        sign = l1 if w[i] > zero else (-l1 if w[i] < zero else zero)
        g[i] += sign + l2 * w[i]


@kernel
def penalty_update(weights, l1, l2, partials, gradients, out):
    """gradients += l1 · sign(weights) + l2 · weights;  out = Σ|weights|, Σ weights².

    weights: (size,) float. l1, l2: float. partials: scratch (sum_chunks(size), 64) float64.
    gradients: (size,), added to. out: (2,) float64, wholly overwritten.
    """
    chunks = sum_chunks(weights.size)
    a, b = weights.dtype.type(l1), weights.dtype.type(l2)
    for chunk in prange(chunks):
        c = np.intp(chunk)
        w = weights[c * CHUNK : (c + 1) * CHUNK]
        _penalty_chunk(w, a, b, gradients[c * CHUNK : (c + 1) * CHUNK], partials[c, :LANES])
        _sum_of_squares(w, partials[c, LANES:])
    out[0] = _total(partials, 0, chunks)
    out[1] = _total(partials, 1, chunks)
