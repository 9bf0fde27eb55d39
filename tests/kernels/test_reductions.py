import math

import numpy as np
import pytest
import reference
from support import DTYPES, Out, every_way, unwritten

from fastnn import kernels

SIZES = [1, 3, 31, 32, 33, 16384, 16385, 100_003]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_squared_norm(rng, size, dtype):
    x = rng.standard_normal(size).astype(dtype)
    partials = unwritten((kernels.sum_chunks(size), kernels.LANES), np.float64)
    _, out = every_way(kernels.squared_norm, x, partials, unwritten(1, np.float64))
    assert out[0] == pytest.approx(math.fsum(x.astype(float) ** 2), rel=1e-14)


def test_squared_norm_of_large_float32_does_not_overflow():
    out = np.empty(1)
    kernels.squared_norm(np.full(5, 1e30, np.float32), np.empty((1, kernels.LANES)), out)
    assert out[0] == pytest.approx(5e60)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_penalty_adds_its_gradient_and_gives_both_sums(rng, size, dtype):
    w, g = rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)
    w[:: max(1, size // 3)] = 0.0
    partials = unwritten((kernels.sum_chunks(size), 2 * kernels.LANES), np.float64)
    _, after, sums = every_way(kernels.penalty_update, w, 0.3, 0.2, partials, Out(g), unwritten(2, np.float64))
    absolute, squares, gradient = reference.penalty(w.astype(float), 0.3, 0.2)
    np.testing.assert_allclose(sums, [absolute, squares], rtol=1e-13)
    np.testing.assert_allclose(after, g + gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", [np.bool_, np.uint8, np.int8, np.int64, np.uint16, np.float32, np.float64])
def test_gather_converts_and_scales_the_rows_asked_for(rng, source, dtype):
    rows = rng.integers(0, 2 if source is np.bool_ else 100, (53, 31)).astype(source)
    index = rng.integers(0, 53, 701)
    (out,) = every_way(kernels.gather_rows, rows, index, 1 / 3, unwritten((701, 31), dtype))
    np.testing.assert_allclose(out, rows[index].astype(float) / 3, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.0, "largest", "smallest"])
@pytest.mark.parametrize("size", SIZES)
def test_find_not_finite(rng, size, value, dtype):
    info = np.finfo(dtype)
    value = {"largest": -info.max, "smallest": info.smallest_subnormal}.get(value, value)
    x = rng.standard_normal(size).astype(dtype)
    place = int(rng.integers(size))
    x[place] = value
    chunks = kernels.finite_chunks(size)
    (found,) = every_way(kernels.find_not_finite, x, unwritten(chunks, np.float64))
    assert found.sum() == (0.0 if np.isfinite(value) else 1.0)
