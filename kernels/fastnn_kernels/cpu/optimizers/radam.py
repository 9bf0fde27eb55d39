"""RAdam: Adam whose adaptive rate sets in when its variance is known well enough.

    g = scale · gradient + decay · w;  decoupled: w *= 1 - α decay, and no decay in g
    m = β₁ m + (1 - β₁) g;  s = β₂ s + (1 - β₂) g²;  m̂ = m/(1 - β₁ᵗ)
    ρ = 2/(1 - β₂) - 1;  ρₜ = ρ - 2 t β₂ᵗ/(1 - β₂ᵗ);  r = √((ρₜ - 4)(ρₜ - 2) ρ / ((ρ - 4)(ρ - 2) ρₜ))
    w -= α r √(1 - β₂ᵗ) m̂ / (√s + ε)  where ρₜ > 5,  else  w -= α m̂

Source: L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, as torch has it.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal, shrink

__all__ = ["radam", "radam_update"]


@apart
def _radam(w, g, m, s, step, adaptive, beta1, rest1, beta2, rest2, eps, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = normal(beta1 * m[i] + rest1 * d, m)
        s[i] = normal(beta2 * s[i] + rest2 * (d * d), s)
        w[i] -= step * m[i] * (adaptive / (math.sqrt(s[i]) + eps))


@apart
def _radam_at_first(w, g, m, s, step, beta1, rest1, beta2, rest2, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = normal(beta1 * m[i] + rest1 * d, m)
        s[i] = normal(beta2 * s[i] + rest2 * (d * d), s)
        w[i] -= step * m[i]


@kernel
def radam_update(gradients, t, lr, beta1, beta2, eps, weight_decay, decoupled, scale, parameters, first_moment, second_moment):
    """One step of RAdam.

    gradients: (size,) float. t: integer, the number of this step, from 1. lr, beta1, beta2, eps, weight_decay, scale: float.
    decoupled: bool. parameters, first_moment, second_moment: (size,), updated; the state is zero before the first step.
    """
    cast = parameters.dtype.type
    power = beta2**t
    longest = 2.0 / (1.0 - beta2) - 1.0
    length = longest - 2.0 * t * power / (1.0 - power)
    known, rectified = length > 5.0, 0.0
    if known:
        ratio = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)
        rectified = math.sqrt(ratio) * math.sqrt(1.0 - power)
    a, adaptive, e = cast(lr / (1.0 - beta1**t)), cast(rectified), cast(eps)
    b1, r1, b2, r2, c = cast(beta1), cast(1.0 - beta1), cast(beta2), cast(1.0 - beta2), cast(scale)
    decay = cast(0.0 if decoupled else weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w, g, m, s = parameters[i0:i1], gradients[i0:i1], first_moment[i0:i1], second_moment[i0:i1]
        if decoupled:
            shrink(w, cast(1.0 - lr * weight_decay))
        if known:
            _radam(w, g, m, s, a, adaptive, b1, r1, b2, r2, e, c, decay)
        else:
            _radam_at_first(w, g, m, s, a, b1, r1, b2, r2, c, decay)


@instruction
def radam(build):
    """The place of the count of steps in state, whether the decay is decoupled. reals: lr, both betas, eps, weight decay."""
    update = build(radam_update)

    def run(row, reals, context):
        context.state[row[1]] += 1
        update(
            context.gradients, context.state[row[1]], reals[0], reals[1], reals[2], reals[3], reals[4], row[2] != 0,
            context.results[SCALE], context.parameters, context.moments_0, context.moments_1,
        )  # fmt: skip

    return run
