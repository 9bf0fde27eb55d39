"""Sums over the threads of a block, in shared memory and in one order: a tree, whose steps follow from the block's size alone."""

from ._target import BLOCK, TILE_ROWS, cuda, device

__all__ = ["add_block", "add_columns", "add_lanes"]


@device
def add_columns(sums, column, row):
    """sums[0, column] = Σ of that column of a (TILE_ROWS, TILE_COLUMNS) array. All threads of the block must come here."""
    step = TILE_ROWS // 2
    while step > 0:
        cuda.syncthreads()
        if row < step:
            sums[row, column] += sums[row + step, column]
        step //= 2
    cuda.syncthreads()


@device
def add_block(sums, thread):
    """sums[0] = Σ of an array of BLOCK numbers. All threads of the block must come here."""
    step = BLOCK // 2
    while step > 0:
        cuda.syncthreads()
        if thread < step:
            sums[thread] += sums[thread + step]
        step //= 2
    cuda.syncthreads()


@device
def add_lanes(value, sums, place, lane, width):
    """Σ of the values of `width` threads in a row, a power of two, of which this is `lane`, at `place` in the block."""
    cuda.syncthreads()  # who read the last sum has done so
    sums[place] = value
    step = width // 2
    while step > 0:
        cuda.syncthreads()
        if lane < step:
            sums[place] += sums[place + step]
        step //= 2
    cuda.syncthreads()
    return sums[place - lane]
