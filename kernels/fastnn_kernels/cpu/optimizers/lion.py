"""Lion: the sign of a momentum.

    g = scale · gradient;  w *= 1 - α decay;  w -= α sign(β₁ m + (1 - β₁) g);  m = β₂ m + (1 - β₂) g

sign(0) = 0. Source: X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.
"""

import numpy as np
from numba import prange

from ..._jit import apart, instruction, kernel
from ..program import SCALE
from ._common import CHUNK, normal, shrink

__all__ = ["lion", "lion_update"]


@apart
def _lion(w, g, m, lr, beta1, rest1, beta2, rest2, scale):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        d = g[i] * scale
        c = beta1 * m[i] + rest1 * d
        w[i] -= lr if c > zero else (-lr if c < zero else c)  # NaN stays
        m[i] = normal(beta2 * m[i] + rest2 * d, m)


@kernel
def lion_update(gradients, lr, beta1, beta2, weight_decay, scale, parameters, momentum):
    """One step of Lion.

    gradients: (size,) float. lr, beta1, beta2, weight_decay, scale: float. parameters, momentum: (size,), updated; the
    momentum is zero before the first step.
    """
    cast = parameters.dtype.type
    a, b1, r1, b2, r2, c = cast(lr), cast(beta1), cast(1.0 - beta1), cast(beta2), cast(1.0 - beta2), cast(scale)
    for chunk in prange((parameters.size + CHUNK - 1) // CHUNK):
        i0 = np.intp(chunk) * CHUNK
        i1 = i0 + CHUNK
        w = parameters[i0:i1]
        if weight_decay != 0.0:
            shrink(w, cast(1.0 - lr * weight_decay))
        _lion(w, gradients[i0:i1], momentum[i0:i1], a, b1, r1, b2, r2, c)


@instruction
def lion(build):
    """The place of the count of steps in state. reals: lr, both betas, weight decay."""
    update = build(lion_update)

    def run(row, reals, context):
        update(
            context.gradients, reals[0], reals[1], reals[2], reals[3], context.results[SCALE], context.parameters,
            context.moments_0,
        )  # fmt: skip
        context.state[row[1]] += 1

    return run
