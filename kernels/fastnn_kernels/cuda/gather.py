"""Gathering the rows of a batch, with conversion and scaling on the way: see `cpu.gather`."""

from ._target import TILE_COLUMNS, TILE_ROWS, cuda, groups, kernel, scalar

__all__ = ["gather_rows"]


@kernel
def _gather(source, index, scale, out):
    m, n = out.shape
    j = cuda.blockIdx.y * TILE_COLUMNS + cuda.threadIdx.x
    i = cuda.blockIdx.x * TILE_ROWS + cuda.threadIdx.y
    if i < m and j < n:
        out[i, j] = out.dtype.type(source[index[i], j]) * scale


def gather_rows(source, index, scale, out):
    """out[i, :] = source[index[i], :] · scale. source: (rows, n), any real dtype. index: (m,) integers. out: (m, n) float."""
    m, n = out.shape
    _gather((groups(m, TILE_ROWS), groups(n, TILE_COLUMNS)), (TILE_COLUMNS, TILE_ROWS), source, index, scalar(out, scale), out)
