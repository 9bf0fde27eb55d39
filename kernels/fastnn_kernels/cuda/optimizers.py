"""The update rules, one pass over the flat arrays each: see `cpu.optimizers` for the formulas.

Numbers that follow from the settings are worked out on the host in float64, as the CPU's kernels do, and cast once.
`shrink` is 1 - lr · decay where the decay is decoupled, else 1.
"""

import math

from ._target import BLOCK, cuda, groups, kernel, scalar

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "lion_update",
    "nadam_update",
    "radam_update",
    "rmsprop_update",
    "sgd_update",
]


@kernel
def _sgd(g, lr, momentum, fresh, nesterov, scale, decay, shrink, w, v):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i] * shrink
        d = g[i] * scale + decay * value
        if v.size > 0:
            velocity = momentum * v[i] + fresh * d
            v[i] = velocity
            d = d + momentum * velocity if nesterov else velocity
        w[i] = value - lr * d


@kernel
def _rmsprop(g, lr, rho, rest, inside, outside, momentum, scale, decay, w, square, mean, v):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i]
        d = g[i] * scale + decay * value
        variance = rho * square[i] + rest * (d * d)
        square[i] = variance
        if mean.size > 0:
            center = rho * mean[i] + rest * d
            mean[i] = center
            variance = variance - center * center
            variance = w.dtype.type(0.0) if variance < w.dtype.type(0.0) else variance
        change = d / (math.sqrt(variance + inside) + outside)
        if v.size > 0:
            change = momentum * v[i] + change
            v[i] = change
        w[i] = value - lr * change


@kernel
def _adam(g, step, beta1, rest1, beta2, rest2, correction, inside, outside, scale, decay, shrink, w, m, s, largest):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i] * shrink
        d = g[i] * scale + decay * value
        first = beta1 * m[i] + rest1 * d
        second = beta2 * s[i] + rest2 * (d * d)
        m[i] = first
        s[i] = second
        if largest.size > 0:
            second = largest[i] if largest[i] > second else second
            largest[i] = second
        w[i] = value - step * (first / (math.sqrt(second * correction + inside) + outside))


@kernel
def _adagrad(g, lr, inside, outside, scale, decay, w, total):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i]
        d = g[i] * scale + decay * value
        square = total[i] + d * d
        total[i] = square
        w[i] = value - lr * (d / (math.sqrt(square + inside) + outside))


@kernel
def _adadelta(g, lr, rho, rest, eps, scale, decay, w, square, change):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i]
        d = g[i] * scale + decay * value
        mean = rho * square[i] + rest * (d * d)
        move = math.sqrt(change[i] + eps) / math.sqrt(mean + eps) * d
        square[i] = mean
        change[i] = rho * change[i] + rest * (move * move)
        w[i] = value - lr * move


@kernel
def _nadam(g, now, later, beta1, rest1, beta2, rest2, correction, eps, scale, decay, shrink, w, m, s):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i] * shrink
        d = g[i] * scale + decay * value
        first = beta1 * m[i] + rest1 * d
        second = beta2 * s[i] + rest2 * (d * d)
        m[i] = first
        s[i] = second
        w[i] = value - (now * d + later * first) / (math.sqrt(second * correction) + eps)


@kernel
def _radam(g, step, adaptive, known, beta1, rest1, beta2, rest2, eps, scale, decay, shrink, w, m, s):
    i = cuda.grid(1)
    if i < w.size:
        value = w[i] * shrink
        d = g[i] * scale + decay * value
        first = beta1 * m[i] + rest1 * d
        second = beta2 * s[i] + rest2 * (d * d)
        m[i] = first
        s[i] = second
        w[i] = value - step * first * (adaptive / (math.sqrt(second) + eps)) if known else value - step * first


@kernel
def _lion(g, lr, beta1, rest1, beta2, rest2, scale, shrink, w, m):
    i = cuda.grid(1)
    if i < w.size:
        zero = w.dtype.type(0.0)
        value, d, momentum = w[i] * shrink, g[i] * scale, m[i]
        c = beta1 * momentum + rest1 * d
        w[i] = value - (lr if c > zero else (-lr if c < zero else c))  # NaN stays
        m[i] = beta2 * momentum + rest2 * d


def _casts(w, *values):
    return [scalar(w, value) for value in values]


def _run(rule, gradients, settings, arrays):
    w = arrays[0]
    rule(groups(w.size, BLOCK), BLOCK, gradients, *settings, *arrays)


def _decays(lr, weight_decay, decoupled):
    """The decay that goes into the gradient, and the factor on the parameters."""
    return (0.0, 1.0 - lr * weight_decay) if decoupled else (weight_decay, 1.0)


def sgd_update(gradients, lr, momentum, dampening, nesterov, weight_decay, decoupled, scale, first_step, parameters, velocity):
    """One step of gradient descent. velocity: (0,) where momentum is 0."""
    decay, shrink = _decays(lr, weight_decay, decoupled)
    fresh = 1.0 if first_step else 1.0 - dampening
    a, mu, f, c, d, s = _casts(parameters, lr, momentum, fresh, scale, decay, shrink)
    _run(_sgd, gradients, (a, mu, f, bool(nesterov), c, d, s), (parameters, velocity))


def rmsprop_update(
    gradients, lr, rho, eps_inside, eps_outside, momentum, weight_decay, scale, parameters, square, mean, velocity
):
    """One step of RMSprop. mean: (0,) where not centered. velocity: (0,) where momentum is 0."""
    settings = _casts(parameters, lr, rho, 1.0 - rho, eps_inside, eps_outside, momentum, scale, weight_decay)
    _run(_rmsprop, gradients, settings, (parameters, square, mean, velocity))


def adam_update(
    gradients, t, lr, beta1, beta2, eps_inside, eps_outside, bias_correction, weight_decay, decoupled,
    scale, parameters, first_moment, second_moment, largest_moment,
):  # fmt: skip
    """One step of Adam, the t-th. largest_moment: (0,) without amsgrad."""
    step, correction = (lr / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)) if bias_correction else (lr, 1.0)
    betas = beta1, 1.0 - beta1, beta2, 1.0 - beta2
    decays = _decays(lr, weight_decay, decoupled)
    settings = _casts(parameters, step, *betas, correction, eps_inside, eps_outside, scale, *decays)
    _run(_adam, gradients, settings, (parameters, first_moment, second_moment, largest_moment))


def adagrad_update(gradients, t, lr, lr_decay, eps_inside, eps_outside, weight_decay, scale, parameters, total):
    """One step of Adagrad, the t-th."""
    rate = lr / (1.0 + (t - 1) * lr_decay)
    _run(_adagrad, gradients, _casts(parameters, rate, eps_inside, eps_outside, scale, weight_decay), (parameters, total))


def adadelta_update(gradients, lr, rho, eps, weight_decay, scale, parameters, square, change):
    """One step of Adadelta."""
    _run(_adadelta, gradients, _casts(parameters, lr, rho, 1.0 - rho, eps, scale, weight_decay), (parameters, square, change))


def nadam_update(
    gradients, t, lr, beta1, beta2, eps, momentum, next_momentum, product, weight_decay, decoupled, scale,
    parameters, first_moment, second_moment,
):  # fmt: skip
    """One step of NAdam, the t-th. momentum, next_momentum: μₜ and μₜ₊₁. product: of μ₁ to μₜ."""
    now, later = lr * (1.0 - momentum) / (1.0 - product), lr * next_momentum / (1.0 - product * next_momentum)
    betas, correction = (beta1, 1.0 - beta1, beta2, 1.0 - beta2), 1.0 / (1.0 - beta2**t)
    settings = _casts(parameters, now, later, *betas, correction, eps, scale, *_decays(lr, weight_decay, decoupled))
    _run(_nadam, gradients, settings, (parameters, first_moment, second_moment))


def radam_update(gradients, t, lr, beta1, beta2, eps, weight_decay, decoupled, scale, parameters, first_moment, second_moment):
    """One step of RAdam, the t-th."""
    power = beta2**t
    longest = 2.0 / (1.0 - beta2) - 1.0
    length = longest - 2.0 * t * power / (1.0 - power)
    known, rectified = length > 5.0, 0.0
    if known:
        ratio = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)
        rectified = math.sqrt(ratio) * math.sqrt(1.0 - power)
    rates = _casts(parameters, lr / (1.0 - beta1**t), rectified)
    betas = beta1, 1.0 - beta1, beta2, 1.0 - beta2
    settings = _casts(parameters, *betas, eps, scale, *_decays(lr, weight_decay, decoupled))
    _run(_radam, gradients, (*rates, known, *settings), (parameters, first_moment, second_moment))


def lion_update(gradients, lr, beta1, beta2, weight_decay, scale, parameters, momentum):
    """One step of Lion."""
    settings = _casts(parameters, lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2, scale, 1.0 - lr * weight_decay)
    _run(_lion, gradients, settings, (parameters, momentum))
