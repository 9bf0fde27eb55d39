"""Initial weights: bounds and moments of SCOPE's table, seeds, dtypes, errors."""

import math

import numpy as np
import pytest

from fastnn import init
from fastnn.random import INIT, Stream

N_IN, N_OUT = 400, 300
SHAPE = (N_IN, N_OUT)

NORMAL = [
    ("normal", {}, 0.01),
    ("normal", {"std": 0.5}, 0.5),
    ("xavier_normal", {}, math.sqrt(2 / (N_IN + N_OUT))),
    ("xavier_normal", {"mode": "fan_in"}, math.sqrt(1 / N_IN)),
    ("xavier_normal", {"gain": 5 / 3}, 5 / 3 * math.sqrt(2 / (N_IN + N_OUT))),
    ("glorot_normal", {}, math.sqrt(2 / (N_IN + N_OUT))),
    ("he_normal", {}, math.sqrt(2 / N_IN)),
    ("he_normal", {"mode": "fan_out"}, math.sqrt(2 / N_OUT)),
    ("he_normal", {"gain": math.sqrt(2 / (1 + 0.2**2))}, math.sqrt(2 / 1.04 / N_IN)),
    ("kaiming_normal", {}, math.sqrt(2 / N_IN)),
    ("lecun_normal", {}, math.sqrt(1 / N_IN)),
]
UNIFORM = [
    ("uniform", {}, 0.1),
    ("uniform", {"low": -2.0, "high": 2.0}, 2.0),
    ("xavier_uniform", {}, math.sqrt(6 / (N_IN + N_OUT))),
    ("xavier_uniform", {"mode": "fan_in"}, math.sqrt(3 / N_IN)),
    ("xavier_uniform", {"gain": 2.0}, 2.0 * math.sqrt(6 / (N_IN + N_OUT))),
    ("glorot_uniform", {}, math.sqrt(6 / (N_IN + N_OUT))),
    ("he_uniform", {}, math.sqrt(6 / N_IN)),
    ("he_uniform", {"mode": "fan_out"}, math.sqrt(6 / N_OUT)),
    ("he_uniform", {"gain": 1.0}, math.sqrt(3 / N_IN)),
    ("kaiming_uniform", {}, math.sqrt(6 / N_IN)),
    ("lecun_uniform", {}, math.sqrt(3 / N_IN)),
    ("fan_in_uniform", {}, math.sqrt(1 / N_IN)),
    ("fan_in_uniform", {"scale": 2.0}, math.sqrt(2 / N_IN)),
    ("fan_in_uniform", {"fan_in": 25}, math.sqrt(1 / 25)),
]
RANDOM = sorted({name for name, _, _ in NORMAL + UNIFORM} | {"orthogonal", "truncated_normal"})
CONSTANT = ["zeros", "ones", "constant"]


def call(name, *args, **kwargs):
    return getattr(init, name)(*args, **kwargs)


def names(cases):
    return [f"{name}-{','.join(f'{k}={v}' for k, v in kwargs.items())}" for name, kwargs, _ in cases]


@pytest.mark.parametrize(("name", "kwargs", "std"), NORMAL, ids=names(NORMAL))
@pytest.mark.parametrize("seed", [0, "generator"])
def test_normal_weights_have_the_standard_deviation_of_the_table(name, kwargs, std, seed):
    z = call(name, SHAPE, np.random.default_rng(0) if seed else 0, np.float64, **kwargs) / std
    root = math.sqrt(z.size)
    assert z.mean() == pytest.approx(0.0, abs=4 / root)
    assert z.std() == pytest.approx(1.0, abs=4 / math.sqrt(2) / root)
    assert (z**4).mean() == pytest.approx(3.0, abs=4 * math.sqrt(96) / root)


@pytest.mark.parametrize(("name", "kwargs", "bound"), UNIFORM, ids=names(UNIFORM))
@pytest.mark.parametrize("seed", [0, "generator"])
def test_uniform_weights_fill_the_interval_of_the_table(name, kwargs, bound, seed):
    u = call(name, SHAPE, np.random.default_rng(0) if seed else 0, np.float64, **kwargs) / bound
    root = math.sqrt(u.size)
    assert np.abs(u).max() <= 1.0
    assert u.max() > 0.9998
    assert u.min() < -0.9998
    assert u.mean() == pytest.approx(0.0, abs=4 / math.sqrt(3) / root)
    assert u.var() == pytest.approx(1 / 3, abs=4 * math.sqrt(4 / 45) / root)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("ones", 1.0), ("constant", 0.01)])
def test_constants(name, value):
    assert (call(name, (3, 2), dtype=np.float64) == value).all()
    assert (init.constant((3, 2), value=-4.0) == -4.0).all()


def test_normal_and_uniform_take_their_own_centre():
    assert init.normal(SHAPE, 0, mean=3.0, std=0.1).mean() == pytest.approx(3.0, abs=0.01)
    u = init.uniform(SHAPE, 0, low=2.0, high=3.0)
    assert u.min() >= 2.0
    assert u.max() <= 3.0


# truncated normal


@pytest.mark.parametrize("cut", [0.5, 2.0, 3.0])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.01), (5.0, 2.0)])
def test_truncated_normal_stays_within_the_cut(mean, std, cut):
    z = (init.truncated_normal(SHAPE, 0, np.float64, mean=mean, std=std, cut=cut) - mean) / std
    assert 0.999 * cut < np.abs(z).max() <= cut * (1 + 1e-12)
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * cut * density / math.erf(cut / math.sqrt(2))
    assert z.mean() == pytest.approx(0.0, abs=0.015)
    assert z.var() == pytest.approx(variance, rel=0.02)


def test_truncated_normal_cuts_at_two_deviations_of_a_hundredth_by_default():
    w = init.truncated_normal(SHAPE, 0)
    assert 0.0199 < np.abs(w).max() <= np.float32(0.02)


@pytest.mark.parametrize(
    ("one", "other"), [(2**63 + 1, 2**63 + 2), (2**64 - 1, 0), (2**64 - 1, 2**64 - 2), (2**53, 2**53 + 1)], ids=str
)
@pytest.mark.parametrize("name", ["truncated_normal", "normal", "orthogonal"])
def test_large_seeds_are_told_apart(name, one, other):
    assert not np.array_equal(call(name, (4, 3), one), call(name, (4, 3), other))


# orthogonal


@pytest.mark.parametrize("shape", [(7, 7), (31, 5), (5, 31), (1, 4), (4, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal_weights_are_orthonormal_along_the_shorter_side(shape, gain):
    w = init.orthogonal(shape, 0, np.float64, gain=gain)
    product = w.T @ w if shape[0] >= shape[1] else w @ w.T
    assert w.shape == shape
    assert w.flags.c_contiguous
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_weights_have_the_signs_of_r_corrected():
    drawn = Stream(3, INIT).normal((31, 5))
    r = init.orthogonal((31, 5), 3, np.float64).T @ drawn
    np.testing.assert_allclose(r, np.triu(r), atol=1e-12)
    assert (np.diag(r) > 0.0).all()


# seeds, dtypes, shapes


@pytest.mark.parametrize("name", RANDOM)
def test_an_integer_seed_gives_the_same_weights_each_time(name):
    first = call(name, (7, 5), 3)
    assert np.array_equal(first, call(name, (7, 5), 3))
    assert not np.array_equal(first, call(name, (7, 5), 4))


@pytest.mark.parametrize("name", RANDOM)
def test_a_generator_is_drawn_from(name):
    first, same = np.random.default_rng(3), np.random.default_rng(3)
    drawn = call(name, (7, 5), first)
    assert np.array_equal(drawn, call(name, (7, 5), same))
    assert not np.array_equal(drawn, call(name, (7, 5), first)), "it moves on"
    assert np.random.default_rng(3).bit_generator.state != first.bit_generator.state


@pytest.mark.parametrize("name", RANDOM)
def test_a_stream_is_followed_with_its_step(name):
    drawn = [call(name, (7, 5), Stream(3, INIT, index, step)) for index, step in ((0, 0), (0, 0), (1, 0), (0, 1))]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[3])


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_seed_the_weights_differ_each_time(name):
    assert not np.array_equal(call(name, (7, 5)), call(name, (7, 5)))


@pytest.mark.parametrize("name", RANDOM + CONSTANT)
def test_weights_are_float32_unless_asked_otherwise(name):
    assert call(name, (7, 5), 0).dtype == np.float32
    double = call(name, (7, 5), 0, "float64")
    assert double.dtype == np.float64
    np.testing.assert_allclose(call(name, (7, 5), 0), double, rtol=1e-6)


@pytest.mark.parametrize("name", ["zeros", "ones", "constant", "normal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("shape", [(6,), 6, np.int64(6), (2, 3, 4)], ids=repr)
def test_those_that_need_no_fan_take_any_shape(name, shape):
    expected = shape if isinstance(shape, tuple) else (6,)
    assert call(name, shape, 0).shape == expected


def test_a_bias_gets_the_fan_in_of_its_weights():
    b = init.fan_in_uniform((5000,), 0, fan_in=16)
    assert 0.249 < np.abs(b).max() <= 0.25


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("glorot_normal", "xavier_normal"),
        ("glorot_uniform", "xavier_uniform"),
        ("kaiming_normal", "he_normal"),
        ("kaiming_uniform", "he_uniform"),
    ],
)
def test_aliases(alias, name):
    assert getattr(init, alias) is getattr(init, name)
    assert init.by_name(alias) is init.by_name(name)


@pytest.mark.parametrize("name", RANDOM + CONSTANT)
def test_every_initialiser_is_found_by_name(name):
    assert init.by_name(name) is getattr(init, name)


@pytest.mark.parametrize("name", ["", "he", "by_name", "math", "_normal"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"^name: expected one of .*'he_normal'"):
        init.by_name(name)


def test_a_zero_gain_or_scale_gives_zeros():
    for weights in (
        init.he_normal((3, 2), 0, gain=0.0),
        init.xavier_uniform((3, 2), 0, gain=0.0),
        init.fan_in_uniform((3, 2), 0, scale=0.0),
    ):
        assert not weights.any()


ERRORS = {
    "no fan in one dimension": (lambda: init.he_normal((3,), 0), ValueError, "shape"),
    "no fan in three": (lambda: init.xavier_uniform((3, 4, 5), 0), ValueError, "shape"),
    "no fan for a bias": (lambda: init.fan_in_uniform((3,), 0), ValueError, "shape"),
    "orthogonal in one dimension": (lambda: init.orthogonal((3,), 0), ValueError, "shape"),
    "an empty shape": (lambda: init.normal((3, 0), 0), ValueError, "shape"),
    "a negative size": (lambda: init.zeros((-1, 2)), ValueError, "shape"),
    "a size that is no integer": (lambda: init.zeros((2.0, 2)), TypeError, "shape"),
    "a shape that is no integer": (lambda: init.zeros(2.5), TypeError, "shape"),
    "half precision": (lambda: init.normal((3, 2), 0, np.float16), TypeError, "dtype"),
    "integers": (lambda: init.zeros((3, 2), dtype=int), TypeError, "dtype"),
    "no dtype": (lambda: init.orthogonal((3, 2), 0, "real"), TypeError, "dtype"),
    "a negative seed": (lambda: init.normal((3, 2), -1), ValueError, "seed"),
    "a seed of words": (lambda: init.uniform((3, 2), "seed"), TypeError, "seed"),
    "an old generator": (lambda: init.truncated_normal((3, 2), np.random.RandomState(0)), TypeError, "seed"),
    "a negative deviation": (lambda: init.normal((3, 2), 0, std=-1.0), ValueError, "std"),
    "a NaN deviation": (lambda: init.truncated_normal((3, 2), 0, std=math.nan), ValueError, "std"),
    "a cut of zero": (lambda: init.truncated_normal((3, 2), 0, cut=0.0), ValueError, "cut"),
    "an infinite mean": (lambda: init.normal((3, 2), 0, mean=math.inf), ValueError, "mean"),
    "an empty interval": (lambda: init.uniform((3, 2), 0, low=1.0, high=-1.0), ValueError, "low"),
    "an unknown mode of Xavier's": (lambda: init.xavier_normal((3, 2), 0, mode="fan_out"), ValueError, "mode"),
    "an unknown mode of He's": (lambda: init.he_uniform((3, 2), 0, mode="fan_avg"), ValueError, "mode"),
    "a negative gain of a normal": (lambda: init.xavier_normal((3, 2), 0, gain=-1.0), ValueError, "gain"),
    "a negative gain of a uniform": (lambda: init.he_uniform((3, 2), 0, gain=-1.0), ValueError, "gain"),
    "a gain of words": (lambda: init.he_normal((3, 2), 0, gain="relu"), TypeError, "gain"),
    "a NaN gain": (lambda: init.orthogonal((3, 2), 0, gain=math.nan), ValueError, "gain"),
    "a negative scale": (lambda: init.fan_in_uniform((3, 2), 0, scale=-1.0), ValueError, "scale"),
    "a fan-in of zero": (lambda: init.fan_in_uniform((3, 2), 0, fan_in=0), ValueError, "fan_in"),
    "a NaN constant": (lambda: init.constant((3, 2), value=math.nan), ValueError, "value"),
}


@pytest.mark.parametrize(("call", "error", "argument"), ERRORS.values(), ids=ERRORS.keys())
def test_bad_arguments_are_refused_by_name(call, error, argument):
    with pytest.raises(error, match=rf"^{argument}\b"):
        call()
