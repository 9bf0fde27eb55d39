"""Optimisers: settings and state; the arithmetic is `fastnn.functional`'s."""

from .adam import Adam
from .base import Optimizer, clip_grad_norm_
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "clip_grad_norm_"]
