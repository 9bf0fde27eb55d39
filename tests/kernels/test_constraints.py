import numpy as np
import pytest
import reference
from support import DTYPES, Out, every_way, unwritten

from fastnn import kernels

SIZES = [1, 3, 8191, 20011]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_clip_values(rng, size, dtype):
    x = rng.standard_normal(size).astype(dtype)
    x[: size // 5] = np.inf
    x[size // 2] = np.nan
    (out,) = every_way(kernels.clip_values, 0.5, Out(x))
    np.testing.assert_array_equal(out, np.clip(x, dtype(-0.5), dtype(0.5)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_soft_threshold(rng, threshold, size, dtype):
    w = rng.standard_normal(size).astype(dtype)
    w[size // 2] = np.nan
    w[: size // 5] = dtype(threshold)
    (out,) = every_way(kernels.soft_threshold, threshold, Out(w))
    np.testing.assert_allclose(out, reference.soft_threshold(w.astype(float), float(dtype(threshold))), rtol=1e-6)
    assert threshold == 0.0 or (out == 0.0).any() or size < 5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 64), (50, 65), (311, 131)])
def test_limit_column_norms(rng, shape, dtype):
    w = rng.standard_normal(shape).astype(dtype)
    w[:, 0] = 0.0
    largest = float(np.median(np.sqrt((w.astype(float) ** 2).sum(axis=0))) or 1.0)
    _, out = every_way(kernels.limit_column_norms, largest, unwritten(shape[1], np.float64), Out(w))
    np.testing.assert_allclose(
        out, reference.limit_column_norms(w.astype(float), largest), rtol=2 * np.finfo(dtype).eps + 1e-15 * shape[0]
    )
    assert (np.sqrt((out.astype(float) ** 2).sum(axis=0)) <= largest * (1 + 1e-6)).all()
