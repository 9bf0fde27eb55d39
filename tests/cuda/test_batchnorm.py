import numpy as np
import reference
from twins import adopt, kernels

# rows and columns: smallest, odd, one chunk of rows and several, one tile of columns and several
SHAPES = [(2, 1), (3, 7), (33, 5), (70, 9)]
WITHOUT = ["test_output_may_be_the_input", "test_a_large_mean_is_normalised_away_in_float32"]  # at sizes for the CPU
globals().update(adopt("test_batchnorm", {"shape": SHAPES}, WITHOUT))


def arrays(rng, shape, dtype, mean=0.0):
    x, dy = (mean + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    return x, dy, np.ones(shape[1], dtype), np.zeros(shape[1], dtype)


def run(x, dy, gamma, beta, y, dx):
    (m, n), nothing = x.shape, np.empty(0, x.dtype)
    chunks, stats = kernels.row_chunks(m), np.empty((3, n), x.dtype)
    alone = kernels.IDENTITY, 0.0, 0.0
    kernels.batchnorm_forward(
        x, gamma, beta, 1e-5, 0.1, True, *alone, 0, 0, 0, np.empty((chunks, 4, n)), nothing, nothing, stats, y
    )
    sums = np.empty((chunks, 2, n)), np.empty(n, x.dtype), np.empty(n, x.dtype)
    kernels.batchnorm_backward(dy, x, nothing.reshape(0, 0), gamma, stats, True, *alone, *sums, dx)


def test_a_large_mean_is_normalised_away_in_float32(rng):
    x, dy, gamma, beta = arrays(rng, (130, 5), np.float32, mean=1e4)
    y, dx = np.empty_like(x), np.empty_like(x)
    run(x, dy, gamma, beta, y, dx)
    assert np.abs(y.mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(y.var(axis=0, dtype=float) - 1.0).max() < 1e-3
    expected, *_ = reference.batchnorm_backward(dy.astype(float), x.astype(float), gamma.astype(float), 1e-5)
    assert np.abs(dx - expected).max() < 1e-3 * np.abs(expected).max()


def test_the_gradient_may_take_the_place_of_the_output_gradient(rng):
    x, dy, gamma, beta = arrays(rng, (37, 5), np.float64)
    y, dx, gradient = np.empty_like(x), np.empty_like(x), dy.copy()
    run(x, dy, gamma, beta, y, dx)
    run(x, gradient, gamma, beta, y, gradient)
    np.testing.assert_array_equal(gradient, dx)
