"""The curves of a training run: access, table, JSON, plot."""

import copy
import json
import math
import pickle
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library.helpers import blobs, small_trainer
from matplotlib.image import imread

import fastnn as fnn


def ragged():
    """Three epochs; one curve starts late, one ends early, one has a value that is not finite."""
    history = fnn.History()
    history.append({"loss": 1.5, "early": 2.0})
    history.append({"loss": 0.25, "late": math.inf})
    history.append({"loss": math.nan, "late": 4.0})
    return history


def test_curves_are_arrays_by_name():
    history = fnn.History()
    history.append({"loss": 0.5, "accuracy": 1})
    history.append({"loss": 0.25, "accuracy": 2})
    assert history.names == ["loss", "accuracy"]
    assert len(history) == 2
    assert history["loss"].tolist() == [0.5, 0.25]
    assert history["accuracy"].dtype == np.float64
    assert history.last() == {"loss": 0.25, "accuracy": 2.0}
    assert "loss" in history
    assert "val_loss" not in history


def test_values_missing_in_an_epoch_are_nan():
    history = ragged()
    assert history.names == ["loss", "early", "late"]
    np.testing.assert_array_equal(history["early"], [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(history["late"], [np.nan, np.inf, 4.0])


def test_an_unknown_curve_is_a_key_error_with_the_known_names():
    with pytest.raises(KeyError, match=r"no curve 'val_loss'; there are \['loss', 'early', 'late'\]"):
        ragged()["val_loss"]


def test_curves_are_copies():
    history = ragged()
    history["loss"][0] = 7.0
    assert history["loss"][0] == 1.5


def test_the_table_has_a_line_an_epoch():
    lines = ragged().table().splitlines()
    assert [line.split() for line in lines] == [
        ["epoch", "loss", "early", "late"],
        ["1", "1.5", "2", "nan"],
        ["2", "0.25", "nan", "inf"],
        ["3", "nan", "nan", "4"],
    ]
    assert len({len(line) for line in lines}) == 1, "the columns are aligned"
    assert str(ragged()) == ragged().table()


def test_an_empty_history_has_a_table_and_nothing_else():
    history = fnn.History()
    assert (len(history), history.names, history.last(), history.table()) == (0, [], {}, "epoch")


def test_json_round_trip_with_nan():
    text = ragged().to_json()
    again = fnn.History.from_json(text)
    assert again.names == ragged().names
    assert len(again) == 3
    np.testing.assert_array_equal(again["loss"], [1.5, 0.25, np.nan])
    np.testing.assert_array_equal(again["early"], [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(again["late"], [np.nan, np.nan, 4.0])
    assert again.to_json() == text
    again.append({"loss": 0.125})
    assert len(again["late"]) == 4


def test_json_is_strict_and_holds_null_for_nan():
    def refuse(word):
        raise AssertionError(word)

    data = json.loads(ragged().to_json(), parse_constant=refuse)
    assert data == {"epochs": 3, "curves": {"loss": [1.5, 0.25, None], "early": [2.0, None, None], "late": [None, None, 4.0]}}


def test_json_is_written_to_a_file(tmp_path):
    path = tmp_path / "history.json"
    text = ragged().to_json(path)
    assert path.read_text(encoding="utf-8").strip() == text
    assert fnn.History.from_json(path.read_text(encoding="utf-8")).to_json() == text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.floats(width=64, allow_infinity=False), max_size=4), max_size=6))
def test_any_history_survives_json(epochs):
    history = fnn.History()
    for values in epochs:
        history.append(values)
    again = fnn.History.from_json(history.to_json())
    assert again.names == history.names
    assert len(again) == len(epochs)
    for name in history.names:
        np.testing.assert_array_equal(again[name], history[name])


@pytest.mark.parametrize("way", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))], ids=["deepcopy", "pickle"])
def test_a_history_can_be_copied(way):
    history = ragged()
    twin = way(history)
    history.append({"loss": 1.0})
    assert len(twin) == 3
    assert twin.to_json() == ragged().to_json()


# plot


def trained():
    x, y = blobs()
    return small_trainer(regularizer=fnn.L2(0.01)).fit(x, y, epochs=4, batch_size=16, validation_data=(x, y))


def validation_only():
    history = fnn.History()
    history.append({"val_loss": 1.0})
    return history


@pytest.mark.parametrize("make", [trained, ragged, validation_only, fnn.History], ids=["trained", "ragged", "val", "empty"])
def test_a_plot_is_written_as_png(tmp_path, make):
    path = tmp_path / "curves.png"
    make().plot(path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert make is fnn.History or len(data) > 5000


def test_a_plot_names_its_curves(tmp_path):
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        trained().plot(tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    for word in ("loss", "accuracy", "epoch", "training", "validation"):
        assert f">{word}<" in text
    assert ">penalty<" not in text


def test_a_plot_of_one_epoch_shows_its_value(tmp_path):
    drawn = []
    for value in (math.nan, 1.0):
        history = fnn.History()
        history.append({"loss": value})
        history.plot(tmp_path / "curve.png")
        blue = np.array([0x1F, 0x6F, 0x8B]) / 255
        drawn.append(int((np.abs(imread(tmp_path / "curve.png")[..., :3] - blue).max(axis=-1) < 0.02).sum()))
    assert drawn[1] > drawn[0], "more than the legend is blue"


def test_without_matplotlib_a_plot_is_refused_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[plot\]"'):
        ragged().plot(tmp_path / "curves.png")


def test_a_repr_says_what_there_is():
    assert repr(ragged()) == "<History of 3 epochs: loss, early, late>"
    assert repr(fnn.History()) == "<History of 0 epochs: nothing>"
