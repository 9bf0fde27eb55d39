"""Adagrad.

    g = scale · gradient + decay · w;  G += g²
    w -= α/(1 + (t - 1) η) · g / (√G + ε)  or  g / √(G + ε),  with η the decay of the learning rate

`eps_outside` is added to the root and `eps_inside` under it; one of them is 0. G starts from the initial accumulator value.

Source: J. Duchi et al., "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12 (2011).
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK

__all__ = ["adagrad", "adagrad_update"]


@apart
def _adagrad(w, g, total, lr, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        total[i] += d * d
        w[i] -= lr * (d / (math.sqrt(total[i] + inside) + outside))


@kernel
def adagrad_update(gradients, t, lr, lr_decay, eps_inside, eps_outside, weight_decay, scale, parameters, total):
    """One step of Adagrad.

    gradients: (size,) float. t: integer, the number of this step, from 1. lr, lr_decay, eps_inside, eps_outside,
    weight_decay, scale: float. parameters, total: (size,), updated; total is the initial value before the first step.
    """
    cast = parameters.dtype.type
    a = cast(lr / (1.0 + (t - 1) * lr_decay))
    inside, outside, c, decay = cast(eps_inside), cast(eps_outside), cast(scale), cast(weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        _adagrad(parameters[i0:i1], gradients[i0:i1], total[i0:i1], a, inside, outside, c, decay)


@instruction
def adagrad(build):
    """The place of the count of steps in state. reals: lr, lr decay, eps inside, eps outside, weight decay."""
    update = build(adagrad_update)

    def run(row, reals, context):
        context.state[row[1]] += 1
        update(
            context.gradients, context.state[row[1]], reals[0], reals[1], reals[2], reals[3], reals[4], context.results[SCALE],
            context.parameters, context.moments_0,
        )  # fmt: skip

    return run
