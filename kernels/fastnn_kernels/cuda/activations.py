"""Activation functions, chosen by a number, and their derivatives from the output: see `cpu.activations` for the formulas."""

import math

from ._target import BLOCK, cuda, device, groups, kernel, scalar

__all__ = [
    "IDENTITY",
    "LEAKY_RELU",
    "RELU",
    "SELU",
    "SIGMOID",
    "TANH",
    "activate",
    "activation_backward",
    "activation_forward",
    "derivative",
]

IDENTITY, RELU, LEAKY_RELU, SIGMOID, TANH, SELU = range(6)

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

EACH = 4  # elements a thread, all read before one is written: one alone leaves too few bytes on their way


@device
def activate(like, x, kind, slope):
    """f(x) of a number of the array's dtype."""
    zero, one = like.dtype.type(0.0), like.dtype.type(1.0)
    if kind == RELU:
        return zero if x < zero else x
    if kind == LEAKY_RELU:
        return x * slope if x < zero else x
    if kind == SIGMOID:
        e = math.exp(-abs(x))  # never overflows
        s = one / (one + e)
        return s if x >= zero else e * s
    if kind == TANH:
        return math.tanh(x)
    if kind == SELU:
        if x > zero:
            return x * like.dtype.type(SELU_SCALE)
        return math.expm1(x) * like.dtype.type(SELU_SCALE * SELU_ALPHA)
    return x


@device
def derivative(like, dy, y, kind, slope):
    """dy · f'(x), from y = f(x), of numbers of the array's dtype."""
    zero, one = like.dtype.type(0.0), like.dtype.type(1.0)
    if kind == RELU:
        return zero if y <= zero else dy
    if kind == LEAKY_RELU:
        return dy if y > zero else dy * slope
    if kind == SIGMOID:
        return dy * (y * (one - y))
    if kind == TANH:
        return dy * (one - y * y)
    if kind == SELU:
        if y > zero:
            return dy * like.dtype.type(SELU_SCALE)
        return dy * (y + like.dtype.type(SELU_SCALE * SELU_ALPHA))
    return dy


@kernel
def _forward(x, kind, slope, y):
    size = x.size
    a = cuda.blockIdx.x * (EACH * BLOCK) + cuda.threadIdx.x
    b, c, d = a + BLOCK, a + 2 * BLOCK, a + 3 * BLOCK
    if d < size:
        x0, x1, x2, x3 = x[a], x[b], x[c], x[d]
        y[a], y[b] = activate(x, x0, kind, slope), activate(x, x1, kind, slope)
        y[c], y[d] = activate(x, x2, kind, slope), activate(x, x3, kind, slope)
    else:
        for i in range(a, size, BLOCK):
            y[i] = activate(x, x[i], kind, slope)


@kernel
def _backward(dy, y, kind, slope, dx):
    size = dy.size
    a = cuda.blockIdx.x * (EACH * BLOCK) + cuda.threadIdx.x
    b, c, d = a + BLOCK, a + 2 * BLOCK, a + 3 * BLOCK
    if d < size:
        g0, g1, g2, g3 = dy[a], dy[b], dy[c], dy[d]
        y0, y1, y2, y3 = y[a], y[b], y[c], y[d]
        dx[a], dx[b] = derivative(dy, g0, y0, kind, slope), derivative(dy, g1, y1, kind, slope)
        dx[c], dx[d] = derivative(dy, g2, y2, kind, slope), derivative(dy, g3, y3, kind, slope)
    else:
        for i in range(a, size, BLOCK):
            dx[i] = derivative(dy, dy[i], y[i], kind, slope)


def activation_forward(x, kind, slope, y):
    """y = f(x). x, y: (size,); y may be x."""
    _forward(groups(x.size, EACH * BLOCK), BLOCK, x, kind, scalar(x, slope), y)


def activation_backward(dy, y, kind, slope, dx):
    """dx = dy · f'(x), from y = f(x). All (size,); dx may be dy."""
    _backward(groups(dy.size, EACH * BLOCK), BLOCK, dy, y, kind, scalar(dy, slope), dx)
