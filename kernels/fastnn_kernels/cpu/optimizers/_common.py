"""What the update rules share."""

from ..._jit import apart

__all__ = ["CHUNK", "shrink"]

CHUNK = 8192  # elements a task


@apart
def shrink(w, factor):
    """Decoupled weight decay of a piece, while it is on its way into cache."""
    for i in range(w.size):
        w[i] *= factor
