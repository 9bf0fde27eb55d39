"""fastnn trains neural networks on the CPU, from NumPy arrays, with compiled kernels.

import fastnn as fnn

model = fnn.Sequential(fnn.Linear(64, 128), fnn.BatchNorm1d(128), fnn.ReLU(), fnn.Linear(128, 10), seed=0)
trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=1e-3))
history = trainer.fit(x, y, epochs=20, batch_size=64)
"""

import gc as _gc

# Python's collector goes through all of numba's and numpy's objects once or twice while these are made: half of the time
_collects = _gc.isenabled()
_gc.disable()
try:
    from . import augment, cuda, datasets, diagnostics, functional, init, metrics, optim, schedules, text
    from .averaging import EMA, SWA, update_bn
    from .callbacks import Callback, EarlyStopping, LambdaCallback, ProgressBar
    from .files import load_extra, load_model, save_model
    from .functional import cache_folder, get_num_threads, set_num_threads, threading_layer
    from .gradcheck import GradcheckReport, gradcheck
    from .history import History
    from .layers import (
        ELU,
        GELU,
        SELU,
        BatchNorm1d,
        Dropout,
        Flatten,
        Layer,
        LayerNorm,
        LeakyReLU,
        Linear,
        LogSoftmax,
        ReLU,
        Residual,
        RMSNorm,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        SpectralNorm,
        Tanh,
        spectral_norm,
    )
    from .losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, PoissonNLLLoss
    from .optim import (
        SGD,
        SGDW,
        Adadelta,
        Adagrad,
        Adam,
        AdamW,
        Lion,
        NAdam,
        Optimizer,
        RAdam,
        RMSprop,
        clip_grad_norm_,
        clip_grad_value_,
    )
    from .recording import CSVLogger, LearningRateLogger, LivePlot, ModelCheckpoint
    from .regularizers import L1, L2, ElasticNet, MaxNorm
    from .schedules import (
        ConstantLR,
        CosineAnnealingLR,
        CosineAnnealingWarmRestarts,
        ExponentialLR,
        LambdaLR,
        LinearLR,
        MultiStepLR,
        OneCycleLR,
        PolynomialLR,
        ReduceLROnPlateau,
        Schedule,
        SequentialLR,
        StepLR,
        Warmup,
    )
    from .second_order import Minimum, minimize, newton
    from .sequential import Sequential
    from .trainer import NonFiniteLossError, Trainer
    from .warmup import warm_up
finally:
    if _collects:
        _gc.enable()

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "EMA",
    "GELU",
    "L1",
    "L1Loss",
    "L2",
    "SELU",
    "SGD",
    "SGDW",
    "SWA",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "CSVLogger",
    "Callback",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CrossEntropyLoss",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "ExponentialLR",
    "Flatten",
    "GradcheckReport",
    "History",
    "LambdaCallback",
    "LambdaLR",
    "HuberLoss",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearningRateLogger",
    "Linear",
    "LinearLR",
    "Lion",
    "LivePlot",
    "LogSoftmax",
    "MSELoss",
    "MaxNorm",
    "Minimum",
    "ModelCheckpoint",
    "MultiStepLR",
    "NAdam",
    "NLLLoss",
    "NonFiniteLossError",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "PoissonNLLLoss",
    "ProgressBar",
    "RAdam",
    "RMSprop",
    "RMSNorm",
    "ReLU",
    "Residual",
    "ReduceLROnPlateau",
    "Schedule",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SpectralNorm",
    "StepLR",
    "Tanh",
    "Trainer",
    "Warmup",
    "augment",
    "cache_folder",
    "clip_grad_norm_",
    "clip_grad_value_",
    "cuda",
    "datasets",
    "diagnostics",
    "functional",
    "get_num_threads",
    "gradcheck",
    "init",
    "load_extra",
    "load_model",
    "metrics",
    "minimize",
    "newton",
    "optim",
    "save_model",
    "schedules",
    "set_num_threads",
    "spectral_norm",
    "text",
    "threading_layer",
    "update_bn",
    "warm_up",
]
