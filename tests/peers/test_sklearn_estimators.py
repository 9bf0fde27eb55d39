"""The estimators pass scikit-learn's own checks, and sit in its tools."""

import numpy as np
import pytest

import fastnn as fnn

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.peer


@parametrize_with_checks([MLPClassifier(max_iter=50, dtype="float64"), MLPRegressor(max_iter=50, dtype="float64")])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def digits():
    return fnn.datasets.split(*fnn.datasets.load_digits(), seed=0)


def test_a_classifier_in_a_pipeline_and_a_search():
    (x, y), (x_test, y_test) = digits()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=40, learning_rate_init=3e-3, random_state=0))
    search = GridSearchCV(pipeline, {"mlpclassifier__dropout": [0.0, 0.3], "mlpclassifier__batch_norm": [True]}, cv=3)
    search.fit(x[:600], np.array(list("abcdefghij"))[y[:600]])
    assert (search.predict(x_test) == np.array(list("abcdefghij"))[y_test]).mean() > 0.9
    assert set(search.best_estimator_[-1].classes_) == set("abcdefghij")
    assert cross_val_score(clone(pipeline), x[:600], y[:600], cv=3).min() > 0.85


def test_any_optimiser_early_stopping_and_the_same_bits_from_a_seed():
    (x, y), (x_test, y_test) = digits()
    make = lambda: MLPClassifier(  # noqa: E731
        (32, 16), "tanh", optimizer=fnn.SGD(lr=0.05, momentum=0.9), early_stopping=True, max_iter=60, random_state=1
    )
    one, other = make().fit(x / 16, y), make().fit(x / 16, y)
    assert one.score(x_test / 16, y_test) > 0.93
    assert one.n_iter_ <= 60
    np.testing.assert_array_equal(one.predict_proba(x_test / 16), other.predict_proba(x_test / 16))
    assert one.optimizer is not one.trainer_.optimizer
    assert one.trainer_.road == "compiled program"


def test_rows_are_held_out_in_the_shares_of_the_classes(rng, monkeypatch):
    held = []
    fit = fnn.Trainer.fit

    def spy(trainer, *arguments, **options):
        held.append(np.bincount(options["validation_data"][1], minlength=2).tolist())
        return fit(trainer, *arguments, **options)

    monkeypatch.setattr(fnn.Trainer, "fit", spy)
    labels = np.repeat([0, 1], [180, 20])
    for y in (labels, np.repeat([0, 1], [199, 1])):  # of the second there is too little to be in both
        MLPClassifier((4,), early_stopping=True, max_iter=2, random_state=0).fit(rng.standard_normal((200, 3)), y)
    assert held[0] == [18, 2]
    assert sum(held[1]) == 20


def test_a_regressor_of_several_targets(rng):
    x = rng.uniform(-1, 1, (400, 3))
    y = np.column_stack([100.0 + 30.0 * x[:, 0] * x[:, 1], 1e-3 * x[:, 2]])
    model = MLPRegressor((64,), max_iter=200, learning_rate_init=0.01, random_state=0).fit(x, y)
    assert model.predict(x).shape == (400, 2)
    assert model.score(x, y) > 0.97
    assert model.fit(x, y[:, 0]).predict(x).shape == (400,)


BAD = {
    "activation": {"activation": "cubic"},
    "dropout": {"dropout": 1.0},
    "alpha": {"alpha": -1.0},
    "max_iter": {"max_iter": 0},
    "hidden_layer_sizes": {"hidden_layer_sizes": (0,)},
    "optimizer": {"optimizer": "adam"},
    "batch_size": {"batch_size": 0},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named_in_fit(name):
    with pytest.raises((ValueError, TypeError), match=f"^{name}"):
        MLPClassifier(**BAD[name]).fit(np.ones((4, 2)), [0, 1, 0, 1])
