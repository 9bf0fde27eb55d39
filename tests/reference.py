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


def _each(function, x):
    return np.vectorize(function, otypes=[float])(x)


def _softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


def smooth_activation(name, x, *settings):
    if name == "elu":
        return np.where(x > 0.0, x, settings[0] * np.expm1(np.minimum(x, 0.0)))
    if name == "gelu":
        return x * 0.5 * _each(math.erfc, -x / math.sqrt(2.0))
    if name == "gelu, tanh":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    if name == "silu":
        return x * np.exp(-np.logaddexp(0.0, -x))
    beta, threshold = settings
    return np.where(beta * x > threshold, x, _each(_softplus, beta * x) / beta)


def smooth_activation_gradient(name, x, *settings):
    """The derivative at x."""
    if name == "elu":
        return np.where(x > 0.0, 1.0, settings[0] * np.exp(np.minimum(x, 0.0)))
    if name == "gelu":
        return 0.5 * _each(math.erfc, -x / math.sqrt(2.0)) + x * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    if name == "gelu, tanh":
        root = math.sqrt(2.0 / math.pi)
        t = np.tanh(root * (x + 0.044715 * x**3))
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t**2) * root * (1.0 + 3.0 * 0.044715 * x**2)
    if name == "silu":
        s = np.exp(-np.logaddexp(0.0, -x))
        return s * (1.0 + x * (1.0 - s))
    beta, threshold = settings
    return np.where(beta * x > threshold, 1.0, np.exp(-np.logaddexp(0.0, -beta * x)))


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


def softmax_backward(dy, x):
    """By the whole matrix of derivatives of each row."""
    y = np.exp(log_softmax(x))
    return np.stack([(np.diag(row) - np.outer(row, row)) @ up for row, up in zip(y, dy, strict=True)])


def log_softmax_backward(dy, x):
    y = np.exp(log_softmax(x))
    return np.stack([up - row * up.sum() for row, up in zip(y, dy, strict=True)])


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


def decoupled(w, *, lr, weight_decay):
    return w - lr * weight_decay * w


def adagrad(w, g, total, *, t, lr, lr_decay, eps, inside, weight_decay):
    g = g + weight_decay * w
    total = total + g**2
    return w - lr / (1.0 + (t - 1) * lr_decay) * g / (np.sqrt(total + eps) if inside else np.sqrt(total) + eps), total


def adadelta(w, g, square, change, *, lr, rho, eps, weight_decay):
    g = g + weight_decay * w
    square = rho * square + (1.0 - rho) * g**2
    u = np.sqrt((change + eps) / (square + eps)) * g
    return w - lr * u, square, rho * change + (1.0 - rho) * u**2


def nadam_momentum(t, beta, decay):
    return beta * (1.0 - 0.5 * 0.96 ** (t * decay))


def nadam(w, g, m, s, *, t, lr, betas, eps, momentum_decay, weight_decay):
    g = g + weight_decay * w
    mu, following = (nadam_momentum(step, betas[0], momentum_decay) for step in (t, t + 1))
    product = math.prod(nadam_momentum(step, betas[0], momentum_decay) for step in range(1, t + 1))
    m = betas[0] * m + (1.0 - betas[0]) * g
    s = betas[1] * s + (1.0 - betas[1]) * g**2
    ahead = (1.0 - mu) / (1.0 - product) * g + following / (1.0 - product * following) * m
    return w - lr * ahead / (np.sqrt(s / (1.0 - betas[1] ** t)) + eps), m, s


def radam(w, g, m, s, *, t, lr, betas, eps, weight_decay):
    g = g + weight_decay * w
    m = betas[0] * m + (1.0 - betas[0]) * g
    s = betas[1] * s + (1.0 - betas[1]) * g**2
    m_hat = m / (1.0 - betas[0] ** t)
    longest = 2.0 / (1.0 - betas[1]) - 1.0
    rho = longest - 2.0 * t * betas[1] ** t / (1.0 - betas[1] ** t)
    if rho <= 5.0:
        return w - lr * m_hat, m, s
    r = math.sqrt((rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho))
    return w - lr * r * m_hat * math.sqrt(1.0 - betas[1] ** t) / (np.sqrt(s) + eps), m, s


def lion(w, g, m, *, lr, betas):
    return w - lr * np.sign(betas[0] * m + (1.0 - betas[0]) * g), betas[1] * m + (1.0 - betas[1]) * g


# sums


def penalty(w, l1, l2):
    """Σ|w|, Σw², and the gradient of l1 Σ|w| + l2/2 Σw²."""
    return math.fsum(np.abs(w)), math.fsum(w * w), l1 * np.sign(w) + l2 * w


def row_norm(x, gamma, beta, eps, centered):
    """Layer normalisation, or by the root mean square."""
    mean = x.mean(axis=1, keepdims=True) if centered else 0.0
    return gamma * (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=1, keepdims=True) + eps) + beta


def row_norm_backward(dy, x, gamma, eps, centered):
    """dx by the matrix of derivatives of each row."""
    n = x.shape[1]
    mean = x.mean(axis=1, keepdims=True) if centered else 0.0
    center = np.eye(n) - (np.ones((n, n)) / n if centered else 0.0)
    d = x - mean
    deviation = np.sqrt((d**2).mean(axis=1, keepdims=True) + eps)
    dx = np.empty_like(x)
    for i in range(len(x)):
        jacobian = center / deviation[i] - np.outer(d[i], d[i] @ center) / (n * deviation[i] ** 3)
        dx[i] = (gamma * dy[i]) @ jacobian
    return dx, (dy * d / deviation).sum(axis=0), dy.sum(axis=0)


def soft_threshold(w, t):
    return np.sign(w) * np.maximum(np.abs(w) - t, 0.0)


def limit_column_norms(w, largest):
    norms = np.sqrt((w**2).sum(axis=0))
    return w * largest / np.maximum(norms, largest)


# averages


def average(average, values, weight):
    return (1.0 - weight) * average + weight * values


# augmentation: each takes its random numbers as draws in [0, 1), a row for an image


def uniforms(size, seed, step, stream):
    words = [int(word) for word in random_words(2 * size, seed, step, stream)]
    return np.array([((high << 21) ^ (low >> 11)) / 2**53 for high, low in zip(words[::2], words[1::2], strict=True)])


def symmetric_beta(u, v, alpha):
    """½ (1 + T/√(2α + T²)) of Bailey's t with 2α degrees of freedom, T = √(2α (U^(-1/α) - 1)) cos(2πV)."""
    t = math.sqrt(2.0 * alpha * math.expm1(-math.log(1.0 - u) / alpha)) * math.cos(2.0 * math.pi * v)
    return 0.5 * (1.0 + t / math.sqrt(2.0 * alpha + t * t))


def mixing_partners(draws):
    order = list(range(len(draws)))
    for i in range(len(draws) - 1, 0, -1):
        j = int(draws[i] * (i + 1))
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def mixup(x, partners, shares):
    shares = np.reshape(shares, (-1,) + (1,) * (x.ndim - 1))
    return shares * x + (1.0 - shares) * x[partners]


def cutmix(x, draws, by_row, partners, shares):
    """The images, and how much of each stayed."""
    y, kept = x.copy(), np.empty(len(x))
    h, w = x.shape[2:]
    for i in range(len(x)):
        u = draws[i if by_row else 0]
        half_h, half_w = (int(side * math.sqrt(1.0 - shares[i])) // 2 for side in (h, w))
        r, c = int(u[3] * h), int(u[4] * w)
        mask = np.zeros((h, w), bool)
        mask[max(r - half_h, 0) : r + half_h, max(c - half_w, 0) : c + half_w] = True
        y[i] = np.where(mask, x[partners[i]], x[i])
        kept[i] = 1.0 - mask.mean()
    return y, kept


def flip(x, draws, p, vertical):
    flipped = x[:, :, ::-1] if vertical else x[..., ::-1]
    return np.where((draws[:, 0] < p)[:, None, None, None], flipped, x)


def crop(x, draws, padding):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.empty_like(x)
    h, w = x.shape[2:]
    for i in range(len(x)):
        top, left = (int(u * (2 * padding + 1)) for u in draws[i])
        y[i] = padded[i, :, top : top + h, left : left + w]
    return y


def cutout(x, draws, p, height, width):
    y = x.copy()
    for i in np.flatnonzero(draws[:, 0] < p):
        top, left = int(draws[i, 1] * x.shape[2]) - height // 2, int(draws[i, 2] * x.shape[3]) - width // 2
        y[i, :, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 0.0
    return y


def erase(x, draws, p, areas, ratios):
    y = x.copy()
    h, w = x.shape[2:]
    for i in np.flatnonzero(draws[:, 0] < p):
        area = (areas[0] + (areas[1] - areas[0]) * draws[i, 1]) * h * w
        ratio = ratios[0] * (ratios[1] / ratios[0]) ** draws[i, 2]
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height <= h and width <= w:
            top, left = int(draws[i, 3] * (h - height + 1)), int(draws[i, 4] * (w - width + 1))
            y[i, :, top : top + height, left : left + width] = 0.0
    return y


def affine(x, draws, angles, shifts, scales):
    """By the inverse of the whole matrix, in homogeneous coordinates, and a sum over all pixels with tent weights."""
    h, w = x.shape[2:]
    y = np.empty_like(x)
    rows, columns = np.mgrid[:h, :w]
    for i in range(len(x)):
        angle = np.deg2rad(angles[0] + (angles[1] - angles[0]) * draws[i, 0])
        tx, ty = (2.0 * draws[i, 1] - 1.0) * shifts[0] * w, (2.0 * draws[i, 2] - 1.0) * shifts[1] * h
        s = scales[0] + (scales[1] - scales[0]) * draws[i, 3]
        turn = np.array([[s * np.cos(angle), -s * np.sin(angle), tx], [s * np.sin(angle), s * np.cos(angle), ty], [0, 0, 1]])
        places = np.stack([columns - (w - 1) / 2, rows - (h - 1) / 2, np.ones((h, w))]).reshape(3, -1)
        u, v, _ = np.linalg.solve(turn, places)
        across = np.maximum(0.0, 1.0 - np.abs(u[:, None] + (w - 1) / 2 - np.arange(w)))
        down = np.maximum(0.0, 1.0 - np.abs(v[:, None] + (h - 1) / 2 - np.arange(h)))
        y[i] = np.einsum("pr,crj,pj->cp", down, x[i], across).reshape(x[i].shape)
    return y


def factors(draws, low, high):
    return (low + (high - low) * draws[:, 0])[:, None, None, None]


def grey(x):
    return np.tensordot([0.2989, 0.587, 0.114], x, (0, 1))[:, None] if x.shape[1] == 3 else x


def brightness(x, draws, amounts, limits):
    return np.clip(factors(draws, *amounts) * x, *limits)


def contrast(x, draws, amounts, limits):
    f = factors(draws, *amounts)
    return np.clip(f * x + (1.0 - f) * grey(x).mean(axis=(1, 2, 3), keepdims=True), *limits)


def saturation(x, draws, amounts, limits):
    f = factors(draws, *amounts)
    return np.clip(f * x + (1.0 - f) * grey(x), *limits)


def normals(words):
    """Two of each pair of words, by Box and Muller."""
    a, b = words[0::2].astype(np.float64), words[1::2].astype(np.float64)
    radius, angle = np.sqrt(-2.0 * np.log((a + 0.5) / 2.0**32)), 2.0 * np.pi * b / 2.0**32
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()


def blur(x, draws, sigmas, radius):
    y = np.empty_like(x)
    h, w = x.shape[2:]
    k = np.arange(-radius, radius + 1)
    for i in range(len(x)):
        sigma = sigmas[0] + (sigmas[1] - sigmas[0]) * draws[i, 0]
        g = np.exp(-(k**2) / (2.0 * sigma**2))
        g /= g.sum()
        for c in range(x.shape[1]):
            padded = np.pad(x[i, c], radius, mode="reflect")
            rows = sum(weight * padded[:, j : j + w] for j, weight in enumerate(g))
            y[i, c] = sum(weight * rows[j : j + h] for j, weight in enumerate(g))
    return y
