"""Model files, tables, pictures and learning rates written down by callbacks."""

import csv
import io
import pickle
import sys
import types

import numpy as np
import pytest
from library.helpers import blobs, small_model, small_trainer, weights_of

import fastnn as fnn
from fastnn._training import Hooks

X, Y = blobs()


class Inject(fnn.Callback):
    """Puts made-up values into the logs, and keeps the weights of each epoch."""

    def __init__(self, name, values):
        self.name, self.values, self.weights = name, values, []

    def on_epoch_end(self, trainer, epoch, logs):
        logs[self.name] = self.values[epoch]
        self.weights.append(trainer.model.flat_parameters.tobytes())


def fit(trainer=None, epochs=3, **kwargs):
    trainer = trainer or small_trainer()
    trainer.fit(X, Y, epochs=epochs, batch_size=20, **kwargs)
    return trainer


def weights_in(path):
    return fnn.load_model(path).flat_parameters.tobytes()


def test_none_of_them_takes_compiled_steps_apart(tmp_path):
    callbacks = [
        fnn.ModelCheckpoint(tmp_path / "m.npz"), fnn.CSVLogger(tmp_path / "log.csv"), fnn.LearningRateLogger(),
        fnn.LivePlot(tmp_path / "p.png"), fnn.LambdaCallback(on_epoch_end=print), fnn.EarlyStopping("loss"),
    ]  # fmt: skip
    hooks = Hooks(small_trainer(), callbacks, False)
    assert not hooks.every_batch
    assert hooks._each_batch == []


# model files


def test_a_file_for_each_epoch_named_by_it(tmp_path):
    inject = Inject("fake", [3.0, 1.0, 2.0])
    saver = fnn.ModelCheckpoint(tmp_path / "sub" / "model-{epoch:02d}-{fake:.1f}.npz", "fake")
    fit(callbacks=[inject, saver])
    names = ["model-01-3.0.npz", "model-02-1.0.npz", "model-03-2.0.npz"]
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == names
    assert [weights_in(tmp_path / "sub" / name) for name in names] == inject.weights
    assert (saver.best, saver.best_path.name, saver.last_path.name) == (1.0, names[1], names[2])


@pytest.mark.parametrize(("name", "mode", "best"), [("fake", "auto", 1), ("fake_f1", "auto", 3), ("fake", "max", 3)])
def test_the_best_alone(name, mode, best, tmp_path, capsys):
    inject = Inject(name, [3.0, 1.0, float("nan"), 9.0, 2.0])
    saver = fnn.ModelCheckpoint(tmp_path / "best.npz", name, mode, save_best_only=True, verbose=True)
    fit(epochs=5, callbacks=[inject, saver])
    assert weights_in(tmp_path / "best.npz") == inject.weights[best]
    assert saver.best == inject.values[best]
    assert capsys.readouterr().out.splitlines() == [f"epoch {n}: wrote {tmp_path / 'best.npz'}" for n in (1, best + 1)]


def test_functions_may_add_what_those_after_them_monitor(tmp_path):
    add = fnn.LambdaCallback(on_epoch_end=lambda trainer, epoch, logs: logs.update(mine=float(epoch)))
    stopper, saver = fnn.EarlyStopping("mine"), fnn.ModelCheckpoint(tmp_path / "m.npz", "mine", save_best_only=True)
    trainer = fit(callbacks=[add, fnn.LivePlot(tmp_path / "p.png"), stopper, saver])
    assert (len(trainer.history), stopper.best, saver.best) == (2, 0.0, 0.0)


def test_every_second_epoch(tmp_path):
    fit(epochs=5, callbacks=[fnn.ModelCheckpoint(tmp_path / "{epoch}.npz", every=2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz", "4.npz"]


def test_epochs_are_counted_from_fit_to_fit(tmp_path):
    trainer, saver = small_trainer(), fnn.ModelCheckpoint(tmp_path / "{epoch}.npz", every=2)
    for _ in range(2):
        fit(trainer, 3, callbacks=[saver])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz", "4.npz", "6.npz"]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_trainer_from_a_file_goes_on_to_the_same_bits(compiled, tmp_path):
    def make():
        return small_trainer(
            compiled=compiled, schedule=fnn.OneCycleLR(0.05, 12), average=fnn.EMA(0.9), optimizer=fnn.Adam(amsgrad=True)
        )

    whole = fit(make(), 4, callbacks=[fnn.ModelCheckpoint(tmp_path / "{epoch}.pickle", content="trainer")])
    again = pickle.loads((tmp_path / "2.pickle").read_bytes())
    assert again.epochs_done == len(again.history) == 2
    fit(again, 2)
    assert weights_of(again) == weights_of(whole)
    assert again.average.values.tobytes() == whole.average.values.tobytes()
    assert again.history["lr"].tolist() == whole.history["lr"].tolist()[2:]


def test_a_plateau_is_remembered_in_the_file(tmp_path):
    schedule = fnn.ReduceLROnPlateau(patience=0, threshold=10.0, factor=0.5, monitor="loss")
    whole = fit(
        small_trainer(schedule=schedule), 4, callbacks=[fnn.ModelCheckpoint(tmp_path / "{epoch}.pickle", content="trainer")]
    )
    again = fit(pickle.loads((tmp_path / "2.pickle").read_bytes()), 2)
    assert weights_of(again) == weights_of(whole)


def test_the_weights_that_were_validated_are_those_in_the_file(tmp_path):
    for validate in (True, False):
        trainer = small_trainer(average=fnn.EMA(0.9, validate=validate))
        fit(trainer, callbacks=[fnn.ModelCheckpoint(tmp_path / "model.npz")])
        flat = trainer.average.values if validate else trainer.model.flat_parameters
        assert weights_in(tmp_path / "model.npz") == flat.tobytes()


def test_early_stopping_puts_the_average_back_too():
    class Keep(fnn.Callback):
        averages = ()

        def on_epoch_end(self, trainer, epoch, logs):
            self.averages = [*self.averages, trainer.average.values.tobytes()]

    keep, trainer = Keep(), small_trainer(average=fnn.EMA(0.9))
    fit(trainer, 4, callbacks=[Inject("fake", [3, 1, 2, 4]), keep, fnn.EarlyStopping("fake", patience=9)])
    assert trainer.average.values.tobytes() == keep.averages[1]


# tables, rates, functions


def read(path, separator=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_a_line_for_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    trainer = fit(callbacks=[fnn.CSVLogger(path)], validation_data=(X, Y))
    head, *lines = read(path)
    assert head == ["epoch", *trainer.history.names]
    for epoch, line in enumerate(lines):
        assert line[0] == str(epoch + 1)
        assert [float(cell) for cell in line[1:]] == [trainer.history[name][epoch] for name in trainer.history.names]
    fit(trainer, 2, callbacks=[fnn.CSVLogger(path, append=True)])
    assert [line[0] for line in read(path)] == ["epoch", "1", "2", "3", "4", "5"]
    assert read(path)[-1][head.index("val_loss")] == ""
    fit(trainer, 1, callbacks=[fnn.CSVLogger(path, separator=";")])
    assert [line[0] for line in read(path, ";")] == ["epoch", "1"], "anew"


def test_the_rate_of_every_step(capsys):
    logger = fnn.LearningRateLogger(verbose=True)
    schedule = fnn.OneCycleLR(0.05, 9)
    fit(small_trainer(schedule=schedule), callbacks=[logger])
    assert logger.lrs.tolist() == [schedule.lr(t) for t in range(9)]
    assert capsys.readouterr().out.count("learning rate") == 3
    for given, expected in ((fnn.StepLR(1, 0.5), [0.01] * 3 + [0.005] * 3), (None, [0.01] * 6)):
        fit(small_trainer(schedule=given), 2, callbacks=[logger])
        assert logger.lrs.tolist() == expected


def test_functions_as_hooks():
    calls = []
    hooks = {
        name: (lambda *arguments, name=name: calls.append((name, len(arguments))))
        for name in ("on_fit_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_fit_end")
    }
    fit(epochs=1, callbacks=[fnn.LambdaCallback(**hooks)])
    assert calls == [
        ("on_fit_begin", 3), ("on_epoch_begin", 2), *[("on_batch_end", 3)] * 3, ("on_epoch_end", 3), ("on_fit_end", 1)
    ]  # fmt: skip


# pictures


def test_the_picture_is_replaced_after_each_epoch(tmp_path):
    path, sizes = tmp_path / "sub" / "curves.png", []
    look = fnn.LambdaCallback(on_epoch_end=lambda *_: sizes.append(path.read_bytes()))
    fit(callbacks=[fnn.LivePlot(path, seconds=0.0), look], validation_data=(X, Y))
    assert len(set(sizes)) == 3
    assert sizes[-1].startswith(b"\x89PNG")
    assert [entry.name for entry in path.parent.iterdir()] == ["curves.png"]


def test_the_last_picture_is_drawn_even_if_those_before_came_too_soon(tmp_path):
    path = tmp_path / "curves.png"
    trainer = fit(callbacks=[fnn.LivePlot(path, seconds=1e9)])
    expected = io.BytesIO()
    trainer.history.plot(expected)
    assert path.read_bytes() == expected.getvalue()


def test_a_notebook_shows_one_picture_that_changes(monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown.append(("update", image))

    module = types.SimpleNamespace(
        Image=lambda data: data[:4], display=lambda image, display_id: shown.append(("display", image)) or Handle()
    )
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    plot = fnn.LivePlot(seconds=0.0)
    fit(callbacks=[plot])
    assert [kind for kind, _ in shown] == ["display", "update", "update"]
    assert all(image == b"\x89PNG" for _, image in shown)
    pickle.dumps(fnn.LivePlot())


def test_bad_arguments_are_refused_by_name(tmp_path):
    for make, argument, error in (
        (lambda: fnn.ModelCheckpoint(3), "path", TypeError), (lambda: fnn.ModelCheckpoint("a", 3), "monitor", TypeError),
        (lambda: fnn.ModelCheckpoint("a", mode="up"), "mode", ValueError),
        (lambda: fnn.ModelCheckpoint("a", content="all"), "content", ValueError),
        (lambda: fnn.ModelCheckpoint("a", every=0), "every", ValueError), (lambda: fnn.CSVLogger(None), "path", TypeError),
        (lambda: fnn.CSVLogger("a", separator=", "), "separator", ValueError),
        (lambda: fnn.LivePlot(seconds=-1.0), "seconds", ValueError),
        (lambda: fnn.LambdaCallback(on_epoch_end=3), "on_epoch_end", TypeError),
        (lambda: fit(callbacks=[fnn.ModelCheckpoint(tmp_path / "{nothing}.npz")]), "path", ValueError),
        (lambda: fit(callbacks=[fnn.ModelCheckpoint(tmp_path / "a.npz", save_best_only=True)]), "monitor", ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"^{argument}: expected"):
            make()


def test_without_matplotlib_a_live_plot_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[plot\]"'):
        fnn.LivePlot("a.png")


def test_a_float64_model_is_kept_whole(tmp_path):
    trainer = fit(small_trainer(small_model(dtype=np.float64)), callbacks=[fnn.ModelCheckpoint(tmp_path / "m.npz")])
    assert weights_in(tmp_path / "m.npz") == trainer.model.flat_parameters.tobytes()
