import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

NAMES = {None: kernels.IDENTITY, "relu": kernels.RELU, "leaky_relu": kernels.LEAKY_RELU,
         "sigmoid": kernels.SIGMOID, "tanh": kernels.TANH, "selu": kernels.SELU}  # fmt: skip
SLOPE = 0.1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 127, 8192, 20011])
@pytest.mark.parametrize("name", NAMES)
def test_forward_and_backward_follow_the_formula(rng, name, size, dtype):
    x = (3.0 * rng.standard_normal(size)).astype(dtype)
    dy = rng.standard_normal(size).astype(dtype)
    (y,) = every_way(kernels.activation_forward, x, NAMES[name], SLOPE, unwritten(size, dtype))
    assert_close(y, reference.activation(name, x.astype(float), SLOPE), 2)
    (dx,) = every_way(kernels.activation_backward, dy, y, NAMES[name], SLOPE, unwritten(size, dtype))
    # the derivative comes from y, whose rounding counts where 1 - y or 1 - y² is small
    assert_close(dx, dy * reference.activation_gradient(name, x.astype(float), SLOPE), 4, np.abs(dy) * 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30, 1000.0, -1000.0], dtype)
    y = np.empty_like(x)
    kernels.activation_forward(x, NAMES[name], SLOPE, y)
    with np.errstate(over="ignore", under="ignore"):
        expected = reference.activation(name, x.astype(float), SLOPE).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-38)


def test_the_derivative_at_zero_is_that_of_the_negative_side():
    y, dy, dx = np.zeros(1), np.ones(1), np.empty(1)
    for kind, expected in ((kernels.RELU, 0.0), (kernels.LEAKY_RELU, SLOPE)):
        kernels.activation_backward(dy, y, kind, SLOPE, dx)
        assert dx[0] == expected


@pytest.mark.parametrize("name", NAMES)
def test_output_may_be_the_input(rng, name):
    x = rng.standard_normal(131).astype(np.float32)
    dy = rng.standard_normal(131).astype(np.float32)
    y, dx = np.empty_like(x), np.empty_like(x)
    kernels.activation_forward(x, NAMES[name], SLOPE, y)
    kernels.activation_backward(dy, y, NAMES[name], SLOPE, dx)
    kernels.activation_forward(x, NAMES[name], SLOPE, x)
    kernels.activation_backward(dy, y, NAMES[name], SLOPE, dy)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(dy, dx)
