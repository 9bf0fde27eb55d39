"""Sums over flat arrays: the squared norm of a gradient, and the penalty of regularised weights with its gradient.

    squared norm:  Σ g²
    penalty:       Σ|w| and Σ w²;  gradient += l1 · sign(w) + l2 · w,  with sign(0) = 0

A sum runs over chunks of 16384 elements, each in 32 float64 lanes that hold every 32nd element, and then over the chunks in
order: the size alone fixes the order of additions. float64 lanes keep the square of a large float32 from overflowing.

Source: R. Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, for the norm's use; any text on
L1 and L2 regularisation for the penalty.
"""

import numpy as np
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from .._jit import apart, kernel, shared
from .._simd import F64, I64, element_pointer, load, magnitude, multiply_add, splat, store, vector

__all__ = ["LANES", "penalty_update", "squared_norm", "sum_chunks"]

CHUNK = 16384
LANES = 32


@shared
def sum_chunks(size):
    """Rows of partial sums that an array of this size needs."""
    return max(1, (size + CHUNK - 1) // CHUNK)


# The lanes are LLVM vectors that stay in registers: as an array in memory each group of 32 waited for the last one's stores, 0.15
# and 0.46 ns an element for norm and penalty where these take 0.05 and 0.12 (float32 in cache, AVX-512, Zen 5).


@intrinsic
def _add_squares(typing_context, x, lanes):
    """lanes += the squares of whole groups of x."""

    def generate(context, builder, signature, values):
        element = context.get_data_type(x.dtype)
        start = element_pointer(context, builder, lanes, values[1], I64(0))
        total = cgutils.alloca_once_value(builder, load(builder, start, F64, LANES))
        groups = builder.sdiv(context.make_array(x)(context, builder, values[0]).nitems, I64(LANES))
        with cgutils.for_range(builder, groups) as loop:
            place = element_pointer(context, builder, x, values[0], builder.mul(loop.index, I64(LANES)))
            value = _wide(builder, load(builder, place, element, LANES))
            builder.store(multiply_add(builder, value, value, builder.load(total)), total)
        store(builder, builder.load(total), start)
        return context.get_dummy_value()

    return types.none(x, lanes), generate


@intrinsic
def _add_penalty(typing_context, w, l1, l2, g, absolute, squares):
    """absolute += |w|, squares += w², g += l1 · sign(w) + l2 · w over whole groups."""

    def generate(context, builder, signature, values):
        element = context.get_data_type(w.dtype)
        zero, first, second = (splat(builder, value, LANES) for value in (element(0.0), values[1], values[2]))
        sums = zip((absolute, squares), values[4:], strict=True)
        starts = [element_pointer(context, builder, kind, value, I64(0)) for kind, value in sums]
        totals = [cgutils.alloca_once_value(builder, load(builder, start, F64, LANES)) for start in starts]
        groups = builder.sdiv(context.make_array(w)(context, builder, values[0]).nitems, I64(LANES))
        with cgutils.for_range(builder, groups) as loop:
            index = builder.mul(loop.index, I64(LANES))
            value = load(builder, element_pointer(context, builder, w, values[0], index), element, LANES)
            place = element_pointer(context, builder, g, values[3], index)
            below = builder.select(builder.fcmp_ordered("<", value, zero), builder.fneg(first), zero)
            sign = builder.select(builder.fcmp_ordered(">", value, zero), first, below)
            change = multiply_add(builder, second, value, sign)
            store(builder, builder.fadd(load(builder, place, element, LANES), change), place)
            wide = _wide(builder, value)
            for total, term in (
                (totals[0], magnitude(builder, wide)),
                (totals[1], builder.fmul(wide, wide, flags=("contract",))),
            ):
                builder.store(builder.fadd(builder.load(total), term, flags=("contract",)), total)
        for start, total in zip(starts, totals, strict=True):
            store(builder, builder.load(total), start)
        return context.get_dummy_value()

    return types.none(w, l1, l2, g, absolute, squares), generate


def _wide(builder, value):
    """A vector in float64."""
    wide = vector(F64, LANES)
    return value if value.type == wide else builder.fpext(value, wide)


@apart
def _sum_of_squares(x, lanes):
    for lane in range(LANES):
        lanes[lane] = 0.0
    _add_squares(x, lanes)
    whole = x.size - x.size % LANES
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
def _penalty_chunk(w, l1, l2, g, absolute, squares):
    zero = w.dtype.type(0.0)
    for lane in range(LANES):
        absolute[lane] = 0.0
        squares[lane] = 0.0
    _add_penalty(w, l1, l2, g, absolute, squares)
    whole = w.size - w.size % LANES
    for i in range(whole, w.size):
        absolute[i - whole] += np.float64(abs(w[i]))
        squares[i - whole] += np.float64(w[i]) * np.float64(w[i])
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
        first, end = c * CHUNK, (c + 1) * CHUNK
        _penalty_chunk(weights[first:end], a, b, gradients[first:end], partials[c, :LANES], partials[c, LANES:])
    out[0] = _total(partials, 0, chunks)
    out[1] = _total(partials, 1, chunks)
