"""One seed, the same bits: from run to run, on any number of threads, in one go or with breaks."""

import copy
import pickle

import numba
import numpy as np
import pytest
from library.helpers import Record, blobs, dropout_steps, small_model, small_trainer, weights_of

import fastnn as fnn

X, Y = blobs()
OPTIMIZERS = {
    "SGD": lambda: fnn.SGD(lr=0.05, momentum=0.9),
    "RMSprop": lambda: fnn.RMSprop(lr=0.01, momentum=0.5, centered=True),
    "SGDW": lambda: fnn.SGDW(lr=0.05, momentum=0.9),
    "Adagrad": lambda: fnn.Adagrad(initial_accumulator_value=0.1, lr_decay=0.01),
    "Adadelta": fnn.Adadelta,
    "AdamW": lambda: fnn.AdamW(amsgrad=True),
    "NAdam": fnn.NAdam,
    "RAdam": lambda: fnn.RAdam(decoupled_weight_decay=True, weight_decay=0.01),
    "Lion": lambda: fnn.Lion(weight_decay=0.1),
    "Adam": lambda: fnn.Adam(lr=0.01, amsgrad=True, weight_decay=1e-3),
}
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def fit(trainer, epochs, **kwargs):
    trainer.fit(X, Y, epochs=epochs, batch_size=10, **kwargs)
    return trainer


@each_optimizer
def test_two_runs_with_one_seed_agree_to_the_last_bit(optimizer):
    runs = [fit(small_trainer(optimizer=optimizer(), regularizer=fnn.L2(0.01), clip_norm=1.0), 3) for _ in range(2)]
    assert weights_of(runs[0]) == weights_of(runs[1])
    for name in ("loss", "penalty", "accuracy"):
        assert np.array_equal(runs[0].history[name], runs[1].history[name])


def test_another_seed_takes_another_path():
    assert weights_of(fit(small_trainer(small_model(seed=0)), 1)) != weights_of(fit(small_trainer(small_model(seed=1)), 1))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads to compare with one")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_does_not_change_a_bit(dtype):
    x = np.random.default_rng(0).normal(size=(300, 97)).astype(dtype)
    y = np.arange(300) % 7

    def run(threads):
        fnn.set_num_threads(threads)
        layers = fnn.Linear(97, 131), fnn.BatchNorm1d(131), fnn.SELU(), fnn.Dropout(0.3), fnn.Linear(131, 61), fnn.Tanh()
        model = fnn.Sequential(*layers, fnn.Linear(61, 7), seed=0, dtype=dtype)
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), regularizer=fnn.ElasticNet(0.01, 0.01), clip_norm=0.5)
        history = trainer.fit(x, y, epochs=2, batch_size=128, validation_data=(x, y))
        return weights_of(trainer), history["loss"].tolist(), history["val_loss"].tolist(), trainer.predict(x).tobytes()

    before = fnn.get_num_threads()
    try:
        assert run(1) == run(2)
    finally:
        fnn.set_num_threads(before)


BREAKS = {
    "as it is": lambda trainer: trainer,
    "pickled": lambda trainer: pickle.loads(pickle.dumps(trainer)),
    "deep-copied": copy.deepcopy,
    "evaluated": lambda trainer: (trainer.evaluate(X, Y), trainer.predict(X), trainer)[-1],
}


@pytest.mark.parametrize("way", BREAKS.values(), ids=BREAKS.keys())
@each_optimizer
def test_training_with_a_break_is_training_in_one_go(optimizer, way):
    whole = fit(small_trainer(optimizer=optimizer()), 4)
    parts = fit(way(fit(small_trainer(optimizer=optimizer()), 1)), 3)
    assert weights_of(parts) == weights_of(whole)
    assert dropout_steps(parts.model) == dropout_steps(whole.model) == [4 * 5]
    assert parts.epochs_done == whole.epochs_done == 4
    assert np.array_equal(parts.history["loss"], whole.history["loss"][1:])


def test_a_restored_trainer_is_independent_of_its_original():
    trainer = fit(small_trainer(), 1)
    before = weights_of(trainer)
    twin = pickle.loads(pickle.dumps(trainer))
    assert weights_of(twin) == before
    assert np.array_equal(twin.history["loss"], trainer.history["loss"])
    fit(twin, 1)
    assert weights_of(trainer) == before
    assert twin.optimizer.bound_to(twin.model)


def test_weights_and_optimizer_state_carry_over_through_state_dicts():
    trainer = fit(small_trainer(), 2, shuffle=False)
    other = small_trainer(small_model(seed=0))
    other.model.load_state_dict(trainer.model.state_dict())
    other.optimizer.load_state_dict(trainer.optimizer.state_dict())
    other.model[3].step = trainer.model[3].step
    assert weights_of(fit(other, 1, shuffle=False)) == weights_of(fit(trainer, 1, shuffle=False))


@each_optimizer
def test_state_loaded_into_a_rule_of_other_settings_goes_on_to_the_same_bits(optimizer, rng):
    """Only what the arrays' shapes follow from has to be the same; the rest comes with the state."""
    gradients = rng.standard_normal((12, 50))
    one, g = rng.standard_normal((2, 50))
    first = optimizer().bind([one], [g])
    for t, gradient in enumerate(gradients):
        if t == 6:
            other, later = one.copy(), np.empty_like(g)
            second = optimizer()
            second.lr, second.weight_decay = 0.5, 0.25
            second.bind([other], [later]).load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
            assert (second.settings, second.steps) == (first.settings, 6)
        g[...] = gradient
        first.step()
        if t >= 6:
            later[...] = gradient
            second.step()
    assert one.tobytes() == other.tobytes()


def test_epochs_of_one_fit_and_of_many_are_shuffled_alike():
    whole, parts = Record(), Record()
    fit(small_trainer(), 3, callbacks=[whole])
    trainer = small_trainer()
    for _ in range(3):
        fit(trainer, 1, callbacks=[parts])
    assert len({array.tobytes() for array in whole.parameters}) == 3
    assert [a.tobytes() for a in parts.parameters] == [a.tobytes() for a in whole.parameters]
