import numpy as np
import pytest
import reference
from support import DTYPES, Out, assert_close, every_way, unwritten

from fastnn import kernels

# rows and columns: smallest, odd, edges of blocks (64), strips (256), chunks (64 rows each), and too large for the L2 cache
SHAPES = [(2, 1), (3, 7), (16, 256), (37, 13), (129, 257), (1000, 31), (4099, 65), (1031, 387)]
EPS = 1e-5


def problem(rng, shape, dtype, mean=0.0, deviation=1.0):
    x = (mean + deviation * rng.standard_normal(shape)).astype(dtype)
    gamma, beta = rng.uniform(0.5, 1.5, shape[1]).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)
    return x, gamma, beta, rng.standard_normal(shape).astype(dtype)


ALONE = (kernels.IDENTITY, 0.0, 0.0, 0, 0, 0)  # no activation and no dropout: kind, slope, p, seed, step, stream


def forward(x, gamma, beta, momentum=0.1, unbiased=True, running=None, block=ALONE):
    m, n = x.shape
    mean, var = running if running is not None else (np.empty(0, x.dtype), np.empty(0, x.dtype))
    partials = unwritten((kernels.row_chunks(m), 4, n), np.float64)
    stats, y = unwritten((3, n), x.dtype), unwritten(x.shape, x.dtype)
    running_out = Out(mean), Out(var)
    settings = EPS, momentum, unbiased, *block
    return every_way(kernels.batchnorm_forward, x, gamma, beta, *settings, partials, *running_out, stats, y)[1:]


def backward(dy, x, gamma, stats, training=True, y=None, block=ALONE):
    m, n = x.shape
    partials = unwritten((kernels.row_chunks(m), 2, n), np.float64)
    outputs = unwritten(n, x.dtype), unwritten(n, x.dtype), unwritten(x.shape, x.dtype)
    y = np.empty((0, 0), x.dtype) if y is None else y
    return every_way(kernels.batchnorm_backward, dy, x, y, gamma, stats, training, *block[:3], partials, *outputs)[1:]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_normalises_by_the_batch(rng, shape, dtype):
    x, gamma, beta, _ = problem(rng, shape, dtype)
    *_, y = forward(x, gamma, beta)
    expected = reference.batchnorm(x.astype(float), gamma, beta, EPS)
    assert_close(y, expected, 4, np.abs(expected) + np.abs(beta) + 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_the_chain_rule(rng, shape, dtype):
    x, gamma, beta, dy = problem(rng, shape, dtype)
    stats = forward(x, gamma, beta)[2]
    dgamma, dbeta, dx = backward(dy, x, gamma, stats)
    expected = reference.batchnorm_backward(dy.astype(float), x.astype(float), gamma.astype(float), EPS)
    # two rows normalise to ±1 and leave a gradient near 0, the difference of terms as large as 1 / deviation
    size = np.abs(dy) * (1.0 / np.sqrt(x.var(axis=0, dtype=float) + EPS)) + np.abs(expected[0]) + 10.0 * stats[2]
    assert_close(dx, expected[0], shape[0], size)
    assert_close(dgamma, expected[1], shape[0], np.abs(dy).sum(axis=0, dtype=float))
    assert_close(dbeta, expected[2], shape[0], np.abs(dy).sum(axis=0, dtype=float))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unbiased", [True, False])
def test_running_statistics_move_by_momentum(rng, unbiased, dtype):
    x, gamma, beta, _ = problem(rng, (37, 13), dtype, 3.0, 2.0)
    before = rng.standard_normal(13).astype(dtype), rng.uniform(1, 2, 13).astype(dtype)
    mean, var, *_ = forward(x, gamma, beta, 0.25, unbiased, before)
    np.testing.assert_allclose(mean, 0.75 * before[0] + 0.25 * x.mean(axis=0, dtype=float), rtol=1e-5)
    np.testing.assert_allclose(var, 0.75 * before[1] + 0.25 * x.var(axis=0, ddof=int(unbiased), dtype=float), rtol=1e-5)


@pytest.mark.parametrize("what", ["the first row lies far off", "rows drift", "a step after the first block", "constant"])
def test_the_statistics_of_awkward_columns_are_exact_to_rounding(rng, what):
    x = rng.standard_normal((300, 5))
    if what == "the first row lies far off":
        x[0] += 1e8
    elif what == "rows drift":
        x = 1e8 + np.cumsum(np.abs(x), axis=0)
    elif what == "a step after the first block":
        x[64:] += 1e8
    else:
        x[:] = 1e8 + 1.0 / 3.0
    stats = forward(x, np.ones(5), np.zeros(5))[2]
    exact = x.astype(np.longdouble)
    mean, variance = exact.mean(axis=0), exact.var(axis=0)
    condition = np.sqrt(
        1.0 + mean**2 / (variance + EPS)
    )  # of the variance; of merged ones the error is of its size, of E[x²] of its square
    np.testing.assert_allclose(stats[0], mean, rtol=0.0, atol=np.finfo(float).eps * np.abs(x).max())
    error = np.abs(1.0 / stats[2] ** 2 - (variance + EPS)) / (variance + EPS)
    assert np.all(error <= np.finfo(float).eps * (400.0 + 4.0 * condition)), (error, condition)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inference_uses_the_running_statistics_and_has_its_own_gradient(rng, dtype):
    x, gamma, beta, dy = problem(rng, (37, 13), dtype)
    mean, var = rng.standard_normal(13).astype(dtype), rng.uniform(1, 2, 13).astype(dtype)
    stats, y = every_way(
        kernels.batchnorm_inference, x, gamma, beta, mean, var, EPS, *ALONE[:2],
        unwritten((3, 13), dtype), unwritten(x.shape, dtype),
    )  # fmt: skip
    rho = 1.0 / np.sqrt(var.astype(float) + EPS)
    expected = gamma * (x - mean.astype(float)) * rho + beta
    assert_close(y, expected, 4, np.abs(expected) + 4.0)
    dgamma, dbeta, dx = backward(dy, x, gamma, stats, training=False)
    assert_close(dx, dy * gamma * rho, 4)
    assert_close(dgamma, np.sum(dy * (x - mean.astype(float)) * rho, axis=0), 37, 37.0)
    assert_close(dbeta, dy.sum(axis=0, dtype=float), 37, 37.0)


def test_a_large_mean_is_normalised_away_in_float32(rng):
    x, _, _, dy = problem(rng, (512, 37), np.float32, mean=1e4)
    gamma, beta = np.ones(37, np.float32), np.zeros(37, np.float32)
    *_, stats, y = forward(x, gamma, beta)
    assert np.abs(y.mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(y.var(axis=0, dtype=float) - 1.0).max() < 1e-2
    got = backward(dy, x, gamma, stats)
    dx, dgamma, dbeta = reference.batchnorm_backward(dy.astype(float), x.astype(float), gamma.astype(float), EPS)
    for array, expected in zip(got, (dgamma, dbeta, dx), strict=True):
        assert np.abs(array - expected).max() < 1e-3 * np.abs(expected).max()


def test_an_outlier_in_the_first_row_does_not_spoil_the_statistics(rng):
    x, gamma, beta, _ = problem(rng, (300, 5), np.float64)
    x[0] = 1e8
    expected = reference.batchnorm(x, gamma, beta, EPS)
    np.testing.assert_allclose(forward(x, gamma, beta)[-1], expected, rtol=1e-6, atol=1e-9)


def test_a_constant_column_gives_beta(rng):
    x, gamma, beta, _ = problem(rng, (33, 4), np.float32)
    x[:, 1] = 12345.678
    np.testing.assert_array_equal(forward(x, gamma, beta)[-1][:, 1], np.full(33, beta[1]))


def test_nan_stays_in_its_column(rng):
    x, gamma, beta, _ = problem(rng, (33, 4), np.float32)
    x[7, 2] = np.nan
    assert np.isnan(forward(x, gamma, beta)[-1]).any(axis=0).tolist() == [False, False, True, False]


def test_output_may_be_the_input(rng):
    x, gamma, beta, dy = problem(rng, (37, 13), np.float32)
    *_, stats, y = forward(x, gamma, beta)
    dx = backward(dy, x, gamma, stats)[-1]
    partials, empty = np.empty((1, 4, 13)), np.empty(0, np.float32)
    in_place, gradient = x.copy(), dy.copy()
    room = partials, empty, empty, np.empty_like(stats)
    kernels.batchnorm_forward(in_place, gamma, beta, EPS, 0.1, True, *ALONE, *room, in_place)
    sums, nothing = np.empty((1, 2, 13)), empty.reshape(0, 0)
    settings = True, *ALONE[:3]
    kernels.batchnorm_backward(gradient, x, nothing, gamma, stats, *settings, sums, gamma.copy(), beta.copy(), gradient)
    np.testing.assert_array_equal(in_place, y)
    np.testing.assert_array_equal(gradient, dx)


ACTIVATIONS = {"relu": kernels.RELU, "leaky_relu": kernels.LEAKY_RELU, "sigmoid": kernels.SIGMOID, "selu": kernels.SELU}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_in_the_same_pass(rng, name, shape, dtype):
    x, gamma, beta, dy = problem(rng, shape, dtype)
    block = (ACTIVATIONS[name], 0.1, 0.0, 0, 0, 0)
    *_, stats, y = forward(x, gamma, beta, block=block)
    z = forward(x, gamma, beta)[-1].astype(float)  # backward looks at the sign of what forward made
    assert_close(y, reference.activation(name, z, 0.1), 4, np.abs(z) + 1.0)
    got = backward(dy, x, gamma, stats, y=y, block=block)
    through = (dy * reference.activation_gradient(name, z, 0.1)).astype(dtype)
    for array, expected in zip(got, backward(through, x, gamma, stats), strict=True):
        assert_close(array, expected.astype(float), shape[0], np.abs(expected) + 10.0 * np.abs(stats[2]) + 10.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_relu_and_dropout_in_the_same_pass(rng, shape, dtype):
    x, gamma, beta, dy = problem(rng, shape, dtype)
    block = (kernels.RELU, 0.0, 0.3, np.uint64(5), 7, 11)
    *_, stats, y = forward(x, gamma, beta, block=block)
    active, dropped, through = np.empty(x.size, dtype), np.empty(x.size, dtype), np.empty(x.size, dtype)
    kernels.activation_forward(forward(x, gamma, beta)[-1].ravel(), kernels.RELU, 0.0, active)
    kernels.dropout_forward(active, 0.3, np.uint64(5), 7, 11, dropped)
    np.testing.assert_array_equal(y.ravel(), dropped)
    kernels.dropout_backward(dy.ravel(), 0.3, np.uint64(5), 7, 11, through)
    through[active == 0.0] = 0.0
    got = backward(dy, x, gamma, stats, y=y, block=block)
    for array, expected in zip(got, backward(through.reshape(shape), x, gamma, stats), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_an_activation_in_use(rng):
    x, gamma, beta, _ = problem(rng, (37, 13), np.float64)
    mean, var = rng.standard_normal(13), rng.uniform(1, 2, 13)
    z, y, stats = np.empty_like(x), np.empty_like(x), np.empty((3, 13))
    kernels.batchnorm_inference(x, gamma, beta, mean, var, EPS, kernels.IDENTITY, 0.0, stats, z)
    kernels.batchnorm_inference(x, gamma, beta, mean, var, EPS, kernels.LEAKY_RELU, 0.2, stats, y)
    np.testing.assert_allclose(y, np.where(z > 0, z, 0.2 * z))
