"""Activation functions that are smooth, or nearly so, one pair of kernels each: a program compiles those alone that it uses.

    ELU        y = x where x > 0, else α (eˣ - 1)              dx = dy where y > 0, else dy · (y + α)
    GELU       y = x Φ(x)                                      dx = dy · (Φ(x) + x φ(x))
    GELU, tanh y = ½ x (1 + tanh u) = x σ(2u)                  dx = dy · (σ(2u) + x σ(2u) σ(-2u) 2u')
    SiLU       y = x σ(x)                                      dx = dy · (σ(x) + x σ(x) σ(-x))
    Softplus   y = log(1 + e^βx) / β, x where βx > threshold   dx = dy · σ(βx), dy where βx > threshold

with Φ and φ the normal distribution function and density, u = √(2/π) (x + 0.044715 x³) and σ(x) = 1 / (1 + e⁻ˣ). ELU's backward
reads y, for which α must not be negative; the others', which are not monotonic, or lose digits, read x. σ(-x) stands for
1 - σ(x), which would lose its digits, and log(1 + e^v) is max(v, 0) + log(1 + e^-|v|), which cannot overflow. NaN stays NaN.

Sources: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear units", ICLR 2016; D. Hendrycks and
K. Gimpel, "Gaussian error linear units", arXiv:1606.08415; S. Elfwing et al., "Sigmoid-weighted linear units", Neural Networks
107 (2018); C. Dugas et al., "Incorporating second-order functional knowledge", NIPS 2000. Semantics are torch's.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel, worker
from ._erf import normal
from ._log1p import log1p
from ._math import decay, expm1

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "silu_backward",
    "silu_forward",
    "softplus_backward",
    "softplus_forward",
]

_CHUNK = 8192
_TWO_ROOT = 1.5957691216057308  # 2 √(2/π)
_CUBIC = 0.044715
_FAR = 30.0  # beyond it the tanh form has reached 0 or 1 in float64 too, and x³ cannot overflow


@worker
def _sigmoids(x):
    """σ(x) and σ(-x)."""
    one = type(x)(1.0)
    e = decay(-abs(x))
    near = one / (one + e)
    far = e * near
    return (near if x >= 0 else far), (far if x >= 0 else near)


@apart
def _elu(x, alpha, y):
    zero, a = y.dtype.type(0.0), y.dtype.type(alpha)
    for i in range(y.size):
        y[i] = x[i] if x[i] > zero else a * expm1(x[i])


@apart
def _elu_backward(dy, y, alpha, dx):
    zero, one, a = dy.dtype.type(0.0), dy.dtype.type(1.0), dy.dtype.type(alpha)
    for i in range(dx.size):
        dx[i] = dy[i] * (one if y[i] > zero else y[i] + a)


@apart
def _gelu(x, y):
    for i in range(y.size):
        cdf, _ = normal(x[i])
        y[i] = x[i] * cdf


@apart
def _gelu_backward(dy, x, dx):
    for i in range(dx.size):
        cdf, density = normal(x[i])
        dx[i] = dy[i] * (cdf + x[i] * density)


@worker
def _bounded(x):
    far = type(x)(_FAR)
    v = far if x > far else x
    return -far if v < -far else v


@apart
def _tanh_gelu(x, y):
    one, root, cubic = y.dtype.type(1.0), y.dtype.type(_TWO_ROOT), y.dtype.type(_CUBIC)
    for i in range(y.size):
        v = _bounded(x[i])
        s, _ = _sigmoids(root * v * (one + cubic * v * v))
        y[i] = x[i] * s


@apart
def _tanh_gelu_backward(dy, x, dx):
    one, root, cubic = dx.dtype.type(1.0), dx.dtype.type(_TWO_ROOT), dx.dtype.type(_CUBIC)
    cubic_3 = dx.dtype.type(3.0 * _CUBIC)
    for i in range(dx.size):
        v = _bounded(x[i])
        s, other = _sigmoids(root * v * (one + cubic * v * v))
        dx[i] = dy[i] * (s + v * s * other * (root * (one + cubic_3 * v * v)))


@apart
def _silu(x, y):
    for i in range(y.size):
        s, _ = _sigmoids(x[i])
        y[i] = x[i] * s


@apart
def _silu_backward(dy, x, dx):
    for i in range(dx.size):
        s, other = _sigmoids(x[i])
        dx[i] = dy[i] * (s + x[i] * s * other)


@apart
def _softplus(x, beta, threshold, y):
    zero, b, share, end = y.dtype.type(0.0), y.dtype.type(beta), y.dtype.type(1.0 / beta), y.dtype.type(threshold)
    for i in range(y.size):
        v = b * x[i]
        soft = share * ((zero if v < zero else v) + log1p(decay(-abs(v))))
        y[i] = x[i] if v > end else soft


@apart
def _softplus_backward(dy, x, beta, threshold, dx):
    one, b, end = dx.dtype.type(1.0), dx.dtype.type(beta), dx.dtype.type(threshold)
    for i in range(dx.size):
        v = b * x[i]
        s, _ = _sigmoids(v)
        dx[i] = dy[i] * (one if v > end else s)


@kernel
def elu_forward(x, alpha, y):
    """y = x where x > 0, else alpha · (eˣ - 1). x: (size,) float. alpha: float >= 0. y: (size,), wholly overwritten; may be x."""
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _elu(x[i0:i1], alpha, y[i0:i1])


@kernel
def elu_backward(dy, y, alpha, dx):
    """The gradient from the output. dy, y: (size,) float. alpha: as in forward. dx: (size,), wholly overwritten; may be dy."""
    for chunk in prange((dy.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _elu_backward(dy[i0:i1], y[i0:i1], alpha, dx[i0:i1])


@kernel
def gelu_forward(x, tanh, y):
    """y = x Φ(x). x: (size,) float. tanh: bool, whether by tanh's approximation. y: (size,), wholly overwritten; may be x."""
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        if tanh:
            _tanh_gelu(x[i0:i1], y[i0:i1])
        else:
            _gelu(x[i0:i1], y[i0:i1])


@kernel
def gelu_backward(dy, x, tanh, dx):
    """The gradient from the input. dy, x: (size,) float. tanh: as in forward. dx: (size,), wholly overwritten; may be dy."""
    for chunk in prange((dy.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        if tanh:
            _tanh_gelu_backward(dy[i0:i1], x[i0:i1], dx[i0:i1])
        else:
            _gelu_backward(dy[i0:i1], x[i0:i1], dx[i0:i1])


@kernel
def silu_forward(x, y):
    """y = x σ(x). x: (size,) float. y: (size,), wholly overwritten; may be x."""
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _silu(x[i0:i1], y[i0:i1])


@kernel
def silu_backward(dy, x, dx):
    """The gradient from the input. dy, x: (size,) float. dx: (size,), wholly overwritten; may be dy."""
    for chunk in prange((dy.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _silu_backward(dy[i0:i1], x[i0:i1], dx[i0:i1])


@kernel
def softplus_forward(x, beta, threshold, y):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold.

    x: (size,) float. beta: float > 0. threshold: float. y: (size,), wholly overwritten; may be x.
    """
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _softplus(x[i0:i1], beta, threshold, y[i0:i1])


@kernel
def softplus_backward(dy, x, beta, threshold, dx):
    """The gradient from the input. dy, x: (size,) float. beta, threshold: as in forward. dx: (size,), overwritten; may be dy."""
    for chunk in prange((dy.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _softplus_backward(dy[i0:i1], x[i0:i1], beta, threshold, dx[i0:i1])
