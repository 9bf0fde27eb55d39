"""Layers: parameters and state; the arithmetic is `fastnn.functional`'s."""

from .activations import SELU, LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .normalization import BatchNorm1d
from .smooth_activations import ELU, GELU, LogSoftmax, SiLU, Softmax, Softplus

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "BatchNorm1d",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
