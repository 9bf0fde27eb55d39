"""Losses that compare a prediction with a target element by element: see `cpu.pointwise_losses` for numbers and formulas."""

import math

from ._target import BLOCK, cuda, device, groups, kernel, scalar

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


@device
def _value(like, kind, x, t, a, p):
    """The loss of x against t. a: the parameter; p: the weight of what is positive, 1 for all but the logistic loss."""
    zero, one, half = like.dtype.type(0.0), like.dtype.type(1.0), like.dtype.type(0.5)
    if kind == SQUARED:
        return (x - t) * (x - t)
    if kind == ABSOLUTE:
        return abs(x - t)
    if kind == HUBER:
        size = abs(x - t)
        return half * size * size if size < a else a * (size - half * a)
    if kind == POISSON:
        return x - t * math.log(x + a)
    if kind == POISSON_LOG:
        return math.exp(x) - t * x
    rest, share = math.log1p(math.exp(-abs(x))), p * t
    above, below = (x if x > zero else zero) + rest, (zero if x > zero else -x) + rest
    return (zero if share == zero else share * below) + (zero if t == one else (one - t) * above)  # 0 · ∞ is nothing here


@device
def _stirling(like, t):
    """What `full` adds: an approximation of log t!."""
    if t > like.dtype.type(1.0):
        return t * math.log(t) - t + like.dtype.type(0.5) * math.log(like.dtype.type(2.0 * math.pi) * t)
    return like.dtype.type(0.0)


@device
def _slope(like, kind, x, t, a, p):
    """The derivative of `_value` by x."""
    zero, one, two = like.dtype.type(0.0), like.dtype.type(1.0), like.dtype.type(2.0)
    d = x - t
    if kind == SQUARED:
        return two * d
    if kind == ABSOLUTE:
        return one if d > zero else (-one if d < zero else d)  # NaN stays NaN
    if kind == HUBER:
        return a if d > a else (-a if d < -a else d)
    if kind == POISSON:
        return one - t / (x + a)
    if kind == POISSON_LOG:
        return math.exp(x) - t
    e = math.exp(-abs(x))
    large = one / (one + e)
    small = e * large
    sigmoid, other = (large, small) if x >= zero else (small, large)
    return (one - t) * sigmoid - p * t * other


@device
def _factor(like, factors, i):
    return factors[i % factors.size] if factors.size > 0 else like.dtype.type(1.0)


@kernel
def _forward(kind, x, t, a, full, factors, losses):
    i = cuda.grid(1)
    if i < losses.size:
        value = _value(x, kind, x[i], t[i], a, _factor(x, factors, i))
        losses[i] = value + _stirling(x, t[i]) if full else value


@kernel
def _backward(dlosses, kind, x, t, a, factors, dx):
    i = cuda.grid(1)
    if i < dx.size:
        dx[i] = dlosses[i] * _slope(x, kind, x[i], t[i], a, _factor(x, factors, i))


@kernel
def _both(kind, x, t, a, full, factors, k, row_weights, scale, losses, dx):
    i = cuda.grid(1)
    if i < losses.size:
        zero = x.dtype.type(0.0)
        weight = row_weights[i // k] if row_weights.size > 0 else x.dtype.type(1.0)
        if weight == zero:  # as if it were not there
            losses[i] = zero
            dx[i] = zero
        else:
            p = _factor(x, factors, i)
            value = _value(x, kind, x[i], t[i], a, p)
            losses[i] = weight * (value + _stirling(x, t[i]) if full else value)
            dx[i] = scale * weight * _slope(x, kind, x[i], t[i], a, p)


def pointwise_loss_forward(kind, prediction, target, parameter, full, factors, losses):
    """The loss of each element. prediction, target, losses: (size,). factors: any number of whole rows, or (0,)."""
    grid = groups(losses.size, BLOCK)
    _forward(grid, BLOCK, kind, prediction, target, scalar(losses, parameter), bool(full), factors, losses)


def pointwise_loss_backward(dlosses, kind, prediction, target, parameter, factors, dprediction):
    """The gradient of Σ dlosses · losses, (size,); dprediction may be prediction or target."""
    a = scalar(dprediction, parameter)
    _backward(groups(dprediction.size, BLOCK), BLOCK, dlosses, kind, prediction, target, a, factors, dprediction)


def pointwise_loss_gradient(kind, prediction, target, parameter, full, factors, row_weights, scale, losses, dprediction):
    """Forward and backward in one pass: the weighted losses, and the gradient of scale · Σ losses, both (m, k).

    row_weights: (m,), or (0,) for 1; a row of weight 0 counts nothing, whatever is in it.
    """
    x, t, y, dx = prediction.reshape(-1), target.reshape(-1), losses.reshape(-1), dprediction.reshape(-1)
    rule = scalar(x, parameter), bool(full), factors, prediction.shape[1], row_weights, scalar(x, scale)
    _both(groups(x.size, BLOCK), BLOCK, kind, x, t, *rule, y, dx)
