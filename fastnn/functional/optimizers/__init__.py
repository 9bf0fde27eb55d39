"""Update rules and what goes with them, on flat arrays that are changed in place; one rule a file."""

from .adadelta import adadelta_update
from .adagrad import adagrad_update
from .adam import adam_update
from .lion import lion_update
from .nadam import nadam_update
from .radam import radam_update
from .rmsprop import rmsprop_update
from .sgd import sgd_update
from .sums import add_penalty_gradient, squared_norm

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "add_penalty_gradient",
    "lion_update",
    "nadam_update",
    "radam_update",
    "rmsprop_update",
    "sgd_update",
    "squared_norm",
]
