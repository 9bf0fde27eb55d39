"""exp, expm1, tanh and the logistic function: errors in units of the last place, against mpmath, over the whole range."""

import mpmath
import numpy as np
import pytest
from numba import njit
from support import DTYPES

from fastnn_kernels._jit import OPTIONS
from fastnn_kernels.cpu import _log1p, _math

BOUNDS = {"exp": 1.1, "expm1": 2.5, "tanh": 2.75, "log": 1.5, "sigmoid": 3.0}
EXACT = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "tanh": mpmath.tanh,
    "log": mpmath.log,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


def vectorised(name):
    function = getattr(_math, name)

    @njit(**OPTIONS)
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


LOOPS = {name: vectorised(name) for name in BOUNDS}


def arguments(dtype, rng):
    """Dense near 0, over the finite range of exp, and into both tails; subnormals; powers of two."""
    info = np.finfo(dtype)
    top, bottom = np.log(info.max) * 1.0001, np.log(info.smallest_subnormal) * 1.01
    powers = 2.0 ** np.arange(info.minexp - info.nmant, 12)
    parts = [rng.uniform(bottom, top, 1500), rng.uniform(-1.5, 1.5, 1500), powers, -powers, rng.uniform(-20, 20, 500)]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_error_in_units_of_the_last_place(rng, name, dtype):
    x = arguments(dtype, rng)
    if name == "log":
        x = np.abs(x[np.abs(x) >= np.finfo(dtype).smallest_normal])
        x = np.concatenate(
            [x, 1 + np.finfo(dtype).eps * np.arange(-8, 9, dtype=dtype), 1 + rng.uniform(-1e-3, 1e-3, 500).astype(dtype)]
        )
    y = np.full_like(x, np.nan)
    LOOPS[name](x, y)
    info = np.finfo(dtype)
    with mpmath.workdps(40):
        for argument, value in zip(x, y, strict=True):
            exact = EXACT[name](mpmath.mpf(float(argument)))
            if abs(exact) > float(info.max):
                assert value == np.inf, argument
                continue
            spacing = max(float(np.spacing(dtype(abs(float(exact))))), float(info.smallest_subnormal))
            assert abs(mpmath.mpf(float(value)) - exact) / spacing <= BOUNDS[name], (argument, value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "values"),
    [("exp", [np.inf, 0, 1]), ("expm1", [np.inf, -1, 0]), ("tanh", [1, -1, 0]), ("sigmoid", [1, 0, 0.5])],
)
def test_limits_and_nan(name, values, dtype):
    x = np.array([np.inf, -np.inf, 0.0, np.nan], dtype)
    y = np.empty_like(x)
    LOOPS[name](x, y)
    np.testing.assert_array_equal(y, np.array([*values, np.nan], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_decay_is_exp_below_zero(rng, dtype):
    x = -np.abs(arguments(dtype, rng))
    x = np.concatenate([x, np.array([-np.inf, 0.0, np.nan], dtype)])
    expected, y = np.empty_like(x), np.empty_like(x)
    LOOPS["exp"](x, expected)
    vectorised("decay")(x, y)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_loops_vectorise_with_fused_multiply_add(name):
    LOOPS[name](np.zeros(3, np.float32), np.zeros(3, np.float32))
    code = LOOPS[name].inspect_asm(LOOPS[name].signatures[0])
    if "xmm" not in code:
        pytest.skip("not an x86-64 machine")
    import llvmlite.binding

    if not llvmlite.binding.get_host_cpu_features().get("fma"):
        pytest.skip("no fused multiply-add on this machine")
    assert "vfmadd" in code
    assert "ymm" in code or "zmm" in code


@njit(**OPTIONS)
def log1p_loop(x, y):
    for i in range(x.size):
        y[i] = _log1p.log1p(x[i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_is_within_two_units_of_the_last_place(rng, dtype):
    info = np.finfo(dtype)
    powers = 2.0 ** np.arange(info.minexp - info.nmant, info.maxexp)
    near = [
        1.0 - powers[powers <= 0.5],
        np.sqrt(2.0) - 1.0 + rng.normal(0.0, 1e-6, 50),
        np.sqrt(0.5) - 1.0 + rng.normal(0.0, 1e-6, 50),
    ]
    parts = [
        rng.uniform(-1.0, 1.0, 1500),
        rng.uniform(-1, 50, 500),
        powers,
        -powers[powers < 1.0],
        np.exp(rng.uniform(-40, 40, 500)),
        *near,
    ]
    x = np.concatenate(parts).astype(dtype)
    x = x[x > -1.0]
    y = np.full_like(x, np.nan)
    log1p_loop(x, y)
    with mpmath.workdps(60):
        for argument, value in zip(x, y, strict=True):
            exact = mpmath.log1p(mpmath.mpf(float(argument)))
            spacing = max(float(np.spacing(dtype(abs(float(exact))))), float(info.smallest_subnormal))
            assert abs(mpmath.mpf(float(value)) - exact) / spacing <= 2.0, (argument, value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_at_its_ends(dtype):
    x = np.array([np.inf, -1.0, 0.0, np.nan, -1.5, -np.inf], dtype)
    y = np.empty_like(x)
    log1p_loop(x, y)
    np.testing.assert_array_equal(y, np.array([np.inf, -np.inf, 0.0, np.nan, np.nan, np.nan], dtype))
    code = log1p_loop.inspect_asm(log1p_loop.signatures[0])
    assert "xmm" not in code or "ymm" in code or "zmm" in code
