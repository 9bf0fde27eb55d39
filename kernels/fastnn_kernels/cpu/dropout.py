"""Inverted dropout.

    y = x · mask / (1 - p)        mask = 0 with probability p, else 1
    dx = dy · mask / (1 - p)

so that y has x's expectation and nothing is left to do in use. Element e is dropped where its random word (see `random`) is
below p·2³². The mask is not stored: backward makes it again, at 0.3 ns an element, and needs only seed, step and stream.
After ReLU it needs not even these: what was dropped is 0 in the output, as is what ReLU cut off, and neither has a gradient.

Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014);
"inverted" is the usual name for scaling in training instead of in use.
"""

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from .._jit import apart, kernel
from .._simd import I32, constant, element_pointer, load, splat, store
from .random import CHUNK, GROUPS, emit_philox, philox

__all__ = [
    "dropout_backward",
    "dropout_forward",
    "dropout_segment",
    "dropout_threshold",
    "relu_dropout_backward",
    "relu_dropout_backward_segment",
]


def _dropout_group(group):
    """An intrinsic: y[start : start + group] from x, with the words of blocks in a row."""

    @intrinsic
    def drop(typing_context, seed, block, step, stream, threshold, scale, x, y, start):
        def generate(context, builder, signature, args):
            seed, block, step, stream, threshold, scale, x, y, start = args
            source, target = signature.args[6:8]
            element = context.get_value_type(source.dtype)
            words = emit_philox(builder, seed, block, step, stream, group)
            limit = splat(builder, builder.trunc(threshold, I32), group)
            kept = builder.icmp_unsigned(">=", words, limit)
            value = load(builder, element_pointer(context, builder, source, x, start), element, group)
            scaled = builder.fmul(value, splat(builder, scale, group))
            result = builder.select(kept, scaled, constant(element, [0.0] * group))
            store(builder, result, element_pointer(context, builder, target, y, start))
            return context.get_dummy_value()

        words = (types.uint64,) * 5
        return types.void(*words, x.dtype, x, y, types.intp), generate

    return drop


_drop_many, _drop_few = (_dropout_group(group) for group in GROUPS)


@apart
def dropout_segment(x, threshold, scale, seed, first, step, stream, y):
    """Dropout of a 1-D piece whose first element is number `first` of its array, a multiple of 4. x and y may be one."""
    block = first // 4
    many, few = x.size - x.size % GROUPS[0], x.size - x.size % GROUPS[1]
    for start in range(0, many, GROUPS[0]):
        _drop_many(seed, block + start // 4, step, stream, threshold, scale, x, y, start)
    for start in range(many, few, GROUPS[1]):
        _drop_few(seed, block + start // 4, step, stream, threshold, scale, x, y, start)
    for e in range(few, x.size, 4):
        words = philox(seed, block + e // 4, step, stream)
        for w in range(min(4, x.size - e)):
            y[e + w] = x[e + w] * scale if words[w] >= threshold else x.dtype.type(0.0)


@apart
def dropout_threshold(p):
    """Random words below it drop their element."""
    return np.uint64(min(np.rint(p * 4294967296.0), 4294967295.0))


@kernel
def dropout_forward(x, p, seed, step, stream, y):
    """y = x · mask / (1 - p).

    x: (size,) float. p: float in [0, 1). seed: uint64. step, stream: integers in [0, 2³²).
    y: (size,), wholly overwritten; may be x.
    """
    threshold = dropout_threshold(p)
    scale = x.dtype.type(1.0 / (1.0 - p))
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):
        first = np.intp(chunk) * CHUNK
        end = first + CHUNK
        dropout_segment(x[first:end], threshold, scale, seed, first, step, stream, y[first:end])


# The derivative of a product with a fixed mask is the product with that mask: one body serves both ways.
dropout_backward = dropout_forward


@apart
def relu_dropout_backward_segment(dy, y, scale, dx):
    """The derivative of ReLU and dropout of a 1-D piece."""
    zero = dy.dtype.type(0.0)
    for i in range(dy.size):
        dx[i] = zero if y[i] <= zero else dy[i] * scale


@kernel
def relu_dropout_backward(dy, y, p, dx):
    """dx = dy · mask / (1 - p) where ReLU let through, else 0; from y = dropout(relu(x)), which is 0 in either case.

    dy, y: (size,) float. p: float in [0, 1). dx: (size,), wholly overwritten; may be dy.
    """
    scale = dy.dtype.type(1.0 / (1.0 - p))
    for chunk in prange((dy.size + CHUNK - 1) // CHUNK):
        first = np.intp(chunk) * CHUNK
        end = first + CHUNK
        relu_dropout_backward_segment(dy[first:end], y[first:end], scale, dx[first:end])
