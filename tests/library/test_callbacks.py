"""When callbacks are called and with what; early stopping; the progress bar."""

import io
import math
import pickle
import sys

import numpy as np
import pytest
from library.helpers import FEATURES, Explode, Record, blobs, small_model, small_trainer

import fastnn as fnn

X, Y = blobs()


def fit(trainer=None, epochs=3, **kwargs):
    trainer = trainer or small_trainer()
    trainer.fit(X, Y, epochs=epochs, batch_size=20, **kwargs)
    return trainer


# hooks


def test_hooks_are_called_in_order():
    record = Record()
    fit(epochs=2, callbacks=[record])
    epoch = [("batch end", 0), ("batch end", 1), ("batch end", 2)]
    assert record.calls == [
        ("fit begin", 2, 3),
        ("epoch begin", 0),
        *epoch,
        ("epoch end", 0),
        ("epoch begin", 1),
        *epoch,
        ("epoch end", 1),
        ("fit end",),
    ]


def test_the_number_of_steps_is_that_of_the_batches_used():
    for kwargs, steps in (({"drop_last": True}, 2), ({"drop_last": False}, 3)):
        record = Record()
        fit(epochs=1, callbacks=[record], **kwargs)
        assert record.calls[0] == ("fit begin", 1, steps)
        assert len(record.batch_logs) == steps


def test_on_batch_end_gets_the_running_means_of_the_epoch():
    record = Record()
    trainer = fnn.Trainer(
        fnn.Sequential(fnn.Linear(FEATURES, 3), seed=0), fnn.CrossEntropyLoss(), fnn.SGD(lr=0.0), regularizer=fnn.L2(0.1)
    )
    history = fit(trainer, epochs=2, callbacks=[record], shuffle=False).history
    assert [set(logs) for logs in record.batch_logs] == [{"loss", "penalty", "accuracy"}] * 6
    penalty = record.batch_logs[0]["penalty"]
    for i, rows in enumerate((20, 40, 47)):
        expected = trainer.evaluate(X[:rows], Y[:rows])
        assert record.batch_logs[i]["loss"] == pytest.approx(expected["loss"] + penalty, rel=1e-5)
        assert record.batch_logs[i]["accuracy"] == pytest.approx(expected["accuracy"])
    for i, epoch in ((2, 0), (5, 1)):
        assert record.batch_logs[i]["loss"] == history["loss"][epoch]


def test_on_epoch_end_gets_what_the_history_gets():
    record = Record()
    history = fit(callbacks=[record], validation_data=(X, Y)).history
    for epoch, logs in enumerate(record.epoch_logs):
        assert logs == {name: history[name][epoch] for name in history.names}
        assert {"loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"} == set(logs)


def test_callbacks_are_called_one_after_another():
    class Note(fnn.Callback):
        def __init__(self, name, notes):
            self.name, self.notes = name, notes

        def on_epoch_end(self, trainer, epoch, logs):
            self.notes.append(self.name)

    notes = []
    fit(epochs=2, callbacks=(Note("a", notes), Note("b", notes)))
    assert notes == ["a", "b", "a", "b"]


@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end"])
def test_stop_ends_training_after_the_current_epoch(hook):
    def stop(self, trainer, number, logs):
        trainer.stop()

    record = Record()
    trainer = fit(epochs=5, callbacks=[record, type("Stop", (fnn.Callback,), {hook: stop})()])
    assert len(trainer.history) == 1
    assert len(record.batch_logs) == 3, "the whole epoch"
    assert record.calls[-1] == ("fit end",)
    assert len(fit(trainer, epochs=2).history) == 2, "and only once"


def test_a_callback_may_change_the_learning_rate():
    class Halve(fnn.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            trainer.optimizer.lr /= 2

    assert fit(callbacks=[Halve()]).history["lr"].tolist() == [0.01, 0.005, 0.0025]


# early stopping


class Inject(fnn.Callback):
    """Puts a made-up value into the logs, and keeps the weights of each epoch."""

    def __init__(self, name, values):
        self.name, self.values, self.weights = name, values, []

    def on_epoch_end(self, trainer, epoch, logs):
        logs[self.name] = self.values[epoch]
        model = trainer.model
        self.weights.append((model.flat_parameters.tobytes(), model.flat_buffers.tobytes()))


def run(values, name="fake", model=None, extra=(), **kwargs):
    """Train for as many epochs as there are values. Returns the stopper, the injector and the trainer."""
    inject, stopper = Inject(name, values), fnn.EarlyStopping(name, **kwargs)
    return stopper, inject, fit(small_trainer(model), epochs=len(values), callbacks=[inject, stopper, *extra])


NAN = math.nan
STOPS = {
    # name: (values, arguments, epochs that run, the best epoch)
    "no patience": ([3, 2, 2.5, 1, 1], {}, 3, 1),
    "patience of one is the same": ([3, 2, 2.5, 1, 1], {"patience": 1}, 3, 1),
    "patience of two": ([3, 2, 2.5, 2.2, 1], {"patience": 2}, 4, 1),
    "patience starts anew": ([3, 2, 2.5, 1, 1.5, 1.2, 0], {"patience": 2}, 6, 3),
    "patience that is not used up": ([3, 2, 2.5, 2.5, 1], {"patience": 3}, 5, 4),
    "equal is no improvement": ([2, 2, 2, 1], {"patience": 2}, 3, 0),
    "a change of min_delta is none": ([3, 2.5, 2, 1], {"min_delta": 0.5, "patience": 2}, 4, 3),
    "min_delta is counted from the best": ([3, 2.75, 2.5, 2.25], {"min_delta": 0.5, "patience": 2}, 3, 0),
    "min_delta reached in small steps": ([3, 2.75, 2.5, 2.25, 2], {"min_delta": 0.5, "patience": 3}, 5, 3),
    "mode max": ([1, 2, 1.5, 3], {"mode": "max"}, 3, 1),
    "mode max with min_delta": ([1, 1.5, 3, 3.5], {"mode": "max", "min_delta": 0.5, "patience": 2}, 4, 2),
    "mode min": ([3, 2, 2.5, 1], {"mode": "min"}, 3, 1),
    "mode auto, a loss": ([3, 2, 2.5, 1], {"name": "fake_loss"}, 3, 1),
    "mode auto, accuracy": ([1, 2, 1.5, 3], {"name": "fake_accuracy"}, 3, 1),
    "mode auto, auc": ([1, 2, 1.5, 3], {"name": "val_roc_auc"}, 3, 1),
    "mode auto, f1": ([1, 2, 1.5, 3], {"name": "val_f1"}, 3, 1),
    "mode auto, precision": ([1, 2, 1.5, 3], {"name": "precision"}, 3, 1),
    "mode auto, recall": ([1, 2, 1.5, 3], {"name": "recall"}, 3, 1),
    "mode auto, r2": ([1, 2, 1.5, 3], {"name": "val_r2"}, 3, 1),
    "mode min overrules the name": ([3, 2, 2.5, 1], {"name": "fake_accuracy", "mode": "min"}, 3, 1),
    "a baseline that is never beaten": ([3, 2.5, 2.2, 2.1], {"baseline": 1.0, "patience": 2}, 2, 1),
    "a baseline that is beaten in time": ([3, 0.5, 0.6, 0.7, 0.4], {"baseline": 1.0, "patience": 2}, 4, 1),
    "a baseline with mode max": ([1, 5, 4, 4, 9], {"baseline": 3.0, "mode": "max", "patience": 2}, 4, 1),
    "a baseline and min_delta": ([3, 0.75, 0.7, 0.1], {"baseline": 1.0, "min_delta": 0.5, "patience": 2}, 2, 1),
    "a late start": ([1, 2, 9, 8, 10, 11, 0], {"start_from_epoch": 2, "patience": 2}, 6, 3),
    "a start after the end": ([1, 2, 3], {"start_from_epoch": 5}, 3, None),
    "NaN is no improvement": ([2, NAN, NAN, 1], {"patience": 2}, 3, 0),
    "NaN at first": ([NAN, 2, 3, 1], {"patience": 2}, 4, 3),
    "infinity at first": ([math.inf, 2, 3, 1], {"patience": 2}, 4, 3),
    "improving to the end": ([4, 3, 2, 1], {}, 4, 3),
    "one epoch": ([4], {}, 1, 0),
}


@pytest.mark.parametrize(("values", "kwargs", "epochs", "best_epoch"), STOPS.values(), ids=STOPS.keys())
def test_training_stops_when_the_value_no_longer_improves_and_the_best_weights_are_back(values, kwargs, epochs, best_epoch):
    stopper, inject, trainer = run(values, **kwargs)
    assert len(trainer.history) == epochs
    assert stopper.best_epoch == best_epoch
    assert stopper.best == (None if best_epoch is None else values[best_epoch])
    assert stopper.stopped_epoch == (epochs - 1 if epochs < len(values) else None)
    kept = epochs - 1 if best_epoch is None else best_epoch
    assert weights(trainer) == inject.weights[kept]


@pytest.mark.parametrize(("values", "kwargs", "epochs", "best_epoch"), STOPS.values(), ids=STOPS.keys())
def test_the_last_weights_stay_if_the_best_are_not_asked_for(values, kwargs, epochs, best_epoch):
    stopper, inject, trainer = run(values, restore_best_weights=False, **kwargs)
    assert (len(trainer.history), stopper.best_epoch) == (epochs, best_epoch)
    assert weights(trainer) == inject.weights[-1]


def test_val_loss_is_watched_by_default():
    stopper = fnn.EarlyStopping(patience=1)
    trainer = fnn.Trainer(small_model(), fnn.CrossEntropyLoss(), fnn.Adam(lr=0.5))
    history = fit(trainer, epochs=30, validation_data=(X, Y), callbacks=[stopper]).history["val_loss"]
    assert stopper.stopped_epoch == len(history) - 1 < 29
    assert stopper.best_epoch == int(history.argmin()) == len(history) - 2
    assert stopper.best == history.min()
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(history.min(), rel=1e-6)


def test_a_line_is_printed_on_request_when_it_stops(capsys):
    run([3, 2, 2.5, 1], verbose=True)
    line = capsys.readouterr().out
    assert line.startswith("epoch 3: fake has not improved since epoch 2")
    assert line.count("\n") == 1
    run([3, 2, 1], verbose=True)
    run([3, 2, 2.5, 1])
    assert capsys.readouterr().out == ""


def weights(trainer):
    return trainer.model.flat_parameters.tobytes(), trainer.model.flat_buffers.tobytes()


class End(fnn.Callback):
    """Ends the third epoch in one way or another."""

    def __init__(self, way):
        self.way = way

    def on_epoch_end(self, trainer, epoch, logs):
        if epoch == 2 and self.way == "stop":
            trainer.stop()
        if epoch == 2 and self.way in (KeyboardInterrupt, RuntimeError):
            raise self.way


@pytest.mark.parametrize("way", ["normally", "stop", KeyboardInterrupt, RuntimeError], ids=str)
def test_the_best_weights_are_back_however_training_ends(way):
    inject, stopper, trainer = Inject("fake", [3, 1, 2, 4]), fnn.EarlyStopping("fake", patience=9), small_trainer()
    callbacks = [inject, stopper, End(way)]
    if isinstance(way, str):
        fit(trainer, epochs=4, callbacks=callbacks)
    else:
        with pytest.raises(way):
            fit(trainer, epochs=4, callbacks=callbacks)
    assert stopper.best_epoch == 1
    assert weights(trainer) == inject.weights[1]


@pytest.mark.parametrize("first", [True, False])
def test_the_best_weights_are_back_after_a_loss_that_is_not_finite(first):
    model = fnn.Sequential(Explode(at=3 * 3 + 1), fnn.Linear(FEATURES, 3), fnn.BatchNorm1d(3), seed=0)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam())
    inject, stopper = Inject("fake", [3, 1, 2, 4]), fnn.EarlyStopping("fake", patience=9)
    with pytest.raises(fnn.NonFiniteLossError, match="epoch 4"):
        fit(trainer, epochs=5, callbacks=[inject, stopper, Record()] if first else [Record(), inject, stopper])
    assert stopper.best_epoch == 1
    assert weights(trainer) == inject.weights[1]


def test_the_best_weights_are_back_after_ctrl_c_within_an_epoch():
    class Interrupt(fnn.Callback):
        def on_batch_end(self, trainer, step, logs):
            if len(trainer.history) == 3:
                raise KeyboardInterrupt

    inject, stopper, trainer = Inject("fake", [3, 1, 2, 4]), fnn.EarlyStopping("fake", patience=9), small_trainer()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, epochs=4, callbacks=[Interrupt(), inject, stopper])
    assert weights(trainer) == inject.weights[1]


@pytest.mark.parametrize("before", [True, False])
def test_the_best_weights_are_back_even_if_another_callback_fails_at_the_end(before):
    class Fails(fnn.Callback):
        def on_fit_end(self, trainer):
            raise RuntimeError("mine")

    inject, stopper, trainer = Inject("fake", [3, 1, 2]), fnn.EarlyStopping("fake", patience=9), small_trainer()
    with pytest.raises(RuntimeError, match="mine"):
        fit(trainer, epochs=3, callbacks=[Fails(), inject, stopper] if before else [inject, stopper, Fails()])
    assert weights(trainer) == inject.weights[1]


def test_a_stopper_can_be_used_again():
    stopper = fnn.EarlyStopping("fake")
    trainer = fit(epochs=4, callbacks=[Inject("fake", [1, 2, 3, 4]), stopper])
    assert (stopper.best, stopper.stopped_epoch) == (1, 1)
    fit(trainer, epochs=3, callbacks=[Inject("fake", [9, 8, 7]), stopper])
    assert (stopper.best, stopper.best_epoch, stopper.stopped_epoch) == (7, 2, None)


def test_an_unknown_monitor_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"^monitor: expected one of \['accuracy', 'loss', .*got 'val_loss'"):
        fit(callbacks=[fnn.EarlyStopping()])


@pytest.mark.parametrize(
    ("monitor", "validated"), [("val_acc", True), ("val_accuracy", False), ("penalty", False), ("val_lr", True)]
)
def test_a_monitor_of_what_no_epoch_logs_is_refused_before_the_first(monitor, validated):
    record, trainer = Record(), small_trainer()
    before = trainer.model.flat_parameters.tobytes()
    with pytest.raises(ValueError, match=rf"^monitor: expected one of \['accuracy', 'loss', .*got '{monitor}'"):
        fit(trainer, callbacks=[fnn.EarlyStopping(monitor), record], validation_data=(X, Y) if validated else None)
    assert record.calls == []
    assert trainer.model.flat_parameters.tobytes() == before


class Counting(fnn.MSELoss):
    def scores(self, prediction, targets):
        return {"near": float(np.count_nonzero(np.abs(prediction - targets) < 0.5))}


def test_scores_of_a_loss_of_ones_own_can_be_monitored():
    trainer = fnn.Trainer(small_model(), Counting(), fnn.SGD(lr=0.0))
    targets = np.zeros((len(X), 3))
    trainer.fit(X, targets, callbacks=[fnn.EarlyStopping("val_near")], validation_data=(X, targets))
    with pytest.raises(ValueError, match="^monitor: .* without validation_data, got 'val_near'"):
        trainer.fit(X, targets, callbacks=[fnn.EarlyStopping("val_near")])


STOPPER_ERRORS = {
    "min_delta": [(-0.1, ValueError), (NAN, ValueError), ("0", TypeError)],
    "patience": [(-1, ValueError), (1.5, TypeError), (None, TypeError)],
    "mode": [("maximum", ValueError), (None, ValueError)],
    "baseline": [(math.inf, ValueError), ("1", TypeError)],
    "restore_best_weights": [(1, TypeError), ("yes", TypeError)],
    "start_from_epoch": [(-1, ValueError), (0.0, TypeError)],
    "verbose": [(1, TypeError)],
    "monitor": [(3, TypeError), (None, TypeError)],
}


@pytest.mark.parametrize(
    ("argument", "value", "error"), [(name, *case) for name, cases in STOPPER_ERRORS.items() for case in cases]
)
def test_bad_arguments_of_early_stopping_are_refused_by_name(argument, value, error):
    with pytest.raises(error, match=rf"^{argument}: expected"):
        fnn.EarlyStopping(**{argument: value})


# the progress bar


def test_the_progress_bar_writes_epochs_steps_and_losses():
    file = io.StringIO()
    history = fit(epochs=2, callbacks=[fnn.ProgressBar(file)], validation_data=(X, Y)).history
    text = file.getvalue()
    for epoch in range(2):
        assert f"epoch {epoch + 1}/2" in text
        assert f"loss={history['loss'][epoch]:.4f}" in text
        assert f"accuracy={history['accuracy'][epoch]:.4f}" in text
        assert f"val_loss={history['val_loss'][epoch]:.4f}" in text
    assert text.count("3/3") >= 2


def test_the_progress_bar_is_closed_when_training_is_interrupted():
    file = io.StringIO()

    class Interrupt(fnn.Callback):
        def on_batch_end(self, trainer, step, logs):
            raise KeyboardInterrupt

    bar = fnn.ProgressBar(file)
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks=[bar, Interrupt()])
    assert file.getvalue().endswith("\n")
    pickle.dumps(bar)


def test_progress_shows_a_bar_on_the_error_stream_only_if_asked(capsys):
    fit(epochs=1, progress=True)
    assert "epoch 1/1" in capsys.readouterr().err
    fit(epochs=1, progress=False)
    fit(epochs=1, progress=None)
    assert capsys.readouterr().err == "", "captured output is no terminal"


def test_a_bar_of_ones_own_is_the_only_one(capsys):
    file = io.StringIO()
    fit(epochs=1, callbacks=[fnn.ProgressBar(file)], progress=True)
    assert "epoch 1/1" in file.getvalue()
    assert capsys.readouterr().err == ""


def test_without_tqdm_a_bar_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    trainer = small_trainer()
    before = trainer.model.flat_parameters.copy()
    with pytest.raises(ImportError, match=r'pip install "fastnn\[progress\]"'):
        fit(trainer, progress=True)
    assert np.array_equal(trainer.model.flat_parameters, before)
    fit(trainer, epochs=1)
