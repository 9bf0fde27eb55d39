"""Update rules, each one pass over one flat array, with the gradient's scale (clipping) and L2 weight decay folded in.

    g = scale · gradient + decay · w

    SGD       v = μ v + (1 - dampening) g, at the first step v = g;  w -= α v;  Nesterov: w -= α (g + μ v);  μ = 0: w -= α g
    RMSprop   G = ρ G + (1 - ρ) g²;  centered: ḡ = ρ ḡ + (1 - ρ) g and G - ḡ², not below 0, for G
              u = g / (√G + ε)  or  g / √(G + ε);  momentum: v = μ v + u, w -= α v;  else w -= α u
    Adam      m = β₁ m + (1 - β₁) g;  s = β₂ s + (1 - β₂) g²;  amsgrad: the largest s so far for s below
              w -= α m̂ / (√ŝ + ε)  or  α m̂ / √(ŝ + ε),  with m̂ = m/(1 - β₁ᵗ), ŝ = s/(1 - β₂ᵗ), or m and s without correction

`eps_outside` is added to the root and `eps_inside` under it; one of them is 0. State that a variant has no use for is an
array of size 0. Written and read in place: w, and the state.

Sources: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; T. Tieleman and
G. Hinton, Lecture 6.5, Coursera (2012); A. Graves, arXiv:1308.0850 (centered); D. Kingma and J. Ba, "Adam", ICLR 2015;
S. Reddi et al., "On the convergence of Adam and beyond", ICLR 2018 (amsgrad). The variants are torch's.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel

__all__ = ["adam_update", "rmsprop_update", "sgd_update"]

_CHUNK = 8192


@apart
def _sgd_plain(w, g, lr, scale, decay):
    for i in range(w.size):
        w[i] -= lr * (g[i] * scale + decay * w[i])


@apart
def _sgd_momentum(w, g, v, lr, momentum, fresh, scale, decay):
    for i in range(w.size):
        v[i] = momentum * v[i] + fresh * (g[i] * scale + decay * w[i])
        w[i] -= lr * v[i]


@apart
def _sgd_nesterov(w, g, v, lr, momentum, fresh, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        v[i] = momentum * v[i] + fresh * d
        w[i] -= lr * (d + momentum * v[i])


@kernel
def sgd_update(gradients, lr, momentum, dampening, nesterov, weight_decay, scale, first_step, parameters, velocity):
    """One step of gradient descent.

    gradients: (size,) float. lr, momentum, dampening, weight_decay, scale: float. nesterov, first_step: bool.
    parameters: (size,), updated. velocity: (size,), updated, zero before the first step; (0,) where momentum is 0.
    """
    cast = parameters.dtype.type
    fresh = cast(1.0 if first_step else 1.0 - dampening)
    for chunk in prange((parameters.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        w, g, v = parameters[i0:i1], gradients[i0:i1], velocity[i0:i1]
        if velocity.size == 0:
            _sgd_plain(w, g, cast(lr), cast(scale), cast(weight_decay))
        elif nesterov:
            _sgd_nesterov(w, g, v, cast(lr), cast(momentum), fresh, cast(scale), cast(weight_decay))
        else:
            _sgd_momentum(w, g, v, cast(lr), cast(momentum), fresh, cast(scale), cast(weight_decay))


@apart
def _rmsprop(w, g, square, lr, rho, rest, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = rho * square[i] + rest * (d * d)
        w[i] -= lr * (d / (math.sqrt(square[i] + inside) + outside))


@apart
def _rmsprop_momentum(w, g, square, v, lr, rho, rest, inside, outside, momentum, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = rho * square[i] + rest * (d * d)
        v[i] = momentum * v[i] + d / (math.sqrt(square[i] + inside) + outside)
        w[i] -= lr * v[i]


@apart
def _rmsprop_centered(w, g, square, mean, lr, rho, rest, inside, outside, scale, decay):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = rho * square[i] + rest * (d * d)
        mean[i] = rho * mean[i] + rest * d
        variance = square[i] - mean[i] * mean[i]
        variance = zero if variance < zero else variance
        w[i] -= lr * (d / (math.sqrt(variance + inside) + outside))


@apart
def _rmsprop_centered_momentum(w, g, square, mean, v, lr, rho, rest, inside, outside, momentum, scale, decay):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        square[i] = rho * square[i] + rest * (d * d)
        mean[i] = rho * mean[i] + rest * d
        variance = square[i] - mean[i] * mean[i]
        variance = zero if variance < zero else variance
        v[i] = momentum * v[i] + d / (math.sqrt(variance + inside) + outside)
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
    for chunk in prange((parameters.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        w, g, s, m, v = parameters[i0:i1], gradients[i0:i1], square[i0:i1], mean[i0:i1], velocity[i0:i1]
        if mean.size == 0 and velocity.size == 0:
            _rmsprop(w, g, s, a, r, q, inside, outside, c, decay)
        elif mean.size == 0:
            _rmsprop_momentum(w, g, s, v, a, r, q, inside, outside, mu, c, decay)
        elif velocity.size == 0:
            _rmsprop_centered(w, g, s, m, a, r, q, inside, outside, c, decay)
        else:
            _rmsprop_centered_momentum(w, g, s, m, v, a, r, q, inside, outside, mu, c, decay)


@apart
def _adam(w, g, m, s, step, beta1, rest1, beta2, rest2, correction, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = beta1 * m[i] + rest1 * d
        s[i] = beta2 * s[i] + rest2 * (d * d)
        w[i] -= step * (m[i] / (math.sqrt(s[i] * correction + inside) + outside))


@apart
def _adam_amsgrad(w, g, m, s, largest, step, beta1, rest1, beta2, rest2, correction, inside, outside, scale, decay):
    for i in range(w.size):
        d = g[i] * scale + decay * w[i]
        m[i] = beta1 * m[i] + rest1 * d
        s[i] = beta2 * s[i] + rest2 * (d * d)
        largest[i] = largest[i] if largest[i] > s[i] else s[i]
        w[i] -= step * (m[i] / (math.sqrt(largest[i] * correction + inside) + outside))


@kernel
def adam_update(
    gradients, t, lr, beta1, beta2, eps_inside, eps_outside, bias_correction, weight_decay, scale,
    parameters, first_moment, second_moment, largest_moment,
):  # fmt: skip
    """One step of Adam.

    gradients: (size,) float. t: integer, the number of this step, from 1. lr, beta1, beta2, eps_inside, eps_outside,
    weight_decay, scale: float. bias_correction: bool. parameters, first_moment, second_moment: (size,), updated.
    largest_moment: (size,), updated, or (0,) without amsgrad. All state is zero before the first step.
    """
    cast = parameters.dtype.type
    step, correction = lr, 1.0
    if bias_correction:
        step = lr / (1.0 - beta1**t)
        correction = 1.0 / (1.0 - beta2**t)
    a, k = cast(step), cast(correction)
    b1, r1, b2, r2 = cast(beta1), cast(1.0 - beta1), cast(beta2), cast(1.0 - beta2)
    inside, outside, c, decay = cast(eps_inside), cast(eps_outside), cast(scale), cast(weight_decay)
    for chunk in prange((parameters.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        w, g, m, s = parameters[i0:i1], gradients[i0:i1], first_moment[i0:i1], second_moment[i0:i1]
        if largest_moment.size == 0:
            _adam(w, g, m, s, a, b1, r1, b2, r2, k, inside, outside, c, decay)
        else:
            _adam_amsgrad(w, g, m, s, largest_moment[i0:i1], a, b1, r1, b2, r2, k, inside, outside, c, decay)
