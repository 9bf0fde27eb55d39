"""Random words by Philox4x32-10, the same as the CPU's: see `cpu.random`. Each thread makes one block of four."""

import numpy as np

from ._target import BLOCK, cuda, device, groups, kernel

__all__ = ["philox", "random_bits"]

_MASK, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_ROUNDS = 10


@device
def philox(seed, block, step, stream):
    """The four words of one block, as uint64 below 2³²; all arguments are uint64."""
    k0, k1 = seed & _MASK, seed >> _SHIFT
    c0, c1, c2, c3 = block & _MASK, block >> _SHIFT, step & _MASK, stream & _MASK
    for _ in range(_ROUNDS):
        product_0 = _MULTIPLIER_0 * c0
        product_1 = _MULTIPLIER_1 * c2
        c0 = (product_1 >> _SHIFT) ^ c1 ^ k0
        c1 = product_1 & _MASK
        c2 = (product_0 >> _SHIFT) ^ c3 ^ k1
        c3 = product_0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@kernel
def _random_bits(seed, step, stream, out):
    block = cuda.grid(1)
    e, size = 4 * block, out.size
    if e < size:
        w0, w1, w2, w3 = philox(seed, np.uint64(block), step, stream)
        out[e] = np.uint32(w0)
        if e + 1 < size:
            out[e + 1] = np.uint32(w1)
        if e + 2 < size:
            out[e + 2] = np.uint32(w2)
        if e + 3 < size:
            out[e + 3] = np.uint32(w3)


def random_bits(seed, step, stream, out):
    """Fill `out`, (size,) uint32, with random words."""
    _random_bits(groups(out.size, 4 * BLOCK), BLOCK, np.uint64(seed), np.uint64(step), np.uint64(stream), out)
