"""The float64 oracle: every operation written from its formula, in plain NumPy, sharing no code with the package."""

import math

import numpy as np

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


# random bits


def philox4x32(counter, key):
    """One block of Philox4x32-10 on Python integers (Salmon et al., SC'11)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (p1 >> 32) ^ c[1] ^ k[0],
            p1 & 0xFFFFFFFF,
            (p0 >> 32) ^ c[3] ^ k[1],
            p0 & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def random_words(size, seed, step, stream):
    words = []
    for block in range(-(-size // 4)):
        counter = (block & 0xFFFFFFFF, block >> 32, step, stream)
        words += philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return np.array(words[:size], np.uint32)


def dropout(x, p, seed, step, stream):
    keep = random_words(x.size, seed, step, stream) >= np.uint32(round(p * 2**32))
    return x * keep.reshape(x.shape) / (1.0 - p)


# activations


def activation(name, x, slope=0.01):
    with np.errstate(over="ignore"):
        if name == "relu":
            return np.maximum(x, 0.0)
        if name == "leaky_relu":
            return np.where(x > 0.0, x, slope * x)
        if name == "sigmoid":
            return 1.0 / (1.0 + np.exp(-x))
        if name == "tanh":
            return np.tanh(x)
        if name == "selu":
            return SELU_SCALE * np.where(x > 0.0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))
    return x.copy()


def activation_gradient(name, x, slope=0.01):
    """The derivative at x."""
    if name == "relu":
        return (x > 0.0).astype(np.float64)
    if name == "leaky_relu":
        return np.where(x > 0.0, 1.0, slope)
    if name == "sigmoid":
        s = activation("sigmoid", x)
        return s * (1.0 - s)
    if name == "tanh":
        return 1.0 - np.tanh(x) ** 2
    if name == "selu":
        return SELU_SCALE * np.where(x > 0.0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0.0)))
    return np.ones_like(x)


# layers


def linear(x, weight, bias):
    return x @ weight + bias


def linear_backward(dz, x, weight):
    return dz @ weight.T, x.T @ dz, dz.sum(axis=0)


def batchnorm(x, gamma, beta, eps):
    mean, var = x.mean(axis=0), x.var(axis=0)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def batchnorm_backward(dy, x, gamma, eps):
    """By the chain rule through mean and variance, step by step, not in closed form."""
    m = x.shape[0]
    mean, var = x.mean(axis=0), x.var(axis=0)
    centered, inverse = x - mean, 1.0 / np.sqrt(var + eps)
    dnormal = dy * gamma
    dvar = np.sum(dnormal * centered * -0.5 * inverse**3, axis=0)
    dmean = -np.sum(dnormal * inverse, axis=0) + dvar * np.mean(-2.0 * centered, axis=0)
    dx = dnormal * inverse + dvar * 2.0 * centered / m + dmean / m
    return dx, np.sum(dy * centered * inverse, axis=0), dy.sum(axis=0)


# losses


def smoothed(targets, classes, smoothing):
    rows = np.eye(classes)[targets] if targets.ndim == 1 else targets
    return (1.0 - smoothing) * rows + smoothing / classes


def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(z, targets, smoothing):
    return -np.sum(smoothed(targets, z.shape[1], smoothing) * log_softmax(z), axis=1)


def cross_entropy_backward(dlosses, z, targets, smoothing):
    t = smoothed(targets, z.shape[1], smoothing)
    return dlosses[:, None] * (t.sum(axis=1, keepdims=True) * np.exp(log_softmax(z)) - t)


def weighted_cross_entropy(z, targets, smoothing, classes):
    """Each class's share of the loss times its weight; torch's rule for labels: the label's share, and the smoothing's."""
    return -np.sum(class_shares(targets, z.shape[1], smoothing, classes) * log_softmax(z), axis=1)


def weighted_cross_entropy_backward(dlosses, z, targets, smoothing, classes):
    q = class_shares(targets, z.shape[1], smoothing, classes)
    return dlosses[:, None] * (q.sum(axis=1, keepdims=True) * np.exp(log_softmax(z)) - q)


def class_shares(targets, k, smoothing, classes):
    return smoothed(targets, k, smoothing) * classes


def pointwise_loss(name, x, t, parameter=1.0, full=False, positive=1.0):
    """The loss of each element and its derivative."""
    difference = x - t
    if name == "squared":
        return difference**2, 2.0 * difference
    if name == "absolute":
        return np.abs(difference), np.sign(difference)
    if name == "huber":
        near, far = 0.5 * difference**2, parameter * (np.abs(difference) - 0.5 * parameter)
        return np.where(np.abs(difference) <= parameter, near, far), np.clip(difference, -parameter, parameter)
    if name == "logistic":
        value = positive * t * np.logaddexp(0.0, -x) + (1.0 - t) * np.logaddexp(0.0, x)
        s = np.exp(-np.logaddexp(0.0, -x))
        return value, (1.0 - t) * s - positive * t * np.exp(-np.logaddexp(0.0, x))
    large = np.where(t > 1.0, t, 1.0)
    constant = np.where(t > 1.0, large * np.log(large) - large + 0.5 * np.log(2.0 * np.pi * large), 0.0) if full else 0.0
    if name == "poisson, log input":
        return np.exp(x) - t * x + constant, np.exp(x) - t
    return x - t * np.log(x + parameter) + constant, 1.0 - t / (x + parameter)


# optimisers: each takes the state as it was and returns the new parameters and state


def sgd(w, g, v, *, lr, momentum, dampening, nesterov, weight_decay, first):
    g = g + weight_decay * w
    if momentum == 0.0:
        return w - lr * g, v
    v = g if first else momentum * v + (1.0 - dampening) * g
    return w - lr * (g + momentum * v if nesterov else v), v


def rmsprop(w, g, square, mean, v, *, lr, rho, eps, inside, momentum, centered, weight_decay):
    g = g + weight_decay * w
    square = rho * square + (1.0 - rho) * g**2
    mean = rho * mean + (1.0 - rho) * g
    spread = np.maximum(square - mean**2, 0.0) if centered else square
    u = g / (np.sqrt(spread + eps) if inside else np.sqrt(spread) + eps)
    v = momentum * v + u
    return w - lr * (v if momentum else u), square, mean, v


def adam(w, g, m, s, largest, *, t, lr, betas, eps, inside, correct, amsgrad, weight_decay):
    g = g + weight_decay * w
    m = betas[0] * m + (1.0 - betas[0]) * g
    s = betas[1] * s + (1.0 - betas[1]) * g**2
    largest = np.maximum(largest, s)
    root = largest if amsgrad else s
    m_hat = m / (1.0 - betas[0] ** t) if correct else m
    s_hat = root / (1.0 - betas[1] ** t) if correct else root
    return w - lr * m_hat / (np.sqrt(s_hat + eps) if inside else np.sqrt(s_hat) + eps), m, s, largest


# sums


def penalty(w, l1, l2):
    """Σ|w|, Σw², and the gradient of l1 Σ|w| + l2/2 Σw²."""
    return math.fsum(np.abs(w)), math.fsum(w * w), l1 * np.sign(w) + l2 * w
