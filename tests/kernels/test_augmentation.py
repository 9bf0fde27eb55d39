"""Each kernel of data augmentation against the oracle, which gets the same random numbers; and what they are distributed like."""

import math

import numpy as np
import pytest
import reference
from support import DTYPES, Out, assert_close, every_way, unwritten

from fastnn.functional import augmentation as F
from fastnn.random import AUGMENTATION, Stream
from fastnn_kernels.cpu.augmentation import affine, blur, colour, draws, erase, mixing, noise, shift

SHAPES = [(1, 1, 1, 1), (3, 1, 5, 7), (7, 3, 11, 4), (5, 2, 1, 13), (3, 1, 13, 1), (67, 3, 13, 17)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])


def images(rng, shape, dtype, columns):
    """Images, and a table of draws with the ends of [0, 1) in it."""
    table = rng.random((shape[0], columns))
    table[0] = 0.0
    table[-1] = np.nextafter(1.0, 0.0)
    return rng.standard_normal(shape).astype(dtype), table


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096, 4099, 9001])
def test_uniforms_are_those_of_the_stream(size):
    seed, stream = 0x0123456789ABCDEF, (AUGMENTATION << 24) + 7
    (out,) = every_way(draws.uniforms, np.uint64(seed), 11, stream, unwritten(size, np.float64))
    np.testing.assert_array_equal(out, reference.uniforms(size, seed, 11, stream))
    np.testing.assert_array_equal(out, Stream(seed, AUGMENTATION, 7, 11).uniform((size,)))


@pytest.mark.parametrize("alpha", [1e-9, 0.05, 0.2, 0.5, 1.0, 3.0, 1e6])
@pytest.mark.parametrize("by_row", [False, True])
def test_mixing_draws(rng, alpha, by_row):
    table = rng.random((101, 5)) * 0.999 + 5e-4
    shares, partners = np.full(101, np.nan), np.full(101, -1)
    draws.mixing_draws(table, alpha, by_row, shares, partners)
    np.testing.assert_array_equal(partners, reference.mixing_partners(table[:, 2]))
    if alpha > 0.01:  # the oracle's T is infinite below
        expected = [reference.symmetric_beta(*table[i if by_row else 0, :2], alpha) for i in range(101)]
        np.testing.assert_allclose(shares, expected, rtol=0.0, atol=1e-14)
    assert np.all((shares >= 0.0) & (shares <= 1.0))
    assert by_row or len(set(shares)) == 1


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 7.5, 400.0])
def test_shares_are_beta_distributed(alpha):
    stats = pytest.importorskip("scipy.stats")
    n = 20_000
    table = reference_table(n, 3)
    shares, partners = np.empty(n), np.empty(n, np.int64)
    draws.mixing_draws(table, alpha, True, shares, partners)
    inner = shares[(shares > 1e-15) & (shares < 1.0 - 1e-15)]  # a float rounds the rest to 0 and 1
    beta = stats.beta(alpha, alpha)
    low, high = beta.cdf(1e-15), beta.cdf(1.0 - 1e-15)
    assert stats.kstest((beta.cdf(inner) - low) / (high - low), "uniform").pvalue > 1e-4
    assert abs(shares.mean() - 0.5) < 4.5 * beta.std() / math.sqrt(n)
    assert shares.var() == pytest.approx(beta.var(), rel=0.05)


def reference_table(rows, columns, seed=5):
    return Stream(seed, AUGMENTATION).uniform((rows, columns))


@pytest.mark.parametrize("u", [0.0, 0.3, np.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("v", [0.0, 0.25, 0.5, 0.75, np.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 1.0, 1e300])
def test_shares_are_numbers_at_every_corner(u, v, alpha):
    shares, partners = np.full(1, np.nan), np.zeros(1, np.int64)
    draws.mixing_draws(np.array([[u, v, 0.5]]), alpha, False, shares, partners)
    assert 0.0 <= shares[0] <= 1.0


@each_dtype
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (131, 211)])
def test_mixup(rng, shape, dtype):
    x, shares, partners = rng.standard_normal(shape).astype(dtype), rng.random(shape[0]), rng.permutation(shape[0])
    (y,) = every_way(mixing.mixup_rows, x, partners, shares, unwritten(shape, dtype))
    assert_close(y, reference.mixup(x.astype(float), partners, shares), scale=np.abs(x).max())


@each_dtype
@each_shape
@pytest.mark.parametrize("by_row", [False, True])
def test_cutmix(rng, shape, dtype, by_row):
    x, table = images(rng, shape, dtype, 5)
    shares, partners = rng.random(shape[0]), rng.permutation(shape[0])
    kept, y = every_way(mixing.cutmix_images, x, table, by_row, partners, Out(shares), unwritten(shape, dtype))
    expected, expected_shares = reference.cutmix(x, table, by_row, partners, shares)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(kept, expected_shares, rtol=1e-15, atol=1e-15)


@each_dtype
def test_one_hot(rng, dtype):
    labels = rng.integers(0, 7, 1301)
    labels[3:5] = -100, 7
    (out,) = every_way(mixing.one_hot, labels, unwritten((1301, 7), dtype))
    np.testing.assert_array_equal(out, labels[:, None] == np.arange(7))


@each_dtype
@each_shape
@pytest.mark.parametrize("vertical", [False, True])
def test_flip(rng, shape, dtype, vertical):
    x, table = images(rng, shape, dtype, 1)
    for p in (0.0, 0.5, 1.0):
        (y,) = every_way(shift.flip_images, x, table, p, vertical, unwritten(shape, dtype))
        np.testing.assert_array_equal(y, reference.flip(x, table, p, vertical))


@each_dtype
@each_shape
@pytest.mark.parametrize("padding", [0, 1, 4, 30])
def test_crop(rng, shape, dtype, padding):
    x, table = images(rng, shape, dtype, 2)
    (y,) = every_way(shift.crop_images, x, table, padding, unwritten(shape, dtype))
    np.testing.assert_array_equal(y, reference.crop(x, table, padding))


@each_dtype
@each_shape
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (40, 3)])
def test_cutout(rng, shape, dtype, size):
    x, table = images(rng, shape, dtype, 3)
    (y,) = every_way(erase.cutout_images, x, table, 0.7, *size, unwritten(shape, dtype))
    np.testing.assert_array_equal(y, reference.cutout(x, table, 0.7, *size))


@each_dtype
@each_shape
@pytest.mark.parametrize("settings", [(0.02, 0.33, 0.3, 3.3), (0.5, 1.0, 0.1, 10.0), (0.0, 0.0, 1.0, 1.0)])
def test_erase(rng, shape, dtype, settings):
    x, table = images(rng, shape, dtype, 5)
    (y,) = every_way(erase.erase_images, x, table, 0.7, *settings, unwritten(shape, dtype))
    np.testing.assert_array_equal(y, reference.erase(x, table, 0.7, settings[:2], settings[2:]))


@each_dtype
@each_shape
@pytest.mark.parametrize("settings", [
    (-30.0, 30.0, 0.2, 0.1, 0.7, 1.4), (170.0, 190.0, 0.0, 0.0, 0.1, 5.0), (0.0, 0.0, 1.0, 1.0, 1.0, 1.0),
])  # fmt: skip
def test_affine(rng, shape, dtype, settings):
    x, table = images(rng, shape, dtype, 4)
    (y,) = every_way(affine.affine_images, x, table, *settings, unwritten(shape, dtype))
    expected = reference.affine(x.astype(float), table, settings[:2], settings[2:4], settings[4:])
    positions = max(shape[2:]) / settings[4] if dtype == np.float64 else 1.0  # float64, and rounded at their size
    assert_close(y, expected, terms=4, scale=np.abs(x).max() * max(positions, 1.0))


@each_dtype
def test_nothing_to_move_changes_nothing(rng, dtype):
    x, table = images(rng, (5, 2, 7, 9), dtype, 4)
    (y,) = every_way(affine.affine_images, x, table, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, unwritten(x.shape, dtype))
    np.testing.assert_array_equal(y, x)


def test_a_quarter_turn_is_clockwise(rng):
    x, table = images(rng, (3, 1, 8, 8), np.float64, 4)
    y = np.empty_like(x)
    affine.affine_images(x, table, 90.0, 90.0, 0.0, 0.0, 1.0, 1.0, y)
    np.testing.assert_allclose(y, np.rot90(x, -1, (2, 3)), atol=1e-14)


COLOURS = {"brightness": (1, 2, 3), "contrast": (1, 3), "saturation": (3,)}


@each_dtype
@each_shape
@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (-0.5, 1.0)])
def test_colour(rng, shape, dtype, name, limits):
    if shape[1] not in COLOURS[name]:
        shape = (shape[0], COLOURS[name][-1], *shape[2:])
    x, table = images(rng, shape, dtype, 1)
    planes = x.reshape(*shape[:2], -1)
    kernel = getattr(colour, f"{name}_images")
    (y,) = every_way(kernel, planes, table, 0.3, 1.9, *limits, unwritten(planes.shape, dtype))
    expected = getattr(reference, name)(x.astype(float), table, (0.3, 1.9), limits)
    assert_close(y.reshape(shape), expected, terms=4, scale=np.abs(x).max() * 2.0)
    in_place = planes.copy()
    kernel(in_place, table, 0.3, 1.9, *limits, in_place)
    np.testing.assert_array_equal(in_place, y)


@each_dtype
@pytest.mark.parametrize("size", [1, 2, 3, 31, 8191, 8192, 8193, 40013])
def test_noise(rng, size, dtype):
    x, words = rng.standard_normal(size).astype(dtype), rng.integers(0, 2**32, size + size % 2, dtype=np.uint32)
    words[:2] = 0, 0
    words[-2:] = 2**32 - 1
    (y,) = every_way(noise.gaussian_noise, x, words, 0.7, unwritten(size, dtype))
    assert_close(y, x.astype(float) + 0.7 * reference.normals(words)[:size], scale=8.0)
    noise.gaussian_noise(x, words, 0.7, x)
    np.testing.assert_array_equal(x, y)


def test_noise_is_accurate_to_rounding_and_normal():
    stats = pytest.importorskip("scipy.stats")
    words = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    z = np.empty(words.size)
    noise.gaussian_noise(np.zeros(words.size), words, 1.0, z)
    np.testing.assert_allclose(z, reference.normals(words), rtol=0.0, atol=4e-15)
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z[0::2], z[1::2])[0, 1]) < 4.5 / math.sqrt(z.size / 2)


@each_dtype
@each_shape
@pytest.mark.parametrize(("sigmas", "radius"), [((0.3, 2.0), 2), ((1.0, 1.0), 0), ((3.0, 3.0), 9), ((0.01, 0.01), 1)])
def test_blur(rng, shape, dtype, sigmas, radius):
    x, table = images(rng, shape, dtype, 1)
    room = Out(np.full((shape[0], blur.blur_scratch(*shape[2:], radius)), np.nan, dtype))
    _, y = every_way(blur.blur_images, x, table, *sigmas, radius, room, unwritten(shape, dtype))
    assert_close(y, reference.blur(x.astype(float), table, sigmas, radius), terms=4 * radius + 2, scale=np.abs(x).max())


@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_images_are_flipped_and_shifts_are_uniform(seed):
    n = 20_000
    x = np.zeros((n, 1, 5, 5))
    x[:, 0, 2, 0] = 1.0
    flipped = F.flip_images(x, F.Key(seed, 0, 1), 0.3, False)[:, 0, 2, 4].sum()
    assert abs(flipped - 0.3 * n) < 4.5 * math.sqrt(0.21 * n)
    x = np.roll(x, 2, axis=3)
    counts = F.crop_images(x, F.Key(seed, 0, 1), 2).sum(axis=(0, 1))
    assert np.all(np.abs(counts - n / 25) < 4.5 * math.sqrt(n / 25))


def test_nan_stays_in_its_image(rng):
    x = rng.standard_normal((4, 3, 6, 6))
    x[2, 1, 3, 3] = np.nan
    key = F.Key(0, 0, 0)
    for y in (
        F.flip_images(x, key, 0.5, False), F.crop_images(x, key, 1), F.affine_images(x, key, -10.0, 10.0, 0.0, 0.0, 1.0, 1.0),
        F.blur_images(x, key, 1.0, 1.0, 3), F.contrast_images(x, key, 0.5, 1.5, 0.0, 1.0),
        F.saturation_images(x, key, 0.5, 1.5, 0.0, 1.0), F.brightness_images(x, key, 0.5, 1.5, 0.0, 1.0),
        F.gaussian_noise(x, key, 0.1),
    ):  # fmt: skip
        assert set(np.argwhere(np.isnan(y))[:, 0]) == {2}
