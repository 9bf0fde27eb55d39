"""fastnn trains neural networks on the CPU, from NumPy arrays, with compiled kernels.

import fastnn as fnn

model = fnn.Sequential(fnn.Linear(64, 128), fnn.BatchNorm1d(128), fnn.ReLU(), fnn.Linear(128, 10), seed=0)
trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=1e-3))
history = trainer.fit(x, y, epochs=20, batch_size=64)
"""

from . import datasets, functional, init, optim
from .callbacks import Callback, EarlyStopping, ProgressBar
from .files import load_extra, load_model, save_model
from .functional import cache_folder, get_num_threads, set_num_threads, threading_layer
from .gradcheck import GradcheckReport, gradcheck
from .history import History
from .layers import SELU, BatchNorm1d, Dropout, Layer, LeakyReLU, Linear, ReLU, Sigmoid, Tanh
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, PoissonNLLLoss
from .optim import SGD, Adam, Optimizer, RMSprop, clip_grad_norm_
from .regularizers import L1, L2, ElasticNet
from .sequential import Sequential
from .trainer import NonFiniteLossError, Trainer
from .warmup import warm_up

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L1Loss",
    "L2",
    "SELU",
    "SGD",
    "Adam",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "Callback",
    "CrossEntropyLoss",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "GradcheckReport",
    "History",
    "HuberLoss",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "NLLLoss",
    "NonFiniteLossError",
    "Optimizer",
    "PoissonNLLLoss",
    "ProgressBar",
    "RMSprop",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "Trainer",
    "cache_folder",
    "clip_grad_norm_",
    "datasets",
    "functional",
    "get_num_threads",
    "gradcheck",
    "init",
    "load_extra",
    "load_model",
    "optim",
    "save_model",
    "set_num_threads",
    "threading_layer",
    "warm_up",
]
