"""How work over the rows of a matrix is cut. The cuts depend on the shape alone, so results do not depend on threads."""

from .._jit import shared

__all__ = ["row_chunks", "tile_rows"]

_MAX_CHUNKS = 64
_MIN_CHUNK_ROWS = 64
_TILE_ELEMENTS = 8192


@shared
def row_chunks(m):
    """Into how many chunks a reduction over m rows is cut; chunk c holds rows m·c // chunks to m·(c+1) // chunks."""
    return max(1, min(_MAX_CHUNKS, m // _MIN_CHUNK_ROWS))


@shared
def tile_rows(n):
    """Rows of n columns that make a task of elementwise work: some 8192 elements, the first at a multiple of 4."""
    return max(4, _TILE_ELEMENTS // max(1, n) // 4 * 4)
