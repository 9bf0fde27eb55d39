"""Layers: parameters and state; the arithmetic is `fastnn.functional`'s."""

from .activations import SELU, LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer
from .dropout import Dropout
from .linear import Linear
from .normalization import BatchNorm1d

__all__ = ["SELU", "BatchNorm1d", "Dropout", "Layer", "LeakyReLU", "Linear", "ReLU", "Sigmoid", "Tanh"]
