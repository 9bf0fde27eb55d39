"""Sums over flat arrays: see `cpu.reductions`. Each block adds up a chunk in float64, and one block the chunks."""

import math

import numpy as np

from ._sums import add_block
from ._target import BLOCK, cuda, groups, kernel, scalar

__all__ = ["LANES", "clip_by_norm", "penalty_update", "squared_norm", "sum_chunks"]

_CHUNK = 16 * BLOCK
LANES = 1  # a chunk's sum is one number


def sum_chunks(size):
    """Rows of partial sums that an array of this size needs."""
    return max(1, groups(size, _CHUNK))


@kernel
def _chunk_squares(x, partials):
    sums = cuda.shared.array(BLOCK, np.float64)
    thread, first = cuda.threadIdx.x, cuda.blockIdx.x * _CHUNK
    total = 0.0
    for i in range(first + thread, min(x.size, first + _CHUNK), BLOCK):
        total += np.float64(x[i]) * np.float64(x[i])
    sums[thread] = total
    add_block(sums, thread)
    if thread == 0:
        partials[cuda.blockIdx.x, 0] = sums[0]


@kernel
def _chunk_penalty(w, l1, l2, partials, g):
    absolute = cuda.shared.array(BLOCK, np.float64)
    squares = cuda.shared.array(BLOCK, np.float64)
    zero = w.dtype.type(0.0)
    thread, first = cuda.threadIdx.x, cuda.blockIdx.x * _CHUNK
    size, square = 0.0, 0.0
    for i in range(first + thread, min(w.size, first + _CHUNK), BLOCK):
        value = w[i]
        sign = l1 if value > zero else (-l1 if value < zero else zero)
        g[i] = g[i] + (sign + l2 * value)
        size += abs(np.float64(value))
        square += np.float64(value) * np.float64(value)
    absolute[thread] = size
    squares[thread] = square
    add_block(absolute, thread)
    add_block(squares, thread)
    if thread == 0:
        partials[cuda.blockIdx.x, 0] = absolute[0]
        partials[cuda.blockIdx.x, 1] = squares[0]


@kernel
def _add_chunks(partials, chunks, out):
    """out[b] = Σ over chunks of partials[:, b]; block b."""
    sums = cuda.shared.array(BLOCK, np.float64)
    thread, kind = cuda.threadIdx.x, cuda.blockIdx.x
    total = 0.0
    for c in range(thread, chunks, BLOCK):
        total += partials[c, kind]
    sums[thread] = total
    add_block(sums, thread)
    if thread == 0:
        out[kind] = sums[0]


def squared_norm(x, partials, out):
    """out[0] = Σ x². x: (size,). partials: scratch (sum_chunks(size), LANES) float64. out: (1,) float64."""
    chunks = sum_chunks(x.size)
    _chunk_squares(chunks, BLOCK, x, partials)
    _add_chunks(1, BLOCK, partials, chunks, out)


def penalty_update(weights, l1, l2, partials, gradients, out):
    """gradients += l1 · sign(weights) + l2 · weights;  out = Σ|weights|, Σ weights². partials: (sum_chunks(size), 2 LANES)."""
    chunks = sum_chunks(weights.size)
    _chunk_penalty(chunks, BLOCK, weights, scalar(weights, l1), scalar(weights, l2), partials, gradients)
    _add_chunks(2, BLOCK, partials, chunks, out)


@kernel
def _clip(squared, largest, gradients):
    factor = largest / (math.sqrt(squared[0]) + 1e-6)
    i = cuda.grid(1)
    if i < gradients.size and not factor >= 1.0:  # a norm of NaN goes on into the gradients
        gradients[i] = gradients[i] * gradients.dtype.type(factor)


def clip_by_norm(squared, largest, gradients):
    """gradients *= min(1, largest / (√squared + 1e-6)).

    The CPU's rules take this factor as a number; here it would have to come to the host first.
    squared: (1,) float64 from `squared_norm`. gradients: (size,), updated.
    """
    _clip(groups(gradients.size, BLOCK), BLOCK, squared, float(largest), gradients)
