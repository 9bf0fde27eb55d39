"""Adadelta.

    g = scale · gradient + decay · w;  s = ρ s + (1 - ρ) g²;  u = √(U + ε) / √(s + ε) · g;  U = ρ U + (1 - ρ) u²;  w -= α u

Source: M. Zeiler, "Adadelta: an adaptive learning rate method", arXiv:1212.5701; α is torch's addition.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal

__all__ = ["adadelta", "adadelta_update"]


@apart
def _adadelta(w, g, square, change, lr, rho, rest, eps, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = normal(rho * square[i] + rest * (d * d), square)
        u = math.sqrt(change[i] + eps) / math.sqrt(square[i] + eps) * d
        change[i] = normal(rho * change[i] + rest * (u * u), change)
        w[i] -= lr * u


@kernel
def adadelta_update(gradients, lr, rho, eps, weight_decay, scale, parameters, square, change):
    """One step of Adadelta.

    gradients: (size,) float. lr, rho, eps, weight_decay, scale: float. parameters, square, change: (size,), updated; the
    state is zero before the first step.
    """
    cast = parameters.dtype.type
    a, r, q = cast(lr), cast(rho), cast(1.0 - rho)
    e, c, decay = cast(eps), cast(scale), cast(weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        _adadelta(parameters[i0:i1], gradients[i0:i1], square[i0:i1], change[i0:i1], a, r, q, e, c, decay)


@instruction
def adadelta(build):
    """The place of the count of steps in state. reals: lr, rho, eps, weight decay."""
    update = build(adadelta_update)

    def run(row, reals, context):
        context.state[row[1]] += 1
        update(
            context.gradients, reals[0], reals[1], reals[2], reals[3], context.results[SCALE], context.parameters,
            context.moments_0, context.moments_1,
        )  # fmt: skip

    return run
