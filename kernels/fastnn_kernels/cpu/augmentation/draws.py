"""What augmentation draws: numbers in [0, 1), and of these mixing weights and partners.

All of it is a function of seed, step, stream and place (see `random`): row i of a table of draws takes the same bits in any
order and on any number of threads. No rejection loops: a draw takes as many words whatever they are.

λ ~ Beta(α, α) comes from Student's t, by Bailey's polar method. With u and v uniform,

    q = (u^(-1/α) - 1) · cos²(2πv)            T²/2α, where T has 2α degrees of freedom
    λ = ½ ± ½ √(q / (1 + q))                  the sign is that of cos(2πv)

for every α > 0. Sources: R. W. Bailey, "Polar generation of random variates with the t-distribution", Mathematics of
Computation 62 (1994); L. Devroye, "Random variate generation in one line of code", WSC 1996. The quotient of two gamma variates
would need a loop of rejections, and be 0/0 for small α.
"""

import math

import numpy as np
from numba import prange

from ..._jit import kernel, worker
from ..random import philox

__all__ = ["between", "mixing_draws", "uniforms"]

_CHUNK = 4096
_HIGH, _LOW = np.uint64(21), np.uint64(11)


@worker
def _uniform(high, low):
    return np.float64(np.int64((high << _HIGH) ^ (low >> _LOW))) * 2.0**-53


@worker
def _uniforms_chunk(seed, block, step, stream, out):
    for e in range(0, out.size, 2):
        words = philox(seed, block + e // 2, step, stream)
        out[e] = _uniform(words[0], words[1])
        if e + 1 < out.size:
            out[e + 1] = _uniform(words[2], words[3])


@kernel
def uniforms(seed, step, stream, out):
    """Numbers in [0, 1) of 53 random bits: element e takes words 2e and 2e + 1, so that two make a block of Philox.

    seed: uint64. step, stream: integers in [0, 2³²). out: (size,) float64, wholly overwritten.
    """
    for chunk in prange((out.size + _CHUNK - 1) // _CHUNK):
        start = np.intp(chunk) * _CHUNK
        _uniforms_chunk(seed, start // 2, step, stream, out[start : start + _CHUNK])


@worker
def between(low, high, u):
    """Uniform from low to high."""
    return low + (high - low) * u


@worker
def _symmetric_beta(u, v, alpha):
    cosine = math.cos(2.0 * math.pi * v)
    q = math.expm1(-math.log1p(-u) / alpha) * cosine * cosine  # infinite for small α: then λ is 0 or 1
    root = 1.0 / math.sqrt(1.0 + 1.0 / q)
    small = 0.5 / ((1.0 + q) * (1.0 + root))  # ½ (1 - root) without cancellation
    return small if cosine < 0.0 else 1.0 - small


@worker
def _mix(draws, alpha, by_row, shares, partners):
    for i in range(shares.size):
        source = i if by_row else 0
        shares[i] = _symmetric_beta(draws[source, 0], draws[source, 1], alpha)
        partners[i] = i
    for i in range(shares.size - 1, 0, -1):
        j = np.intp(draws[i, 2] * (i + 1))
        partners[i], partners[j] = partners[j], partners[i]


@kernel
def mixing_draws(draws, alpha, by_row, shares, partners):
    """How much of itself each row keeps, λ ~ Beta(alpha, alpha), and which row it is mixed with, by a random permutation.

    draws: (m, at least 3) float64 in [0, 1): two for λ, of row 0 alone unless by_row, and one for the permutation, as in
    `random.permute`. alpha: float above 0. by_row: boolean. shares: (m,) float64 in [0, 1], wholly overwritten. partners: (m,)
    int64, wholly overwritten.

    One loop, whose rows depend on one another: for the serial build.
    """
    _mix(draws, alpha, by_row, shares, partners)
