"""Elementwise kernels beside good NumPy (in place, no needless copies), one core each: `make bench`.

One process and no BLAS, so thread pools cannot disturb one another. Sizes: in cache (64 Ki elements) and out of it (16 Mi).
Read the ratio of two rows of one group, not the times. The first call of each, which may compile, is not timed.
"""

import numpy as np
import pytest

from fastnn import kernels

SIZES = {"in cache": 1 << 16, "out of cache": 1 << 24}


@pytest.fixture(params=SIZES, ids=list(SIZES))
def x(request):
    return np.random.default_rng(0).standard_normal(SIZES[request.param], np.float32)


def compare(benchmark, group, x, function, *args):
    benchmark.group = f"{group}, {x.size} float32"
    function(*args)
    benchmark.pedantic(function, args, rounds=30 if x.size < 1 << 20 else 7, iterations=5 if x.size < 1 << 20 else 1)


class TestDropout:
    def test_fastnn(self, benchmark, x):
        y = np.empty_like(x)
        compare(benchmark, "dropout", x, kernels.dropout_forward, x, 0.2, np.uint64(1), 0, 0, y)

    def test_numpy(self, benchmark, x):
        generator, y = np.random.default_rng(1), np.empty_like(x)
        words, keep = np.empty_like(x), np.empty(x.shape, bool)

        def dropout():
            generator.random(out=words, dtype=np.float32)
            np.greater_equal(words, 0.2, out=keep)
            np.multiply(x, np.float32(1.25), out=y)
            np.multiply(y, keep, out=y)

        compare(benchmark, "dropout", x, dropout)


class TestTanh:
    def test_fastnn(self, benchmark, x):
        compare(benchmark, "tanh", x, kernels.activation_forward, x, kernels.TANH, 0.0, np.empty_like(x))

    def test_numpy(self, benchmark, x):
        y = np.empty_like(x)
        compare(benchmark, "tanh", x, lambda: np.tanh(x, out=y))


class TestSigmoid:
    def test_fastnn(self, benchmark, x):
        compare(benchmark, "sigmoid", x, kernels.activation_forward, x, kernels.SIGMOID, 0.0, np.empty_like(x))

    def test_numpy(self, benchmark, x):
        y = np.empty_like(x)

        def sigmoid():
            np.negative(x, out=y)
            np.exp(y, out=y)
            np.add(y, np.float32(1.0), out=y)
            np.reciprocal(y, out=y)

        compare(benchmark, "sigmoid", x, sigmoid)


class TestAdam:
    def test_fastnn(self, benchmark, x):
        w, g, m, s = x.copy(), x.copy(), np.zeros_like(x), np.zeros_like(x)
        none = np.empty(0, np.float32)
        compare(
            benchmark, "adam", x, kernels.adam_update,
            g, 10, 1e-3, 0.9, 0.999, 0.0, 1e-8, True, 0.0, 1.0, w, m, s, none,
        )  # fmt: skip

    def test_numpy(self, benchmark, x):
        w, g, m, s = x.copy(), x.copy(), np.zeros_like(x), np.zeros_like(x)
        a, b = np.empty_like(x), np.empty_like(x)
        step, correction = np.float32(1e-3 / (1 - 0.9**10)), np.float32(1 / (1 - 0.999**10))

        def adam():
            np.multiply(m, np.float32(0.9), out=m)
            np.multiply(g, np.float32(0.1), out=a)
            np.add(m, a, out=m)
            np.multiply(s, np.float32(0.999), out=s)
            np.multiply(g, g, out=a)
            np.multiply(a, np.float32(0.001), out=a)
            np.add(s, a, out=s)
            np.multiply(s, correction, out=a)
            np.sqrt(a, out=a)
            np.add(a, np.float32(1e-8), out=a)
            np.divide(m, a, out=b)
            np.multiply(b, step, out=b)
            np.subtract(w, b, out=w)

        compare(benchmark, "adam", x, adam)


class TestBatchNorm:
    def test_fastnn(self, benchmark, x):
        x = x.reshape(-1, 256)
        m, n = x.shape
        ones, zeros, none = np.ones(n, np.float32), np.zeros(n, np.float32), np.empty(0, np.float32)
        partials, stats, y = np.empty((kernels.row_chunks(m), 4, n)), np.empty((3, n), np.float32), np.empty_like(x)
        compare(
            benchmark, "batch normalisation, training", x, kernels.batchnorm_forward,
            x, ones, zeros, 1e-5, 0.1, True, partials, none, none, stats, y,
        )  # fmt: skip

    def test_numpy(self, benchmark, x):
        x = x.reshape(-1, 256)
        y = np.empty_like(x)

        def batch_norm():
            mean = x.mean(axis=0)
            np.subtract(x, mean, out=y)
            variance = np.einsum("ij,ij->j", y, y) / np.float32(len(x))
            np.multiply(y, 1.0 / np.sqrt(variance + np.float32(1e-5)), out=y)

        compare(benchmark, "batch normalisation, training", x, batch_norm)
