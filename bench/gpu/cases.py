"""Calls of every kernel on device arrays of a size, and the bytes of the arrays that each reads and writes."""

from functools import partial

import numpy as np

from fastnn_kernels import cuda
from fastnn_kernels.cuda.reductions import clip_by_norm

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
    by_row, by_chunk, dgamma, dbeta = xp.ones((3, m), dtype), xp.empty((cuda.layernorm_chunks(m), 2, n)), array(n), array(n)
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
        ("GELU", lambda: cuda.gelu_forward(fx, False, fy), 2 * pass_bytes),
        ("GELU backward", lambda: cuda.gelu_backward(fdy, fx, False, fdx), 3 * pass_bytes),
        ("sum of two arrays", lambda: cuda.add_arrays(fx, fdy, fy), 3 * pass_bytes),
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
            "batchnorm + ReLU + dropout backward",
            lambda: cuda.batchnorm_backward(dy, x, y, gamma, stats, True, cuda.RELU, 0.0, 0.3, sums, gamma, beta, dx),
            7 * pass_bytes,
        ),
        ("layernorm", lambda: cuda.layernorm_forward(x, gamma, beta, 1e-5, True, by_row, y), 2 * pass_bytes),
        (
            "layernorm backward",
            lambda: cuda.layernorm_backward(dy, x, gamma, by_row, True, by_chunk, dgamma, dbeta, dx),
            5 * pass_bytes,
        ),
        ("softmax", lambda: cuda.softmax_forward(x, y), 2 * pass_bytes),
        ("softmax backward", lambda: cuda.softmax_backward(dy, y, dx), 3 * pass_bytes),
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
    words, fx, flat, fdz = xp.empty(m * n, np.uint32), x.reshape(-1), xp.empty(m * n, dtype), xp.empty(m * n, dtype)
    ones, nothing, scaled = xp.ones(m, dtype), x[:0, 0], (gradients[2], xp.ones((3, n), dtype))
    pairs, draws = [("elu", (0.5,)), ("gelu", (True,)), ("silu", ()), ("softplus", (1.0, 20.0))], (np.uint64(1), 2, 3)
    mean, var, norms = xp.zeros(n, dtype), xp.ones(n, dtype), xp.empty(n)
    first, second, third = (xp.ones(m * n, dtype) for _ in range(3))
    partials, norm = xp.empty((cuda.sum_chunks(m * n), cuda.LANES)), xp.ones(1)
    return [
        *(partial(getattr(cuda, f"{name}_forward"), fx, *settings, flat) for name, settings in pairs),
        *(partial(getattr(cuda, f"{name}_backward"), fx, flat, *settings, fdz) for name, settings in pairs),
        lambda: cuda.batchnorm_inference(x, mean, var, mean, var, 1e-5, cuda.TANH, 0.0, scaled[1], scaled[0]),
        lambda: cuda.dropout_backward(fx, 0.3, *draws, fdz),
        lambda: cuda.log_softmax_forward(z, y),
        lambda: cuda.log_softmax_backward(dz, y, dz),
        lambda: cuda.nll_loss_gradient(y, labels, -1, nothing, ones, 1.0, losses, hits, dz),
        lambda: cuda.weighted_cross_entropy_gradient(z, labels, 0.1, -1, nothing, ones, 1.0, losses, hits, dz),
        lambda: cuda.pointwise_loss_forward(cuda.HUBER, fx, flat, 1.0, False, nothing, fdz),
        lambda: cuda.pointwise_loss_backward(fx, cuda.LOGISTIC, fx, flat, 1.0, nothing, fdz),
        lambda: cuda.pointwise_loss_gradient(cuda.ABSOLUTE, z, soft, 0.0, False, nothing, ones, 1.0, y, dz),
        lambda: cuda.rmsprop_update(fx, 1e-3, 0.9, 0.0, 1e-8, 0.0, 0.0, 1.0, flat, first, nothing, nothing),
        lambda: cuda.adagrad_update(fx, 1, 1e-3, 0.0, 0.0, 1e-8, 0.0, 1.0, flat, second),
        lambda: cuda.adadelta_update(fx, 1.0, 0.9, 1e-8, 0.0, 1.0, flat, first, second),
        lambda: cuda.nadam_update(fx, 1, 1e-3, 0.9, 0.999, 1e-8, 0.9, 0.9, 0.9, 0.0, False, 1.0, flat, first, second),
        lambda: cuda.radam_update(fx, 1, 1e-3, 0.9, 0.999, 1e-8, 0.0, False, 1.0, flat, first, second),
        lambda: cuda.lion_update(fx, 1e-3, 0.9, 0.99, 0.0, 1.0, flat, third),
        lambda: cuda.squared_norm(fx, partials, norm),
        lambda: clip_by_norm(norm, 1.0, flat),
        lambda: cuda.clip_values(0.1, flat),
        lambda: cuda.soft_threshold(0.1, flat),
        lambda: cuda.limit_column_norms(0.5, norms, scaled[0]),
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
