"""ELU, GELU, SiLU and Softplus, one pair of functions each: see `cpu.smooth_activations` for the formulas.

To the kernels each is a number, with up to two settings; all threads of a launch take the same branch.
"""

import math

from ._target import BLOCK, cuda, device, groups, kernel, scalar
from .activations import EACH

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "silu_backward",
    "silu_forward",
    "softplus_backward",
    "softplus_forward",
]

_ELU, _GELU, _TANH_GELU, _SILU, _SOFTPLUS = range(5)
_TWO_ROOT = 1.5957691216057308  # 2 √(2/π)
_CUBIC = 0.044715
_FAR = 30.0  # beyond it the tanh form has reached 0 or 1 in float64 too, and x³ cannot overflow
_END = 40.0  # beyond it e^(-x²/2) is 0, and x² cannot overflow
_ROOT_HALF = 0.7071067811865476
_ROOT_TWO_PI = 0.3989422804014327  # 1/√(2π)


@device
def _bounded(x, far):
    return far if x > far else (-far if x < -far else x)


@device
def _sigmoid(like, x):
    """σ(x), without 1 - σ(-x), which loses its digits."""
    one = like.dtype.type(1.0)
    e = math.exp(-abs(x))
    near = one / (one + e)
    return near if x >= like.dtype.type(0.0) else e * near


@device
def _value(like, x, kind, a, b):
    """f(x). a: α or β; b: the threshold."""
    zero, one = like.dtype.type(0.0), like.dtype.type(1.0)
    if kind == _ELU:
        return x if x > zero else a * math.expm1(x)
    if kind == _GELU:
        return x * (like.dtype.type(0.5) * math.erfc(-x * like.dtype.type(_ROOT_HALF)))
    if kind == _TANH_GELU:
        v = _bounded(x, like.dtype.type(_FAR))
        return x * _sigmoid(like, like.dtype.type(_TWO_ROOT) * v * (one + like.dtype.type(_CUBIC) * v * v))
    if kind == _SILU:
        return x * _sigmoid(like, x)
    v = a * x
    if v > b:
        return x
    return (one / a) * ((zero if v < zero else v) + math.log1p(math.exp(-abs(v))))


@device
def _slope(like, x, kind, a, b):
    """f'(x); ELU's is from f(x)."""
    zero, one = like.dtype.type(0.0), like.dtype.type(1.0)
    if kind == _ELU:
        return one if x > zero else x + a
    if kind == _GELU:
        v = _bounded(x, like.dtype.type(_END))
        density = like.dtype.type(_ROOT_TWO_PI) * math.exp(like.dtype.type(-0.5) * v * v)
        return like.dtype.type(0.5) * math.erfc(-x * like.dtype.type(_ROOT_HALF)) + v * density
    if kind == _TANH_GELU:
        v, root = _bounded(x, like.dtype.type(_FAR)), like.dtype.type(_TWO_ROOT)
        u = root * v * (one + like.dtype.type(_CUBIC) * v * v)
        s = _sigmoid(like, u)
        return s + v * s * _sigmoid(like, -u) * (root * (one + like.dtype.type(3.0 * _CUBIC) * v * v))
    if kind == _SILU:
        s = _sigmoid(like, x)
        return s + x * s * _sigmoid(like, -x)
    v = a * x
    return one if v > b else _sigmoid(like, v)


@kernel
def _forward(x, kind, a, b, y):
    size = x.size
    i = cuda.blockIdx.x * (EACH * BLOCK) + cuda.threadIdx.x
    j, k, n = i + BLOCK, i + 2 * BLOCK, i + 3 * BLOCK
    if n < size:
        x0, x1, x2, x3 = x[i], x[j], x[k], x[n]
        y[i], y[j] = _value(x, x0, kind, a, b), _value(x, x1, kind, a, b)
        y[k], y[n] = _value(x, x2, kind, a, b), _value(x, x3, kind, a, b)
    else:
        for e in range(i, size, BLOCK):
            y[e] = _value(x, x[e], kind, a, b)


@kernel
def _backward(dy, x, kind, a, b, dx):
    size = x.size
    i = cuda.blockIdx.x * (EACH * BLOCK) + cuda.threadIdx.x
    j, k, n = i + BLOCK, i + 2 * BLOCK, i + 3 * BLOCK
    if n < size:
        d0, d1, d2, d3 = dy[i], dy[j], dy[k], dy[n]
        x0, x1, x2, x3 = x[i], x[j], x[k], x[n]
        dx[i], dx[j] = d0 * _slope(x, x0, kind, a, b), d1 * _slope(x, x1, kind, a, b)
        dx[k], dx[n] = d2 * _slope(x, x2, kind, a, b), d3 * _slope(x, x3, kind, a, b)
    else:
        for e in range(i, size, BLOCK):
            dx[e] = dy[e] * _slope(x, x[e], kind, a, b)


def _apply(x, kind, a, b, y):
    _forward(groups(x.size, EACH * BLOCK), BLOCK, x, kind, scalar(x, a), scalar(x, b), y)


def _differentiate(dy, x, kind, a, b, dx):
    _backward(groups(x.size, EACH * BLOCK), BLOCK, dy, x, kind, scalar(x, a), scalar(x, b), dx)


def elu_forward(x, alpha, y):
    """y = x where x > 0, else alpha · (eˣ - 1). x, y: (size,); y may be x."""
    _apply(x, _ELU, alpha, 0.0, y)


def elu_backward(dy, y, alpha, dx):
    """The gradient from the output. All (size,); dx may be dy."""
    _differentiate(dy, y, _ELU, alpha, 0.0, dx)


def gelu_forward(x, tanh, y):
    """y = x Φ(x), by tanh's approximation if so. x, y: (size,); y may be x."""
    _apply(x, _TANH_GELU if tanh else _GELU, 0.0, 0.0, y)


def gelu_backward(dy, x, tanh, dx):
    """The gradient from the input. All (size,); dx may be dy."""
    _differentiate(dy, x, _TANH_GELU if tanh else _GELU, 0.0, 0.0, dx)


def silu_forward(x, y):
    """y = x σ(x). x, y: (size,); y may be x."""
    _apply(x, _SILU, 0.0, 0.0, y)


def silu_backward(dy, x, dx):
    """The gradient from the input. All (size,); dx may be dy."""
    _differentiate(dy, x, _SILU, 0.0, 0.0, dx)


def softplus_forward(x, beta, threshold, y):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold. x, y: (size,); y may be x."""
    _apply(x, _SOFTPLUS, beta, threshold, y)


def softplus_backward(dy, x, beta, threshold, dx):
    """The gradient from the input. All (size,); dx may be dy."""
    _differentiate(dy, x, _SOFTPLUS, beta, threshold, dx)
