import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

SHAPES = [(1, 1), (1, 10), (3, 2), (37, 13), (1009, 10), (129, 1000)]
IGNORED = -100


def problem(rng, shape, dtype):
    """Logits, labels of which every fifth is ignored, and weights of classes and rows of which some are 0."""
    m, k = shape
    labels = rng.integers(0, k, m)
    labels[4::5] = IGNORED
    classes, rows = rng.uniform(0.5, 2.0, k).astype(dtype), rng.uniform(0.5, 2.0, m).astype(dtype)
    rows[3::7] = 0.0
    if k > 2:
        classes[1] = 0.0
    return (3.0 * rng.standard_normal(shape)).astype(dtype), labels, classes, rows


def run(kernel, x, labels, *arguments):
    m, dtype = len(x), x.dtype
    return every_way(kernel, x, labels, *arguments, unwritten(m, dtype), unwritten(m, dtype), unwritten(x.shape, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weights", ["none", "classes", "rows", "both"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_with_weights(rng, shape, smoothing, weights, dtype):
    logits, labels, classes, rows = problem(rng, shape, dtype)
    classes = classes if weights in ("classes", "both") else np.empty(0, dtype)
    rows = rows if weights in ("rows", "both") else np.empty(0, dtype)
    losses, hits, gradient = run(kernels.weighted_cross_entropy_gradient, logits, labels, smoothing, IGNORED, classes, rows, 0.3)
    z, k = logits.astype(float), shape[1]
    c = classes.astype(float) if classes.size else np.ones(k)
    counted = (labels != IGNORED) * (rows.astype(float) if rows.size else 1.0)
    truth = np.where(labels == IGNORED, 0, labels)
    size = np.abs(z).max(axis=1) + np.log(k) + 1.0
    assert_close(losses, counted * reference.weighted_cross_entropy(z, truth, smoothing, c), k, 4.0 * size)
    np.testing.assert_array_equal(hits, (z.argmax(axis=1) == labels) & (counted > 0.0))
    assert_close(gradient, reference.weighted_cross_entropy_backward(0.3 * counted, z, truth, smoothing, c), k, 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_negative_log_likelihood(rng, shape, weighted, dtype):
    x, labels, classes, rows = problem(rng, shape, dtype)
    if not weighted:
        classes, rows = np.empty(0, dtype), np.empty(0, dtype)
    losses, hits, gradient = run(kernels.nll_loss_gradient, x, labels, IGNORED, classes, rows, 0.3)
    k, truth = shape[1], np.where(labels == IGNORED, 0, labels)
    amounts = (labels != IGNORED) * (rows.astype(float) * classes.astype(float)[truth] if weighted else 1.0)
    one_hot = np.eye(k)[truth]
    assert_close(losses, -amounts * (x * one_hot).sum(axis=1), 4)
    assert_close(gradient, -0.3 * amounts[:, None] * one_hot, 4)
    np.testing.assert_array_equal(hits, (x.argmax(axis=1) == labels) & ((labels != IGNORED) & (rows > 0.0 if weighted else True)))


@pytest.mark.parametrize("kernel", ["weighted_cross_entropy_gradient", "nll_loss_gradient"])
def test_rows_that_do_not_count_may_hold_anything(kernel):
    x, labels, rows = np.zeros((4, 3)), np.array([0, 1, -1, 2]), np.array([1.0, 0.0, 3.0, 2.0])
    x[1], x[2, 0] = np.nan, np.inf
    smoothing = (0.0,) if "entropy" in kernel else ()
    losses, hits, gradient = run(getattr(kernels, kernel), x, labels, *smoothing, -1, np.empty(0), rows, 1.0)
    assert losses[1:3].tolist() == [0.0, 0.0]
    assert hits.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not gradient[1:3].any()
    assert np.isfinite(losses).all()
    assert losses[3] == 2.0 * losses[0]
