"""Pieces of the buffers that instructions share, by their offsets."""

from ..._jit import worker
from .._views import view_at

__all__ = ["matrix", "maybe", "vector"]


@worker
def matrix(array, offset, m, n):
    return view_at(array, offset, (m, n))


@worker
def vector(array, offset, size):
    return view_at(array, offset, (size,))


@worker
def maybe(array, offset, size):
    """A piece of an array, or nothing for offset -1."""
    return view_at(array, max(offset, 0), (size if offset >= 0 else 0,))
