"""Every example runs in its short form, draws its picture, and shows the effect that it claims."""

import importlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

FOLDER = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("_common", "digits"))


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Calls an example's main in its short form; the picture is there, and a table was printed."""
    monkeypatch.syspath_prepend(FOLDER)

    def call(name):
        result = importlib.import_module(name).main(short=True, out=tmp_path)
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(capsys.readouterr().out.splitlines()) > 4
        return result

    yield call
    for name in (*NAMES, "_common"):
        sys.modules.pop(name, None)


def test_signal_propagation(run):
    reports = run("signal_propagation")
    expected = importlib.import_module("signal_propagation").EXPECTED
    assert len(reports) == 20
    for (activation, weights), report in reports.items():
        assert report.verdict == expected[activation][weights][0], (activation, weights)
    assert {report.verdict for report in reports.values()} == {"symmetric", "vanishing", "exploding", "saturated", "healthy"}


def test_gradient_check(run):
    reports = run("gradient_check")
    assert reports["right"].verdict == "excellent"
    wrong = reports["planted error"]
    assert [entry.name for entry in wrong.entries if entry.verdict != "excellent"] == ["2.beta"]
    assert wrong.verdict == "wrong"


def test_inverted_dropout(run):
    results = run("inverted_dropout")
    for (kind, p), r in results.items():
        assert r["training"] == pytest.approx(1.0 if kind == "inverted" else 1 - p, rel=0.03)
        assert r["use"] == pytest.approx(1 - p if kind == "plain" else 1.0, rel=0.03)
        assert r["spread"] == pytest.approx(math.sqrt(p / (1 - p)), rel=0.1)
        assert r["passes differ"]
        assert not r["uses differ"]


def test_batchnorm_speed(run):
    curves = run("batchnorm_speed")
    epochs_to = importlib.import_module("batchnorm_speed").epochs_to
    best = {}
    for (name, normalised, _), accuracy in curves.items():
        key = name, normalised
        best[key] = min(best.get(key, np.inf), epochs_to(0.9, accuracy))
    assert best["tanh", True] < best["tanh", False]
    assert best["sigmoid", True] < 10
    assert not np.isfinite(best["sigmoid", False])


def test_penalties(run):
    weights = {name: w for name, (w, _) in run("penalties").items()}

    def size(name):
        return np.square(weights[name]).sum()

    def near(name):
        return (np.abs(weights[name]) < 1e-3).mean()

    assert size("L2") < 0.3 * size("none")
    assert near("L1, subgradient") > 0.5 > near("L2") > near("none")
    assert np.count_nonzero(weights["L2"] == 0) == 0
    assert (weights["L1, subgradient"] == 0).mean() < 0.05
    assert (weights["L1, proximal"] == 0).mean() > 0.5


def test_regularization_ladder(run):
    results, (_, early, penalised) = run("regularization_ladder")
    losses = [loss for _, loss, _ in results.values()]
    baseline = results["baseline"][0]
    assert baseline["loss"][-1] < 0.01
    assert baseline["val_loss"][-1] > 1.2 * baseline["val_loss"].min()  # it has learnt by heart
    assert losses[-1] < 0.8 * losses[0]
    assert results["+ early stopping"][2] > results["baseline"][2]
    assert (np.diff(early[1]) > 0).all()  # the longer, and the weaker the penalty, the larger the weights
    assert (np.diff(penalised[1]) > 0).all()
    np.testing.assert_allclose(penalised[1], early[1], rtol=0.4)


def test_optimizers(run):
    curves = run("optimizers")
    last = {name: losses[-1] for name, (_, _, losses) in curves.items()}
    assert {"SGD", "momentum", "Nesterov", "Adagrad", "RMSprop", "Adam", "AdamW", "L-BFGS", "Newton"} == last.keys()
    assert all(losses[-1] < 0.15 * losses[0] for name, (_, _, losses) in curves.items() if name != "Newton")
    assert curves["Newton"][2][-1] < 0.8 * curves["Newton"][2][0]  # in three iterations
    assert last["L-BFGS"] < 0.15 * curves["L-BFGS"][2][0]  # 15 iterations; from some 25 on it leads
    assert max(last["momentum"], last["Nesterov"]) < last["SGD"]
    for steps, seconds, losses in curves.values():
        assert len(steps) == len(seconds) == len(losses)


def test_calibration(run):
    results = run("calibration")
    assert results[0.0]["temperature"] > 1.2  # too sure
    assert results[0.2]["temperature"] < 0.9  # too modest
    assert results[0.05]["ece"] < 0.7 * results[0.0]["ece"]
    assert results[0.2]["ece"] > results[0.05]["ece"]
    assert all(r["scaled"] < 0.07 for r in results.values())


def test_mixup(run):
    results = run("mixup")
    without = results[0.0]
    assert without["training"] < 0.05
    for alpha in (0.2, 1.0):
        assert results[alpha]["training"] > 0.2
        assert results[alpha]["loss"] < without["loss"]
        assert results[alpha]["confidence"] < without["confidence"] - 0.1
    assert results[1.0]["bend"] < 0.6 * without["bend"]


def test_each_example_has_a_test():
    assert {f"test_{name}" for name in NAMES} <= globals().keys()


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_shows(name):
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Expect" in shown
    assert "--short" in shown
