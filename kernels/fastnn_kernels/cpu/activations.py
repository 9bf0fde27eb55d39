"""Activation functions, chosen by a number, and their derivatives from the output.

    RELU         y = max(x, 0)                              dx = dy where y > 0, else 0
    LEAKY_RELU   y = x where x > 0, else slope · x          dx = dy where y > 0, else slope · dy
    SIGMOID      y = 1 / (1 + e⁻ˣ)                          dx = dy · y (1 - y)
    TANH         y = tanh x                                 dx = dy · (1 - y²)
    SELU         y = λx where x > 0, else λα (eˣ - 1)       dx = dy · λ where y > 0, else dy · (y + λα)
    IDENTITY     y = x                                      dx = dy

Backward reads y, not x, so x may be overwritten by y and need not be kept; for that `slope` must not be negative. At 0 the
derivative of RELU is 0 and that of LEAKY_RELU is `slope`, as torch has it. NaN stays NaN.

Source for SELU: G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._math import expm1, sigmoid, tanh

__all__ = [
    "CHUNK",
    "IDENTITY",
    "LEAKY_RELU",
    "RELU",
    "SELU",
    "SELU_ALPHA",
    "SELU_SCALE",
    "SIGMOID",
    "TANH",
    "activate",
    "activation_backward",
    "activation_backward_segment",
    "activation_forward",
    "copy",
]

IDENTITY, RELU, LEAKY_RELU, SIGMOID, TANH, SELU = range(6)

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

CHUNK = 8192  # elements a task: 32 KB of float32


@apart
def _activate_from(x, kind, slope, y):
    """y = f(x) of a 1-D piece; y may be x."""
    n = y.size
    zero = y.dtype.type(0.0)
    if kind == RELU:
        for i in range(n):
            y[i] = zero if x[i] < zero else x[i]
    elif kind == LEAKY_RELU:
        below = y.dtype.type(slope)
        for i in range(n):
            y[i] = x[i] * below if x[i] < zero else x[i]
    elif kind == SIGMOID:
        for i in range(n):
            y[i] = sigmoid(x[i])
    elif kind == TANH:
        for i in range(n):
            y[i] = tanh(x[i])
    elif kind == SELU:
        scale = y.dtype.type(SELU_SCALE)
        low = y.dtype.type(SELU_SCALE * SELU_ALPHA)
        for i in range(n):
            y[i] = x[i] * scale if x[i] > zero else expm1(x[i]) * low
    elif x.ctypes.data != y.ctypes.data:
        copy(x, y)


@apart
def activate(y, kind, slope):
    """One activation of a 1-D piece, in place."""
    _activate_from(y, kind, slope, y)


@apart
def copy(x, y):
    """y = x."""
    for i in range(x.size):
        y[i] = x[i]


@apart
def activation_backward_segment(dy, y, kind, slope, dx):
    """The derivative of a 1-D piece. dx and dy may be one."""
    n = dy.size
    zero = dy.dtype.type(0.0)
    one = dy.dtype.type(1.0)
    if kind == RELU:
        for i in range(n):
            dx[i] = zero if y[i] <= zero else dy[i]
    elif kind == LEAKY_RELU:
        below = dy.dtype.type(slope)
        for i in range(n):
            dx[i] = dy[i] if y[i] > zero else dy[i] * below
    elif kind == SIGMOID:
        for i in range(n):
            dx[i] = dy[i] * (y[i] * (one - y[i]))
    elif kind == TANH:
        for i in range(n):
            dx[i] = dy[i] * (one - y[i] * y[i])
    elif kind == SELU:
        scale = dy.dtype.type(SELU_SCALE)
        low = dy.dtype.type(SELU_SCALE * SELU_ALPHA)
        for i in range(n):
            dx[i] = dy[i] * (scale if y[i] > zero else y[i] + low)
    else:
        for i in range(n):
            dx[i] = dy[i]


@kernel
def activation_forward(x, kind, slope, y):
    """y = f(x).

    x: (size,) float. kind: one of the numbers above. slope: float >= 0, used by LEAKY_RELU alone.
    y: (size,), wholly overwritten; may be x.
    """
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):
        first = np.intp(chunk) * CHUNK
        _activate_from(x[first : first + CHUNK], kind, slope, y[first : first + CHUNK])


@kernel
def activation_backward(dy, y, kind, slope, dx):
    """dx = dy · f'(x), from y = f(x).

    dy, y: (size,) float. kind, slope: as in forward. dx: (size,), wholly overwritten; may be dy.
    """
    for chunk in prange((dy.size + CHUNK - 1) // CHUNK):
        first = np.intp(chunk) * CHUNK
        end = first + CHUNK
        activation_backward_segment(dy[first:end], y[first:end], kind, slope, dx[first:end])
