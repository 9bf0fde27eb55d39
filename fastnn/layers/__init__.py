"""Layers: parameters and state; the arithmetic is `fastnn.functional`'s."""

from .activations import SELU, LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .normalization import BatchNorm1d
from .residual import Residual
from .row_normalization import LayerNorm, RMSNorm
from .smooth_activations import ELU, GELU, LogSoftmax, SiLU, Softmax, Softplus
from .spectral import SpectralNorm, spectral_norm

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "BatchNorm1d",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "RMSNorm",
    "ReLU",
    "Residual",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SpectralNorm",
    "Softplus",
    "Tanh",
    "spectral_norm",
]
