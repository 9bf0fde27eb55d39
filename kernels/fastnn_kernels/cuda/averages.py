"""Running averages of weights: see `cpu.averages`."""

from ._target import BLOCK, cuda, groups, kernel, scalar

__all__ = ["average_update"]


@kernel
def _average(values, weight, average):
    i = cuda.grid(1)
    if i < average.size:
        value = values[i]
        average[i] = value if weight == average.dtype.type(1.0) else average[i] + weight * (value - average[i])


def average_update(values, weight, average):
    """average += weight (values - average); a weight of 1 copies. Both (size,)."""
    _average(groups(average.size, BLOCK), BLOCK, values, scalar(average, weight), average)
