"""Gaussian noise: y = x + std · z, z standard normal, by Box and Muller.

Elements 2i and 2i + 1 take random words 2i and 2i + 1, a and b:

    r = √(-2 ln((a + ½) / 2³²))     z = r cos(2πb / 2³²) and r sin(2πb / 2³²)

so |z| stays below 6.8. ln, cos and sin are written out, so that the loop vectorises; calls of the C library would keep it scalar.
They work in float64 for either dtype, which therefore get the same noise. ln x = e ln 2 + 2 artanh(s), s = (m - 1)/(m + 1), with
the mantissa m in [√½, √2); the polynomials are fdlibm's (Sun Microsystems, 1993), below 1 ULP for each.

Source: G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29
(1958).
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker

__all__ = ["gaussian_noise"]

_CHUNK = 8192
_ROUND = 6755399441055744.0  # 1.5·2⁵²: adding it rounds to an integer, which then stands in the low bits
_ROUND_BITS = np.int64(0x4338000000000000)
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_L1, _L2, _L3, _L4 = 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01
_L5, _L6, _L7 = 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01
_S1, _S2, _S3 = -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04
_S4, _S5, _S6 = 2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10
_C1, _C2, _C3 = 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05
_C4, _C5, _C6 = -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11
_HALF_ROOT_BITS = np.int64(0x3FE6A09E667F3BCD)  # √½


@worker
def _log(x):
    """ln x of a normal number."""
    bits = np.float64(x).view(np.int64) - _HALF_ROOT_BITS
    exponent = bits >> 52
    m = np.int64((bits & 0xFFFFFFFFFFFFF) + _HALF_ROOT_BITS).view(np.float64)
    e = np.int64(exponent + _ROUND_BITS).view(np.float64) - _ROUND  # int to float, which AVX2 has no instruction for
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = z * (_L1 + z * (_L2 + z * (_L3 + z * (_L4 + z * (_L5 + z * (_L6 + z * _L7))))))
    half = 0.5 * f * f
    return e * _LN2_HIGH - ((half - (s * (half + tail) + e * _LN2_LOW)) - f)


@worker
def _turn(v):
    """cos(2πv) and sin(2πv) for v in [0, 1)."""
    shifted = 4.0 * v + _ROUND
    quarter = np.float64(shifted).view(np.int64)
    t = (2.0 * math.pi) * (v - 0.25 * (shifted - _ROUND))  # within π/4 of a quarter turn; the difference is exact
    z = t * t
    sine = t + t * z * (_S1 + z * (_S2 + z * (_S3 + z * (_S4 + z * (_S5 + z * _S6)))))
    cosine = 1.0 - 0.5 * z + z * z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * (_C5 + z * _C6)))))
    swapped = (quarter & 1) != 0
    a, b = (sine, cosine) if swapped else (cosine, sine)
    a = -a if ((quarter + 1) & 2) != 0 else a
    b = -b if (quarter & 2) != 0 else b
    return a, b


@apart
def _noisy(x, words, std, y):
    for pair in range(x.size // 2):
        r = std * math.sqrt(-2.0 * _log((np.float64(np.int64(words[2 * pair])) + 0.5) * 2.0**-32))
        a, b = _turn(np.float64(np.int64(words[2 * pair + 1])) * 2.0**-32)
        y[2 * pair] = x[2 * pair] + x.dtype.type(r * a)
        y[2 * pair + 1] = x[2 * pair + 1] + x.dtype.type(r * b)


@apart
def _noisy_last(x, words, std, y):
    last = x.size - 1
    r = std * math.sqrt(-2.0 * _log((np.float64(np.int64(words[last])) + 0.5) * 2.0**-32))
    y[last] = x[last] + x.dtype.type(r * _turn(np.float64(np.int64(words[last + 1])) * 2.0**-32)[0])


@kernel
def gaussian_noise(x, words, std, y):
    """y = x + std · z.

    x: (size,) float. words: (size,) uint32, random, and one more where size is odd. std: float, at least 0.
    y: (size,), wholly overwritten; may be x.
    """
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _noisy(x[i0:i1], words[i0 : i1 + 1], std, y[i0:i1])
        if i1 >= x.size and x.size % 2:
            _noisy_last(x[i0:i1], words[i0 : i1 + 1], std, y[i0:i1])
