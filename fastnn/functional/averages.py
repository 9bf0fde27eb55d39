"""Running averages of flat arrays."""

from __future__ import annotations

from fastnn_kernels.cpu import averages as kernels

from .._check import Array, number
from ._dispatch import run
from .optimizers._common import flat, writable

__all__ = ["average_update"]

_AVERAGE_NS = 0.2


def average_update(average: Array, values: Array, weight: float) -> None:
    """average += weight · (values - average), in place. average, values: (size,), one dtype. weight: in [0, 1]; 1 copies.

    >>> average = np.array([1.0, 2.0])
    >>> average_update(average, np.array([3.0, 2.0]), 0.5)
    >>> average
    array([2., 2.])
    """
    writable(average=average)
    values = flat("values", values, average)
    run(kernels.average_update, average.size * _AVERAGE_NS, values, number("weight", weight, low=0.0, high=1.0), average)
