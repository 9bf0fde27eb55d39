"""The normal distribution function Φ(x) = ½ erfc(-x/√2) and its density, written so that loops over them vectorise.

Below 0, Φ(-a) = e^(-a²/2) P(t) / (a + K) with t = (a - K)/(a + K), computed as 2a/(a + K) - 1: this maps all a >= 0 to an
interval of length 2, over which a polynomial P takes the place of the pieces that the C libraries' erfc has, and with them of the
branches. Above 0 it is 1 - Φ(-a). a² is split as b² + (a - b)(a + b), b being a with half of its digits, so that b² is exact;
else the error of a²/2 would be that of the result, 50 ULP at -10. So small results keep their digits, which ½ (1 + erf(x/√2))
loses. NaN stays NaN. Errors, against mpmath: at most 4 ULP for Φ, 3 for the density (tests/kernels/test_erf.py).

Sources: M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 <= x < ∞", Mathematics of
Computation 36 (1981), for the mapping; W. J. Cody, "Rational Chebyshev approximations for the error function", ibid. 23
(1969), for the splitting. The coefficients are our own: P interpolates at Chebyshev's points, to 4e-17 (1.3e-8 for float32).
"""

import math

import numpy as np

from .._jit import worker
from ._math import _by_dtype, decay

__all__ = ["normal"]

_F32 = np.float32
_ZERO_32, _HALF_32, _ONE_32, _SIXTH_32 = _F32(0.0), _F32(0.5), _F32(1.0), _F32(1.0 / 6.0)
_K_32, _END_32 = _F32(4.0), _F32(15.0)  # Φ(-15) rounds to 0
_ROOT_32 = _F32(0.3989422804014327)  # 1/√(2π)
_P_32 = tuple(
    _F32(c)
    for c in (
        0.7552851438522339,
        -0.607896625995636,
        0.38713666796684265,
        -0.18652300536632538,
        0.06040646880865097,
        -0.007527213077992201,
        -0.0035235739778727293,
        0.001569313695654273,
        0.0001948018471011892,
        -0.00012298315414227545,
    )
)

_K_64, _END_64, _SIXTH_64 = 5.0, 40.0, 1.0 / 6.0
_ROOT_64 = 0.3989422804014327
_P_64 = (
    0.769193049750063,
    -0.6653825028900567,
    0.49530561596997413,
    -0.3135331566712971,
    0.1650203661705007,
    -0.06911863870647982,
    0.020795066797569855,
    -0.002993376769094473,
    -0.0007978693748911934,
    0.000544899062695852,
    -5.937586616736071e-05,
    -4.9762853165030135e-05,
    1.668170360977268e-05,
    3.981182741532577e-06,
    -2.7703209441469523e-06,
    -3.374965203524632e-07,
    4.3443907263764586e-07,
    4.375841598285575e-08,
    -6.667529339227571e-08,
    -1.0618274174239376e-08,
    7.630410417873182e-09,
    2.224938767716443e-09,
)


@worker
def _normal_32(x):
    a = abs(x)
    a = _END_32 if a > _END_32 else a
    b = np.int32(np.int32(_F32(a).view(np.int32) + np.int32(0x800)) & np.int32(-0x1000)).view(np.float32)
    d = (b - a) * (b + a) * _HALF_32  # up to 0.05
    e = decay(-_HALF_32 * b * b)
    e += e * (d + d * d * (_HALF_32 + d * _SIXTH_32))
    r = _ONE_32 / (a + _K_32)
    t = (a + a) * r - _ONE_32
    p = _P_32[9]
    p = p * t + _P_32[8]
    p = p * t + _P_32[7]
    p = p * t + _P_32[6]
    p = p * t + _P_32[5]
    p = p * t + _P_32[4]
    p = p * t + _P_32[3]
    p = p * t + _P_32[2]
    p = p * t + _P_32[1]
    p = p * t + _P_32[0]
    tail = e * (p * r)
    return tail if x < _ZERO_32 else _ONE_32 - tail, _ROOT_32 * e


@worker
def _normal_64(x):
    a = abs(x)
    a = _END_64 if a > _END_64 else a
    b = np.int64((np.float64(a).view(np.int64) + np.int64(0x4000000)) & np.int64(-0x8000000)).view(np.float64)
    d = (b - a) * (b + a) * 0.5  # up to 2e-5
    e = decay(-0.5 * b * b)
    e += e * (d + d * d * (0.5 + d * _SIXTH_64))
    r = 1.0 / (a + _K_64)
    t = (a + a) * r - 1.0
    p = _P_64[21]
    p = p * t + _P_64[20]
    p = p * t + _P_64[19]
    p = p * t + _P_64[18]
    p = p * t + _P_64[17]
    p = p * t + _P_64[16]
    p = p * t + _P_64[15]
    p = p * t + _P_64[14]
    p = p * t + _P_64[13]
    p = p * t + _P_64[12]
    p = p * t + _P_64[11]
    p = p * t + _P_64[10]
    p = p * t + _P_64[9]
    p = p * t + _P_64[8]
    p = p * t + _P_64[7]
    p = p * t + _P_64[6]
    p = p * t + _P_64[5]
    p = p * t + _P_64[4]
    p = p * t + _P_64[3]
    p = p * t + _P_64[2]
    p = p * t + _P_64[1]
    p = p * t + _P_64[0]
    tail = e * (p * r)
    return tail if x < 0.0 else 1.0 - tail, _ROOT_64 * e


def normal(x):
    """Φ(x) and the density e^(-x²/2) / √(2π); what of the two is not used costs nothing."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0)), math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


_by_dtype(normal, _normal_32, _normal_64)
