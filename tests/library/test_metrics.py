"""Metrics by their definitions, calibration, and errors; scikit-learn's values are compared in tests/peers."""

import math

import numpy as np
import pytest
import reference

import fastnn as fnn
from fastnn import metrics


def test_area_under_the_curve_is_the_share_of_pairs_in_order(rng):
    y, scores = rng.integers(0, 2, 60), rng.integers(0, 5, 60) / 5
    w = rng.uniform(0.5, 2.0, 60)
    above = scores[y == 1][:, None] - scores[y == 0][None, :]
    pairs = w[y == 1][:, None] * w[y == 0][None, :]
    expected = (pairs * ((above > 0) + 0.5 * (above == 0))).sum() / pairs.sum()
    assert metrics.roc_auc(y, scores, sample_weight=w) == pytest.approx(expected, rel=1e-12)
    assert metrics.roc_auc(y, np.zeros(60)) == 0.5
    assert metrics.roc_auc(y, y) == 1.0
    assert metrics.roc_auc(np.where(y, "yes", "no"), -y) == 0.0


def test_the_f1_of_rare_and_missing_classes():
    y, p = [0, 0, 0, 1], [0, 0, 1, 0]
    assert metrics.f1(y, p) == 0.0
    assert metrics.precision([0, 0], [0, 0]) == 0.0, "no positives: 0/0"
    assert metrics.precision([0, 0], [0, 0], zero_division=1.0) == 1.0
    assert metrics.recall(["a", "b"], ["a", "a"], average="none").tolist() == [1.0, 0.0]
    assert metrics.f1(y, p, average="micro") == metrics.accuracy(y, p) == 0.5


def test_sample_weights_stand_for_repeated_rows(rng):
    y, p, times = rng.integers(0, 3, 40), rng.integers(0, 3, 40), rng.integers(1, 4, 40)
    rows = rng.dirichlet(np.ones(3), 40)
    again = np.repeat(np.arange(40), times)
    for name, prediction in (
        ("accuracy", p), ("confusion_matrix", p), ("mse", p), ("mae", p), ("r2", p), ("roc_auc", rows), ("nll", rows),
        ("calibration_error", rows), ("top_k_accuracy", rows),
    ):  # fmt: skip
        function = getattr(metrics, name)
        np.testing.assert_allclose(
            function(y, prediction, sample_weight=times), function(y[again], prediction[again]), rtol=1e-12, atol=1e-14
        )
    for function in (metrics.precision, metrics.recall, metrics.f1):
        one, other = function(y, p, average="macro", sample_weight=times), function(y[again], p[again], average="macro")
        assert one == pytest.approx(other, rel=1e-12)


def test_calibration_error_bin_by_bin(rng):
    p = rng.dirichlet(np.full(4, 0.5), 500)
    p[:3] = np.eye(4)[0]
    y = rng.integers(0, 4, 500)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.calibration_error(y, p) == pytest.approx(expected, rel=1e-12)
    assert metrics.calibration_error(y, np.eye(4)[y]) == 0.0
    assert metrics.calibration_error((y + 1) % 4, np.eye(4)[y]) == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [0.05, 1.0, 30.0])
def test_the_temperature_is_where_the_loss_is_least(factor, dtype, rng):
    z = rng.normal(0.0, 2.0, (400, 5))
    y = np.array([rng.choice(5, p=row) for row in np.exp(reference.log_softmax(z))])
    w = rng.uniform(0.5, 2.0, 400)
    t = metrics.temperature_scale((factor * z).astype(dtype), y, sample_weight=w)

    def loss(temperature):
        return float(w @ reference.cross_entropy(factor * z / temperature, y, 0.0) / w.sum())

    assert t == pytest.approx(factor, rel=0.15), "the labels were drawn at temperature 1"
    for step in (1e-3, 1e-2, 0.3):
        assert loss(t) <= loss(t * (1 + step)) + 1e-12
        assert loss(t) <= loss(t / (1 + step)) + 1e-12
    slope = (loss(t * (1 + 1e-4)) - loss(t * (1 - 1e-4))) / 2e-4
    assert abs(slope) < 1e-6


def test_temperatures_without_a_least_loss_are_the_ends():
    z = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert metrics.temperature_scale(z, [0, 1]) == 1e-3
    assert metrics.temperature_scale(z, [1, 0]) == pytest.approx(1e3)


ERRORS = [
    (lambda: metrics.accuracy([], []), "y_true", ValueError), (lambda: metrics.accuracy([1, 2], [1]), "y_pred", ValueError),
    (lambda: metrics.accuracy([[1]], [[1]]), "y_true", ValueError),
    (lambda: metrics.accuracy([1], [1], sample_weight=[-1.0]), "sample_weight", ValueError),
    (lambda: metrics.accuracy([1], [1], sample_weight=[0.0]), "sample_weight", ValueError),
    (lambda: metrics.accuracy([1], [1], sample_weight=[1.0, 2.0]), "sample_weight", ValueError),
    (lambda: metrics.f1([0, 1, 2], [0, 1, 2]), "average", ValueError),
    (lambda: metrics.f1([0, 1], [0, 1], average="samples"), "average", ValueError),
    (lambda: metrics.f1(["a", "b"], ["a", "b"]), "pos_label", ValueError),
    (lambda: metrics.f1([0, 1], [0, 1], zero_division=0.5), "zero_division", ValueError),
    (lambda: metrics.confusion_matrix([0, 1], [0, 1], labels=[1, 1]), "labels", ValueError),
    (lambda: metrics.roc_auc([1, 1], [0.1, 0.2]), "y_true", ValueError),
    (lambda: metrics.roc_auc([0, 1], [0.1, math.nan]), "scores", ValueError),
    (lambda: metrics.roc_auc([0, 1, 2], [0.1, 0.2, 0.3]), "scores", ValueError),
    (lambda: metrics.roc_auc([0, 1], [0.1]), "y_true", ValueError),
    (lambda: metrics.roc_auc([0, 1], [0.1, 0.2], sample_weight=[0.0, 1.0]), "y_true", ValueError),
    (lambda: metrics.top_k_accuracy([3], [[0.1, 0.2]]), "y_true", ValueError),
    (lambda: metrics.top_k_accuracy([0], [[0.1, 0.2]], 0), "k", ValueError),
    (lambda: metrics.r2([1.0], [1.0]), "y_true", ValueError), (lambda: metrics.mse(["a"], ["b"]), "y_true", TypeError),
    (lambda: metrics.calibration_error([0], [[3.0, 1.0]]), "probabilities", ValueError),
    (lambda: metrics.calibration_error([0], [0.5]), "probabilities", ValueError),
    (lambda: metrics.temperature_scale([[math.inf, 0.0]], [0]), "logits", ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "error"), ERRORS)
def test_bad_arguments_are_refused_by_name(call, argument, error):
    with pytest.raises(error, match=f"^{argument}: expected"):
        call()


def test_a_hotter_network_is_calibrated_again():
    (x, y), (x_test, y_test) = fnn.datasets.split(*fnn.datasets.load_digits())
    model = fnn.Sequential(fnn.Linear(64, 64), fnn.ReLU(), fnn.Linear(64, 10), seed=0, input_scale=1 / 16)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=3e-3))
    trainer.fit(x, y, epochs=5)
    logits = 4.0 * trainer.predict(x_test)
    t = metrics.temperature_scale(logits, y_test)

    def error(z):
        return metrics.calibration_error(y_test, fnn.functional.softmax(z))

    assert t > 1.5
    assert error(logits / np.float32(t)) < error(logits)


# in training


def near(y, outputs):
    return float(np.mean(np.abs(y - outputs) < 0.5))


def test_metrics_of_evaluation_are_those_of_the_predictions():
    (x, y), (x_test, y_test) = fnn.datasets.split(*fnn.datasets.load_digits())
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(64, 10), seed=0, input_scale=1 / 16), fnn.CrossEntropyLoss(), fnn.Adam())
    names = ["accuracy", "f1_macro", "precision_weighted", "top_3_accuracy", "roc_auc", "nll", "calibration_error"]

    def logits_above_zero(targets, outputs):
        return np.count_nonzero(outputs > 0)

    record = fnn.History()
    history = trainer.fit(x, y, epochs=2, validation_data=(x_test, y_test), metrics=names)
    record.append(history.last())
    assert {f"val_{name}" for name in names} <= set(history.names)
    result = trainer.evaluate(x_test, y_test, metrics=[*names, logits_above_zero])
    labels, p = trainer.predict_labels(x_test), trainer.predict_proba(x_test)
    assert result["f1_macro"] == metrics.f1(y_test, labels, average="macro") == history["val_f1_macro"][-1]
    assert result["roc_auc"] == metrics.roc_auc(y_test, p)
    assert result["top_3_accuracy"] == metrics.top_k_accuracy(y_test, p, 3)
    assert result["nll"] == pytest.approx(result["loss"], rel=1e-5)
    assert result["accuracy"] == np.mean(labels == y_test)
    assert result["logits_above_zero"] == np.count_nonzero(trainer.predict(x_test) > 0)
    soft = trainer.evaluate(x_test, np.eye(10)[y_test], metrics=["f1_macro"])
    assert soft["f1_macro"] == result["f1_macro"]


@pytest.mark.parametrize("compiled", [True, False])
def test_metrics_of_regression_can_be_monitored(compiled, rng):
    x = rng.standard_normal((60, 3)).astype(np.float32)
    y = x @ [1.0, -2.0, 0.5]
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(3, 1), seed=0), fnn.MSELoss(), fnn.Adam(lr=0.05), compiled=compiled)
    stopper = fnn.EarlyStopping("val_r2", patience=3)
    history = trainer.fit(x, y, epochs=40, validation_data=(x, y), metrics=["r2", "mae", near], callbacks=[stopper])
    assert history["val_r2"][-1] > 0.9
    assert stopper.best == history["val_r2"].max()
    again = trainer.evaluate(x, y, metrics=["mae", near])
    assert again["mae"] == pytest.approx(history["val_mae"][stopper.best_epoch], rel=1e-4)
    assert again["near"] == history["val_near"][stopper.best_epoch]


def test_metrics_that_cannot_be_are_refused():
    x, y = np.zeros((4, 2), np.float32), np.zeros(4)
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(2, 1), seed=0), fnn.MSELoss(), fnn.SGD())
    for given, argument, error in (
        ("r2", "metrics", TypeError), (["r3"], r"metrics\[0\]", ValueError), (["r2", 3], r"metrics\[1\]", TypeError),
        ([lambda y, p: 0.0], r"metrics\[0\]", TypeError), (["f1_macro"], r"metrics\[0\]", ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match=f"^{argument}: expected"):
            trainer.evaluate(x, y, metrics=given)
    with pytest.raises(ValueError, match="^metrics: expected none without validation_data"):
        trainer.fit(x, y, metrics=["r2"])


def test_ignored_labels_are_left_out_of_metrics_and_several_labels_a_row_are_refused(rng):
    x, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    hidden = np.where(np.arange(40) < 10, -100, y)
    model = fnn.Sequential(fnn.Linear(5, 3), seed=0, dtype=np.float64)
    names = ["accuracy", "f1_macro", "nll"]
    found = fnn.Trainer(model, fnn.CrossEntropyLoss(ignore_index=-100), fnn.SGD()).evaluate(x, hidden, metrics=names)
    expected = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD()).evaluate(x[10:], y[10:], metrics=names)
    assert found == pytest.approx(expected, rel=1e-12)
    trainer = fnn.Trainer(model, fnn.BCEWithLogitsLoss(), fnn.SGD())
    before = model.flat_parameters.copy()
    many = rng.integers(0, 2, (40, 3)).astype(float)
    with pytest.raises(ValueError, match="^metrics: expected functions of .* where a row has 3 labels, got 'f1_macro'"):
        trainer.fit(x, many, validation_data=(x, many), metrics=["f1_macro"])
    assert np.array_equal(model.flat_parameters, before)


def test_names_of_metrics_are_told_apart(rng):
    def mse(y, outputs):
        return float(((y - outputs) ** 2).mean())

    def loss(y, outputs):
        return 0.0

    x, y = rng.standard_normal((20, 5)), rng.standard_normal((20, 1))
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(5, 1), seed=0), fnn.MSELoss(), fnn.SGD())
    assert trainer.evaluate(x, y, sample_weight=np.ones(20), metrics=[mse])["mse"] > 0.0
    for taken in ([mse, mse], [loss]):
        with pytest.raises(ValueError, match=r"^metrics\[\d\]: expected a name that is not taken"):
            trainer.evaluate(x, y, metrics=taken)
