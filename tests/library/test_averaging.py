"""Averages of the weights: what they are on both roads, how they are used, and that training does not notice."""

import copy
import os
import pickle

import numpy as np
import pytest
from library.helpers import FEATURES, Explode, blobs, dropout_steps, small_model, small_trainer, weights_of

import fastnn as fnn

X, Y = blobs()
STEPS = 3  # an epoch, in batches of 20

AVERAGES = {
    "EMA": lambda **more: fnn.EMA(0.9, **more),
    "corrected": lambda **more: fnn.EMA(0.9, bias_correction=True, **more),
    "warmed up": lambda **more: fnn.EMA(0.9, warmup=True, **more),
    "by epochs": lambda **more: fnn.EMA(0.5, per="epoch", **more),
    "SWA": fnn.SWA,
    "SWA by steps": lambda **more: fnn.SWA(start=2, every=2, per="step", **more),
}


class Weights(fnn.Callback):
    """Keeps the parameters after each step."""

    def __init__(self):
        self.after = []

    def on_batch_end(self, trainer, step, logs):
        self.after.append(trainer.model.flat_parameters.copy())


def fit(trainer, epochs=4, **kwargs):
    return trainer.fit(X, Y, epochs=epochs, batch_size=20, **kwargs)


def expected(name, after):
    """The average written out, from the parameters after each step."""
    ends = after[STEPS - 1 :: STEPS]
    if name == "EMA":
        average = after[0]
        for w in after[1:]:
            average = 0.9 * average + 0.1 * w
        return average
    if name == "corrected":
        average = np.zeros_like(after[0])
        for w in after:
            average = 0.9 * average + 0.1 * w
        return average / (1.0 - 0.9 ** len(after))
    if name == "warmed up":
        average = after[0]
        for n, w in enumerate(after[1:], 2):
            decay = min(0.9, (1 + n) / (10 + n))
            average = decay * average + (1.0 - decay) * w
        return average
    if name == "by epochs":
        average = ends[0]
        for w in ends[1:]:
            average = 0.5 * average + 0.5 * w
        return average
    return np.mean(ends if name == "SWA" else after[3::2], axis=0)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_is_the_formulas(name, compiled):
    weights = Weights()
    trainer = small_trainer(small_model(dtype=np.float64), average=AVERAGES[name](), compiled=compiled)
    fit(trainer, callbacks=[weights])
    np.testing.assert_allclose(trainer.average.values, expected(name, weights.after), rtol=1e-12, atol=1e-15)
    assert trainer.average.count == {"SWA": 4, "by epochs": 4, "SWA by steps": 5}.get(name, 12)


@pytest.mark.parametrize("name", AVERAGES)
def test_slices_of_many_steps_and_several_fits_give_the_same_bits_and_training_does_not_notice(name):
    plain = small_trainer()
    fit(plain)
    ends = []
    for parts, callbacks in (((4,), []), ((4,), [Weights()]), ((1, 3), [])):
        trainer = small_trainer(average=AVERAGES[name]())
        for epochs in parts:
            fit(trainer, epochs, callbacks=callbacks)
            trainer = pickle.loads(pickle.dumps(trainer))
        assert weights_of(trainer) == weights_of(plain)
        ends.append((trainer.average.values.tobytes(), trainer.average.count))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.skipif(os.environ.get("NUMBA_NUM_THREADS") == "1", reason="needs two threads")
def test_large_models_are_averaged_in_parallel_to_the_same_bits(rng):
    x, y = rng.standard_normal((90, 200)).astype(np.float32), rng.integers(0, 10, 90)
    ends = []
    for compiled, threads in ((True, 1), (True, 2), (False, 2)):
        fnn.set_num_threads(threads)
        model = fnn.Sequential(fnn.Linear(200, 300), fnn.ReLU(), fnn.Linear(300, 10), seed=0)
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1), average=fnn.EMA(0.9), compiled=compiled)
        trainer.fit(x, y, 3, 30)
        ends.append(trainer.average.values)
    assert ends[0].tobytes() == ends[1].tobytes()
    np.testing.assert_allclose(ends[1], ends[2], rtol=1e-4, atol=1e-6)


def test_start_and_every_count_steps_from_one():
    weights = fnn.SWA(start=3, every=2, per="step").weights(np.arange(1, 10))
    np.testing.assert_allclose(weights, [0, 0, 0, 0, 1, 0, 1 / 2, 0, 1 / 3])
    assert fnn.EMA(0.5, start=1).weights(np.arange(1, 4)).tolist() == [0, 1, 0.5]


def test_the_model_has_the_average_for_a_while_or_for_good():
    trainer = small_trainer(average=fnn.EMA(0.9))
    fit(trainer)
    model, average = trainer.model, trainer.average
    own, before = weights_of(trainer), trainer.predict(X)
    with average.applied():
        np.testing.assert_array_equal(model.flat_parameters, average.values)
        averaged = trainer.predict(X)
        assert trainer.evaluate(X, Y)["loss"] != pytest.approx(0.0)
        fnn.update_bn(model, X)
    assert weights_of(trainer) == own
    assert not np.array_equal(averaged, before)
    np.testing.assert_array_equal(trainer.predict(X), before)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert weights_of(trainer) == own
    average.apply()
    np.testing.assert_array_equal(trainer.predict(X), averaged)


@pytest.mark.parametrize("compiled", [True, False])
def test_validation_with_the_averaged_weights(compiled):
    for validate in (True, False):
        trainer = small_trainer(average=fnn.EMA(0.9, validate=validate), compiled=compiled)
        history = fit(trainer, validation_data=(X, Y))
        own = trainer.evaluate(X, Y)["loss"]
        with trainer.average.applied():
            averaged = trainer.evaluate(X, Y)["loss"]
        assert own != averaged
        assert history["val_loss"][-1] == pytest.approx(averaged if validate else own, rel=1e-5)
    history = fit(small_trainer(average=fnn.SWA(start=9, validate=True)), validation_data=(X, Y))
    assert np.isfinite(history["val_loss"]).all(), "the model's own before there is an average"


@pytest.mark.parametrize("name", ["EMA", "SWA"])
def test_after_a_loss_that_is_not_finite_the_average_is_that_of_the_last_whole_epoch(name):
    def trainer(at):
        model = fnn.Sequential(Explode(at=at), fnn.Linear(FEATURES, 3), seed=0)
        return fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), average=AVERAGES[name]())

    failed, whole = trainer(2 * STEPS + 1), trainer(-1)
    with pytest.raises(fnn.NonFiniteLossError, match="epoch 3"):
        fit(failed)
    fit(whole, 2)
    assert failed.average.count == whole.average.count
    assert failed.average.values.tobytes() == whole.average.values.tobytes()


def test_by_hand():
    model = small_model()
    average = fnn.SWA().bind(model)
    for value in (1.0, 2.0, 6.0):
        model.flat_parameters[...] = value
        average.update()
    np.testing.assert_allclose(average.values, 3.0)
    state = average.state_dict()
    other = fnn.SWA().bind(copy.deepcopy(model))
    other.load_state_dict(state)
    other.apply()
    np.testing.assert_allclose(other._model.flat_parameters, 3.0)
    assert other.count == 3


def test_statistics_are_taken_anew_from_data():
    model = small_model(dtype=np.float64)
    fit(fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam()))
    steps, parameters = dropout_steps(model), model.flat_parameters.copy()
    model.eval()
    fnn.update_bn(model, X, batch_size=len(X))
    hidden = model[0].forward(X.astype(np.float64))
    np.testing.assert_allclose(model[1].running_mean, hidden.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model[1].running_var, hidden.var(axis=0, ddof=1), rtol=1e-12)
    assert dropout_steps(model) == steps
    assert not any(layer.training for layer in model.walk())
    assert model[1].momentum == 0.1
    np.testing.assert_array_equal(model.flat_parameters, parameters)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_statistics_stay_where_the_data_has_none():
    model = small_model()
    before, bad = model.flat_buffers.copy(), X.copy()
    bad[-1, 0] = np.nan
    with pytest.raises(ValueError, match="^x: expected rows of which the statistics are finite"):
        fnn.update_bn(model, bad, batch_size=10)
    np.testing.assert_array_equal(model.flat_buffers, before)


def test_bad_arguments_are_refused_by_name():
    for make, argument, error in (
        (lambda: fnn.EMA(1.0), "decay", ValueError), (lambda: fnn.EMA(start=-1), "start", ValueError),
        (lambda: fnn.EMA(every=0), "every", ValueError), (lambda: fnn.SWA(per="batch"), "per", ValueError),
        (lambda: fnn.EMA(warmup=True, bias_correction=True), "warmup", ValueError),
        (lambda: fnn.EMA(validate=1), "validate", TypeError), (lambda: small_trainer(average=0.9), "average", TypeError),
        (lambda: small_trainer(average=fnn.EMA().bind(small_model())), "average", ValueError),
        (lambda: fnn.EMA().bind(fnn.Linear(2, 2)), "model", TypeError), (lambda: fnn.EMA().update(), "average", ValueError),
        (lambda: fnn.EMA().bind(small_model()).apply(), "average", ValueError),
        (lambda: fnn.SWA().bind(small_model()).load_state_dict({"values": np.zeros(3), "count": 1}), "state", ValueError),
        (lambda: fnn.update_bn(fnn.Linear(2, 2), X), "model", TypeError),
        (lambda: fnn.update_bn(small_model(), X[:1]), "x", ValueError),
        (lambda: fnn.update_bn(small_model(), X[:, :2]), "x", ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"^{argument}: expected"):
            make()


def test_an_average_prints_as_it_was_made():
    for average in (fnn.EMA(0.99, warmup=True, validate=True), fnn.SWA(3, 2, per="step")):
        assert repr(eval(repr(average), vars(fnn).copy())) == repr(average)
    assert "average=SWA(" in repr(small_trainer(average=fnn.SWA()))
