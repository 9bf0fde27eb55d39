"""How work over the rows of a matrix is cut. The cuts depend on the shape alone, so results do not depend on threads."""

from .._jit import shared
from ._views import fetch

__all__ = ["fetch_rows", "is_far", "row_chunks", "tile_rows"]

_MAX_CHUNKS = 64
_MIN_CHUNK_ROWS = 64
_TILE_ELEMENTS = 8192
_L2_BYTES = 1 << 20
_LINE_BYTES = 64


@shared
def row_chunks(m):
    """Into how many chunks a reduction over m rows is cut; chunk c holds rows m·c // chunks to m·(c+1) // chunks."""
    return max(1, min(_MAX_CHUNKS, m // _MIN_CHUNK_ROWS))


@shared
def tile_rows(n):
    """Rows of n columns that make a task of elementwise work: some 8192 elements, the first at a multiple of 4."""
    return max(4, _TILE_ELEMENTS // max(1, n) // 4 * 4)


@shared
def is_far(x):
    """Whether an array is too large to be in the L2 cache."""
    return x.size * x.itemsize > _L2_BYTES


@shared
def fetch_rows(x, i0, i1, j0, j1):
    """Ask for x[i0:i1, j0:j1], which may lie past the end, before it is needed.

    Where four rows at a time are read, of 1 KB each, the CPU's own prefetching is late (column moments of 65536 x 256 float32
    on one core: 17 GB/s without, 25 to 30 with). Not for what is in cache: there it costs a third.
    """
    n = x.shape[1]
    for i in range(i0, i1):
        for j in range(i * n + j0, i * n + j1, _LINE_BYTES // x.itemsize):
            fetch(x, j)
