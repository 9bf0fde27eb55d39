"""Counter-based random bits: Philox4x32-10.

A block of four 32-bit words is a function of a 128-bit counter and a 64-bit key, and of nothing else, so it can be had in
any order, on any number of threads and on a GPU, and again later. Here

    key     = (seed mod 2³², seed div 2³²)
    counter = (block mod 2³², block div 2³², step, stream)

and element e of an array takes word e mod 4 of block e div 4. `step` counts training steps or epochs; `stream` tells apart
what draws (initial weights, shuffling, each dropout layer ...). Steps and streams are 32-bit.

Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11. The constants and the known answers
that the tests check are those of the authors' library, Random123.

The rounds stand here twice: as scalars for the last few elements, and as LLVM vectors for the rest, since LLVM holds a
64-bit multiplication to be too dear to vectorise a loop for: 2.8 ns a word as a loop, 0.3 ns as vectors (AVX-512, Zen 5).
"""

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from .._jit import kernel, worker
from .._simd import I32, I64, constant, element_pointer, interleave, splat, store, vector

__all__ = ["CHUNK", "GROUPS", "emit_philox", "permute", "philox", "random_bits"]

CHUNK = 8192  # elements a task: a multiple of 4, so that no block is cut
# Elements that one run of the vector code makes. The ten rounds of 8 blocks wait for one another; four times as many side by side
# keep the multipliers busy (0.30 ns a word, then 0.23).
GROUPS = (128, 32)

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF

_MASK_64 = np.uint64(_MASK)
_SHIFT_64 = np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(_MULTIPLIERS[0]), np.uint64(_MULTIPLIERS[1])
_WEYL_0, _WEYL_1 = np.uint64(_WEYL[0]), np.uint64(_WEYL[1])


@worker
def philox(seed, block, step, stream):
    """The four words of one block, as uint64 below 2³²."""
    k0 = np.uint64(seed) & _MASK_64
    k1 = np.uint64(seed) >> _SHIFT_64
    c0 = np.uint64(block) & _MASK_64
    c1 = np.uint64(block) >> _SHIFT_64
    c2 = np.uint64(step) & _MASK_64
    c3 = np.uint64(stream) & _MASK_64
    for _ in range(_ROUNDS):
        product_0 = _MULTIPLIER_0 * c0
        product_1 = _MULTIPLIER_1 * c2
        c0 = (product_1 >> _SHIFT_64) ^ c1 ^ k0
        c1 = product_1 & _MASK_64
        c2 = (product_0 >> _SHIFT_64) ^ c3 ^ k1
        c3 = product_0 & _MASK_64
        k0 = (k0 + _WEYL_0) & _MASK_64
        k1 = (k1 + _WEYL_1) & _MASK_64
    return c0, c1, c2, c3


def emit_philox(builder, seed, block, step, stream, group):
    """LLVM code for `group` words, of blocks in a row, from four i64 values: a vector of i32 in the order of the elements.

    Words travel in the low halves of 64-bit lanes, as x86's vpmuludq takes them; what is in the high halves is not looked at.
    """
    lanes = group // 4
    low = splat(builder, I64(_MASK), lanes)
    half = splat(builder, I64(32), lanes)
    blocks = builder.add(splat(builder, block, lanes), constant(I64, range(lanes)))
    c0, c1 = blocks, builder.lshr(blocks, half)
    c2, c3 = splat(builder, step, lanes), splat(builder, stream, lanes)
    k0, k1 = splat(builder, seed, lanes), builder.lshr(splat(builder, seed, lanes), half)
    for _ in range(_ROUNDS):
        product_0, product_1 = (
            builder.mul(builder.and_(counter, low), splat(builder, I64(multiplier), lanes))
            for counter, multiplier in zip((c0, c2), _MULTIPLIERS, strict=True)
        )
        c0 = builder.xor(builder.xor(builder.lshr(product_1, half), c1), k0)
        c1 = product_1
        c2 = builder.xor(builder.xor(builder.lshr(product_0, half), c3), k1)
        c3 = product_0
        k0 = builder.add(k0, splat(builder, I64(_WEYL[0]), lanes))
        k1 = builder.add(k1, splat(builder, I64(_WEYL[1]), lanes))
    narrow = vector(I32, lanes)
    return interleave(builder, [builder.trunc(c, narrow) for c in (c0, c1, c2, c3)])


def _store_group(group):
    """An intrinsic that writes the words of so many elements, of blocks in a row, to out[start : start + group]."""

    @intrinsic
    def store_group(typing_context, seed, block, step, stream, out, start):
        def generate(context, builder, signature, args):
            words = emit_philox(builder, *args[:4], group)
            store(builder, words, element_pointer(context, builder, signature.args[4], args[4], args[5]))
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, types.uint64, types.uint64, out, types.intp), generate

    return store_group


_store_many, _store_few = (_store_group(group) for group in GROUPS)


@worker
def _random_bits_chunk(seed, block, step, stream, out):
    many, few = out.size - out.size % GROUPS[0], out.size - out.size % GROUPS[1]
    for start in range(0, many, GROUPS[0]):
        _store_many(seed, block + start // 4, step, stream, out, start)
    for start in range(many, few, GROUPS[1]):
        _store_few(seed, block + start // 4, step, stream, out, start)
    for e in range(few, out.size, 4):
        words = philox(seed, block + e // 4, step, stream)
        for w in range(min(4, out.size - e)):
            out[e + w] = words[w]


@kernel
def random_bits(seed, step, stream, out):
    """Fill `out` with random 32-bit words.

    seed: uint64. step, stream: integers in [0, 2³²). out: (size,) uint32, wholly overwritten.
    """
    for chunk in prange((out.size + CHUNK - 1) // CHUNK):
        start = np.intp(chunk) * CHUNK
        _random_bits_chunk(seed, start // 4, step, stream, out[start : start + CHUNK])


@kernel
def permute(words, out):
    """Fill `out` with 0 to n - 1 in random order: element i, from the last, changes places with one of those up to it.

    words: (2n,) uint32, random; 53 bits of a pair make a number u in [0, 1), and the place is floor(u · (i + 1)), whose
    probabilities are equal to n parts in 2⁵³. out: (n,) int64, wholly overwritten.

    Source: R. Durstenfeld, "Algorithm 235: Random permutation", CACM 7 (1964). Takes 2 to 3 ns an element where sorting random
    keys took 60.
    """
    for i in range(out.size):
        out[i] = i
    for i in range(out.size - 1, 0, -1):
        bits = (np.uint64(words[2 * i]) << np.uint64(21)) ^ (np.uint64(words[2 * i + 1]) >> np.uint64(11))
        j = np.intp(np.float64(np.int64(bits)) * 2.0**-53 * (i + 1))
        out[i], out[j] = out[j], out[i]
