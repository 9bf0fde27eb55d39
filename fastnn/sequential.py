"""A stack of layers whose arrays live in three flat buffers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import cuda
from . import functional as F
from ._check import Array, boolean, choice, finite, integer, number, quote, reals
from ._memory import aligned_zeros, padded
from .layers import Dropout, Flatten, Layer, Linear
from .lowering import NotLowered, lower_prediction
from .program import Program
from .random import INIT, Stream, make_seed

__all__ = ["Sequential"]

_FEW_ROWS, _MANY_ROWS = 16, 1024  # rows that a program for predictions takes at once: serial, or in cache on all threads


class Sequential(Layer):
    """Layers one after another.

    Sequential(*layers, seed=None, dtype=float32, input_scale=1.0)

    seed: fixes initial weights and dropout masks; None takes a random one. dtype: of all arrays, float32 or float64.
    input_scale: a factor on every input, e.g. 1/255 for uint8 images, applied while a batch is converted to dtype.

    All parameters live in `flat_parameters`, all gradients in `flat_gradients`, all running statistics in `flat_buffers`, and
    a layer's arrays are views of them, also after pickling, copying and load_state_dict. Parameters that weight penalties act
    on come first, up to `regularized_size`. Each array starts at a multiple of 64 bytes, with zeros between. A Sequential
    inside another keeps the weights that it drew, and its arrays live in the outer one's buffers. A model is for one Python
    thread at a time, also to predict.

    >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 3), seed=0)
    >>> model(np.ones((5, 4))).shape
    (5, 3)
    """

    device = "cpu"

    def __init__(
        self,
        *layers: Layer,
        seed: int | None = None,
        dtype: DTypeLike = np.float32,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__(dtype=dtype)
        if not layers:
            raise ValueError("layers: expected at least one layer, got none")
        for position, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{position}]: expected a Layer, got {quote(layer)}")
        seen = [id(inner) for layer in layers for inner in layer.walk()]
        if len(set(seen)) < len(seen):
            raise ValueError("layers: expected each layer once, got one several times")
        for position, layer in enumerate(layers):
            if layer._owned:
                raise ValueError(f"layers[{position}]: expected a layer that is in no other model; copy.deepcopy makes one")
        self.layers = list(layers)
        self.seed = make_seed(seed)
        self.input_scale = number("input_scale", input_scale)
        self.in_features, self.out_features = self._chain()
        self._draw()
        self._bind()
        self.train()

    # use

    def forward(self, x: ArrayLike) -> Array:
        """The network's output for a batch x (m, in_features) of any real dtype; keeps what backward needs.

        A model that begins with `Flatten` takes images too, here and wherever else it takes x.
        """
        x = reals("x", x)
        rows = self.check_input("x", x)
        least = max(layer.min_training_rows if layer.training else 1 for layer in self.walk())
        if len(x) < least:
            raise ValueError(f"x: expected at least {least} rows in training, for batch statistics, got {len(x)}")
        if x.dtype != self.dtype or self.input_scale != 1.0:
            rows = self.gather(rows, np.arange(len(x)))
        return self.forward_batch(np.ascontiguousarray(rows).reshape(x.shape))  # Flatten keeps the shape for backward

    def gather(self, x: Array, index: Array) -> Array:
        """Rows of x as the first layer takes them: converted to dtype and scaled by input_scale."""
        return F.gather(x, index, self.input_scale, self.dtype)

    def forward_batch(self, x: Array) -> Array:
        """`forward` for rows that `gather` has converted already."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: ArrayLike) -> Array:
        """The gradient with respect to x, from that of the last output; overwrites all `gradients`."""
        gradient = np.asarray(dy)
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient if self.input_scale == 1.0 else gradient * self.dtype.type(self.input_scale)

    def __call__(self, x: ArrayLike) -> Array:
        return self.forward(x)

    def predict(self, x: ArrayLike, batch_size: int = 4096, *, check_finite: bool = True) -> Array:
        """The network's outputs in eval mode, batch by batch. x: (rows, in_features), a memmap too. Returns (rows, k).

        check_finite: refuse NaN and infinity in x, whose outputs would pass for others (argmax makes label 0 of NaN).
        """
        x = self.check_input("x", x)
        batch_size = integer("batch_size", batch_size, low=1)
        check_finite = boolean("check_finite", check_finite)
        program = self._prediction(x)
        parts = []
        for first in range(0, len(x), batch_size):
            batch = x[first : first + batch_size]
            if program is None:
                if check_finite:
                    finite("x", batch, self.dtype, first)
                parts.append(self._forward_in_use(batch))
            else:
                y, is_finite = program.predict(batch)
                if check_finite and not is_finite:
                    finite("x", batch, self.dtype, first)  # names the row
                parts.append(y)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _forward_in_use(self, x: Array) -> Array:
        with self.in_eval_mode():
            return self.forward(x)

    def _prediction(self, x: Array) -> Program | None:
        """The compiled program for such rows, kept for later calls; None where the model, or the array, has none."""
        if not x.flags.c_contiguous or self.flat_parameters is None:  # a nested model has no buffers of its own
            return None
        few = len(x) <= _FEW_ROWS
        key = (x.dtype, x.shape[1], few)
        if key not in self._predictions:
            try:
                with self.in_eval_mode():
                    self._predictions[key] = lower_prediction(self, x, _FEW_ROWS if few else _MANY_ROWS)
            except NotLowered:
                self._predictions[key] = None
        return self._predictions[key]

    @contextmanager
    def in_eval_mode(self) -> Iterator[None]:
        """All layers in eval mode for a while, and then each in its own again."""
        modes = [(layer, layer.training) for layer in self.walk()]
        self.eval()
        try:
            yield
        finally:
            for layer, mode in modes:
                layer.training = mode

    def check_input(self, name: str, x: ArrayLike) -> Array:
        """x as a 2-D array of real numbers with rows and the right number of features, not converted; else an error.

        Images, for a model that begins with `Flatten`, become rows without a copy.
        """
        array = reals(name, x)
        features = math.prod(array.shape[1:])
        fits = array.ndim == 2 or (array.ndim > 2 and self._takes_images())
        if not fits or (self.in_features is not None and features != self.in_features):
            expected = "features" if self.in_features is None else str(self.in_features)
            more = ", or images of as many values each" if self._takes_images() else ""
            raise ValueError(f"{name}: expected shape (rows, {expected}){more}, got {array.shape}")
        if array.size == 0:
            raise ValueError(f"{name}: expected at least one row, got shape {array.shape}")
        if array.ndim > 2:
            if isinstance(x, np.memmap) and not array[0].flags.c_contiguous:
                raise ValueError(f"{name}: expected a memmap whose images are C-contiguous, got one that would have to be copied")
            array = array.reshape(len(array), features)
        return array

    def _takes_images(self) -> bool:
        """Whether it begins with Flatten."""
        first: Layer = self
        while isinstance(first, Sequential):
            first = first.layers[0]
        return isinstance(first, Flatten)

    def to(self, device: str) -> Self:
        """Say where a `Trainer` runs this model's steps: 'cpu', as at first, or 'cuda', an NVIDIA GPU; returns the model.

        Nothing else changes: the arrays stay here, up to date between epochs (within one, the GPU has newer ones), so that
        predicting, saving and callbacks work as before, and a saved model knows no device. Training on a GPU raises ValueError
        for a part that has no CUDA kernel. RuntimeError, with what is to be installed, where CUDA cannot be used.
        """
        if choice("device", device, ("cpu", "cuda")) == "cuda" and not cuda.is_available():
            raise RuntimeError(f"device: expected 'cpu', since 'cuda' cannot be used here: {cuda.reason()}")
        self.device = device
        return self

    # what it is made of

    def children(self) -> Iterator[tuple[str, Layer]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(array.size for layer in self.walk() for array in layer.parameters.values())

    def output_features(self, features: int | None) -> int | None:
        return self._follow(features)

    def summary(self) -> None:
        """Print a table of the layers, their output sizes and numbers of parameters."""
        rows = [("", "layer", "output", "parameters")]
        features: int | None = self.in_features
        for i, layer in enumerate(self.layers):
            features = layer.output_features(features)
            count = sum(array.size for inner in layer.walk() for array in inner.parameters.values())
            rows.append((str(i), repr(layer), "?" if features is None else str(features), f"{count:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            print(f"{row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}")
        print(f"{self.parameter_count:,} parameters of {self.dtype}")

    def __repr__(self) -> str:
        parts = [repr(layer) for layer in self.layers]
        parts.append(f"seed={self.seed}")
        if self.dtype != np.float32:
            parts.append(f"dtype={self.dtype.name!r}")
        if self.input_scale != 1.0:
            parts.append(f"input_scale={self.input_scale!r}")
        return f"Sequential({', '.join(parts)})"

    # the flat buffers

    def __getstate__(self) -> dict[str, Any]:
        """Without the buffers: the layers carry copies of their arrays, which `__setstate__` binds anew."""
        return {name: value for name, value in super().__getstate__().items() if not name.startswith(("flat_", "_predictions"))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()

    def _chain(self) -> tuple[int | None, int | None]:
        """Features in and out: those that the first layer which knows its own takes, matched from layer to layer."""
        first = None
        for layer in self.walk():
            first = layer.__dict__.get("in_features") or layer.__dict__.get("num_features")
            if first or not (layer.keeps_width or isinstance(layer, Sequential)):
                break
        return first, self._follow(first)

    def _follow(self, features: int | None) -> int | None:
        for position, layer in enumerate(self.layers):
            try:
                features = layer.output_features(features)
            except ValueError as error:
                raise ValueError(f"layers[{position}]: {error}") from None
        return features

    def _draw(self) -> None:
        """Give each layer its random stream, and draw the parameters that nobody has touched yet."""
        inner = [layer for layer in self.walk() if layer is not self]
        for layer in inner:
            layer._cast(self.dtype)
        for index, layer in enumerate(inner):
            if isinstance(layer, Dropout):
                layer.bind_random(self.seed, index)
            if layer._pending:
                layer.reset_parameters(Stream(self.seed, INIT, index), _activation_after(inner[index + 1 :]))

    def _bind(self) -> None:
        """Move all arrays into new flat buffers and put views of them in their place."""
        self._predictions: dict[Any, Program | None] = {}
        layers = list(self.walk())
        for layer in layers:
            layer._owned = layer is not self or self._owned
            if layer is not self and isinstance(layer, Sequential):
                layer.__dict__.update(flat_parameters=None, flat_gradients=None, flat_buffers=None)
        slots = [(layer, name) for layer in layers for name in layer._parameters]
        slots.sort(key=lambda slot: slot[1] not in slot[0].regularized)  # stable: the regularised come first
        penalised = sum(padded(layer._parameters[name].size, self.dtype) for layer, name in slots if name in layer.regularized)
        states = [(layer, name) for layer in layers for name in layer.buffers]
        parameters = self._allocate([layer._parameters[name] for layer, name in slots])
        gradients = self._allocate([layer._gradients[name] for layer, name in slots])
        buffers = self._allocate([layer.buffers[name] for layer, name in states])
        for (layer, name), parameter, gradient in zip(slots, parameters[1], gradients[1], strict=True):
            layer._parameters[name], layer._gradients[name] = parameter, gradient
        for (layer, name), buffer in zip(states, buffers[1], strict=True):
            layer.buffers[name] = buffer
        self.flat_parameters, self.flat_gradients, self.flat_buffers = parameters[0], gradients[0], buffers[0]
        self.regularized_size = penalised

    def _allocate(self, arrays: list[Array]) -> tuple[Array, list[Array]]:
        """An aligned buffer with copies of the arrays, and the views that stand for them."""
        flat = aligned_zeros(sum(padded(array.size, self.dtype) for array in arrays), self.dtype)
        views, offset = [], 0
        for array in arrays:
            view = flat[offset : offset + array.size].reshape(array.shape)
            view[...] = array
            views.append(view)
            offset += padded(array.size, self.dtype)
        return flat, views


def _activation_after(layers: list[Layer]) -> Layer | None:
    """The next activation, if one comes before the next Linear."""
    for layer in layers:
        if hasattr(type(layer), "default_weight_init"):
            return layer
        if isinstance(layer, Linear):
            return None
    return None
