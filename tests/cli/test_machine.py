"""`fastnn info`, `fastnn warmup` and `warm_up`; with a cold cache in test_process.py."""

import re

import pytest

import fastnn as fnn


def test_info_in_words(command):
    code, out, err = command("info")
    assert (code, err) == (0, "")
    values = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert values["fastnn"] == fnn.__version__
    assert values["threading layer"] == fnn.threading_layer()
    assert str(fnn.cache_folder()) in values["cache"]
    assert "matplotlib" in values["extras"]


def test_info_without_extras_says_how_to_get_them(command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'no tqdm: pip install "fastnn[progress]"' in command("info")[1]


def test_a_warmup_shows_progress_and_seconds(command):
    code, out, err = command("warmup")
    assert code == 0
    assert re.search(r"pieces compiled in [\d.]+ s", out)
    assert err.splitlines()[0].startswith("0/")
    assert re.fullmatch(r"(\d+)/\1", err.splitlines()[-1])


def test_warm_up_tells_of_each_piece():
    calls = []
    fnn.warm_up(["float32"], lambda *call: calls.append(call))
    total = calls[0][1]
    assert [done for done, _, _ in calls] == list(range(total + 1))
    assert {total for _, total, _ in calls} == {total}
    assert {"linear_forward", "adam", "gather_uint8"} <= {name for _, _, name in calls}


def test_warm_up_refuses_other_dtypes():
    with pytest.raises(TypeError, match="^dtypes: expected float32 or float64, got 'int8'"):
        fnn.warm_up(["int8"])
