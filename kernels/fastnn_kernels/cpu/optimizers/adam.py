"""Adam, with AMSGrad, and L2 or decoupled decay (AdamW).

    g = scale · gradient + decay · w;  decoupled: w *= 1 - α decay, and no decay in g
    m = β₁ m + (1 - β₁) g;  s = β₂ s + (1 - β₂) g²;  amsgrad: the largest s so far for s below
    w -= α m̂ / (√ŝ + ε)  or  α m̂ / √(ŝ + ε),  with m̂ = m/(1 - β₁ᵗ), ŝ = s/(1 - β₂ᵗ), or m and s without correction

`eps_outside` is added to the root and `eps_inside` under it; one of them is 0.

Sources: D. Kingma and J. Ba, "Adam", ICLR 2015; S. Reddi et al., "On the convergence of Adam and beyond", ICLR 2018 (amsgrad);
I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal, shrink

__all__ = ["adam", "adam_update"]


@apart
def _adam(w, g, m, s, step, beta1, rest1, beta2, rest2, correction, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = normal(beta1 * m[i] + rest1 * d, m)
        s[i] = normal(beta2 * s[i] + rest2 * (d * d), s)
        w[i] -= step * (m[i] / (math.sqrt(s[i] * correction + inside) + outside))


@apart
def _adam_amsgrad(w, g, m, s, largest, step, beta1, rest1, beta2, rest2, correction, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = normal(beta1 * m[i] + rest1 * d, m)
        s[i] = normal(beta2 * s[i] + rest2 * (d * d), s)
        largest[i] = largest[i] if largest[i] > s[i] else s[i]
        w[i] -= step * (m[i] / (math.sqrt(largest[i] * correction + inside) + outside))


@kernel
def adam_update(
    gradients, t, lr, beta1, beta2, eps_inside, eps_outside, bias_correction, weight_decay, decoupled,
    scale, parameters, first_moment, second_moment, largest_moment,
):  # fmt: skip
    """One step of Adam.

    gradients: (size,) float. t: integer, the number of this step, from 1. lr, beta1, beta2, eps_inside, eps_outside,
    weight_decay, scale: float. bias_correction, decoupled: bool. parameters, first_moment, second_moment: (size,), updated.
    largest_moment: (size,), updated, or (0,) without amsgrad. All state is zero before the first step.
    """
    cast = parameters.dtype.type
    step, correction = lr, 1.0
    if bias_correction:
        step = lr / (1.0 - beta1**t)
        correction = 1.0 / (1.0 - beta2**t)
    a, k = cast(step), cast(correction)
    b1, r1, b2, r2 = cast(beta1), cast(1.0 - beta1), cast(beta2), cast(1.0 - beta2)
    inside, outside, c = cast(eps_inside), cast(eps_outside), cast(scale)
    decay = cast(0.0 if decoupled else weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w, g, m, s = parameters[i0:i1], gradients[i0:i1], first_moment[i0:i1], second_moment[i0:i1]
        if decoupled:
            shrink(w, cast(1.0 - lr * weight_decay))
        if largest_moment.size == 0:
            _adam(w, g, m, s, a, b1, r1, b2, r2, k, inside, outside, c, decay)
        else:
            _adam_amsgrad(w, g, m, s, largest_moment[i0:i1], a, b1, r1, b2, r2, k, inside, outside, c, decay)


@instruction
def adam(build):
    """The place of the count of steps in state, bias correction, whether the decay is decoupled.

    reals: lr, both betas, eps inside, eps outside, weight decay.
    """
    update = build(adam_update)

    def run(row, reals, context):
        context.state[row[1]] += 1
        update(
            context.gradients, context.state[row[1]], reals[0], reals[1], reals[2], reals[3], reals[4], row[2] != 0,
            reals[5], row[3] != 0, context.results[SCALE], context.parameters, context.moments_0, context.moments_1,
            context.moments_2,
        )  # fmt: skip

    return run
