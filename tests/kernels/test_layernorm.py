import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

# rows and columns: smallest, edges of groups (1, 8, 32), of chunks (16 rows), of strips (512), and large
SHAPES = [(1, 1), (1, 7), (3, 8), (5, 31), (16, 32), (31, 33), (33, 41), (67, 513), (1031, 65), (130, 1027)]
EPS = 1e-5


def problem(rng, shape, dtype, mean=0.0, deviation=1.0):
    x = (mean + deviation * rng.standard_normal(shape)).astype(dtype)
    gamma, beta = rng.uniform(0.5, 1.5, shape[1]).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)
    return x, gamma, beta, rng.standard_normal(shape).astype(dtype)


def forward(x, gamma, beta, centered, eps=EPS):
    outputs = unwritten((3, len(x)), x.dtype), unwritten(x.shape, x.dtype)
    return every_way(kernels.layernorm_forward, x, gamma, beta, eps, centered, *outputs)


def backward(dy, x, gamma, stats, centered):
    partials = unwritten((kernels.layernorm_chunks(len(x)), 2, x.shape[1]), np.float64)
    outputs = unwritten(x.shape[1], x.dtype), unwritten(x.shape[1], x.dtype), unwritten(x.shape, x.dtype)
    return every_way(kernels.layernorm_backward, dy, x, gamma, stats, centered, partials, *outputs)[1:]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_follow_the_formula(rng, shape, centered, dtype):
    x, gamma, beta, dy = problem(rng, shape, dtype, 0.5, 2.0)
    wide = [a.astype(np.float64) for a in (x, gamma, beta, dy)]
    stats, y = forward(x, gamma, beta, centered)
    assert_close(y, reference.row_norm(*wide[:3], EPS, centered), shape[1], 1.0 + np.abs(wide[1]).max() * 4.0)
    dgamma, dbeta, dx = backward(dy, x, gamma, stats, centered)
    expected = reference.row_norm_backward(wide[3], wide[0], wide[1], EPS, centered)
    rho = 1.0 / np.sqrt((x.var(axis=1, keepdims=True) if centered else (wide[0] ** 2).mean(axis=1, keepdims=True)) + EPS)
    assert_close(dx, expected[0], shape[1], 4.0 * rho * np.abs(wide[3]).max(axis=1, keepdims=True))
    assert_close(dgamma, expected[1], shape[0], 8.0)
    assert_close(dbeta, expected[2], shape[0], 4.0)


@pytest.mark.parametrize("mean", [1e4, -1e4])
def test_float32_survives_a_large_mean(rng, mean):
    x, gamma, beta, dy = problem(rng, (37, 515), np.float32, mean)
    one, zero = np.ones_like(gamma), np.zeros_like(beta)
    stats, y = forward(x, one, zero, True)
    exact = reference.row_norm(x.astype(np.float64), 1.0, 0.0, EPS, True)
    np.testing.assert_allclose(y, exact, atol=1e-5)
    dx = backward(dy, x, one, stats, True)[2]
    expected = reference.row_norm_backward(dy.astype(np.float64), x.astype(np.float64), np.ones(515), EPS, True)[0]
    np.testing.assert_allclose(dx, expected, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_row_becomes_beta(rng, dtype):
    x = np.full((3, 37), 1e4 / 3, dtype)
    x[1] = 0.1
    beta = rng.standard_normal(37).astype(dtype)
    _, y = forward(x, np.ones(37, dtype), beta, True)
    np.testing.assert_allclose(y, np.broadcast_to(beta, y.shape), atol=1e-4)


@pytest.mark.parametrize("centered", [True, False])
def test_nan_and_infinity_stay_in_their_row(rng, centered):
    x, gamma, beta, dy = problem(rng, (6, 43), np.float32)
    clean_stats, clean = forward(x, gamma, beta, centered)
    clean_dx = backward(dy, x, gamma, clean_stats, centered)[2]
    bad = x.copy()
    bad[1, 40], bad[3, 5] = np.nan, np.inf
    stats, y = forward(bad, gamma, beta, centered)
    dx = backward(dy, bad, gamma, stats, centered)[2]
    good = [0, 2, 4, 5]
    assert np.isnan(y[1]).all()
    assert np.isnan(y[3]).any()
    assert np.isnan(dx[1]).all()
    np.testing.assert_array_equal(y[good], clean[good])
    np.testing.assert_array_equal(dx[good], clean_dx[good])


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_may_be_inputs(rng, dtype):
    x, gamma, beta, dy = problem(rng, (21, 77), dtype)
    stats, y = forward(x, gamma, beta, True)
    dgamma, dbeta, dx = backward(dy, x, gamma, stats, True)
    partials = np.empty((kernels.layernorm_chunks(21), 2, 77))
    got = np.empty_like(gamma), np.empty_like(beta)
    again = dy.copy()
    kernels.layernorm_backward(again, x, gamma, stats, True, partials, *got, again)
    for one, other in ((again, dx), (got[0], dgamma), (got[1], dbeta)):
        np.testing.assert_array_equal(one, other)
    kernels.layernorm_forward(x, gamma, beta, EPS, True, stats, x)
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 8191, 20011])
def test_add_arrays(rng, size, dtype):
    a, b = rng.standard_normal((2, size)).astype(dtype)
    (out,) = every_way(kernels.add_arrays, a, b, unwritten(size, dtype))
    np.testing.assert_array_equal(out, a + b)
