"""Running averages of weights: average += weight (values - average), one pass over one flat array.

A weight of 1/n at the n-th update gives the mean of all so far, a constant 1 - d the exponential average with decay d; a
weight of 1 copies. Sources: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
Control Optim. 30 (1992); P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel

__all__ = ["average_update"]

_CHUNK = 8192


@apart
def _move(average, values, weight):
    for i in range(average.size):
        average[i] += weight * (values[i] - average[i])


@apart
def _copy(average, values):
    for i in range(average.size):
        average[i] = values[i]


@kernel
def average_update(values, weight, average):
    """Move an average towards values. values: (size,) float. weight: float in [0, 1]. average: (size,), updated."""
    for chunk in prange((average.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        if weight == 1.0:  # a + (w - a) would round
            _copy(average[i0:i1], values[i0:i1])
        else:
            _move(average[i0:i1], values[i0:i1], average.dtype.type(weight))
