import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

SHAPES = [(1, 1), (2, 31), (3, 32), (5, 33), (64, 100), (129, 257), (1000, 65), (4099, 7)]
EPS = 1e-5


def problem(rng, shape, dtype, mean=0.0):
    x = (mean + rng.standard_normal(shape)).astype(dtype)
    gamma, beta = rng.uniform(0.5, 1.5, shape[1]).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)
    return x, gamma, beta, rng.standard_normal(shape).astype(dtype)


def forward(x, gamma, beta, centered):
    stats, y = unwritten((2, len(x)), x.dtype), unwritten(x.shape, x.dtype)
    return every_way(kernels.layernorm_forward, x, gamma, beta, EPS, centered, stats, y)


def expected_forward(x, gamma, beta, centered):
    function = reference.layernorm if centered else reference.rmsnorm
    return function(x.astype(float), gamma.astype(float), beta.astype(float), EPS)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(rng, shape, dtype, centered):
    x, gamma, beta, _ = problem(rng, shape, dtype)
    _, y = forward(x, gamma, beta, centered)
    expected = expected_forward(x, gamma, beta, centered)
    assert_close(y, expected, 8, np.abs(expected) + np.abs(beta) + 1.0)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward(rng, shape, dtype, centered):
    x, gamma, beta, dy = problem(rng, shape, dtype)
    stats, _ = forward(x, gamma, beta, centered)
    m, n = shape
    partials = unwritten((kernels.row_chunks(m), 2, n), np.float64)
    outputs = unwritten(n, dtype), unwritten(n, dtype), unwritten(shape, dtype)
    _, dgamma, dbeta, dx = every_way(kernels.layernorm_backward, dy, x, gamma, centered, stats, partials, *outputs)
    function = reference.layernorm_backward if centered else reference.rmsnorm_backward
    expected = function(dy.astype(float), x.astype(float), gamma.astype(float), EPS)
    scale = np.abs(expected[0]).max() + 1.0 if n > 1 or not centered else 1.0 / np.sqrt(EPS)
    assert_close(dx, expected[0], 16, np.full(shape, scale))
    for found, wanted in ((dgamma, expected[1]), (dbeta, expected[2])):
        assert_close(found, wanted, 8 * np.sqrt(m), np.abs(wanted) + np.sqrt(m))


def test_float32_rows_far_from_zero_keep_their_digits(rng):
    x, gamma, beta, _ = problem(rng, (50, 300), np.float32, mean=1e4)
    _, y = forward(x, gamma, beta, True)
    np.testing.assert_allclose(y, expected_forward(x, gamma, beta, True), atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row(rng, value):
    x, gamma, beta, _ = problem(rng, (7, 40), np.float64)
    clean = forward(x, gamma, beta, True)[1]
    x[3, 5] = value
    y = forward(x, gamma, beta, True)[1]
    assert np.isnan(y[3]).any()
    np.testing.assert_array_equal(np.delete(y, 3, axis=0), np.delete(clean, 3, axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 8191, 20011])
def test_add_arrays(rng, size, dtype):
    a, b = rng.standard_normal((2, size)).astype(dtype)
    (out,) = every_way(kernels.add_arrays, a, b, unwritten(size, dtype))
    np.testing.assert_array_equal(out, a + b)
