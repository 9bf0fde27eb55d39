"""The normal distribution function and density: errors in units of the last place, against mpmath, over the whole range."""

import mpmath
import numpy as np
import pytest
from numba import njit
from support import DTYPES

from fastnn_kernels._jit import OPTIONS
from fastnn_kernels.cpu._erf import normal


@njit(**OPTIONS)
def loop(x, cdf, density):
    for i in range(x.size):
        cdf[i], density[i] = normal(x[i])


def both(x):
    cdf, density = np.full_like(x, np.nan), np.full_like(x, np.nan)
    loop(x, cdf, density)
    return cdf, density


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_in_units_of_the_last_place(rng, dtype):
    info = np.finfo(dtype)
    end = np.sqrt(-2.0 * np.log(info.smallest_subnormal))
    powers = 2.0 ** np.arange(info.minexp, 4)
    x = np.concatenate([rng.uniform(-end, end, 1500), rng.uniform(-2, 2, 1500), powers, -powers]).astype(dtype)
    cdf, density = both(x)
    with mpmath.workdps(50):
        for argument, *found in zip(x, cdf, density, strict=True):
            a = mpmath.mpf(float(argument))
            for value, exact, bound in zip(found, (mpmath.ncdf(a), mpmath.npdf(a)), (4.0, 3.0), strict=True):
                spacing = max(float(np.spacing(dtype(float(exact)))), float(info.smallest_subnormal))
                assert abs(mpmath.mpf(float(value)) - exact) / spacing <= bound, (argument, value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_and_nan(dtype):
    x = np.array([np.inf, -np.inf, 0.0, np.nan, 1e30, -1e30], dtype)
    cdf, density = both(x)
    np.testing.assert_allclose(cdf, np.array([1, 0, 0.5, np.nan, 1, 0]), rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(density, np.array([0, 0, 1 / np.sqrt(2 * np.pi), np.nan, 0, 0]), rtol=1e-6, atol=1e-40)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_loop_vectorises(dtype):
    both(np.zeros(3, dtype))
    code = loop.inspect_asm(loop.signatures[-1])
    assert "xmm" not in code or "ymm" in code or "zmm" in code
