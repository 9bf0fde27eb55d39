"""Workers on the rows of a softmax, which lie one after the other in a 1-D array: losses over many rows are made of them.

The exponentials of all rows of a tile are taken in one loop, which vectorises also where a row is short.
"""

import math

from .._jit import apart
from ._math import exp

__all__ = ["exponentials", "is_largest", "largest", "less_top", "scaled_shares", "sum_of", "top_of"]

_LONG = 64  # columns

# Workers with branches take whole arrays and a row's place in them: there a view of the row would cost two atomic operations on
# the array's count of references, 13 ns. Loops that are to vectorise take views.


@apart
def top_of(z, first, k):
    top = z[first]
    for j in range(1, k):
        top = z[first + j] if z[first + j] > top else top
    return top


@apart
def less_top(z, top, out):
    for j in range(z.size):
        out[j] = z[j] - top


@apart
def scaled_shares(out, scale, share, everywhere):
    for j in range(out.size):
        out[j] = scale * (out[j] * share - everywhere)


@apart
def exponentials(y, begin, end):
    piece = y[begin:end]
    for i in range(piece.size):
        piece[i] = exp(piece[i])


@apart
def sum_of(y, first, k):
    """One sum in order where it is short, since rows overlap; else four side by side, which need not wait for one another."""
    s0 = s1 = s2 = s3 = y.dtype.type(0.0)
    fours = k // 4 * 4 if k >= _LONG else 0
    for quad in range(fours // 4):
        j = first + 4 * quad
        s0 += y[j]
        s1 += y[j + 1]
        s2 += y[j + 2]
        s3 += y[j + 3]
    for j in range(first + fours, first + k):
        s0 += y[j]
    return (s0 + s1) + (s2 + s3)


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
