"""Initial weights.

Every function takes a shape, (n_in, n_out) for weights, a seed or a NumPy Generator, and a dtype:

    weight = init.he_normal((784, 256), seed=0)
    layer = Linear(784, 256, weight_init="he_normal")            # by name, or
    layer = Linear(784, 256, weight_init=partial(init.normal, std=0.1))

Sources: Glorot and Bengio, AISTATS 2010 (Xavier); He et al., ICCV 2015 (He); LeCun et al., "Efficient BackProp", 1998
(LeCun); Saxe et al., ICLR 2014 (orthogonal).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ._check import Array, choice, float_dtype, integer, number
from .random import INIT, Stream, make_seed

__all__ = [
    "as_generator",
    "by_name",
    "constant",
    "fan_in_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = int | tuple[int, ...]
Seed = int | np.random.Generator | Stream | None
Initializer = Callable[[tuple[int, ...], Seed, DTypeLike], Array]


def zeros(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32) -> Array:
    """All zero: for biases. As weights all units of a layer stay copies of one another (the symmetry problem)."""
    return constant(shape, seed, dtype, value=0.0)


def ones(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32) -> Array:
    """All one; as weights, the symmetry problem again."""
    return constant(shape, seed, dtype, value=1.0)


def constant(
    shape: Shape,
    seed: Seed = None,  # noqa: ARG001 - all initialisers are called alike
    dtype: DTypeLike = np.float32,
    *,
    value: float = 0.01,
) -> Array:
    """All `value`: 0.01 is used for biases before ReLU; as weights, the symmetry problem again."""
    return np.full(_shape(shape), number("value", value), float_dtype("dtype", dtype))


def normal(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, mean: float = 0.0, std: float = 0.01) -> Array:
    """Normal with this mean and standard deviation; 0.01 is the textbook's 'small random numbers'."""
    draw = _normal(_shape(shape), seed)
    return (number("mean", mean) + number("std", std, low=0.0) * draw).astype(float_dtype("dtype", dtype))


def uniform(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, low: float = -0.1, high: float = 0.1) -> Array:
    """Uniform in [low, high)."""
    low, high = number("low", low), number("high", high)
    if low > high:
        raise ValueError(f"low: expected at most high, {high:g}, got {low:g}")
    return (low + (high - low) * _uniform(_shape(shape), seed)).astype(float_dtype("dtype", dtype))


def truncated_normal(
    shape: Shape,
    seed: Seed = None,
    dtype: DTypeLike = np.float32,
    *,
    mean: float = 0.0,
    std: float = 0.01,
    cut: float = 2.0,
) -> Array:
    """Normal draws, those further than cut · std from the mean drawn again. cut: at least 0.01."""
    shape, cut = _shape(shape), number("cut", cut, low=0.01)
    source = as_generator(seed)
    draw = source.standard_normal(shape)
    while (outside := np.abs(draw) > cut).any():
        draw[outside] = source.standard_normal(int(outside.sum()))
    return (number("mean", mean) + number("std", std, low=0.0) * draw).astype(float_dtype("dtype", dtype))


def xavier_normal(
    shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, gain: float = 1.0, mode: str = "fan_avg"
) -> Array:
    """Normal with std gain · √(2 / (n_in + n_out)); mode='fan_in': gain · √(1 / n_in)."""
    choice("mode", mode, ("fan_avg", "fan_in"))
    return _scaled_normal(shape, seed, dtype, _gain(gain) / math.sqrt(_fan(shape, mode)))


def xavier_uniform(
    shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, gain: float = 1.0, mode: str = "fan_avg"
) -> Array:
    """Uniform in ±gain · √(6 / (n_in + n_out)); mode='fan_in': ±gain · √(3 / n_in)."""
    choice("mode", mode, ("fan_avg", "fan_in"))
    return _scaled_uniform(shape, seed, dtype, _gain(gain) * math.sqrt(3.0 / _fan(shape, mode)))


def he_normal(
    shape: Shape,
    seed: Seed = None,
    dtype: DTypeLike = np.float32,
    *,
    mode: str = "fan_in",
    gain: float = math.sqrt(2.0),
) -> Array:
    """Normal with std gain / √n_in, gain √2 for ReLU and √(2 / (1 + slope²)) for leaky slopes; mode='fan_out': n_out."""
    choice("mode", mode, ("fan_in", "fan_out"))
    return _scaled_normal(shape, seed, dtype, _gain(gain) / math.sqrt(_fan(shape, mode)))


def he_uniform(
    shape: Shape,
    seed: Seed = None,
    dtype: DTypeLike = np.float32,
    *,
    mode: str = "fan_in",
    gain: float = math.sqrt(2.0),
) -> Array:
    """Uniform in ±gain · √(3 / n_in), which is ±√(6 / n_in) for ReLU; mode='fan_out': n_out."""
    choice("mode", mode, ("fan_in", "fan_out"))
    return _scaled_uniform(shape, seed, dtype, _gain(gain) * math.sqrt(3.0 / _fan(shape, mode)))


def lecun_normal(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32) -> Array:
    """Normal with std √(1 / n_in): for SELU."""
    return _scaled_normal(shape, seed, dtype, 1.0 / math.sqrt(_fan(shape, "fan_in")))


def lecun_uniform(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32) -> Array:
    """Uniform in ±√(3 / n_in)."""
    return _scaled_uniform(shape, seed, dtype, math.sqrt(3.0 / _fan(shape, "fan_in")))


def fan_in_uniform(
    shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, scale: float = 1.0, fan_in: int | None = None
) -> Array:
    """Uniform in ±√(scale / n_in): scale 1 is torch's Linear, and some courses' Xavier; 2 some courses' He.

    fan_in: n_in where the shape does not tell, as for a bias.
    """
    fan = _fan(shape, "fan_in") if fan_in is None else integer("fan_in", fan_in, low=1)
    return _scaled_uniform(shape, seed, dtype, math.sqrt(number("scale", scale, low=0.0) / fan))


def orthogonal(shape: Shape, seed: Seed = None, dtype: DTypeLike = np.float32, *, gain: float = 1.0) -> Array:
    """gain · Q with orthonormal columns, or rows where there are fewer of them: QR of a normal matrix, signs from R."""
    shape = _shape(shape)
    if len(shape) != 2:
        raise ValueError(f"shape: expected two dimensions, got {shape}")
    tall = _normal((max(shape), min(shape)), seed)
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(number("gain", gain) * (q if shape[0] >= shape[1] else q.T), float_dtype("dtype", dtype))


glorot_normal, glorot_uniform = xavier_normal, xavier_uniform
kaiming_normal, kaiming_uniform = he_normal, he_uniform


def by_name(name: str, argument: str = "name") -> Initializer:
    """The function of that name, with its defaults. Raises ValueError, which names the argument, for an unknown one."""
    names = tuple(n for n in __all__ if n not in ("as_generator", "by_name"))
    result: Initializer = globals()[choice(argument, name, names)]
    return result


def _shape(shape: Shape) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(integer("shape", n, low=1) for n in sizes)


def _fan(shape: Shape, mode: str) -> float:
    shape = _shape(shape)
    if len(shape) != 2:
        raise ValueError(f"shape: expected (n_in, n_out), got {shape}")
    return {"fan_in": shape[0], "fan_out": shape[1], "fan_avg": (shape[0] + shape[1]) / 2}[mode]


def _gain(gain: float) -> float:
    return number("gain", gain, low=0.0)


def _scaled_normal(shape: Shape, seed: Seed, dtype: DTypeLike, std: float) -> Array:
    return normal(shape, seed, dtype, std=std)


def _scaled_uniform(shape: Shape, seed: Seed, dtype: DTypeLike, bound: float) -> Array:
    return uniform(shape, seed, dtype, low=-bound, high=bound)


def _normal(shape: tuple[int, ...], seed: Seed) -> Array:
    if isinstance(seed, np.random.Generator):
        return seed.standard_normal(shape)
    return _stream(seed).normal(shape)


def _uniform(shape: tuple[int, ...], seed: Seed) -> Array:
    if isinstance(seed, np.random.Generator):
        return seed.random(shape)
    return _stream(seed).uniform(shape)


def _stream(seed: int | Stream | None) -> Stream:
    return seed if isinstance(seed, Stream) else Stream(make_seed(seed), INIT)


def as_generator(seed: Seed) -> np.random.Generator:
    """A NumPy Generator of the same seed: for draws whose number is not known beforehand, and for functions of others."""
    if isinstance(seed, np.random.Generator):
        return seed
    stream = _stream(seed)
    return np.random.Generator(np.random.Philox(key=np.array([stream.seed, stream.step << 32 | stream.number], np.uint64)))
