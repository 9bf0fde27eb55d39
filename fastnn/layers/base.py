"""What every layer is: named parameters with gradients, named buffers, a forward and a backward."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._check import Array, float_dtype, floats, nonempty, quote
from ..random import Stream

__all__ = ["Layer"]


class Layer:
    """Base of all layers; derive from it to write your own.

    A layer has `forward(x)`, which keeps what backward needs, and `backward(dy)`, which returns the gradient with respect to
    x and overwrites the layer's `gradients`. Arrays are named: `parameters["weight"]`, `gradients["weight"]`, and
    `layer.weight` for short. In a `Sequential` they are views of the model's flat buffers, so always write into them
    (`gradients["weight"][...] = ...`), never replace them; assigning to `layer.weight` copies into the array.

    >>> class Scale(Layer):
    ...     def __init__(self, features):
    ...         super().__init__()
    ...         self.add_parameter("factor", np.ones(features))
    ...
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x * self.factor
    ...
    ...     def backward(self, dy):
    ...         self.gradients["factor"][...] = (dy * self.x).sum(axis=0)
    ...         return dy * self.factor
    """

    keeps_width = False  # True for layers with as many columns out as in
    min_training_rows = 1  # 2 for layers that normalise by batch
    _forward_state: ClassVar[tuple[str, ...]] = ()  # what forward keeps for backward: not worth pickling

    def __init__(self, *, dtype: DTypeLike = np.float32) -> None:
        self.training = True
        self._owned = False  # whether a model holds the layer
        self._pending = False  # whether parameters are still to be drawn
        self.dtype = float_dtype("dtype", dtype)
        self._parameters: dict[str, Array] = {}
        self._gradients: dict[str, Array] = {}
        self._regularized: set[str] = set()
        self.buffers: dict[str, Array] = {}

    # what a layer does

    def forward(self, x: Array) -> Array:
        """The layer's output for a batch x (m, features)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Array) -> Array:
        """The gradient with respect to x, from the gradient with respect to the last output; sets `gradients`."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, x: ArrayLike) -> Array:
        return self.forward(floats("x", x, dtype=self.dtype))

    def output_features(self, features: int | None) -> int | None:
        """Columns of the output for an input of so many columns; ValueError where they do not fit, None where unknown.

        Override it in a layer of your own, so that a `Sequential` can match the layers before it trains.
        """
        return features if self.keeps_width else None

    def reset_parameters(self, source: Stream | None = None, next_layer: Layer | None = None) -> None:
        """Draw the parameters anew. A `Sequential` passes its stream and the layer that follows. Nothing by default."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode (batch statistics, dropout); returns the layer."""
        for layer in self.walk():
            layer.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Switch to use; returns the layer."""
        return self.train(False)

    # what a layer holds

    def add_parameter(self, name: str, value: ArrayLike, *, regularized: bool = False) -> None:
        """Add a trained array. regularized: whether weight penalties act on it."""
        self._parameters[name] = floats(name, value, dtype=self.dtype).copy()
        self._gradients[name] = np.zeros_like(self._parameters[name])
        if regularized:
            self._regularized.add(name)

    def add_buffer(self, name: str, value: ArrayLike) -> None:
        """Add an array that is saved with the model but not trained, e.g. a running mean."""
        self.buffers[name] = floats(name, value, dtype=self.dtype).copy()

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The trained arrays by name; write into them, they cannot be replaced."""
        self._materialize()
        return MappingProxyType(self._parameters)

    @property
    def gradients(self) -> Mapping[str, Array]:
        """Their gradients by the same names, to be overwritten by each backward: `gradients["weight"][...] = ...`."""
        self._materialize()
        return MappingProxyType(self._gradients)

    @property
    def regularized(self) -> frozenset[str]:
        """Names of the parameters that weight penalties act on."""
        return frozenset(self._regularized)

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers inside this one, by name: those that are its attributes."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Layer))

    def walk(self) -> Iterator[Layer]:
        """This layer and all inside it."""
        yield self
        for _, child in self.children():
            yield from child.walk()

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer and all inside it, with the prefix of their arrays' names: '' or '0.' and so on."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_layers(f"{prefix}{name}.")

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name, in torch's key names."""
        return {name: array.copy() for name, array in self._state()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Copy the arrays of a state_dict in. ValueError, with nothing changed, where names or shapes do not match."""
        if not isinstance(state, Mapping):
            raise TypeError(f"state: expected a mapping of names to arrays, got {quote(state)}")
        own = dict(self._state())
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            raise ValueError(f"state: expected the keys of state_dict(); missing {missing}, unknown {unknown}")
        values = {}
        for name, array in own.items():
            values[name] = floats(f"state[{name!r}]", state[name], dtype=self.dtype).copy()  # it may be our own view
            if values[name].shape != array.shape:
                raise ValueError(f"state[{name!r}]: expected shape {array.shape}, got {values[name].shape}")
        for name, array in own.items():
            array[...] = values[name]

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy of the layer, and of all inside it, with arrays of float32 or float64."""
        dtype = float_dtype("dtype", dtype)
        clone = copy.deepcopy(self)
        for layer in clone.walk():
            layer._cast(dtype)
        clone._bind()
        return clone

    def _cast(self, dtype: np.dtype[Any]) -> None:
        """Hold own arrays in this dtype, without drawing parameters that are still to be drawn."""
        self.dtype = dtype
        for arrays in (self._parameters, self._gradients, self.buffers):
            arrays.update({name: array.astype(dtype) for name, array in arrays.items()})

    def __getstate__(self) -> dict[str, Any]:
        self._materialize()  # so that a copy has the same parameters
        left_out = {**dict.fromkeys(self._forward_state), "_owned": False}
        return {name: left_out.get(name, value) for name, value in self.__dict__.items()}

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # two layers over the same arrays would move each other's

    def _bind(self) -> None:
        """Gather the arrays of the models inside, if any, in their flat buffers again."""
        for _, child in self.children():
            child._bind()

    def _state(self) -> Iterator[tuple[str, Array]]:
        for prefix, layer in self.named_layers():
            for name, array in (*layer.parameters.items(), *layer.buffers.items()):
                yield prefix + name, array

    # short names: layer.weight for layer.parameters["weight"]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in self.__dict__.get("_parameters", ()):
                return self.parameters[name]
            if name in self.__dict__.get("buffers", ()):
                return self.buffers[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_parameters", ()) or name in self.__dict__.get("buffers", ()):
            array = getattr(self, name)
            given = floats(name, value, dtype=array.dtype)
            if given.shape != array.shape:
                raise ValueError(f"{name}: expected shape {array.shape}, got {given.shape}")
            array[...] = given
        else:
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return self._repr()

    def _repr(self, *arguments: str) -> str:
        """The constructor's call, with the dtype where it is not the usual one."""
        shown = arguments if self.dtype == np.float32 else (*arguments, f"dtype={self.dtype.name!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    # for layers of our own

    def _materialize(self) -> None:
        """Draw parameters that wait for their first use, so that a `Sequential` can draw them with its own seed."""
        if self._pending:
            self.reset_parameters()

    def _input(self, x: Array, features: int | None = None) -> Array:
        """The input of forward, checked at the door."""
        x = nonempty("x", floats("x", x, dtype=self.dtype, ndim=2))
        if features is not None and x.shape[1] != features:
            raise ValueError(f"x: expected {features} features for {self!r}, got shape {x.shape}")
        return x

    def _kept(self, name: str) -> Any:
        """What forward kept for backward."""
        value = self.__dict__.get(name)
        if value is None:
            raise ValueError(f"backward: expected a forward of {self!r} before it, got none")
        return value

    def _gradient(self, dy: Array, shape: tuple[int, ...]) -> Array:
        """The argument of backward, checked at the door."""
        dy = floats("dy", dy, dtype=self.dtype)
        if dy.shape != shape:
            raise ValueError(f"dy: expected shape {shape}, that of the last output of {self!r}, got {quote(dy)}")
        return dy
