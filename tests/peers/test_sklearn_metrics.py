"""The metrics are scikit-learn's, edge cases too."""

import warnings

import numpy as np
import pytest

from fastnn import metrics

sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")]

CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def theirs(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(sklearn, function)(*args, **kwargs)


def cases(rng, weighted):
    """Labels and predictions: balanced, rare, one class only, no hits, classes that are never predicted or never there."""
    pairs = [
        (rng.integers(0, classes, rows), rng.integers(0, classes, rows))
        for classes, rows in ((2, 1), (2, 57), (3, 101), (10, 23), (5, 400))
    ]
    pairs += [
        (np.zeros(7, int), np.zeros(7, int)), (np.ones(7, int), np.ones(7, int)), (np.ones(5, int), np.zeros(5, int)),
        (np.array([0, 0, 1]), np.array([2, 2, 2])), (np.array([0, 5, 9, 9]), np.array([0, 9, 9, 5])),
        (rng.choice(np.array(["cat", "dog", "eel"]), 31), rng.choice(np.array(["cat", "dog", "eel"]), 31)),
    ]  # fmt: skip
    for y, p in pairs:
        yield y, p, rng.uniform(0.1, 3.0, len(y)) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_labels(weighted, rng):
    for y, p, w in cases(rng, weighted):
        np.testing.assert_allclose(
            metrics.accuracy(y, p, sample_weight=w), theirs("accuracy_score", y, p, sample_weight=w), **CLOSE
        )
        matrix = metrics.confusion_matrix(y, p, sample_weight=w)
        np.testing.assert_allclose(matrix, theirs("confusion_matrix", y, p, sample_weight=w), **CLOSE)
        for ours, name in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
            for average in ("macro", "micro", "weighted", "none"):
                for zero in (0.0, 1.0, np.nan):
                    options = {"zero_division": zero, "sample_weight": w}
                    got = getattr(metrics, ours)(y, p, average=average, **options)
                    expected = theirs(name, y, p, average=None if average == "none" else average, **options)
                    np.testing.assert_allclose(got, expected, err_msg=f"{ours} {average} {zero} of {y} and {p}", **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_one_of_two_classes(weighted, rng):
    for y, p, w in cases(rng, weighted):
        if set(y) | set(p) <= {0, 1}:
            for ours, name in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
                for pos in (1, 0) if len(set(y) | set(p)) == 2 else (1,):
                    got = getattr(metrics, ours)(y, p, pos_label=pos, sample_weight=w)
                    np.testing.assert_allclose(got, theirs(name, y, p, pos_label=pos, sample_weight=w), **CLOSE)


def test_labels_choose_what_counts(rng):
    y, p = rng.integers(0, 6, (2, 200))
    for labels in ([1, 3], [5, 0, 2, 1], [7, 1]):
        np.testing.assert_array_equal(
            metrics.confusion_matrix(y, p, labels=labels), sklearn.confusion_matrix(y, p, labels=labels)
        )
        for average in ("macro", "micro", "weighted", "none"):
            expected = theirs("f1_score", y, p, labels=labels, average=None if average == "none" else average)
            np.testing.assert_allclose(metrics.f1(y, p, labels=labels, average=average), expected, **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
def test_area_under_the_curve(weighted, rng):
    for rows, levels in ((2, 10), (50, 3), (301, 1000)):  # few levels: ties
        y = np.arange(rows) % 2
        scores = rng.integers(0, levels, rows) / levels
        w = rng.uniform(0.1, 3.0, rows) if weighted else None
        got = metrics.roc_auc(y, scores, sample_weight=w)
        np.testing.assert_allclose(got, sklearn.roc_auc_score(y, scores, sample_weight=w), **CLOSE)
        both = np.stack([1.0 - scores, scores], axis=1)
        np.testing.assert_allclose(metrics.roc_auc(y, both, sample_weight=w), got, **CLOSE)
    y, scores = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), 200).round(2)
    scores[:, 0] += 1.0 - scores.sum(axis=1)
    w = rng.uniform(0.1, 3.0, 200) if weighted else None
    for average in ("macro", "weighted"):
        expected = sklearn.roc_auc_score(y, scores, multi_class="ovr", average=average, sample_weight=w)
        np.testing.assert_allclose(metrics.roc_auc(y, scores, average=average, sample_weight=w), expected, **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_numbers(weighted, rng):
    for shape in ((2,), (101,), (57, 3)):
        y, p = rng.standard_normal((2, *shape))
        w = rng.uniform(0.1, 3.0, shape[0]) if weighted else None
        for ours, name in (("mse", "mean_squared_error"), ("mae", "mean_absolute_error"), ("r2", "r2_score")):
            for true, predicted in ((y, p), (np.ones(shape), p), (np.ones(shape), np.ones(shape)), (y, y)):
                got = getattr(metrics, ours)(true, predicted, sample_weight=w)
                np.testing.assert_allclose(got, getattr(sklearn, name)(true, predicted, sample_weight=w), **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_probabilities(weighted, rng):
    y, p = rng.integers(0, 5, 300), rng.dirichlet(np.ones(5), 300)
    p[0] = [0.0, 0.0, 1.0, 0.0, 0.0]
    w = rng.uniform(0.1, 3.0, 300) if weighted else None
    np.testing.assert_allclose(metrics.nll(y, p, sample_weight=w), sklearn.log_loss(y, p, sample_weight=w), **CLOSE)
    for scores in (p, p.round(1)):
        for k in (1, 2, 4):
            expected = sklearn.top_k_accuracy_score(y, scores, k=k, sample_weight=w)
            np.testing.assert_allclose(metrics.top_k_accuracy(y, scores, k, sample_weight=w), expected, **CLOSE)
