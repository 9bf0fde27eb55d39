import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

SHAPES = [(1, 1), (1, 10), (3, 2), (37, 13), (1009, 10), (129, 1000)]
SMOOTHING = [0.0, 0.1]


def problem(rng, shape, dtype):
    m, k = shape
    soft = rng.dirichlet(np.ones(k), m).astype(dtype)
    logits, weights = (3.0 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(m).astype(dtype)
    return logits, rng.integers(0, k, m), soft, weights


def forward(kernel, logits, targets, smoothing):
    m, dtype = len(logits), logits.dtype
    scratch, log_sums = unwritten(logits.shape, dtype), unwritten((2, m), dtype)
    return every_way(kernel, logits, targets, smoothing, scratch, log_sums, unwritten(m, dtype))[1:]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_against_labels_and_probabilities(rng, shape, smoothing, dtype):
    logits, labels, soft, weights = problem(rng, shape, dtype)
    z, k = logits.astype(float), shape[1]
    size = np.abs(z).max(axis=1) + np.log(k) + 1.0
    for targets, forth, back in (
        (labels, kernels.cross_entropy_forward, kernels.cross_entropy_backward),
        (soft, kernels.soft_cross_entropy_forward, kernels.soft_cross_entropy_backward),
    ):
        log_sums, losses = forward(forth, logits, targets, smoothing)
        assert_close(losses, reference.cross_entropy(z, targets, smoothing), k, size)
        assert_close(log_sums.sum(axis=0), np.log(np.exp(z).sum(axis=1)), k, size)
        output = unwritten(shape, dtype)
        (dlogits,) = every_way(back, weights, logits, targets, smoothing, log_sums, output)
        expected = reference.cross_entropy_backward(weights.astype(float), z, targets, smoothing)
        assert_close(dlogits, expected, 4, (np.abs(weights) * size)[:, None])


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_logits_do_not_overflow(dtype):
    logits, labels = np.array([[1e4, 0.0, -1e4], [-3e4, -3e4, -3e4]], dtype), np.array([1, 2])
    log_sums, losses = forward(kernels.cross_entropy_forward, logits, labels, 0.0)
    np.testing.assert_allclose(losses, [1e4, np.log(3.0)], rtol=1e-3)
    gradient = np.empty_like(logits)
    kernels.cross_entropy_backward(np.ones(2, dtype), logits, labels, 0.0, log_sums, gradient)
    np.testing.assert_allclose(gradient, [[1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 100.0, 1e4])
def test_the_gradient_of_float32_does_not_lose_digits_to_the_size_of_the_logits(rng, shift):
    logits, labels, soft, weights = problem(rng, (211, 10), np.float32)
    logits += np.float32(shift)
    for targets, forth, back in (
        (labels, kernels.cross_entropy_forward, kernels.cross_entropy_backward),
        (soft, kernels.soft_cross_entropy_forward, kernels.soft_cross_entropy_backward),
    ):
        log_sums, _ = forward(forth, logits, targets, 0.0)
        gradient = np.empty_like(logits)
        back(weights, logits, targets, 0.0, log_sums, gradient)
        expected = reference.cross_entropy_backward(weights.astype(float), logits.astype(float), targets, 0.0)
        np.testing.assert_allclose(gradient, expected, atol=4e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_a_row_with_nan_or_infinity_has_no_finite_loss_and_others_keep_theirs(bad, smoothing):
    logits, labels = np.zeros((3, 4)), np.array([0, 1, 2])
    logits[1, 1] = bad
    _, losses = forward(kernels.cross_entropy_forward, logits, labels, smoothing)
    assert np.isfinite(losses).tolist() == [True, False, True]


def test_an_impossible_class_with_logit_minus_infinity_costs_nothing():
    logits, soft = np.array([[0.0, 0.0, -np.inf]]), np.array([[0.5, 0.5, 0.0]])
    _, losses = forward(kernels.soft_cross_entropy_forward, logits, soft, 0.0)
    np.testing.assert_allclose(losses, [np.log(2.0)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 127, 8192, 20011])
def test_squared_error(rng, size, dtype):
    a, b, weights = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    (losses,) = every_way(kernels.squared_error_forward, a, b, unwritten(size, dtype))
    difference = a.astype(float) - b
    assert_close(losses, difference**2, 2, (np.abs(a) + np.abs(b)) ** 2)
    (gradient,) = every_way(kernels.squared_error_backward, weights, a, b, unwritten(size, dtype))
    assert_close(gradient, weights * 2.0 * difference, 2, np.abs(weights) * 2.0 * (np.abs(a) + np.abs(b)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_in_one_pass(rng, shape, smoothing, dtype):
    logits, labels, _, _ = problem(rng, shape, dtype)
    (m, k), z = shape, logits.astype(float)
    size = np.abs(z).max(axis=1) + np.log(k) + 1.0
    outputs = unwritten(m, dtype), unwritten(m, dtype), unwritten(shape, dtype)
    losses, hits, dlogits = every_way(kernels.cross_entropy_gradient, logits, labels, smoothing, 1.0 / m, *outputs)
    assert_close(losses, reference.cross_entropy(z, labels, smoothing), k, size)
    np.testing.assert_array_equal(hits, z.argmax(axis=1) == labels)
    expected = reference.cross_entropy_backward(np.full(m, 1.0 / m), z, labels, smoothing)
    assert_close(dlogits, expected, k, 1.0 / m)


def test_hits_are_those_of_argmax_with_ties_and_nan():
    logits = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 2.0], [3.0, np.nan], [-np.inf, 0.0]])
    labels, outputs = np.array([0, 1, 0, 0, 1]), (np.empty(5), np.empty(5), np.empty((5, 2)))
    kernels.cross_entropy_gradient(logits, labels, 0.0, 1.0, *outputs)
    np.testing.assert_array_equal(outputs[1], logits.argmax(axis=1) == labels)
    np.testing.assert_array_equal(np.isnan(outputs[0]), [False, False, True, True, False])
