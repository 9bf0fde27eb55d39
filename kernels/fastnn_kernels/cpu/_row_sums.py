"""Sums along one row, in LLVM vectors that stay in registers: 32 elements side by side, then 8, then one by one.

The length alone fixes the order of additions. A plain loop over a row would add one element after the other, 4 cycles each.
Each function is for use inside kernels; x, dy, gamma and other are 1-D, of one float dtype and length, and so is what returns.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._simd import I32, I64, constant, element_pointer, load, multiply_add, splat

__all__ = ["row_dot", "row_moments", "row_products", "row_sum"]

_GROUPS = (32, 8, 1)


def _sums(rows, scalars, sums, terms):
    """An intrinsic that returns so many sums over rows. terms(builder, elements, scalars, totals) gives the totals moved on."""

    def generate(context, builder, signature, values):
        kinds, arrays, numbers = signature.args[:rows], values[:rows], values[rows:]
        element = context.get_data_type(kinds[0].dtype)
        size = context.make_array(kinds[0])(context, builder, arrays[0]).nitems
        begin, carried = I64(0), [constant(element, [0.0] * _GROUPS[0])] * sums
        for lanes in _GROUPS:
            carried = [_fold(builder, value, lanes) for value in carried]
            totals = [cgutils.alloca_once_value(builder, value) for value in carried]
            spread = [splat(builder, number, lanes) for number in numbers]
            groups = builder.sdiv(builder.sub(size, begin), I64(lanes))
            with cgutils.for_range(builder, groups) as loop:
                index = builder.add(begin, builder.mul(loop.index, I64(lanes)))
                places = [element_pointer(context, builder, *pair, index) for pair in zip(kinds, arrays, strict=True)]
                elements = [load(builder, place, element, lanes) for place in places]
                moved = terms(builder, elements, spread, [builder.load(total) for total in totals])
                for total, value in zip(totals, moved, strict=True):
                    builder.store(value, total)
            begin = builder.add(begin, builder.mul(groups, I64(lanes)))
            carried = [builder.load(total) for total in totals]
        results = [builder.extract_element(value, I32(0)) for value in carried]
        return results[0] if sums == 1 else context.make_tuple(builder, signature.return_type, results)

    def result(x):
        return x.dtype if sums == 1 else types.UniTuple(x.dtype, sums)

    return generate, result


def _fold(builder, value, lanes):
    """A vector of partial sums added up to so many lanes, half to half."""
    while value.type.count > lanes:
        half = value.type.count // 2
        low, high = (builder.shuffle_vector(value, value, constant(I32, list(range(first, first + half)))) for first in (0, half))
        value = builder.fadd(low, high)
    return value


_add, _add_result = _sums(1, 0, 1, lambda b, x, _, total: [b.fadd(total[0], x[0])])
_dot, _dot_result = _sums(2, 0, 1, lambda b, x, _, total: [multiply_add(b, x[0], x[1], total[0])])


def _moment_terms(builder, elements, scalars, totals):
    difference = builder.fsub(elements[0], scalars[0])
    return [builder.fadd(totals[0], difference), multiply_add(builder, difference, difference, totals[1])]


def _product_terms(builder, elements, scalars, totals):
    dy, gamma, x = elements
    g, difference = builder.fmul(dy, gamma), builder.fsub(x, scalars[0])
    return [builder.fadd(totals[0], g), multiply_add(builder, g, difference, totals[1])]


_moments, _moments_result = _sums(1, 1, 2, _moment_terms)
_products, _products_result = _sums(3, 1, 2, _product_terms)


@intrinsic
def row_sum(typing_context, x):
    """Σ x."""
    return _add_result(x)(x), _add


@intrinsic
def row_dot(typing_context, x, other):
    """Σ x · other."""
    return _dot_result(x)(x, other), _dot


@intrinsic
def row_moments(typing_context, x, center):
    """Σ (x - center) and Σ (x - center)²; center: a scalar of the same dtype."""
    return _moments_result(x)(x, center), _moments


@intrinsic
def row_products(typing_context, dy, gamma, x, center):
    """Σ γ dy and Σ γ dy · (x - center)."""
    return _products_result(x)(dy, gamma, x, center), _products
