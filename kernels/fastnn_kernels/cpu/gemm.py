"""The blocked matrix product C = first + A·B, for any strides of A and either order of B.

C is cut into pieces, one for each row of scratch that the caller brings: as many as threads. A piece goes over blocks of
BLOCK_ROWS rows, within them over groups of GROUP panels of two vectors' columns, and for each over blocks of DEPTH terms of the
sum. DEPTH rows of a panel of B stay in the L1 cache (32 KB) while the micro-kernel (`_tile`) runs down the rows of A, and the
group's block of C stays in L2 until its sums are whole (256x2048 times 2048x2048 on one core: 14.3 ms; with the sum's blocks
outside the groups 16.1). What would be read in small bits far apart is copied to scratch first, where it lies in the order of
use: panels of B, and the block of A, tile by tile, which all groups then share before the next block of the sum. So is a B that
must be transposed.

What will be copied next is asked for while the tiles before it are at work, a few cache lines a tile, and into L2: in L1 it would
push out the panel that is in use (256x2048 times 2048x2048 on two cores: 420 GFLOP/s without, 468 with).

Tried without gain: DEPTH 384 to 1024, GROUP 8, copying rows of A that are contiguous. Blocks of 256 rows instead of 512 copy
panels of B twice as often: 4% slower for 4096 rows, and 12% in their weight gradient.

Every element of C is one chain of fused multiply-adds in the order of k, so the bits do not depend on pieces and blocks.
"""

from .._jit import shared, worker
from .._tile import TILE, VECTORS, ask_for, copy_columns, copy_rows, multiply_tile, transpose_columns

__all__ = ["product_piece", "scratch_size"]

DEPTH = 256
BLOCK_ROWS = 512
GROUP = 4  # panels of B that are copied together: pieces of rows four times as long
FAR = 1024  # bytes between rows of B, or columns of A, from which on they are copied,
MANY = 4  # if so many tiles of rows, or panels, share the copy
_ROW_BYTES = TILE.vector_bytes * VECTORS
_LINE_BYTES = 64
_STRIP = 16  # rows of B that are copied at a time


@shared
def scratch_size():
    """Elements of scratch that a piece needs."""
    return (BLOCK_ROWS + TILE.rows[0]) * DEPTH + GROUP * DEPTH * _ROW_BYTES // 4


@worker
def _copy_panels(scratch, depth, columns, b, b_k, b_column, packed):
    """GROUP panels of B, `columns` in all, each DEPTH rows from the last. b, packed: addresses."""
    size = scratch.itemsize
    panel = _ROW_BYTES // size
    if b_column != 1:
        for j in range(0, columns, panel):
            transpose_columns(
                scratch, depth, min(panel, columns - j), b + size * j * b_column, b_column, packed + size * j * DEPTH
            )
        return
    for k0 in range(0, depth, _STRIP):
        rows, source = min(_STRIP, depth - k0), b + size * k0 * b_k
        for j in range(0, columns, panel):
            target = packed + size * (j * DEPTH + k0 * panel)
            copy_columns(scratch, rows, min(panel, columns - j), source + size * j, b_k, target)


@worker
def _copy_tiles(scratch, rows, depth, a, a_k, copied):
    """A block of A whose columns are contiguous, tile by tile: the rows of a tile stand together for each k."""
    size, tile = scratch.itemsize, TILE.rows[0]
    for k0 in range(0, depth, _STRIP):
        terms = min(_STRIP, depth - k0)
        for i in range(0, rows, tile):
            copy_rows(
                scratch, terms, min(tile, rows - i), a + size * (k0 * a_k + i), a_k, copied + size * (i * depth + k0 * tile)
            )


@worker
def _runs(size, terms, width, by_term, by_column):
    """A block as runs of cache lines: how many, lines in each, bytes from one to the next."""
    if by_column == 1:
        return terms, (size * width + _LINE_BYTES - 1) // _LINE_BYTES, size * by_term
    return width, (size * terms + _LINE_BYTES - 1) // _LINE_BYTES, size * by_column


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
def _order(turn, depths, groups, copies_a):
    """Which block of the sum and which group of panels: a copied block of A serves all groups first, or a group all its sums."""
    return (turn // groups, turn % groups) if copies_a else (turn % depths, turn // depths)


@worker
def product_piece(piece, pieces, m, n, k, a, a_row, a_k, b, b_k, b_column, first, first_row, scratch, c):
    """One piece of C = first + A·B.

    m, n, k: C is (m, n), C-contiguous, A (m, k), B (k, n). a, b, first, c: addresses of their first elements; first may be 0
    for zeros. a_row, a_k, b_k, b_column, first_row: strides in elements; one of A's and one of B's is 1. scratch:
    (scratch_size(),) of the arrays' dtype, this piece's own. Returns the bounds of the piece in C: its rows, then its columns.
    """
    size = scratch.itemsize
    panel, tile_rows = _ROW_BYTES // size, TILE.rows[0]
    tiles, panels = (m + tile_rows - 1) // tile_rows, (n + panel - 1) // panel
    down, across = _grid(tiles, panels, pieces)
    y, x = piece % down, piece // down
    row, row_end = tiles * y // down * tile_rows, min(m, tiles * (y + 1) // down * tile_rows)
    column, column_end = panels * x // across * panel, min(n, panels * (x + 1) // across * panel)
    copies_a = a_k != 1 and a_k * size >= FAR and column_end - column >= MANY * panel
    most = tile_rows if copies_a else m  # rows that lie as a tile wants them
    copies_b = b_column != 1 or (b_k * size >= FAR and row_end - row >= MANY * tile_rows)
    tiles_at = scratch.ctypes.data
    panels_at = tiles_at + size * (BLOCK_ROWS + tile_rows) * DEPTH
    depths, group = (k + DEPTH - 1) // DEPTH, GROUP * panel
    groups = (column_end - column + group - 1) // group
    for i0 in range(row, row_end, BLOCK_ROWS):
        i1 = min(row_end, i0 + BLOCK_ROWS)
        for turn in range(depths * groups):
            place, along = _order(turn, depths, groups, copies_a)
            k0, g0 = place * DEPTH, column + along * group
            depth, g1 = min(k - k0, DEPTH), min(column_end, g0 + group)
            block, block_row, block_k, tile_step = a + size * (i0 * a_row + k0 * a_k), a_row, a_k, size * tile_rows * a_row
            if copies_a:
                if along == 0:
                    _copy_tiles(scratch, i1 - i0, depth, block, a_k, tiles_at)
                block, block_row, block_k, tile_step = tiles_at, 1, tile_rows, size * tile_rows * depth
            before, before_row = (first, first_row) if k0 == 0 else (c, n)
            source, step, panel_step = b + size * (k0 * b_k + g0 * b_column), b_k, size * panel
            if copies_b:
                _copy_panels(scratch, depth, g1 - g0, source, b_k, b_column, panels_at)
                source, step, panel_step = panels_at, panel, size * panel * DEPTH
            tiles_left = ((g1 - g0 + panel - 1) // panel) * ((i1 - i0 + tile_rows - 1) // tile_rows)
            runs_b, lines_b, step_b, next_b = 0, 0, 0, b
            if copies_b and turn + 1 < depths * groups:
                place, along = _order(turn + 1, depths, groups, copies_a)
                next_k, next_g = place * DEPTH, column + along * group
                next_b = b + size * (next_k * b_k + next_g * b_column)
                runs_b, lines_b, step_b = _runs(size, min(k - next_k, DEPTH), min(column_end - next_g, group), b_k, b_column)
            share = (runs_b + tiles_left - 1) // tiles_left
            for j in range(g0, g1, panel):
                columns = min(panel, g1 - j)
                tile, i = block, i0
                while i < i1:
                    asked = min(share, runs_b)
                    ask_for(scratch, asked, lines_b, step_b, next_b)
                    runs_b -= asked
                    next_b += asked * step_b
                    start = before + size * (j + i * before_row) if before != 0 else 0
                    done = multiply_tile(
                        scratch, min(i1 - i, most), columns, depth, tile, block_row, block_k, source, step, start, before_row,
                        c + size * (i * n + j), n,
                    )  # fmt: skip
                    i += done
                    tile += tile_step if done == tile_rows else size * done * block_row
                source += panel_step
    return row, row_end, column, column_end
