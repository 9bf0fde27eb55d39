"""The blocked matrix product C = first + A·B, for any strides of A and either order of B.

C is cut into pieces, one for each row of scratch that the caller brings: as many as threads. A piece goes over blocks of
BLOCK_ROWS rows, within them over blocks of DEPTH terms of the sum, and within these over panels of two vectors' columns,
whose DEPTH rows of B stay in the L1 cache (32 KB) while the micro-kernel (`_tile`) runs down the rows of A. B is copied to
scratch first where it must be transposed, or where its rows are so far apart that they would throw one another out of the
cache.

Every element of C is one chain of fused multiply-adds in the order of k, so the bits do not depend on pieces and blocks.
"""

from .._jit import shared, worker
from .._tile import TILE, VECTORS, copy_columns, multiply_tile, transpose_columns

__all__ = ["product_piece", "scratch_size"]

DEPTH = 256
BLOCK_ROWS = 256
FAR = 1024  # bytes between rows of B from which on it is copied,
MANY = 4  # if so many tiles of rows share the copy
_ROW_BYTES = TILE.vector_bytes * VECTORS


@shared
def scratch_size():
    """Elements of scratch that a piece needs."""
    return DEPTH * _ROW_BYTES // 4


@worker
def _grid(rows, columns, pieces):
    """How many pieces down and across: the cut whose largest piece is smallest, and with the fewest cuts of rows."""
    best, best_down = rows * columns + 1, 1
    for down in range(1, pieces + 1):
        if pieces % down == 0:
            across = pieces // down
            size = ((rows + down - 1) // down) * ((columns + across - 1) // across)
            if size < best:
                best, best_down = size, down
    return best_down, pieces // best_down


@worker
def product_piece(piece, pieces, m, n, k, a, a_row, a_k, b, b_k, b_column, first, first_row, scratch, c):
    """One piece of C = first + A·B.

    m, n, k: C is (m, n), C-contiguous, A (m, k), B (k, n). a, b, first, c: addresses of their first elements; first may be 0
    for zeros. a_row, a_k, b_k, b_column, first_row: strides in elements; either b_k or b_column is 1. scratch: (scratch_size(),)
    of the arrays' dtype, this piece's own. Returns the bounds of the piece in C: its rows, then its columns.
    """
    size = scratch.itemsize
    panel, tile_rows = _ROW_BYTES // size, TILE.rows[0]
    tiles, panels = (m + tile_rows - 1) // tile_rows, (n + panel - 1) // panel
    down, across = _grid(tiles, panels, pieces)
    y, x = piece % down, piece // down
    row, row_end = tiles * y // down * tile_rows, min(m, tiles * (y + 1) // down * tile_rows)
    column, column_end = panels * x // across * panel, min(n, panels * (x + 1) // across * panel)
    copied = scratch.ctypes.data
    copies = b_column != 1 or (b_k * size >= FAR and row_end - row >= MANY * tile_rows)
    for i0 in range(row, row_end, BLOCK_ROWS):
        i1 = min(row_end, i0 + BLOCK_ROWS)
        for k0 in range(0, k, DEPTH):
            depth = min(k - k0, DEPTH)
            for j in range(column, column_end, panel):
                columns = min(panel, column_end - j)
                source, step = b + size * (k0 * b_k + j * b_column), b_k
                if copies:
                    if b_column == 1:
                        copy_columns(scratch, depth, columns, source, b_k, copied)
                    else:
                        transpose_columns(scratch, depth, columns, source, b_column, copied)
                    source, step = copied, panel
                before, before_row = (first, first_row) if k0 == 0 else (c, n)
                shift = size * j if before != 0 else 0
                i = i0
                while i < i1:
                    i += multiply_tile(
                        scratch, i1 - i, columns, depth, a + size * (i * a_row + k0 * a_k), a_row, a_k, source, step,
                        before + (shift + size * i * before_row if before != 0 else 0), before_row, c + size * (i * n + j), n,
                    )  # fmt: skip
    return row, row_end, column, column_end
