"""Workers on the rows of a softmax, which lie one after the other in a 1-D array: losses over many rows are made of them.

The exponentials of all rows of a tile are taken in one loop, which vectorises also where a row is short.
"""

import math

from .._jit import apart
from ._math import decay
from ._views import on_stack, view_at

__all__ = ["add", "exponentials", "is_largest", "largest", "less_top", "scaled_shares", "sum_of", "top_of"]

_LANES, _HALVES = 32, (16, 8, 4, 2, 1)
_lanes = on_stack(_LANES)

# Workers with branches take whole arrays and a row's place in them: there a slice would cost two atomic operations on the
# array's count of references, 13 ns. Loops that are to vectorise take views.
# A row of more columns than lanes is folded into lanes, and these in halves: 256 rows of 1000 take 130 µs,
# where they took 270 with one largest value and four sums a row (float32, AVX-512, Zen 5).


@apart
def _keep_larger(piece, lanes):
    for lane in range(piece.size):
        lanes[lane] = piece[lane] if piece[lane] > lanes[lane] else lanes[lane]


@apart
def add(piece, lanes):
    """lanes += piece."""
    for lane in range(piece.size):
        lanes[lane] += piece[lane]


@apart
def top_of(z, first, k):
    """The largest of z[first : first + k]."""
    if k > _LANES:
        lanes = _lanes(z)
        for lane in range(_LANES):
            lanes[lane] = z[first + lane]
        for j in range(_LANES, k, _LANES):
            _keep_larger(view_at(z, first + j, (min(_LANES, k - j),)), lanes)
        for width in _HALVES:
            _keep_larger(view_at(lanes, width, (width,)), lanes)
        return lanes[0]
    top = z[first]
    for j in range(1, k):
        top = z[first + j] if z[first + j] > top else top
    return top


@apart
def sum_of(y, first, k):
    """The sum of y[first : first + k]."""
    if k > _LANES:
        lanes = _lanes(y)
        for lane in range(_LANES):
            lanes[lane] = y[first + lane]
        for j in range(_LANES, k, _LANES):
            add(view_at(y, first + j, (min(_LANES, k - j),)), lanes)
        for width in _HALVES:
            add(view_at(lanes, width, (width,)), lanes)
        return lanes[0]
    total = y.dtype.type(0.0)
    for j in range(first, first + k):
        total += y[j]
    return total


@apart
def less_top(z, top, out):
    for j in range(z.size):
        out[j] = z[j] - top


@apart
def scaled_shares(out, scale, share, everywhere):
    for j in range(out.size):
        out[j] = scale * (out[j] * share - everywhere)


@apart
def _exponentials(piece):
    for i in range(piece.size):
        piece[i] = decay(piece[i])


@apart
def exponentials(y, begin, end):
    """eˣ of what is not positive, in place."""
    _exponentials(view_at(y, begin, (end - begin,)))


@apart
def largest(z, first, k):
    """Where in z[first : first + k] the first largest value stands; NaN counts as the largest, as in NumPy's argmax."""
    best = 0
    for j in range(1, k):
        if z[first + j] > z[first + best] or (math.isnan(z[first + j]) and not math.isnan(z[first + best])):
            best = j
    return best


@apart
def is_largest(z, first, k, label, top, total):
    """Whether the label is the place that `largest` finds; total, Σ e^(z - top), is NaN where one of z is."""
    if math.isnan(total):
        return largest(z, first, k) == label
    ties = 0
    if z[first + label] == top:
        for j in range(first, first + label):
            ties += z[j] == top
        return ties == 0
    return False
