import numpy as np
import pytest
import reference
from support import DTYPES, Out, assert_close, every_way

from fastnn import functional as F
from fastnn import kernels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 3, 8191, 20_011, 100_003])
@pytest.mark.parametrize("weight", [0.0, 0.001, 0.5, 1.0])
def test_average_update(rng, weight, size, dtype):
    values, average = rng.standard_normal((2, size)).astype(dtype)
    (got,) = every_way(kernels.average_update, values, weight, Out(average))
    expected = reference.average(average.astype(float), values.astype(float), weight)
    assert_close(got, expected, scale=1.0 + np.abs(expected))
    if weight == 1.0:
        assert got.tobytes() == values.tobytes()
    F.average_update(average, values, weight)
    assert average.tobytes() == got.tobytes()


def test_nan_stays_where_it_is(rng):
    values, average = rng.standard_normal((2, 100))
    values[7] = np.nan
    (got,) = every_way(kernels.average_update, values, 0.25, Out(average))
    assert np.flatnonzero(np.isnan(got)).tolist() == [7]


def test_bad_arguments_are_refused_by_name():
    x = np.zeros(3)
    for arguments, name, error in (
        ((x, np.zeros(4), 0.5), "values", ValueError), ((x, x, 1.5), "weight", ValueError),
        (([1.0], x, 0.5), "average", TypeError)
    ):  # fmt: skip
        with pytest.raises(error, match=f"^{name}: expected"):
            F.average_update(*arguments)
