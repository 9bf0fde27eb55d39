"""log(1 + x), written so that loops over it vectorise.

The method is fdlibm's: 1 + x = 2ⁿ (1 + f) with √½ <= 1 + f < √2, then log(1 + f) = f - f²/2 + s (f²/2 + R(s²)), where
s = f/(2 + f) and R is a minimax polynomial; what 1 + x loses by rounding is put back as (x - ((1 + x) - 1)) / (1 + x). Where n
is 0, f is x itself, so that small x keep their digits. Selects take the place of branches. Error, against mpmath: at most 2 ULP
(tests/kernels/test_math.py). -1 gives -∞, less gives NaN, and NaN stays NaN.

Source: FreeBSD's msun, s_log1p.c and s_log1pf.c (Sun Microsystems, 1993), for method and coefficients.
"""

import numpy as np

from .._jit import worker
from ._math import _by_dtype

__all__ = ["log1p"]

_F32 = np.float32
_ZERO_32, _HALF_32, _ONE_32, _TWO_32 = _F32(0.0), _F32(0.5), _F32(1.0), _F32(2.0)
_INFINITY_32, _NAN_32 = _F32(np.inf), _F32(np.nan)
_LOW_32, _HIGH_32 = _F32(-0.29289), _F32(0.41421)  # between them n is 0
_LN2_HIGH_32, _LN2_LOW_32 = _F32(6.9313812256e-01), _F32(9.0580006145e-06)
_R_32 = tuple(_F32(c) for c in (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841))

_INFINITY_64, _NAN_64 = np.inf, np.nan
_LOW_64, _HIGH_64 = -0.29289, 0.41421
_LN2_HIGH_64, _LN2_LOW_64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_R_64 = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


@worker
def _log1p_32(x):
    near = (x > _LOW_32) & (x < _HIGH_32)
    u = _ONE_32 + x
    bits = np.int32(_F32(u).view(np.int32) + np.int32(0x3F800000 - 0x3F3504F3))
    n = _ZERO_32 if near else _F32(np.int32(bits >> 23) - np.int32(127))
    lost = _ZERO_32 if near else (x - (u - _ONE_32) if x < _ONE_32 else _ONE_32 - (u - x)) / u
    f = x if near else np.int32(np.int32(bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)).view(np.float32) - _ONE_32
    half, s = _HALF_32 * f * f, f / (_TWO_32 + f)
    z = s * s
    r = _R_32[3]
    r = r * z + _R_32[2]
    r = r * z + _R_32[1]
    r = (r * z + _R_32[0]) * z
    y = (s * (half + r) + (n * _LN2_LOW_32 + lost)) - half + f + n * _LN2_HIGH_32
    y = x if x == _INFINITY_32 else y
    y = -_INFINITY_32 if x == -_ONE_32 else y
    return y if x >= -_ONE_32 else _NAN_32


@worker
def _log1p_64(x):
    near = (x > _LOW_64) & (x < _HIGH_64)
    u = 1.0 + x
    bits = np.float64(u).view(np.int64) + np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    n = 0.0 if near else np.float64(np.int64(bits >> 52) - np.int64(1023))
    lost = 0.0 if near else (x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)) / u
    f = (
        x
        if near
        else np.int64(np.int64(bits & np.int64(0x000FFFFFFFFFFFFF)) + np.int64(0x3FE6A09E667F3BCD)).view(np.float64) - 1.0
    )
    half, s = 0.5 * f * f, f / (2.0 + f)
    z = s * s
    r = _R_64[6]
    r = r * z + _R_64[5]
    r = r * z + _R_64[4]
    r = r * z + _R_64[3]
    r = r * z + _R_64[2]
    r = r * z + _R_64[1]
    r = (r * z + _R_64[0]) * z
    y = (s * (half + r) + (n * _LN2_LOW_64 + lost)) - half + f + n * _LN2_HIGH_64
    y = x if x == _INFINITY_64 else y
    y = -_INFINITY_64 if x == -1.0 else y
    return y if x >= -1.0 else _NAN_64


def log1p(x):
    """log(1 + x), accurate near 0."""
    return np.log1p(x)


_by_dtype(log1p, _log1p_32, _log1p_64)
