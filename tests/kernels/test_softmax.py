import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

SHAPES = [(1, 1), (1, 10), (3, 2), (37, 13), (64, 32), (65, 33), (1009, 10), (7, 64), (129, 1000)]
FORWARD = {"softmax": kernels.softmax_forward, "log-softmax": kernels.log_softmax_forward}
BACKWARD = {"softmax": kernels.softmax_backward, "log-softmax": kernels.log_softmax_backward}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_follows_the_formula(rng, shape, dtype):
    x, dy = (3.0 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    wide, k = x.astype(float), shape[1]
    (y,) = every_way(kernels.softmax_forward, x, unwritten(shape, dtype))
    exact = np.exp(reference.log_softmax(wide))
    assert_close(y, exact, k, exact * (1.0 + np.ptp(wide, axis=1, keepdims=True)))
    (dx,) = every_way(kernels.softmax_backward, dy, y, unwritten(shape, dtype))
    assert_close(dx, reference.softmax_backward(dy.astype(float), wide), k, np.abs(dy).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_softmax_follows_the_formula(rng, shape, dtype):
    x, dy = (3.0 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    wide, k = x.astype(float), shape[1]
    (y,) = every_way(kernels.log_softmax_forward, x, unwritten(shape, dtype))
    assert_close(y, reference.log_softmax(wide), k, np.ptp(wide, axis=1, keepdims=True) + np.log(k) + 1.0)
    (dx,) = every_way(kernels.log_softmax_backward, dy, y, unwritten(shape, dtype))
    assert_close(dx, reference.log_softmax_backward(dy.astype(float), wide), k, np.abs(dy).sum(axis=1, keepdims=True) * 8.0)


@pytest.mark.parametrize("columns", [3, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_any_size_and_masked_ones(dtype, columns):
    large = np.finfo(dtype).max
    x = np.full((4, columns), -np.inf, dtype)
    x[0], x[0, :2] = 0.0, (1e4, -1e4)
    x[1, :2] = 5.0
    x[2], x[2, 0] = -large, large
    x[3, 1] = -large
    y, logarithms = np.empty_like(x), np.empty_like(x)
    kernels.softmax_forward(x, y)
    kernels.log_softmax_forward(x, logarithms)
    exact = np.zeros_like(x)
    exact[0, 0] = exact[2, 0] = exact[3, 1] = 1.0
    exact[1, :2] = 0.5
    np.testing.assert_array_equal(y, exact)
    np.testing.assert_array_equal(logarithms[0, :3], [0.0, -2e4, -1e4])
    np.testing.assert_array_equal(logarithms[1, 2:], -np.inf)
    dy = np.ones_like(x)
    for name, output in (("softmax", y), ("log-softmax", logarithms)):
        dx = np.empty_like(x)
        BACKWARD[name](dy, output, dx)
        assert np.isfinite(dx).all()


@pytest.mark.parametrize("columns", [4, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", FORWARD)
def test_a_row_with_nan_or_infinity_is_nan_and_others_keep_theirs(name, bad, columns):
    for place in (0, 1, columns - 1):
        x = np.zeros((3, columns))
        x[1, place] = bad
        y = np.empty_like(x)
        FORWARD[name](x, y)
        assert np.isnan(y).all(axis=1).tolist() == [False, True, False]
        assert np.isfinite(y[::2]).all()
    nothing = np.full((1, columns), -np.inf)
    FORWARD[name](nothing, nothing)
    assert np.isnan(nothing).all()


@pytest.mark.parametrize("shape", [(70, 5), (9, 50)])
@pytest.mark.parametrize("name", FORWARD)
def test_output_may_be_the_input(rng, name, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    y = np.empty_like(x)
    FORWARD[name](x, y)
    FORWARD[name](x, x)
    np.testing.assert_array_equal(x, y)
