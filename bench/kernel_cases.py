"""The elementwise kernels, each beside the same in good NumPy: in place, `out=`, nothing allocated.

A case is made for a number of elements. `passes` are the mixes (see `floor`) of the passes over arrays of that many elements that
no implementation can avoid once they are out of cache: batch normalisation must see a column's mean before it can use it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import kernels

COLUMNS = 256
CLASSES = 16
_SLOPE, _EPS = 0.0, 1e-5


@dataclass
class Case:
    """kernel(*args) and numpy() leave their results in `got` and `expected`, which agree to `tolerance`, None for random ones.

    bytes_each: what the passes move for an element, where arrays are not all float32. operations: floating-point ones an
    element, each of + · / √ < as one, polynomials by their degree; 0 where the work is with integers.
    """

    kernel: Any
    args: tuple[Any, ...]
    numpy: Callable[[], Any]
    got: Any
    expected: Any
    passes: tuple[tuple[int, int, int], ...]
    operations: int
    tolerance: float | None = 1e-5
    bytes_each: float | None = None
    memory_bound: bool = True


_ALONE = kernels.IDENTITY, 0.0, 0.0, 0, 0, 0  # batchnorm with no activation and no dropout


def _arrays(n, count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n, np.float32) for _ in range(count)]


def _empty(n, count=1):
    arrays = [np.zeros(n, np.float32) for _ in range(count)]
    return arrays if count > 1 else arrays[0]


def _activation(kind, operations, numpy, **settings):
    def make(n):
        (x,) = _arrays(n, 1)
        y, z = _empty(n, 2)
        return Case(
            kernels.activation_forward, (x, kind, _SLOPE, y), lambda: numpy(x, z), y, z, ((1, 1, 0),), operations, **settings
        )

    return make


def _activation_backward(kind, operations, forward, numpy):
    def make(n):
        x, dy = _arrays(n, 2)
        y, dx, z, scratch = _empty(n, 4)
        forward(x, y)
        keep = np.empty(n, bool)
        args = dy, y, kind, _SLOPE, dx
        return Case(kernels.activation_backward, args, lambda: numpy(dy, y, z, scratch, keep), dx, z, ((2, 1, 0),), operations)

    return make


def _relu(x, y):
    np.maximum(x, np.float32(0), out=y)


def _relu_backward(dy, y, dx, scratch, keep):
    np.greater(y, np.float32(0), out=keep)
    np.multiply(dy, keep, out=dx)


def _sigmoid(x, y):
    np.negative(x, out=y)
    np.exp(y, out=y)
    np.add(y, np.float32(1), out=y)
    np.reciprocal(y, out=y)


def _sigmoid_backward(dy, y, dx, scratch, keep):
    np.subtract(np.float32(1), y, out=scratch)
    np.multiply(scratch, y, out=scratch)
    np.multiply(dy, scratch, out=dx)


def _tanh(x, y):
    np.tanh(x, out=y)


def _tanh_backward(dy, y, dx, scratch, keep):
    np.multiply(y, y, out=scratch)
    np.subtract(np.float32(1), scratch, out=scratch)
    np.multiply(dy, scratch, out=dx)


def _batchnorm_forward(n):
    (x,) = _arrays(n, 1)
    x = x.reshape(-1, COLUMNS)
    m = len(x)
    gamma, beta = _arrays(COLUMNS, 2, seed=1)
    none, y, z = np.empty(0, np.float32), np.zeros_like(x), np.zeros_like(x)
    partials, stats = np.empty((kernels.row_chunks(m), 4, COLUMNS)), np.empty((3, COLUMNS), np.float32)
    ones = np.ones(m, np.float32)

    def numpy():
        mean = np.einsum("i,ij->j", ones, x) / np.float32(m)
        np.subtract(x, mean, out=z)
        var = np.einsum("ij,ij->j", z, z) / np.float32(m)
        np.multiply(z, gamma / np.sqrt(var + np.float32(_EPS)), out=z)
        np.add(z, beta, out=z)

    args = x, gamma, beta, _EPS, 0.1, True, *_ALONE, partials, none, none, stats, y
    return Case(kernels.batchnorm_forward, args, numpy, y, z, ((1, 0, 0), (1, 1, 0)), 7, tolerance=1e-4)


def _batchnorm_backward(n):
    x, dy = (array.reshape(-1, COLUMNS) for array in _arrays(n, 2))
    m = len(x)
    gamma, beta = _arrays(COLUMNS, 2, seed=1)
    none, dx, z, scratch = np.empty(0, np.float32), np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    chunks, stats = kernels.row_chunks(m), np.empty((3, COLUMNS), np.float32)
    dgamma, dbeta = _empty(COLUMNS, 2)
    partials = np.empty((chunks, 4, COLUMNS))
    kernels.batchnorm_forward(x, gamma, beta, _EPS, 0.1, True, *_ALONE, partials, none, none, stats, dx)
    mean, rho = stats[0].copy(), stats[2].copy()
    ones = np.ones(m, np.float32)

    def numpy():
        np.subtract(x, mean, out=scratch)
        np.multiply(scratch, rho, out=scratch)
        db = np.einsum("i,ij->j", ones, dy)
        dg = np.einsum("ij,ij->j", dy, scratch)
        np.multiply(scratch, dg / np.float32(m), out=scratch)
        np.subtract(dy, scratch, out=z)
        np.subtract(z, db / np.float32(m), out=z)
        np.multiply(z, gamma * rho, out=z)

    args = dy, x, none.reshape(0, 0), gamma, stats, True, *_ALONE[:3], np.empty((chunks, 2, COLUMNS)), dgamma, dbeta, dx
    return Case(kernels.batchnorm_backward, args, numpy, dx, z, ((2, 0, 0), (2, 1, 0)), 9, tolerance=1e-4)


def _dropout(n):
    """Another generator, so other masks: the same share of zeros is what can be compared."""
    (x,) = _arrays(n, 1)
    y, z, words = _empty(n, 3)
    keep, generator = np.empty(n, bool), np.random.Generator(np.random.SFC64(1))

    def numpy():
        generator.random(out=words, dtype=np.float32)
        np.greater_equal(words, np.float32(0.2), out=keep)
        np.multiply(x, np.float32(1.25), out=z)
        np.multiply(z, keep, out=z)

    args = x, 0.2, np.uint64(1), 0, 0, y
    return Case(kernels.dropout_forward, args, numpy, y, z, ((1, 1, 0),), 1, tolerance=None, memory_bound=False)


def _philox(n):
    words = np.zeros(n, np.uint32)
    generator, z = np.random.Generator(np.random.SFC64(1)), np.zeros(n, np.float32)
    numpy = lambda: generator.random(out=z, dtype=np.float32)  # noqa: E731 - the least work that NumPy fills an array with
    args = np.uint64(1), 0, 0, words
    return Case(kernels.random_bits, args, numpy, words, z, ((0, 1, 0),), 0, tolerance=None, memory_bound=False)


def _logits(n):
    (z,) = _arrays(n, 1)
    z = z.reshape(-1, CLASSES)
    return z, np.random.default_rng(1).integers(0, CLASSES, len(z)), np.arange(len(z))


def _cross_entropy_forward(n):
    z, labels, rows = _logits(n)
    m = len(z)
    scratch, exps = np.zeros_like(z), np.zeros_like(z)
    losses, expected, log_sums = np.zeros(m, np.float32), np.zeros(m, np.float32), np.zeros((2, m), np.float32)

    def numpy():
        np.subtract(z, z.max(axis=1, keepdims=True), out=exps)
        chosen = exps[rows, labels]
        np.exp(exps, out=exps)
        np.subtract(np.log(exps.sum(axis=1)), chosen, out=expected)

    args = z, labels, 0.0, scratch, log_sums, losses
    return Case(kernels.cross_entropy_forward, args, numpy, losses, expected, ((1, 0, 0),), 16, memory_bound=False)


def _cross_entropy_backward(n):
    z, labels, rows = _logits(n)
    m = len(z)
    dlosses, scratch, dz, expected = np.full(m, 1 / m, np.float32), np.zeros_like(z), np.zeros_like(z), np.zeros_like(z)
    losses, log_sums = np.zeros(m, np.float32), np.zeros((2, m), np.float32)
    kernels.cross_entropy_forward(z, labels, 0.0, scratch, log_sums, losses)
    shift = (log_sums[0] + log_sums[1])[:, None]

    def numpy():
        np.subtract(z, shift, out=expected)
        np.exp(expected, out=expected)
        expected[rows, labels] -= np.float32(1)
        np.multiply(expected, dlosses[:, None], out=expected)

    args = dlosses, z, labels, 0.0, log_sums, dz
    return Case(kernels.cross_entropy_backward, args, numpy, dz, expected, ((1, 1, 0),), 18, memory_bound=False)


def _squared_error_forward(n):
    a, b = _arrays(n, 2)
    losses, z = _empty(n, 2)

    def numpy():
        np.subtract(a, b, out=z)
        np.multiply(z, z, out=z)

    return Case(kernels.squared_error_forward, (a, b, losses), numpy, losses, z, ((2, 1, 0),), 2)


def _squared_error_backward(n):
    a, b, dlosses = _arrays(n, 3)
    da, z = _empty(n, 2)

    def numpy():
        np.subtract(a, b, out=z)
        np.multiply(z, np.float32(2), out=z)
        np.multiply(z, dlosses, out=z)

    return Case(kernels.squared_error_backward, (dlosses, a, b, da), numpy, da, z, ((3, 1, 0),), 3)


def _sgd(n):
    """With momentum."""
    w, g = _arrays(n, 2)
    v, scratch = _empty(n, 2)
    w2, v2 = w.copy(), v.copy()

    def numpy():
        np.multiply(v2, np.float32(0.9), out=v2)
        np.add(v2, g, out=v2)
        np.multiply(v2, np.float32(1e-3), out=scratch)
        np.subtract(w2, scratch, out=w2)

    return Case(kernels.sgd_update, (g, 1e-3, 0.9, 0.0, False, 0.0, False, 1.0, False, w, v), numpy, w, w2, ((1, 0, 2),), 8)


def _rmsprop(n):
    w, g = _arrays(n, 2)
    s, scratch, root = _empty(n, 3)
    w2, s2, none = w.copy(), s.copy(), np.empty(0, np.float32)

    def numpy():
        np.multiply(s2, np.float32(0.99), out=s2)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, np.float32(0.01), out=scratch)
        np.add(s2, scratch, out=s2)
        np.sqrt(s2, out=root)
        np.add(root, np.float32(1e-8), out=root)
        np.divide(g, root, out=root)
        np.multiply(root, np.float32(1e-3), out=root)
        np.subtract(w2, root, out=w2)

    args = g, 1e-3, 0.99, 0.0, 1e-8, 0.0, 0.0, 1.0, w, s, none, none
    return Case(kernels.rmsprop_update, args, numpy, w, w2, ((1, 0, 2),), 13)


def _adam(n):
    w, g = _arrays(n, 2)
    m, s, a, b = _empty(n, 4)
    w2, m2, s2, none = w.copy(), m.copy(), s.copy(), np.empty(0, np.float32)
    step, correction = np.float32(1e-3 / (1 - 0.9**10)), np.float32(1 / (1 - 0.999**10))

    def numpy():
        np.multiply(m2, np.float32(0.9), out=m2)
        np.multiply(g, np.float32(0.1), out=a)
        np.add(m2, a, out=m2)
        np.multiply(s2, np.float32(0.999), out=s2)
        np.multiply(g, g, out=a)
        np.multiply(a, np.float32(0.001), out=a)
        np.add(s2, a, out=s2)
        np.multiply(s2, correction, out=a)
        np.sqrt(a, out=a)
        np.add(a, np.float32(1e-8), out=a)
        np.divide(m2, a, out=b)
        np.multiply(b, step, out=b)
        np.subtract(w2, b, out=w2)

    args = g, 10, 1e-3, 0.9, 0.999, 0.0, 1e-8, True, 0.0, False, 1.0, w, m, s, none
    return Case(kernels.adam_update, args, numpy, w, w2, ((1, 0, 3),), 17)


def _squared_norm(n):
    (x,) = _arrays(n, 1)
    out, z = np.zeros(1), np.zeros(1)
    partials = np.empty((kernels.sum_chunks(n), kernels.LANES))

    def numpy():
        z[0] = np.einsum("i,i->", x, x)

    return Case(kernels.squared_norm, (x, partials, out), numpy, out, z, ((1, 0, 0),), 2, tolerance=1e-3)


def _penalty(n):
    w, g = _arrays(n, 2)
    g2, scratch, out = g.copy(), np.empty_like(g), np.zeros(2)
    partials = np.empty((kernels.sum_chunks(n), 2 * kernels.LANES))

    def numpy():
        np.sign(w, out=scratch)
        np.multiply(scratch, np.float32(1e-3), out=scratch)
        np.add(g2, scratch, out=g2)
        np.multiply(w, np.float32(1e-2), out=scratch)
        np.add(g2, scratch, out=g2)
        np.abs(w, out=scratch)
        return scratch.sum(), np.einsum("i,i->", w, w)

    return Case(kernels.penalty_update, (w, 1e-3, 1e-2, partials, g, out), numpy, g, g2, ((1, 0, 1),), 9)


def _gather(n):
    """Whole rows of images in random order, bytes in and floats out."""
    columns = 784
    rows = n // columns
    rng = np.random.default_rng(0)
    source, index = rng.integers(0, 256, (rows, columns), np.uint8), rng.permutation(rows)
    y, z = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    taken = np.empty_like(source)

    def numpy():
        np.take(source, index, axis=0, out=taken, mode="clip")
        np.multiply(taken, np.float32(1 / 255), out=z)

    args = source, index, 1 / 255, y
    return Case(kernels.gather_rows, args, numpy, y, z, ((1, 1, 0),), 1, bytes_each=5.0)


CASES = {
    "ReLU": _activation(kernels.RELU, 1, _relu),
    "ReLU, backward": _activation_backward(kernels.RELU, 1, _relu, _relu_backward),
    "sigmoid": _activation(kernels.SIGMOID, 16, _sigmoid, memory_bound=False),
    "sigmoid, backward": _activation_backward(kernels.SIGMOID, 3, _sigmoid, _sigmoid_backward),
    "tanh": _activation(kernels.TANH, 18, _tanh, memory_bound=False),
    "tanh, backward": _activation_backward(kernels.TANH, 3, _tanh, _tanh_backward),
    "batchnorm": _batchnorm_forward,
    "batchnorm, backward": _batchnorm_backward,
    "dropout": _dropout,
    "Philox": _philox,
    "cross-entropy": _cross_entropy_forward,
    "cross-entropy, backward": _cross_entropy_backward,
    "squared error": _squared_error_forward,
    "squared error, backward": _squared_error_backward,
    "SGD with momentum": _sgd,
    "RMSprop": _rmsprop,
    "Adam": _adam,
    "squared norm": _squared_norm,
    "L1 and L2 penalty": _penalty,
    "gather": _gather,
}
