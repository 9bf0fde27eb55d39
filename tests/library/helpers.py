"""Small data, a small model with everything in it, and the state that must not change or must agree."""

import numpy as np

import fastnn as fnn

FEATURES, CLASSES = 5, 3


def blobs(rows=47, seed=0):
    """Points around three centres, float32, and the number of each point's centre."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, rows)
    centres = np.random.default_rng(99).normal(0.0, 2.0, (CLASSES, FEATURES))
    return (centres[y] + rng.normal(0.0, 1.0, (rows, FEATURES))).astype(np.float32), y


def small_model(seed=0, **settings):
    return fnn.Sequential(
        fnn.Linear(FEATURES, 7),
        fnn.BatchNorm1d(7),
        fnn.ReLU(),
        fnn.Dropout(0.3),
        fnn.Linear(7, CLASSES),
        seed=seed,
        **settings,
    )


def small_trainer(model=None, optimizer=None, **settings):
    return fnn.Trainer(model or small_model(), fnn.CrossEntropyLoss(), optimizer or fnn.Adam(lr=0.01), **settings)


def dropout_steps(model):
    return [layer.step for layer in model.walk() if isinstance(layer, fnn.Dropout)]


def weights_of(trainer):
    """The bits of what training produces: parameters, running statistics, the optimiser's state and steps."""
    model, optimizer = trainer.model, trainer.optimizer
    return {
        "parameters": model.flat_parameters.tobytes(),
        "buffers": model.flat_buffers.tobytes(),
        "optimizer": [array.tobytes() for array in optimizer.state_arrays()],
        "optimizer steps": optimizer.steps,
    }


def state_of(trainer):
    """All that a refused call must leave alone."""
    model = trainer.model
    return weights_of(trainer) | {
        "dropout steps": dropout_steps(model),
        "modes": [layer.training for layer in model.walk()],
        "epochs": trainer.epochs_done,
        "history": id(trainer.history),
    }


class Record(fnn.Callback):
    """Writes down every call, with the numbers that came with it, and a copy of the parameters after each epoch."""

    def __init__(self):
        self.calls, self.batch_logs, self.epoch_logs, self.parameters = [], [], [], []

    def on_fit_begin(self, trainer, epochs, steps):
        self.calls.append(("fit begin", epochs, steps))

    def on_epoch_begin(self, trainer, epoch):
        self.calls.append(("epoch begin", epoch))

    def on_batch_end(self, trainer, step, logs):
        self.calls.append(("batch end", step))
        self.batch_logs.append(dict(logs))

    def on_epoch_end(self, trainer, epoch, logs):
        self.calls.append(("epoch end", epoch))
        self.epoch_logs.append(dict(logs))
        self.parameters.append(trainer.model.flat_parameters.copy())

    def on_fit_end(self, trainer):
        self.calls.append(("fit end",))


class Explode(fnn.Layer):
    """Passes its input on, but fills the batch of one training step (from 0) with infinity."""

    def __init__(self, at):
        super().__init__()
        self.at, self.count = at, 0

    def forward(self, x):
        if not self.training:
            return x
        self.count += 1
        return np.full_like(x, np.inf) if self.count - 1 == self.at else x

    def backward(self, dy):
        return dy
