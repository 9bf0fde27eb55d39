"""Losses that compare a prediction x with a target t element by element, chosen by a number, and their derivatives.

    SQUARED        L = (x - t)²                                   dx = 2 (x - t)
    ABSOLUTE       L = |x - t|                                    dx = sign(x - t), 0 at 0
    HUBER          L = (x - t)²/2 where |x - t| < δ,              dx = x - t, held within ±δ
                       else δ (|x - t| - δ/2)
    POISSON        L = x - t log(x + ε)                           dx = 1 - t/(x + ε)
    POISSON_LOG    L = eˣ - t x                                   dx = eˣ - t
    LOGISTIC       L = p t s(-x) + (1 - t) s(x)                   dx = (1 - t) σ(x) - p t σ(-x)

with s(x) = log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|), the softplus, and p the weight of what is positive. A share of 0 costs
nothing where its softplus is infinite. `full` adds Stirling's approximation of log t! to the Poisson losses where t > 1:
t log t - t + log(2πt)/2, which does not depend on x.

Sources: P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964); Goodfellow,
Bengio and Courville, "Deep Learning" (2016), 6.2.2, for the logistic loss; McCullagh and Nelder, "Generalized Linear Models"
(1989), 6, for Poisson regression.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._log1p import log1p
from ._math import exp
from ._rows import tile_rows

__all__ = [
    "ABSOLUTE",
    "HUBER",
    "LOGISTIC",
    "POISSON",
    "POISSON_LOG",
    "SQUARED",
    "pointwise_loss_backward",
    "pointwise_loss_forward",
    "pointwise_loss_gradient",
]

SQUARED, ABSOLUTE, HUBER, POISSON, POISSON_LOG, LOGISTIC = range(6)

_CHUNK = 8192


@apart
def _logistic(x, t, losses):
    zero, one = x.dtype.type(0.0), x.dtype.type(1.0)
    for i in range(x.size):
        rest = log1p(exp(-abs(x[i])))
        above, below = (x[i] if x[i] > zero else zero) + rest, (zero if x[i] > zero else -x[i]) + rest
        losses[i] = (zero if t[i] == zero else t[i] * below) + (zero if t[i] == one else (one - t[i]) * above)


@apart
def _weighted_logistic(x, t, factors, losses):
    zero, one = x.dtype.type(0.0), x.dtype.type(1.0)
    for i in range(x.size):
        rest, share = log1p(exp(-abs(x[i]))), factors[i] * t[i]
        above, below = (x[i] if x[i] > zero else zero) + rest, (zero if x[i] > zero else -x[i]) + rest
        losses[i] = (zero if share == zero else share * below) + (zero if t[i] == one else (one - t[i]) * above)


@apart
def _logistic_slope(x, t, dx):
    one = x.dtype.type(1.0)
    for i in range(x.size):
        e = exp(-abs(x[i]))
        large = one / (one + e)
        small = e * large
        sigmoid, other = (large, small) if x[i] >= 0 else (small, large)
        dx[i] = (one - t[i]) * sigmoid - t[i] * other


@apart
def _weighted_logistic_slope(x, t, factors, dx):
    one = x.dtype.type(1.0)
    for i in range(x.size):
        e = exp(-abs(x[i]))
        large = one / (one + e)
        small = e * large
        sigmoid, other = (large, small) if x[i] >= 0 else (small, large)
        dx[i] = (one - t[i]) * sigmoid - factors[i] * t[i] * other


@apart
def _values(kind, x, t, parameter, full, factors, losses):
    n = losses.size
    a, half = x.dtype.type(parameter), x.dtype.type(0.5)
    if kind == SQUARED:
        for i in range(n):
            difference = x[i] - t[i]
            losses[i] = difference * difference
    elif kind == ABSOLUTE:
        for i in range(n):
            losses[i] = abs(x[i] - t[i])
    elif kind == HUBER:
        for i in range(n):
            size = abs(x[i] - t[i])
            losses[i] = half * size * size if size < a else a * (size - half * a)
    elif kind == POISSON:
        for i in range(n):
            losses[i] = x[i] - t[i] * math.log(x[i] + a)
    elif kind == POISSON_LOG:
        for i in range(n):
            losses[i] = exp(x[i]) - t[i] * x[i]
    elif factors.size:
        _weighted_logistic(x, t, factors[:n], losses)
    else:
        _logistic(x, t, losses)
    if full:
        for i in range(n):
            if t[i] > 1.0:
                losses[i] += t[i] * math.log(t[i]) - t[i] + half * math.log(x.dtype.type(2.0 * math.pi) * t[i])


@apart
def _slopes(kind, x, t, parameter, factors, dx):
    n = dx.size
    a, zero, one, two = x.dtype.type(parameter), x.dtype.type(0.0), x.dtype.type(1.0), x.dtype.type(2.0)
    if kind == SQUARED:
        for i in range(n):
            dx[i] = two * (x[i] - t[i])
    elif kind == ABSOLUTE:
        for i in range(n):
            difference = x[i] - t[i]
            dx[i] = one if difference > zero else (-one if difference < zero else difference)  # NaN stays NaN
    elif kind == HUBER:
        for i in range(n):
            difference = x[i] - t[i]
            dx[i] = a if difference > a else (-a if difference < -a else difference)
    elif kind == POISSON:
        for i in range(n):
            dx[i] = one - t[i] / (x[i] + a)
    elif kind == POISSON_LOG:
        for i in range(n):
            dx[i] = exp(x[i]) - t[i]
    elif factors.size:
        _weighted_logistic_slope(x, t, factors[:n], dx)
    else:
        _logistic_slope(x, t, dx)


@apart
def _times(y, weights):
    for i in range(y.size):
        y[i] *= weights[i]


@apart
def _scaled(y, weight):
    for i in range(y.size):
        y[i] *= weight


@apart
def _weigh_rows(row_weights, scale, k, i0, i1, losses, dx):
    """A row of weight 0 is as if it were not there, also where its loss is not finite."""
    zero = losses.dtype.type(0.0)
    for i in range(i0, i1):
        weight = row_weights[i]
        for e in range(i * k, (i + 1) * k):
            losses[e] = zero if weight == zero else weight * losses[e]
            dx[e] = zero if weight == zero else scale * weight * dx[e]


@kernel
def pointwise_loss_forward(kind, prediction, target, parameter, full, factors, losses):
    """The loss of each element.

    kind: one of the numbers above. prediction, target: (size,) float. parameter: float, δ of HUBER or ε of POISSON. full:
    boolean, of the Poisson losses. factors: p of LOGISTIC, which the elements take in turns, from the first one on, or (0,) for
    1. losses: (size,), wholly overwritten.
    """
    size = max(factors.size, _CHUNK if factors.size == 0 else 1)
    for chunk in prange((losses.size + size - 1) // size):
        i0 = np.intp(chunk) * size
        i1 = i0 + size
        _values(kind, prediction[i0:i1], target[i0:i1], parameter, full, factors, losses[i0:i1])


@kernel
def pointwise_loss_backward(dlosses, kind, prediction, target, parameter, factors, dprediction):
    """The gradient of Σ dlosses · losses.

    dlosses: (size,) float. The others as in forward. dprediction: (size,), wholly overwritten; may be prediction or target.
    """
    size = max(factors.size, _CHUNK if factors.size == 0 else 1)
    for chunk in prange((dprediction.size + size - 1) // size):
        i0 = np.intp(chunk) * size
        i1 = i0 + size
        _slopes(kind, prediction[i0:i1], target[i0:i1], parameter, factors, dprediction[i0:i1])
        _times(dprediction[i0:i1], dlosses[i0:i1])


@kernel
def pointwise_loss_gradient(kind, prediction, target, parameter, full, factors, row_weights, scale, losses, dprediction):
    """Forward and backward in one pass: the weighted losses, and the gradient of scale · Σ losses.

    kind, parameter, full: as in forward. prediction, target: (m, k) float. factors: (tile_rows(k) · k,), p of LOGISTIC for each
    column, row after row, or (0,) for 1. row_weights: (m,) float, or (0,) for 1; a row of weight 0 counts nothing, whatever is
    in it. scale: float. losses, dprediction: (m, k), wholly overwritten.
    """
    m, k = prediction.shape
    rows = tile_rows(k)
    x, t, y, dx = prediction.reshape(m * k), target.reshape(m * k), losses.reshape(m * k), dprediction.reshape(m * k)
    factor = x.dtype.type(scale)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        last = min(m, first + rows)
        i0, i1 = first * k, last * k
        _values(kind, x[i0:i1], t[i0:i1], parameter, full, factors, y[i0:i1])
        _slopes(kind, x[i0:i1], t[i0:i1], parameter, factors, dx[i0:i1])
        if row_weights.size:
            _weigh_rows(row_weights, factor, k, first, last, y, dx)
        else:
            _scaled(dx[i0:i1], factor)
