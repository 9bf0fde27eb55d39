"""Rows of a matrix for the threads of a block: `width` of them, a power of two, take a row together, and a block several rows."""

import math

from ._target import BLOCK, cuda, device, groups

__all__ = ["first_largest", "row_grid"]


def row_grid(m, k):
    """Grid and block for m rows of k columns."""
    width = 1
    while width < min(k, BLOCK):
        width *= 2
    rows = BLOCK // width
    return groups(m, rows), (width, rows)


@device
def _exceeds(a, b):
    """Whether a is larger; NaN counts as the largest, as in NumPy's argmax."""
    return a > b or (math.isnan(a) and not math.isnan(b))


@device
def first_largest(z, i, lane, width, place, places):
    """Where in row i of z the first largest value stands; every lane gets it. places: (BLOCK,) integers, shared.

    All threads of the block must come here, those without a row too.
    """
    k, live = z.shape[1], i < z.shape[0]
    best = lane
    if live:
        for j in range(lane + width, k, width):
            if _exceeds(z[i, j], z[i, best]):
                best = j
    cuda.syncthreads()
    places[place] = best if lane < k else 0
    step = width // 2
    while step > 0:
        cuda.syncthreads()
        if live and lane < step:
            mine, other = places[place], places[place + step]
            ahead, behind = _exceeds(z[i, other], z[i, mine]), _exceeds(z[i, mine], z[i, other])
            if ahead or (other < mine and not behind):
                places[place] = other
        step //= 2
    cuda.syncthreads()
    return places[place - lane]
