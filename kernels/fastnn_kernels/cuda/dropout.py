"""Inverted dropout with the CPU's masks: see `cpu.dropout`. A thread has the four elements of one block of random words."""

import numpy as np

from ._target import BLOCK, cuda, device, groups, kernel, scalar
from .random import philox

__all__ = ["dropout_backward", "dropout_forward", "dropout_threshold", "relu_dropout_backward", "thinned"]


def dropout_threshold(p):
    """Random words below it drop their element."""
    return np.uint64(min(np.rint(p * 4294967296.0), 4294967295.0))


@device
def thinned(like, x, word, threshold, scale):
    """A number of the array's dtype after dropout."""
    return x * scale if word >= threshold else like.dtype.type(0.0)


@kernel
def _forward(x, threshold, scale, seed, step, stream, y):
    block = cuda.grid(1)
    e, size = 4 * block, x.size
    if e < size:
        w0, w1, w2, w3 = philox(seed, np.uint64(block), step, stream)
        if e + 3 < size:
            x0, x1, x2, x3 = x[e], x[e + 1], x[e + 2], x[e + 3]
            y[e], y[e + 1] = thinned(x, x0, w0, threshold, scale), thinned(x, x1, w1, threshold, scale)
            y[e + 2], y[e + 3] = thinned(x, x2, w2, threshold, scale), thinned(x, x3, w3, threshold, scale)
        else:
            y[e] = thinned(x, x[e], w0, threshold, scale)
            if e + 1 < size:
                y[e + 1] = thinned(x, x[e + 1], w1, threshold, scale)
            if e + 2 < size:
                y[e + 2] = thinned(x, x[e + 2], w2, threshold, scale)


@kernel
def _relu_backward(dy, y, scale, dx):
    zero, size = dy.dtype.type(0.0), dy.size
    a = cuda.blockIdx.x * (2 * BLOCK) + cuda.threadIdx.x
    b = a + BLOCK
    if b < size:
        g0, g1, y0, y1 = dy[a], dy[b], y[a], y[b]
        dx[a] = zero if y0 <= zero else g0 * scale
        dx[b] = zero if y1 <= zero else g1 * scale
    elif a < size:
        dx[a] = zero if y[a] <= zero else dy[a] * scale


def dropout_forward(x, p, seed, step, stream, y):
    """y = x · mask / (1 - p). x, y: (size,); y may be x."""
    words = np.uint64(seed), np.uint64(step), np.uint64(stream)
    _forward(groups(x.size, 4 * BLOCK), BLOCK, x, dropout_threshold(p), scalar(x, 1.0 / (1.0 - p)), *words, y)


# The derivative of a product with a fixed mask is the product with that mask: one body serves both ways.
dropout_backward = dropout_forward


def relu_dropout_backward(dy, y, p, dx):
    """dx = dy · mask / (1 - p) where ReLU let through, else 0; from y = dropout(relu(x)). All (size,); dx may be dy."""
    _relu_backward(groups(dy.size, 2 * BLOCK), BLOCK, dy, y, scalar(dy, 1.0 / (1.0 - p)), dx)
