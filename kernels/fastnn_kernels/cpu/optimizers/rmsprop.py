"""RMSprop.

    g = scale · gradient + decay · w;  G = ρ G + (1 - ρ) g²;  centered: ḡ = ρ ḡ + (1 - ρ) g and G - ḡ², not below 0, for G
    u = g / (√G + ε)  or  g / √(G + ε);  momentum: v = μ v + u, w -= α v;  else w -= α u

`eps_outside` is added to the root and `eps_inside` under it; one of them is 0.

Sources: T. Tieleman and G. Hinton, Lecture 6.5, Coursera (2012); A. Graves, arXiv:1308.0850 (centered).
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal

__all__ = ["rmsprop", "rmsprop_update"]


@apart
def _rmsprop(w, g, square, lr, rho, rest, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = normal(rho * square[i] + rest * (d * d), square)
        w[i] -= lr * (d / (math.sqrt(square[i] + inside) + outside))


@apart
def _rmsprop_momentum(w, g, square, v, lr, rho, rest, inside, outside, momentum, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = normal(rho * square[i] + rest * (d * d), square)
        v[i] = normal(momentum * v[i] + d / (math.sqrt(square[i] + inside) + outside), v)
        w[i] -= lr * v[i]


@apart
def _rmsprop_centered(w, g, square, mean, lr, rho, rest, inside, outside, scale, decay):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = normal(rho * square[i] + rest * (d * d), square)
        mean[i] = normal(rho * mean[i] + rest * d, mean)
        variance = square[i] - mean[i] * mean[i]
        variance = zero if variance < zero else variance
        w[i] -= lr * (d / (math.sqrt(variance + inside) + outside))


@apart
def _rmsprop_centered_momentum(w, g, square, mean, v, lr, rho, rest, inside, outside, momentum, scale, decay):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = normal(rho * square[i] + rest * (d * d), square)
        mean[i] = normal(rho * mean[i] + rest * d, mean)
        variance = square[i] - mean[i] * mean[i]
        variance = zero if variance < zero else variance
        v[i] = normal(momentum * v[i] + d / (math.sqrt(variance + inside) + outside), v)
        w[i] -= lr * v[i]


@kernel
def rmsprop_update(
    gradients, lr, rho, eps_inside, eps_outside, momentum, weight_decay, scale, parameters, square, mean, velocity
):
    """One step of RMSprop.

    gradients: (size,) float. lr, rho, eps_inside, eps_outside, momentum, weight_decay, scale: float.
    parameters: (size,), updated. square: (size,), updated. mean: (size,), updated, or (0,) where not centered.
    velocity: (size,), updated, or (0,) where momentum is 0. All state is zero before the first step.
    """
    cast = parameters.dtype.type
    a, r, q = cast(lr), cast(rho), cast(1.0 - rho)
    inside, outside = cast(eps_inside), cast(eps_outside)
    mu, c, decay = cast(momentum), cast(scale), cast(weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w, g, s, m, v = parameters[i0:i1], gradients[i0:i1], square[i0:i1], mean[i0:i1], velocity[i0:i1]
        if mean.size == 0 and velocity.size == 0:
            _rmsprop(w, g, s, a, r, q, inside, outside, c, decay)
        elif mean.size == 0:
            _rmsprop_momentum(w, g, s, v, a, r, q, inside, outside, mu, c, decay)
        elif velocity.size == 0:
            _rmsprop_centered(w, g, s, m, a, r, q, inside, outside, c, decay)
        else:
            _rmsprop_centered_momentum(w, g, s, m, v, a, r, q, inside, outside, mu, c, decay)


@instruction
def rmsprop(build):
    """The place of the count of steps in state. reals: lr, rho, eps inside, eps outside, momentum, weight decay."""
    update = build(rmsprop_update)

    def run(row, reals, context):
        update(
            context.gradients, reals[0], reals[1], reals[2], reals[3], reals[4], reals[5], context.results[SCALE],
            context.parameters, context.moments_0, context.moments_1, context.moments_2,
        )  # fmt: skip
        context.state[row[1]] += 1

    return run
