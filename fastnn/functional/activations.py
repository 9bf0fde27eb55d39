"""Activation functions on arrays of any shape."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastnn_kernels.cpu import activations as kernels

from .._check import Array, choice, floats, nonempty, number, output, same_shape
from ._dispatch import run

__all__ = [
    "activation",
    "activation_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "relu",
    "relu_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]

KINDS = {
    None: kernels.IDENTITY,
    "relu": kernels.RELU,
    "leaky_relu": kernels.LEAKY_RELU,
    "sigmoid": kernels.SIGMOID,
    "tanh": kernels.TANH,
    "selu": kernels.SELU,
}
_NAMES = tuple(name for name in KINDS if name is not None)
_FORWARD_NS = {"relu": 0.05, "leaky_relu": 0.05, "sigmoid": 0.25, "tanh": 0.25, "selu": 0.2}
_BACKWARD_NS = 0.08


def kind_and_slope(activation: str | None, negative_slope: float) -> tuple[int, float]:
    """The kernels' number and parameter of an activation, checked."""
    if activation is not None:
        choice("activation", activation, _NAMES)
    # backward reads the sign of x off y, which a negative slope would turn
    return KINDS[activation], number("negative_slope", negative_slope, low=0.0)


def activation(name: str, x: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """y = f(x), element by element.

    name: 'relu', 'leaky_relu', 'sigmoid', 'tanh' or 'selu'. x: any shape, float32 or float64 (other real dtypes become
    float32). negative_slope: the slope of leaky_relu below 0, at least 0. out: an array for the result, x itself too.

    >>> activation("relu", np.array([-1.0, 2.0]))
    array([0., 2.])

    The formulas and their sources: `fastnn_kernels.cpu.activations`. Raises ValueError or TypeError for bad arguments.
    """
    kind, slope = kind_and_slope(choice("name", name, _NAMES), negative_slope)
    x = nonempty("x", floats("x", x))
    y = output("out", out, x.shape, x.dtype)
    run(kernels.activation_forward, x.size * _FORWARD_NS[name], x.reshape(-1), kind, slope, y.reshape(-1))
    return y


def activation_backward(
    name: str, dy: ArrayLike, y: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None
) -> Array:
    """dx = dy · f'(x), from the output y = f(x). dy, y: one shape. out: an array for the result, dy itself too."""
    kind, slope = kind_and_slope(choice("name", name, _NAMES), negative_slope)
    y = nonempty("y", floats("y", y))
    dy = floats("dy", dy, dtype=y.dtype)
    same_shape("dy", dy, y.shape, "that of y")
    dx = output("out", out, y.shape, y.dtype)
    run(kernels.activation_backward, y.size * _BACKWARD_NS, dy.reshape(-1), y.reshape(-1), kind, slope, dx.reshape(-1))
    return dx


def relu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """max(x, 0)."""
    return activation("relu", x, out=out)


def relu_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """dy where y > 0, else 0."""
    return activation_backward("relu", dy, y, out=out)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """x where x > 0, else negative_slope · x."""
    return activation("leaky_relu", x, negative_slope, out=out)


def leaky_relu_backward(dy: ArrayLike, y: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """dy where y > 0, else negative_slope · dy."""
    return activation_backward("leaky_relu", dy, y, negative_slope, out=out)


def sigmoid(x: ArrayLike, *, out: Array | None = None) -> Array:
    """1 / (1 + e⁻ˣ)."""
    return activation("sigmoid", x, out=out)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """dy · y (1 - y)."""
    return activation_backward("sigmoid", dy, y, out=out)


def tanh(x: ArrayLike, *, out: Array | None = None) -> Array:
    """The hyperbolic tangent."""
    return activation("tanh", x, out=out)


def tanh_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """dy · (1 - y²)."""
    return activation_backward("tanh", dy, y, out=out)


def selu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """λx where x > 0, else λα (eˣ - 1), with λ = 1.0507..., α = 1.6733..."""
    return activation("selu", x, out=out)


def selu_backward(dy: ArrayLike, y: ArrayLike, *, out: Array | None = None) -> Array:
    """dy · λ where y > 0, else dy · (y + λα)."""
    return activation_backward("selu", dy, y, out=out)
