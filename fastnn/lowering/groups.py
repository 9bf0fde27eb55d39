"""Layers in groups of those that run in one pass, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..functional.activations import KINDS
from ..layers import SELU, BatchNorm1d, Dropout, Layer, LeakyReLU, Linear, ReLU, Sigmoid, Tanh
from .common import NotLowered

__all__ = ["ACTIVATIONS", "Group", "flat_layers", "groups_of"]


class Group(NamedTuple):
    """A layer, with the activation and the dropout after it where they run in the same pass."""

    layer: Any
    activation: Any = None
    dropout: Any = None

    @property
    def kind(self) -> int:
        return int(KINDS[self.activation.kind if self.activation else None])

    @property
    def slope(self) -> float:
        return float(self.activation.negative_slope) if self.activation else 0.0

    @property
    def p(self) -> float:
        return float(self.dropout.p) if self.dropout else 0.0


ACTIVATIONS = (ReLU, LeakyReLU, Sigmoid, Tanh, SELU)


def groups_of(layers: list[Layer]) -> Iterable[Group]:
    """Linear or BatchNorm1d with the activation that follows, and after ReLU, whose output shows what was dropped, dropout."""
    position = 0

    def next_is(kinds: tuple[type, ...]) -> bool:
        return position < len(layers) and type(layers[position]) in kinds

    while position < len(layers):
        layer, activation, dropout = layers[position], None, None
        position += 1
        if type(layer) in (Linear, BatchNorm1d) and next_is(ACTIVATIONS):
            activation = layers[position]
            position += 1
        if ReLU in (type(layer), type(activation)) and next_is((Dropout,)):
            dropout = layers[position]
            position += 1
        yield Group(layer, activation, dropout)


def flat_layers(layers: list[Layer], container: type) -> Iterable[Layer]:
    """The layers, with those of models inside in the place of these."""
    for layer in layers:
        if type(layer) is container:
            if layer.input_scale != 1.0:
                raise NotLowered("a nested model has an input_scale of its own")
            yield from flat_layers(layer.layers, container)
        else:
            yield layer
