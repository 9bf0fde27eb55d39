"""exp, expm1, log, tanh and the logistic function, written so that loops over them vectorise.

Calls to the C library keep a loop scalar: 1.95 ns an element for exp, where this takes about 0.3 ns in float32. The method
is Cody and Waite's: x = n ln 2 + r with |r| <= ln(2)/2 and n an integer, then expm1(r) = r + r² q(r) with a minimax
polynomial q, and exp(x) = 2ⁿ (1 + expm1(r)). Adding 1.5·2²³ (1.5·2⁵² in float64) rounds to an integer and leaves it in the
low bits of the mantissa, so no float-to-int conversion is needed, which is undefined for NaN. 2ⁿ is applied as two factors
(where x <= 0, as 2ⁿ⁺⁶⁴ and 2⁻⁶⁴, which costs less), so that results run down through the subnormals and up to infinity. NaN
stays NaN. Errors, against mpmath: at most 1 ULP for exp, 1.5 for log, 3 for expm1 and tanh, 2 for the logistic function
(tests/kernels/test_math.py).

The functions take a float32 or float64 scalar and are for use inside kernels.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from .._jit import OPTIONS, worker

__all__ = ["decay", "exp", "expm1", "log", "sigmoid", "tanh"]

_F32 = np.float32
_LOG2E_32 = _F32(1.4426950408889634)
_LN2_HIGH_32 = _F32(0.693359375)  # 10 bits, so that n times it is exact
_LN2_LOW_32 = _F32(-2.12194440e-4)
_ROUND_32 = _F32(12582912.0)
_LOW_32, _HIGH_32 = _F32(-104.0), _F32(89.0)
_Q_32 = tuple(_F32(c) for c in (0.5, 0.16666576989698775, 0.041666554617204574, 0.008363179052722578, 0.0013926183587713494))
_DOWN_32 = _F32(2.0**-64)
_HALF_32, _ONE_32, _TWO_32, _TEN_32 = _F32(0.5), _F32(1.0), _F32(2.0), _F32(10.0)

_LOG2E_64 = 1.4426950408889634
_LN2_HIGH_64 = 0.6931471803691238  # 32 bits
_LN2_LOW_64 = 1.9082149292705877e-10
_ROUND_64 = 6755399441055744.0
_LOW_64, _HIGH_64 = -746.0, 710.0
_DOWN_64 = 2.0**-512
_Q_64 = (
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
)
# log m = 2 atanh s = 2s + 2/3 s³ + 2/5 s⁵ ..., with s = f/(2 + f), f = m - 1, which is below 0.172; as 2s = f - s f and
# s f = f²/2 - s f²/2, the leading term is f, which is exact
_ATANH_32 = tuple(_F32(2.0 / (2 * i + 3)) for i in range(4))
_ATANH_64 = tuple(2.0 / (2 * i + 3) for i in range(10))


@worker
def _reduce_32(x):
    """expm1(r) and the integer n of x = n ln 2 + r, for x from _LOW_32 to _HIGH_32."""
    shifted = x * _LOG2E_32 + _ROUND_32
    n = shifted - _ROUND_32
    r = (x - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    q = _Q_32[4]
    q = q * r + _Q_32[3]
    q = q * r + _Q_32[2]
    q = q * r + _Q_32[1]
    q = q * r + _Q_32[0]
    return q * (r * r) + r, np.int32(_F32(shifted).view(np.int32) - np.int32(0x4B400000))


@worker
def _reduce_64(x):
    shifted = x * _LOG2E_64 + _ROUND_64
    n = shifted - _ROUND_64
    r = (x - n * _LN2_HIGH_64) - n * _LN2_LOW_64
    q = _Q_64[9]
    q = q * r + _Q_64[8]
    q = q * r + _Q_64[7]
    q = q * r + _Q_64[6]
    q = q * r + _Q_64[5]
    q = q * r + _Q_64[4]
    q = q * r + _Q_64[3]
    q = q * r + _Q_64[2]
    q = q * r + _Q_64[1]
    q = q * r + _Q_64[0]
    return q * (r * r) + r, np.float64(shifted).view(np.int64) - np.int64(0x4338000000000000)


@worker
def _scale_32(value, n):
    """value times 2ⁿ, as two factors."""
    half = np.int32(n >> 1)
    rest = np.int32(n - half)
    first = np.int32(np.int32(half + 127) << 23).view(np.float32)
    second = np.int32(np.int32(rest + 127) << 23).view(np.float32)
    return value * first * second


@worker
def _scale_64(value, n):
    half = n >> 1
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((n - half + 1023) << 52).view(np.float64)
    return value * first * second


@worker
def _clamp_32(x):
    x = _HIGH_32 if x > _HIGH_32 else x
    return _LOW_32 if x < _LOW_32 else x


@worker
def _clamp_64(x):
    x = _HIGH_64 if x > _HIGH_64 else x
    return _LOW_64 if x < _LOW_64 else x


@worker
def _exp_32(x):
    p, n = _reduce_32(_clamp_32(x))
    return _scale_32(_ONE_32 + p, n)


@worker
def _decay_32(x):
    p, n = _reduce_32(_LOW_32 if x < _LOW_32 else x)
    return (_ONE_32 + p) * np.int32(np.int32(n + 191) << 23).view(np.float32) * _DOWN_32


@worker
def _decay_64(x):
    p, n = _reduce_64(_LOW_64 if x < _LOW_64 else x)
    return (1.0 + p) * np.int64((n + 1535) << 52).view(np.float64) * _DOWN_64


@worker
def _exp_64(x):
    p, n = _reduce_64(_clamp_64(x))
    return _scale_64(1.0 + p, n)


@worker
def _expm1_32(x):
    p, n = _reduce_32(_clamp_32(x))
    half = _scale_32(_HALF_32, n)  # 2ⁿ/2: 2ⁿ itself would overflow before the result does
    return _TWO_32 * (p * half + (half - _HALF_32))


@worker
def _expm1_64(x):
    p, n = _reduce_64(_clamp_64(x))
    half = _scale_64(0.5, n)
    return 2.0 * (p * half + (half - 0.5))


@worker
def _tanh_32(x):
    size = abs(x)
    size = _TEN_32 if size > _TEN_32 else size  # tanh(10) rounds to 1
    p, n = _reduce_32(size + size)
    half = np.int32(np.int32(n + 126) << 23).view(np.float32)
    h = p * half + (half - _HALF_32)  # (e²ˣ - 1)/2
    return math.copysign(h / (h + _ONE_32), x)


@worker
def _tanh_64(x):
    size = abs(x)
    size = 20.0 if size > 20.0 else size
    p, n = _reduce_64(size + size)
    half = np.int64((n + 1022) << 52).view(np.float64)
    h = p * half + (half - 0.5)
    return math.copysign(h / (h + 1.0), x)


@worker
def _sigmoid_32(x):
    e = _decay_32(-abs(x))  # never overflows, so that small results keep their digits
    s = _ONE_32 / (_ONE_32 + e)
    return s if x >= 0 else e * s


@worker
def _sigmoid_64(x):
    e = _decay_64(-abs(x))
    s = 1.0 / (1.0 + e)
    return s if x >= 0 else e * s


@worker
def _log_32(x):
    bits = _F32(x).view(np.int32)
    e = np.int32((bits - np.int32(0x3F3504F3)) >> 23)  # so that the mantissa is from √½ to √2
    m = np.int32(bits - np.int32(e << 23)).view(np.float32)
    f = m - _ONE_32
    s = f / (f + _TWO_32)
    z = s * s
    q = _ATANH_32[3]
    q = q * z + _ATANH_32[2]
    q = q * z + _ATANH_32[1]
    q = q * z + _ATANH_32[0]
    n = _F32(e)
    h = _HALF_32 * f * f
    return n * _LN2_HIGH_32 + (f - (h - (s * (h + z * q) + n * _LN2_LOW_32))) if x == x else x


@worker
def _log_64(x):
    bits = np.float64(x).view(np.int64)
    e = (bits - np.int64(0x3FE6A09E667F3BCD)) >> 52
    m = np.int64(bits - (e << 52)).view(np.float64)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    q = _ATANH_64[9]
    q = q * z + _ATANH_64[8]
    q = q * z + _ATANH_64[7]
    q = q * z + _ATANH_64[6]
    q = q * z + _ATANH_64[5]
    q = q * z + _ATANH_64[4]
    q = q * z + _ATANH_64[3]
    q = q * z + _ATANH_64[2]
    q = q * z + _ATANH_64[1]
    q = q * z + _ATANH_64[0]
    n = np.float64(e)
    h = 0.5 * f * f
    return n * _LN2_HIGH_64 + (f - (h - (s * (h + z * q) + n * _LN2_LOW_64))) if x == x else x


def exp(x):
    """e to the x."""
    return np.exp(x)


def decay(x):
    """e to the x for x <= 0 (or NaN): the bits of `exp` in two thirds of the time, since 2ⁿ cannot overflow."""
    return np.exp(x)


def expm1(x):
    """e to the x, less 1, accurate near 0."""
    return np.expm1(x)


def log(x):
    """The natural logarithm of a positive, finite, normal number (or NaN)."""
    return np.log(x)


def tanh(x):
    """The hyperbolic tangent."""
    return np.tanh(x)


def sigmoid(x):
    """The logistic function 1 / (1 + e⁻ˣ)."""
    return 1.0 / (1.0 + np.exp(-x))


def _by_dtype(function, narrow, wide):
    """Let Numba choose the float32 or the float64 body by the argument's type."""

    def choose(x):
        if x == types.float32:
            return lambda x: narrow(x)
        if x == types.float64:
            return lambda x: wide(x)
        return None

    overload(function, jit_options=OPTIONS)(choose)


_by_dtype(exp, _exp_32, _exp_64)
_by_dtype(decay, _decay_32, _decay_64)
_by_dtype(expm1, _expm1_32, _expm1_64)
_by_dtype(log, _log_32, _log_64)
_by_dtype(tanh, _tanh_32, _tanh_64)
_by_dtype(sigmoid, _sigmoid_32, _sigmoid_64)
