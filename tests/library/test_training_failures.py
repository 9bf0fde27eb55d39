"""Training that cannot go on: a loss that is not finite, Ctrl-C. What comes back, and what is said."""

import pickle

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, Explode, Record, blobs, small_trainer, weights_of

import fastnn as fnn

X, Y = blobs()
STEPS = 5  # an epoch of 47 rows in batches of 10


def trainer_with(*extra, optimizer=None, **settings):
    model = fnn.Sequential(
        *extra,
        fnn.Linear(FEATURES, 7),
        fnn.BatchNorm1d(7),
        fnn.ReLU(),
        fnn.Dropout(0.3),
        fnn.Linear(7, CLASSES),
        seed=0,
    )
    return fnn.Trainer(model, fnn.CrossEntropyLoss(), optimizer or fnn.Adam(lr=0.01), **settings)


def fit(trainer, epochs, **kwargs):
    return trainer.fit(X, Y, epochs=epochs, batch_size=10, **kwargs)


OPTIMIZERS = [lambda: fnn.SGD(lr=0.05, momentum=0.9), lambda: fnn.RMSprop(centered=True), lambda: fnn.Adam(amsgrad=True)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["SGD", "RMSprop", "Adam"])
@pytest.mark.parametrize("step", [0, 3, STEPS - 1])
@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_the_last_whole_epoch_is_back_to_the_last_bit(epoch, step, optimizer):
    trainer = trainer_with(Explode(at=epoch * STEPS + step), optimizer=optimizer())
    with pytest.raises(fnn.NonFiniteLossError, match=rf"epoch {epoch + 1}, step {step + 1};") as caught:
        fit(trainer, 5)
    assert (caught.value.epoch, caught.value.step) == (epoch + 1, step + 1)
    assert isinstance(caught.value, ArithmeticError)
    expected = trainer_with(Explode(at=-1), optimizer=optimizer())  # never, but in the same place: it sets the dropout masks
    if epoch:
        fit(expected, epoch)
    assert weights_of(trainer) == weights_of(expected)
    assert len(trainer.history) == trainer.epochs_done == epoch


def test_in_the_first_epoch_of_a_second_fit_the_state_of_the_first_is_back():
    trainer = trainer_with(Explode(at=2 * STEPS + 1))
    fit(trainer, 2)
    before = weights_of(trainer)
    with pytest.raises(fnn.NonFiniteLossError, match="epoch 1, step 2"):
        fit(trainer, 2)
    assert weights_of(trainer) == before


def test_training_can_go_on_after_it():
    trainer = trainer_with(Explode(at=STEPS + 1))
    with pytest.raises(fnn.NonFiniteLossError):
        fit(trainer, 3)
    assert np.isfinite(fit(trainer, 2)["loss"]).all()
    assert trainer.epochs_done == 3


def test_the_error_says_what_became_of_the_loss_and_what_may_help():
    with pytest.raises(
        fnn.NonFiniteLossError, match=r"the loss became nan in epoch 1, step 2.*smaller learning rate or clip_norm"
    ):
        fit(trainer_with(Explode(at=1)), 1)


@pytest.mark.parametrize("lr", [1e10, 1e30])
@pytest.mark.parametrize(
    "settings", [{}, {"clip_norm": 1e30}, {"regularizer": fnn.L2(1.0)}], ids=["plain", "clipped", "penalised"]
)
def test_a_learning_rate_that_blows_up_is_stopped(lr, settings):
    model = fnn.Sequential(fnn.Linear(FEATURES, 4), fnn.ReLU(), fnn.Linear(4, 1), seed=0)
    trainer = fnn.Trainer(model, fnn.MSELoss(), fnn.SGD(lr=lr), **settings)
    before = weights_of(trainer)
    with pytest.raises(fnn.NonFiniteLossError, match="in epoch 1, step"):
        trainer.fit(X, X[:, 0], epochs=2, batch_size=10)
    assert weights_of(trainer) == before


class BadGradient(fnn.Layer):
    """Sends an infinite gradient back at one step."""

    def __init__(self, at):
        super().__init__()
        self.at, self.count = at, 0

    def forward(self, x):
        return x

    def backward(self, dy):
        self.count += 1
        return np.full_like(dy, np.inf) if self.count - 1 == self.at else dy


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 1.0}], ids=["plain", "clipped"])
@pytest.mark.parametrize("step", [1, STEPS - 1])
def test_a_gradient_that_is_not_finite_is_stopped_in_its_epoch(step, settings):
    def make(at):
        model = fnn.Sequential(fnn.Linear(FEATURES, 4), fnn.Tanh(), BadGradient(at), fnn.Linear(4, CLASSES), seed=0)
        return fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), **settings)

    trainer, expected = make(STEPS + step), make(-1)
    with pytest.raises(fnn.NonFiniteLossError, match="in epoch 2, step") as caught:
        fit(trainer, 3)
    assert caught.value.epoch == 2
    fit(expected, 1)
    assert weights_of(trainer) == weights_of(expected)


def test_callbacks_hear_of_the_end():
    record = Record()
    with pytest.raises(fnn.NonFiniteLossError):
        fit(trainer_with(Explode(at=STEPS)), 3, callbacks=[record])
    assert record.calls[-2:] == [("epoch begin", 1), ("fit end",)]


def test_an_infinite_loss_of_a_users_own_is_stopped():
    class Own:
        def forward(self, prediction, targets):
            self.shape = prediction.shape
            return np.float64("inf")

        def backward(self):
            return np.zeros(self.shape)

    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(FEATURES, 2), seed=0), Own(), fnn.SGD())
    with pytest.raises(fnn.NonFiniteLossError, match="the loss became inf in epoch 1, step 1"):
        fit(trainer, 1)


def test_the_error_can_be_pickled():
    error = fnn.NonFiniteLossError("the loss became nan", 3, 4)
    again = pickle.loads(pickle.dumps(error))
    assert (again.epoch, again.step, str(again)) == (3, 4, str(error))


# Ctrl-C, and errors of the user's


class RaiseAt(fnn.Callback):
    def __init__(self, error, hook, epoch, step=0):
        self.error, self.hook, self.epoch, self.step = error, hook, epoch, step

    def on_epoch_begin(self, trainer, epoch):
        self.now = epoch
        if (self.hook, self.epoch) == ("epoch begin", epoch):
            raise self.error

    def on_batch_end(self, trainer, step, logs):
        if (self.hook, self.epoch, self.step) == ("batch end", self.now, step):
            raise self.error

    def on_epoch_end(self, trainer, epoch, logs):
        if (self.hook, self.epoch) == ("epoch end", epoch):
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("mine")], ids=["Ctrl-C", "an error"])
@pytest.mark.parametrize(("hook", "finished"), [("epoch begin", 2), ("batch end", 2), ("epoch end", 3)])
def test_an_interruption_passes_through_and_keeps_the_finished_epochs(error, hook, finished):
    record, trainer, whole = Record(), small_trainer(), small_trainer()
    with pytest.raises(type(error)):
        fit(trainer, 5, callbacks=[RaiseAt(error, hook, 2, 1), record])
    assert record.calls[-1] == ("fit end",)
    assert record.calls.count(("fit end",)) == 1
    assert len(trainer.history) == trainer.epochs_done == finished
    assert np.array_equal(trainer.history["loss"], fit(whole, finished)["loss"])


def test_after_ctrl_c_training_can_go_on():
    trainer = small_trainer()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, 5, callbacks=[RaiseAt(KeyboardInterrupt(), "epoch end", 1)])
    fit(trainer, 1)
    whole = small_trainer()
    fit(whole, 3)
    assert weights_of(trainer) == weights_of(whole)
