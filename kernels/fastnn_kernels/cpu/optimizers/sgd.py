"""Gradient descent, with momentum, Nesterov's too, and L2 or decoupled decay (SGDW).

    g = scale · gradient + decay · w;  decoupled: w *= 1 - α decay, and no decay in g
    v = μ v + (1 - dampening) g, at the first step v = g;  w -= α v;  Nesterov: w -= α (g + μ v);  μ = 0: w -= α g

Sources: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; I. Loshchilov and
F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal, shrink

__all__ = ["sgd", "sgd_update"]


@apart
def _sgd_plain(w, g, lr, scale, decay):
    for i in range(w.size):
        w[i] -= lr * (g[i] * scale + decay * w[i])


@apart
def _sgd_momentum(w, g, v, lr, momentum, fresh, scale, decay):
    for i in range(w.size):
        v[i] = normal(momentum * v[i] + fresh * (g[i] * scale + decay * w[i]), v)
        w[i] -= lr * v[i]


@apart
def _sgd_nesterov(w, g, v, lr, momentum, fresh, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        v[i] = normal(momentum * v[i] + fresh * d, v)
        w[i] -= lr * (d + momentum * v[i])


@kernel
def sgd_update(gradients, lr, momentum, dampening, nesterov, weight_decay, decoupled, scale, first_step, parameters, velocity):
    """One step of gradient descent.

    gradients: (size,) float. lr, momentum, dampening, weight_decay, scale: float. nesterov, decoupled, first_step: bool.
    parameters: (size,), updated. velocity: (size,), updated, zero before the first step; (0,) where momentum is 0.
    """
    cast = parameters.dtype.type
    fresh = cast(1.0 if first_step else 1.0 - dampening)
    decay = cast(0.0 if decoupled else weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w, g, v = parameters[i0:i1], gradients[i0:i1], velocity[i0:i1]
        if decoupled:
            shrink(w, cast(1.0 - lr * weight_decay))
        if velocity.size == 0:
            _sgd_plain(w, g, cast(lr), cast(scale), decay)
        elif nesterov:
            _sgd_nesterov(w, g, v, cast(lr), cast(momentum), fresh, cast(scale), decay)
        else:
            _sgd_momentum(w, g, v, cast(lr), cast(momentum), fresh, cast(scale), decay)


@instruction
def sgd(build):
    """The place of the count of steps in state, nesterov, whether the decay is decoupled.

    reals: lr, momentum, dampening, weight decay.
    """
    update = build(sgd_update)

    def run(row, reals, context):
        first = context.state[row[1]] == 0
        update(
            context.gradients, reals[0], reals[1], reals[2], row[2] != 0, reals[3], row[3] != 0, context.results[SCALE], first,
            context.parameters, context.moments_0,
        )  # fmt: skip
        context.state[row[1]] += 1

    return run
