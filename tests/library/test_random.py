"""Streams: reproducible, independent of one another, and of the right distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.random import DROPOUT, INIT, SHUFFLE, Stream, make_seed, stream_number

SIZE = 40_001
seeds = st.integers(0, 2**64 - 1)


def draws(stream, kind):
    return stream.permutation(101) if kind == "permutation" else getattr(stream, kind)((101,))


each_kind = pytest.mark.parametrize("draw", ["uniform", "normal", "permutation"])


@each_kind
def test_a_draw_depends_on_seed_kind_index_and_step_alone(draw):
    first = Stream(5, DROPOUT, 3, step=2)
    expected = draws(first, draw)
    first.normal((17,))
    Stream(5, DROPOUT, 4).uniform((3,))
    assert np.array_equal(draws(first, draw), expected), "no draw moves the next"
    assert np.array_equal(draws(Stream(5, DROPOUT, 3, step=2), draw), expected)


@each_kind
@pytest.mark.parametrize(
    "other",
    [(6, DROPOUT, 3, 2), (5 + 2**32, DROPOUT, 3, 2), (5, SHUFFLE, 3, 2), (5, INIT, 3, 2), (5, DROPOUT, 4, 2), (5, DROPOUT, 3, 1)],
    ids=["seed", "high word of the seed", "kind", "another kind", "index", "step"],
)
def test_a_change_of_any_of_them_changes_the_draw(draw, other):
    assert not np.array_equal(draws(Stream(5, DROPOUT, 3, 2), draw), draws(Stream(*other), draw))


def test_streams_are_uncorrelated():
    streams = [
        Stream(seed, kind, index, step) for seed in (0, 1) for kind in (INIT, DROPOUT) for index in (0, 1) for step in (0, 1)
    ]
    correlation = np.corrcoef([stream.normal((SIZE,)) for stream in streams])
    np.fill_diagonal(correlation, 0.0)
    assert np.abs(correlation).max() < 5.0 / np.sqrt(SIZE)


def test_uniform_draws_fill_the_unit_interval_evenly():
    u = np.sort(Stream(0, INIT).uniform((SIZE,)))
    assert u.dtype == np.float64
    assert u[0] >= 0.0
    assert u[-1] < 1.0
    distance = np.abs(u - (np.arange(SIZE) + 0.5) / SIZE).max()
    assert distance < 1.95 / np.sqrt(SIZE), "Kolmogorov and Smirnov, at 0.1 %"
    assert u.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * SIZE))
    assert u.var() == pytest.approx(1 / 12, rel=0.02)


def test_uniform_draws_use_all_53_bits():
    words = Stream(0, INIT).uniform((1000,)) * 2.0**53
    assert np.array_equal(words, np.floor(words))
    low = words.astype(np.uint64) & np.uint64(2**21 - 1)
    assert len(np.unique(low)) > 990


def test_normal_draws_have_the_moments_of_the_normal():
    z = Stream(0, INIT).normal((SIZE,))
    root = np.sqrt(SIZE)
    assert z.dtype == np.float64
    assert z.mean() == pytest.approx(0.0, abs=4 / root)
    assert z.var() == pytest.approx(1.0, abs=4 * np.sqrt(2) / root)
    assert (z**3).mean() == pytest.approx(0.0, abs=4 * np.sqrt(15) / root)
    assert (z**4).mean() == pytest.approx(3.0, abs=4 * np.sqrt(96) / root)
    assert (np.abs(z) > 1.959964).mean() == pytest.approx(0.05, abs=0.005)
    assert abs(np.corrcoef(z[: SIZE // 2], z[-(SIZE // 2) :])[0, 1]) < 0.04, "the two halves of Box and Muller"


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (2, 3), (5, 1, 7)])
def test_draws_have_the_shape_asked_for(shape):
    assert Stream(0, INIT).uniform(shape).shape == shape
    assert Stream(0, INIT).normal(shape).shape == shape


@settings(deadline=None, max_examples=50)
@given(n=st.integers(0, 300), seed=seeds, step=st.integers(0, 2**32 - 1))
def test_a_permutation_holds_each_number_once(n, seed, step):
    order = Stream(seed, SHUFFLE, step=step).permutation(n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))


def test_permutations_are_all_equally_likely():
    orders = [tuple(Stream(0, SHUFFLE, step=step).permutation(3).tolist()) for step in range(1200)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 6
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 20.5, "chi-squared with 5 degrees of freedom, at 0.1 %"


@settings(deadline=None, max_examples=50)
@given(seed=seeds)
def test_every_seed_of_64_bits_is_taken_as_it_is(seed):
    assert make_seed(seed) == seed
    u = Stream(seed, INIT).uniform((9,))
    assert not np.array_equal(u, Stream(seed ^ 1, INIT).uniform((9,)))
    assert not np.array_equal(u, Stream(seed ^ (1 << 63), INIT).uniform((9,)))


def test_without_a_seed_each_draw_is_another():
    assert make_seed(None) != make_seed(None)


def test_stream_numbers_of_kinds_and_indices_never_meet():
    numbers = {stream_number(kind, index) for kind in (INIT, SHUFFLE, DROPOUT) for index in (0, 1, 77, 2**24 - 1)}
    assert len(numbers) == 12
    assert all(0 <= number < 2**32 for number in numbers)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match=r"^seed"):
        Stream(seed, INIT)


@pytest.mark.parametrize("seed", [1.0, "1", True])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(TypeError, match=r"^seed"):
        Stream(seed, INIT)


@pytest.mark.parametrize("index", [-1, 2**24])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match=r"^index"):
        stream_number(INIT, index)
