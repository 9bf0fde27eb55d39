"""Calls of every kernel on device arrays of a size, and the bytes of the arrays that each reads and writes."""

import numpy as np

from fastnn_kernels import cuda

from .device import xp


def memory_bound(m, n):
    """(name, call, bytes) of the kernels whose time is that of memory, on float32 matrices (m, n)."""
    size, dtype = m * n, np.float32
    rng = np.random.default_rng(0)

    def array(*shape):
        return xp.asarray(rng.standard_normal(shape).astype(dtype))

    x, y, dy, dx = (array(m, n) for _ in range(4))
    fx, fy, fdy, fdx = (a.reshape(-1) for a in (x, y, dy, dx))
    gamma, beta, stats, running = array(n), array(n), xp.ones((3, n), dtype), xp.ones((2, n), dtype)
    moments, sums = xp.empty((cuda.row_chunks(m), 4, n)), xp.empty((cuda.row_chunks(m), 2, n))
    w, g = array(size), array(size)
    first, second, third = (xp.ones(size, dtype) for _ in range(3))
    nothing = w[:0]
    pixels = xp.asarray(rng.integers(0, 255, (m, n)).astype(np.uint8))
    index = xp.asarray(rng.permutation(m))
    partials, out = xp.empty((cuda.sum_chunks(size), 2 * cuda.LANES)), xp.empty(2)
    draws = np.uint64(1), 2, 3
    pass_bytes = 4 * size
    return [
        ("ReLU", lambda: cuda.activation_forward(fx, cuda.RELU, 0.0, fy), 2 * pass_bytes),
        ("ReLU backward", lambda: cuda.activation_backward(fdy, fy, cuda.RELU, 0.0, fdx), 3 * pass_bytes),
        ("SELU", lambda: cuda.activation_forward(fx, cuda.SELU, 0.0, fy), 2 * pass_bytes),
        ("dropout", lambda: cuda.dropout_forward(fx, 0.3, *draws, fy), 2 * pass_bytes),
        ("ReLU + dropout backward", lambda: cuda.relu_dropout_backward(fdy, fy, 0.3, fdx), 3 * pass_bytes),
        (
            "batchnorm + ReLU + dropout",
            lambda: cuda.batchnorm_forward(
                x, gamma, beta, 1e-5, 0.1, True, cuda.RELU, 0.0, 0.3, *draws, moments, running[0], running[1], stats, y
            ),
            3 * pass_bytes,
        ),
        (
            "its backward",
            lambda: cuda.batchnorm_backward(dy, x, y, gamma, stats, True, cuda.RELU, 0.0, 0.3, sums, gamma, beta, dx),
            7 * pass_bytes,
        ),
        (
            "Adam",
            lambda: cuda.adam_update(g, 3, 1e-9, 0.9, 0.999, 0.0, 1e-8, True, 0.0, False, 1.0, w, first, second, nothing),
            7 * pass_bytes,
        ),
        (
            "SGD with momentum",
            lambda: cuda.sgd_update(g, 1e-9, 0.9, 0.0, False, 0.0, False, 1.0, False, w, third),
            5 * pass_bytes,
        ),
        ("squared norm", lambda: cuda.squared_norm(w, partials, out), pass_bytes),
        ("penalty", lambda: cuda.penalty_update(w, 1e-9, 1e-9, partials, g, out), 3 * pass_bytes),
        ("gather of uint8", lambda: cuda.gather_rows(pixels, index, 1 / 255, y), 5 * size),
        ("average", lambda: cuda.average_update(w, 0.1, first), 3 * pass_bytes),
    ]


def others(m, n, k):
    """Calls of the kernels that are not bound by memory alone."""
    dtype, rng = np.float32, np.random.default_rng(1)
    x, weight, bias, z = (xp.asarray(rng.standard_normal(s).astype(dtype)) for s in ((m, n), (n, k), (k,), (m, k)))
    labels, soft = xp.asarray(rng.integers(0, k, m)), xp.asarray(rng.dirichlet(np.ones(k), m).astype(dtype))
    room, y, dz = xp.empty((1, 0), dtype), xp.empty((m, k), dtype), xp.empty((m, k), dtype)
    losses, hits, log_sums = xp.empty(m, dtype), xp.empty(m, dtype), xp.empty((2, m), dtype)
    gradients = xp.empty((n, k), dtype), xp.empty(k, dtype), xp.empty((m, n), dtype)
    words = xp.empty(m * n, np.uint32)
    return [
        lambda: cuda.linear_forward(x, weight, bias, cuda.RELU, 0.0, room, y),
        lambda: cuda.linear_backward(z, x, weight, False, room, *gradients),
        lambda: cuda.cross_entropy_gradient(z, labels, 0.1, 1.0, losses, hits, dz),
        lambda: cuda.cross_entropy_forward(z, labels, 0.1, dz, log_sums, losses),
        lambda: cuda.cross_entropy_backward(losses, z, labels, 0.1, log_sums, dz),
        lambda: cuda.soft_cross_entropy_forward(z, soft, 0.1, dz, log_sums, losses),
        lambda: cuda.soft_cross_entropy_backward(losses, z, soft, 0.1, log_sums, dz),
        lambda: cuda.squared_error_forward(z.reshape(-1), soft.reshape(-1), y.reshape(-1)),
        lambda: cuda.squared_error_backward(y.reshape(-1), z.reshape(-1), soft.reshape(-1), dz.reshape(-1)),
        lambda: cuda.random_bits(np.uint64(1), 2, 3, words),
        lambda: cuda.find_not_finite(x.reshape(-1), xp.empty(cuda.finite_chunks(m * n))),
    ]
