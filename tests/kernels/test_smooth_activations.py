import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

# name: forward, backward, settings, whether backward reads the output, settings of the reference
KINDS = {
    "elu": (kernels.elu_forward, kernels.elu_backward, (1.0,), True),
    "elu, alpha": (kernels.elu_forward, kernels.elu_backward, (0.3,), True),
    "gelu": (kernels.gelu_forward, kernels.gelu_backward, (False,), False),
    "gelu, tanh": (kernels.gelu_forward, kernels.gelu_backward, (True,), False),
    "silu": (kernels.silu_forward, kernels.silu_backward, (), False),
    "softplus": (kernels.softplus_forward, kernels.softplus_backward, (1.0, 20.0), False),
    "softplus, beta": (kernels.softplus_forward, kernels.softplus_backward, (2.5, 3.0), False),
}


def formula(name):
    return name if name == "gelu, tanh" else name.partition(",")[0]


def expected(function, name, x):
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return function(formula(name), x.astype(float), *KINDS[name][2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 127, 8192, 20011])
@pytest.mark.parametrize("name", KINDS)
def test_forward_and_backward_follow_the_formula(rng, name, size, dtype):
    forward, backward, settings, from_output = KINDS[name]
    x = (3.0 * rng.standard_normal(size)).astype(dtype)
    dy = rng.standard_normal(size).astype(dtype)
    (y,) = every_way(forward, x, *settings, unwritten(size, dtype))
    assert_close(y, expected(reference.smooth_activation, name, x), 2, np.abs(x) + 1.0)
    (dx,) = every_way(backward, dy, y if from_output else x, *settings, unwritten(size, dtype))
    assert_close(dx, dy * expected(reference.smooth_activation_gradient, name, x), 2, np.abs(dy) * 1.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KINDS)
def test_small_results_keep_their_digits(name, dtype):
    """Where 1 + erf, 1 + tanh, 1 - sigmoid and log(1 + e^x) have none left."""
    forward, backward, settings, from_output = KINDS[name]
    x = -np.linspace(0.1, 9.0, 173).astype(dtype)
    y, dx = np.empty_like(x), np.empty_like(x)
    forward(x, *settings, y)
    exact = x.astype(float)
    with np.errstate(under="ignore"):
        inner = np.sqrt(8.0 / np.pi) * (exact + 0.044715 * exact**3)
        value = exact / (1.0 + np.exp(-inner)) if name == "gelu, tanh" else expected(reference.smooth_activation, name, x)
    # the error of an exponential's argument, up to 170 here, is its own relative error; so is that of the reference's erfc
    np.testing.assert_allclose(y, value, rtol=(200.0 if "gelu" in name else 20.0) * np.finfo(dtype).eps, atol=1e-37)
    if not from_output and name not in ("gelu", "gelu, tanh", "silu"):  # whose derivatives have a zero here
        backward(np.ones_like(x), x, *settings, dx)
        np.testing.assert_allclose(dx, expected(reference.smooth_activation_gradient, name, x), rtol=20.0 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KINDS)
def test_numbers_of_any_size_have_finite_values_and_slopes(name, dtype):
    forward, backward, settings, from_output = KINDS[name]
    large = np.finfo(dtype).max
    x = np.array([50.0, 1000.0, 1e20, large, -50.0, -1000.0, -1e20, -large], dtype)
    y, dx = np.empty_like(x), np.empty_like(x)
    forward(x, *settings, y)
    np.testing.assert_array_equal(y[:4], x[:4])
    np.testing.assert_allclose(y[4:], -settings[0] if formula(name) == "elu" else 0.0, atol=1e-20)
    backward(np.ones_like(x), y if from_output else x, *settings, dx)
    np.testing.assert_allclose(dx, [1, 1, 1, 1, 0, 0, 0, 0], atol=1e-7)


@pytest.mark.parametrize("name", KINDS)
def test_nan_stays_where_it_is(name):
    forward, backward, settings, from_output = KINDS[name]
    x, dy = np.array([1.0, np.nan, -1.0]), np.array([1.0, 1.0, np.nan])
    y, dx = np.empty_like(x), np.empty_like(x)
    forward(x, *settings, y)
    backward(dy, y if from_output else x, *settings, dx)
    assert np.isnan(y).tolist() == [False, True, False]
    assert np.isnan(dx).tolist() == [False, True, True]


@pytest.mark.parametrize("name", KINDS)
def test_output_may_be_the_input(rng, name):
    forward, backward, settings, from_output = KINDS[name]
    x, dy = (rng.standard_normal(131).astype(np.float32) for _ in range(2))
    kept, y, dx = x.copy(), np.empty_like(x), np.empty_like(x)
    forward(x, *settings, y)
    backward(dy, y if from_output else kept, *settings, dx)
    forward(x, *settings, x)
    backward(dy, y if from_output else kept, *settings, dy)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(dy, dx)
