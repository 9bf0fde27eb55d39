import numba
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DTYPES, Out, every_way, unwritten

from fastnn import kernels
from fastnn_kernels.cpu.random import philox


def bits(size, seed=0, step=0, stream=0):
    return every_way(kernels.random_bits, np.uint64(seed), step, stream, Out(np.zeros(size, np.uint32)))[0]


@numba.njit
def philox_from_python(seed, block, step, stream):
    return philox(seed, block, step, stream)


# Random123's kat_vectors for philox4x32 with 10 rounds: counter, key, answer
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, answer):
    words = philox_from_python(np.uint64(key[1] << 32 | key[0]), np.uint64(counter[1] << 32 | counter[0]), counter[2], counter[3])
    assert tuple(int(word) for word in words) == answer
    assert tuple(reference.philox4x32(counter, key)) == answer


@pytest.mark.parametrize("size", [1, 3, 4, 31, 32, 33, 127, 8191, 8192, 20011])
def test_bits_are_philox_of_the_position(size):
    seed = 0x0123456789ABCDEF
    np.testing.assert_array_equal(bits(size, seed, 77, 2**32 - 1), reference.random_words(size, seed, 77, 2**32 - 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_every_seed_step_and_stream(size, seed, step, stream):
    out = np.zeros(size, np.uint32)
    kernels.random_bits(np.uint64(seed), step, stream, out)
    np.testing.assert_array_equal(out, reference.random_words(size, seed, step, stream))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 33, 8193, 20011])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.999])
def test_dropout_scales_what_it_keeps(rng, size, p, dtype):
    x = rng.standard_normal(size).astype(dtype)
    (y,) = every_way(kernels.dropout_forward, x, p, np.uint64(5), 7, 9, unwritten(size, dtype))
    expected = reference.dropout(x.astype(float), p, 5, 7, 9)
    np.testing.assert_array_equal(y == 0.0, expected == 0.0)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)


def mask(size, p, seed=0, step=0, stream=0):
    y = np.empty(size, np.float32)
    kernels.dropout_forward(np.ones(size, np.float32), p, np.uint64(seed), step, stream, y)
    return y != 0.0


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_the_share_of_dropped_elements_is_p(p):
    n = 1_000_000
    deviation = np.sqrt(p * (1 - p) / n)
    for seed in range(5):
        assert abs(np.mean(~mask(n, p, seed)) - p) < 4.5 * deviation


def test_runs_of_dropped_elements_are_as_long_as_chance_makes_them():
    n = 1_000_000
    kept = mask(n, 0.5, 3)
    changes = np.count_nonzero(kept[1:] != kept[:-1])
    assert abs(changes - n / 2) < 4.5 * np.sqrt(n / 4)


def correlation(a, b):
    return np.corrcoef(a.astype(float), b.astype(float))[0, 1]


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 32, 512, 8192])
def test_elements_are_not_correlated_with_their_neighbours(lag):
    kept = mask(1_000_000, 0.3, 11)
    assert abs(correlation(kept[lag:], kept[:-lag])) < 4.5e-3


def test_masks_differ_from_step_to_step_seed_to_seed_and_stream_to_stream():
    base = mask(1_000_000, 0.3)
    for other in (mask(1_000_000, 0.3, step=1), mask(1_000_000, 0.3, seed=1), mask(1_000_000, 0.3, stream=1)):
        assert abs(correlation(base, other)) < 4.5e-3


def test_masks_repeat_for_the_same_seed_step_and_stream():
    np.testing.assert_array_equal(mask(10_007, 0.3, 1, 2, 3), mask(10_007, 0.3, 1, 2, 3))


def test_words_are_uniform_in_every_byte():
    counts = np.bincount(bits(1_000_000, 9).view(np.uint8).ravel(), minlength=256)
    expected = counts.sum() / 256
    chi_square = np.sum((counts - expected) ** 2) / expected
    assert chi_square < 255 + 4.5 * np.sqrt(2 * 255)


def test_dropout_may_run_in_place(rng):
    x = rng.standard_normal(1003)
    y = np.empty_like(x)
    kernels.dropout_forward(x, 0.4, np.uint64(1), 2, 3, y)
    kernels.dropout_forward(x, 0.4, np.uint64(1), 2, 3, x)
    np.testing.assert_array_equal(x, y)


def test_p_next_to_one_drops_nearly_everything():
    assert np.count_nonzero(mask(100_000, 1.0 - 1e-12)) == 0
