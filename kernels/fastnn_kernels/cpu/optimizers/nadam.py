"""NAdam: Adam with Nesterov's momentum.

    g = scale · gradient + decay · w;  decoupled: w *= 1 - α decay, and no decay in g
    μₜ = β₁ (1 - ½ 0.96^(t ψ)),  ψ the momentum's decay;  m = β₁ m + (1 - β₁) g;  s = β₂ s + (1 - β₂) g²
    w -= α ((1 - μₜ)/(1 - Πμ) g + μₜ₊₁/(1 - Πμ · μₜ₊₁) m) / (√(s/(1 - β₂ᵗ)) + ε),  with Πμ the product of μ₁ to μₜ

Source: T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, as torch has it.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal, shrink

__all__ = ["nadam", "nadam_update"]


@apart
def _nadam(w, g, m, s, now, later, beta1, rest1, beta2, rest2, correction, eps, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = normal(beta1 * m[i] + rest1 * d, m)
        s[i] = normal(beta2 * s[i] + rest2 * (d * d), s)
        w[i] -= (now * d + later * m[i]) / (math.sqrt(s[i] * correction) + eps)


@kernel
def nadam_update(
    gradients, t, lr, beta1, beta2, eps, momentum, next_momentum, product, weight_decay, decoupled, scale,
    parameters, first_moment, second_moment,
):  # fmt: skip
    """One step of NAdam.

    gradients: (size,) float. t: integer, the number of this step, from 1. lr, beta1, beta2, eps, weight_decay, scale: float.
    momentum, next_momentum: float, μₜ and μₜ₊₁. product: float, of μ₁ to μₜ. decoupled: bool. parameters, first_moment,
    second_moment: (size,), updated; the state is zero before the first step.
    """
    cast = parameters.dtype.type
    now = cast(lr * (1.0 - momentum) / (1.0 - product))
    later = cast(lr * next_momentum / (1.0 - product * next_momentum))
    b1, r1, b2, r2 = cast(beta1), cast(1.0 - beta1), cast(beta2), cast(1.0 - beta2)
    k, e, c = cast(1.0 / (1.0 - beta2**t)), cast(eps), cast(scale)
    decay = cast(0.0 if decoupled else weight_decay)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w = parameters[i0:i1]
        if decoupled:
            shrink(w, cast(1.0 - lr * weight_decay))
        _nadam(w, gradients[i0:i1], first_moment[i0:i1], second_moment[i0:i1], now, later, b1, r1, b2, r2, k, e, c, decay)


@instruction
def nadam(build):
    """The place of the count of steps in state, whether the decay is decoupled. moments_2 is the product of the momenta so far.

    reals: lr, both betas, eps, weight decay, momentum decay.
    """
    update = build(nadam_update)

    def run(row, reals, context):
        context.state[row[1]] += 1
        t = context.state[row[1]]
        momentum = reals[1] * (1.0 - 0.5 * 0.96 ** (t * reals[5]))
        following = reals[1] * (1.0 - 0.5 * 0.96 ** ((t + 1) * reals[5]))
        context.moments_2[0] *= context.moments_2.dtype.type(momentum)
        product = float(context.moments_2[0])
        update(
            context.gradients, t, reals[0], reals[1], reals[2], reals[3], momentum, following, product, reals[4], row[2] != 0,
            context.results[SCALE], context.parameters, context.moments_0, context.moments_1,
        )  # fmt: skip

    return run
