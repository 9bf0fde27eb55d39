"""ELU, GELU, SiLU and Softplus on arrays of any shape."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastnn_kernels.cpu import smooth_activations as kernels

from .._check import Array, choice, floats, nonempty, number, output, same_shape
from ._dispatch import run

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
]

# what an element takes on one core, forward and backward; `fastnn.lowering` picks builds by it too
ELU_NS, GELU_NS, SILU_NS, SOFTPLUS_NS = (0.25, 0.1), (0.5, 0.5), (0.25, 0.3), (0.85, 0.3)
APPROXIMATIONS = ("none", "tanh")


def elu(x: ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """x where x > 0, else alpha · (eˣ - 1). alpha: at least 0.

    x: any shape, float32 or float64 (other real dtypes become float32). out: an array for the result, x itself too. The sources
    of all formulas here: `fastnn_kernels.cpu.smooth_activations`. Raises ValueError or TypeError for bad arguments.

    >>> elu(np.array([-np.inf, 2.0]))
    array([-1.,  2.])
    """
    return _forward(kernels.elu_forward, ELU_NS, x, out, _alpha(alpha))


def elu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """dy where y > 0, else dy · (y + alpha): from the output y. dy, y: one shape. out: an array for the result, dy itself too."""
    return _backward(kernels.elu_backward, ELU_NS, dy, "y", y, out, _alpha(alpha))


def gelu(x: ArrayLike, approximate: str = "none", *, out: Array | None = None) -> Array:
    """x Φ(x), with Φ the normal distribution function; with approximate='tanh' ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).

    x, out: as for `elu`. -∞ gives NaN, as torch has it.

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    return _forward(kernels.gelu_forward, GELU_NS, x, out, _tanh(approximate))


def gelu_backward(dy: ArrayLike, x: ArrayLike, approximate: str = "none", *, out: Array | None = None) -> Array:
    """dy · (Φ(x) + x φ(x)), or the tanh form's derivative: from the input x. Arguments as for `elu_backward`."""
    return _backward(kernels.gelu_backward, GELU_NS, dy, "x", x, out, _tanh(approximate))


def silu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """x / (1 + e⁻ˣ), also called swish. x, out: as for `elu`. -∞ gives NaN, as torch has it."""
    return _forward(kernels.silu_forward, SILU_NS, x, out)


def silu_backward(dy: ArrayLike, x: ArrayLike, *, out: Array | None = None) -> Array:
    """dy · σ(x) (1 + x (1 - σ(x))): from the input x. Arguments as for `elu_backward`."""
    return _backward(kernels.silu_backward, SILU_NS, dy, "x", x, out)


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: Array | None = None) -> Array:
    """log(1 + e^(beta x)) / beta, and x where beta x > threshold. beta: above 0. x, out: as for `elu`.

    >>> softplus(np.array([-800.0, 0.0, 800.0])).round(4)
    array([0.000e+00, 6.931e-01, 8.000e+02])
    """
    return _forward(kernels.softplus_forward, SOFTPLUS_NS, x, out, *_beta_and_threshold(beta, threshold))


def softplus_backward(
    dy: ArrayLike, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: Array | None = None
) -> Array:
    """dy / (1 + e^(-beta x)), and dy where beta x > threshold: from the input x. Arguments as for `elu_backward`."""
    return _backward(kernels.softplus_backward, SOFTPLUS_NS, dy, "x", x, out, *_beta_and_threshold(beta, threshold))


def _forward(kernel: Any, ns: tuple[float, float], x: ArrayLike, out: Array | None, *settings: float) -> Array:
    x = nonempty("x", floats("x", x))
    y = output("out", out, x.shape, x.dtype)
    run(kernel, x.size * ns[0], x.reshape(-1), *settings, y.reshape(-1))
    return y


def _backward(
    kernel: Any, ns: tuple[float, float], dy: ArrayLike, name: str, kept: ArrayLike, out: Array | None, *settings: float
) -> Array:
    kept = nonempty(name, floats(name, kept))
    dy = floats("dy", dy, dtype=kept.dtype)
    same_shape("dy", dy, kept.shape, f"that of {name}")
    dx = output("out", out, kept.shape, kept.dtype)
    run(kernel, kept.size * ns[1], dy.reshape(-1), kept.reshape(-1), *settings, dx.reshape(-1))
    return dx


def _alpha(alpha: float) -> float:
    return number("alpha", alpha, low=0.0)  # backward reads the sign of x off y


def _tanh(approximate: str) -> bool:
    return choice("approximate", approximate, APPROXIMATIONS) == "tanh"


def _beta_and_threshold(beta: float, threshold: float) -> tuple[float, float]:
    return number("beta", beta, low=0.0, open_low=True), number("threshold", threshold)
