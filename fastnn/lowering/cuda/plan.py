"""A step on the device in the making."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._check import Array
from ..common import offset

__all__ = ["Plan", "place_of"]

Launch = Callable[[int], None]  # of a step


class Plan:
    """The launches of a step of `m` rows, and arrays for what they work on. program: the `CudaProgram` that will run it."""

    def __init__(self, program: Any, m: int) -> None:
        self.program, self.m = program, m
        self.cuda, self.xp = program.cuda, program.xp
        self.training = program.trainer is not None
        self.launches: list[Launch] = []

    def add(self, launch: Launch) -> None:
        """Append what a step launches, called with the number of the step."""
        self.launches.append(launch)

    def empty(self, shape: Any, dtype: Any = None) -> Any:
        """A new array on the device, of the model's dtype if none is given."""
        return self.xp.empty(shape, self.program.model.dtype if dtype is None else dtype)

    def parameter(self, layer: Any, name: str) -> Any:
        """A layer's parameter on the device; (0,) where it has none of that name."""
        return place_of(layer.parameters.get(name), self.program.model.flat_parameters, self.program.parameters)

    def gradient(self, layer: Any, name: str) -> Any:
        """Where the gradient of a layer's parameter goes; (0,) where it has none of that name."""
        return place_of(layer.gradients.get(name), self.program.model.flat_gradients, self.program.gradients)

    def buffer(self, layer: Any, name: str) -> Any:
        """A layer's buffer on the device."""
        return place_of(layer.buffers[name], self.program.model.flat_buffers, self.program.buffers)

    def rows(self, step: int) -> slice:
        """The step's rows of the arrays of the pass."""
        first = step * self.program.batch
        return slice(first, first + self.m)


def place_of(array: Array | None, flat: Array, on_device: Any) -> Any:
    """What a view of one of the model's flat buffers is on the device."""
    if array is None:
        return on_device[:0]
    place = offset(array, flat)
    return on_device[place : place + array.size].reshape(array.shape)
