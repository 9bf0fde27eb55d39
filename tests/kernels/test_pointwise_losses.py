import numpy as np
import pytest
import reference
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

KINDS = {
    "squared": kernels.SQUARED,
    "absolute": kernels.ABSOLUTE,
    "huber": kernels.HUBER,
    "poisson": kernels.POISSON,
    "poisson, log input": kernels.POISSON_LOG,
    "logistic": kernels.LOGISTIC,
}
PARAMETERS = {"huber": 0.7, "poisson": 1e-3}
SHAPES = [(1, 1), (1, 7), (131, 1), (37, 13), (20011, 1), (67, 1009)]


def problem(rng, name, shape, dtype):
    if name == "logistic":
        return (4.0 * rng.standard_normal(shape)).astype(dtype), rng.choice([0.0, 1.0, 0.3], shape).astype(dtype)
    if name.startswith("poisson"):
        x = rng.standard_normal(shape) if "log" in name else rng.gamma(2.0, size=shape) + 0.1
        return x.astype(dtype), rng.poisson(3.0, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)


def factors_for(positive, shape, dtype):
    """Weights of columns as the kernels take them."""
    k = shape[1]
    return np.tile(positive, kernels.tile_rows(k)).astype(dtype)


def expected(name, x, t, full=False, positive=1.0):
    parameter = PARAMETERS.get(name, 1.0)
    x, t = x.astype(float), t.astype(float)
    values, slopes = reference.pointwise_loss(name, x, t, parameter, full, positive)
    size = (1.0 + np.abs(x) + np.abs(t)) ** 2 * np.maximum(1.0, positive)
    if name == "poisson":
        size = size + t * (1.0 + np.abs(np.log(x + parameter))) + t / (x + parameter)
    if name == "poisson, log input":
        size = size + np.exp(x)
    return values, slopes, size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "full"), [*((name, False) for name in KINDS), ("poisson", True), ("poisson, log input", True)])
def test_the_loss_of_each_element_and_its_gradient(rng, name, shape, full, dtype):
    (x, t), dlosses = problem(rng, name, shape, dtype), rng.standard_normal(shape).astype(dtype)
    values, slopes, size = expected(name, x, t, full)
    parameter, none = PARAMETERS.get(name, 1.0), np.empty(0, dtype)
    arguments = KINDS[name], x.ravel(), t.ravel(), parameter
    (losses,) = every_way(kernels.pointwise_loss_forward, *arguments, full, none, unwritten(x.size, dtype))
    assert_close(losses, values.ravel(), 4, size.ravel())
    (gradient,) = every_way(kernels.pointwise_loss_backward, dlosses.ravel(), *arguments, none, unwritten(x.size, dtype))
    assert_close(gradient, (dlosses * slopes).ravel(), 4, (np.abs(dlosses) * size).ravel())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_forward_and_backward_in_one_pass_with_weights_of_rows(rng, name, weighted, shape, dtype):
    x, t = problem(rng, name, shape, dtype)
    m = len(x)
    weights = rng.uniform(0.5, 2.0, m).astype(dtype) if weighted else np.empty(0, dtype)
    positive = rng.uniform(0.5, 3.0, shape[1]).astype(dtype) if name == "logistic" and weighted else None
    factors = np.empty(0, dtype) if positive is None else factors_for(positive, shape, dtype)
    values, slopes, size = expected(name, x, t, positive=1.0 if positive is None else positive.astype(float))
    losses, gradient = every_way(
        kernels.pointwise_loss_gradient, KINDS[name], x, t, PARAMETERS.get(name, 1.0), False, factors, weights, 0.3,
        unwritten(shape, dtype), unwritten(shape, dtype),
    )  # fmt: skip
    rows = weights.astype(float)[:, None] if weighted else 1.0
    assert_close(losses, rows * values, 4, 2.0 * size)
    assert_close(gradient, 0.3 * rows * slopes, 4, size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_of_positives_go_by_columns(rng, shape, dtype):
    x, t = problem(rng, "logistic", shape, dtype)
    dlosses, positive = rng.standard_normal(shape).astype(dtype), rng.uniform(0.5, 3.0, shape[1]).astype(dtype)
    values, slopes, size = expected("logistic", x, t, positive=positive.astype(float))
    for factors in (factors_for(positive, shape, dtype), positive):  # any number of whole rows
        (losses,) = every_way(
            kernels.pointwise_loss_forward, kernels.LOGISTIC, x.ravel(), t.ravel(), 0.0, False, factors, unwritten(x.size, dtype)
        )
        assert_close(losses, values.ravel(), 4, size.ravel())
        (gradient,) = every_way(
            kernels.pointwise_loss_backward, dlosses.ravel(), kernels.LOGISTIC, x.ravel(), t.ravel(), 0.0, factors,
            unwritten(x.size, dtype),
        )  # fmt: skip
        assert_close(gradient, (dlosses * slopes).ravel(), 4, (np.abs(dlosses) * size).ravel())


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_any_size_keep_their_digits(dtype):
    x = np.array([-1e30, -100.0, -30.0, -1e-20, 0.0, 1e-20, 30.0, 100.0, 1e30, -np.inf, np.inf], dtype)
    none, losses, slopes = np.empty(0, dtype), np.empty_like(x), np.empty_like(x)
    for label in (0.0, 1.0):
        t = np.full_like(x, label)
        kernels.pointwise_loss_forward(kernels.LOGISTIC, x, t, 0.0, False, none, losses)
        kernels.pointwise_loss_backward(np.ones_like(x), kernels.LOGISTIC, x, t, 0.0, none, slopes)
        z = x.astype(float) * (1.0 - 2.0 * label)
        rtol = 20 * np.finfo(dtype).eps
        tiny = np.finfo(dtype).tiny
        np.testing.assert_allclose(losses, np.logaddexp(0.0, z), rtol=rtol, atol=tiny)
        np.testing.assert_allclose(slopes, (1.0 - 2.0 * label) * np.exp(-np.logaddexp(0.0, -z)), rtol=rtol, atol=tiny)


@pytest.mark.parametrize("name", KINDS)
def test_nan_passes_through_and_stays_in_its_element(name):
    x, t, none = np.full(11, 0.5), np.ones(11), np.empty(0)
    x[3] = np.nan
    losses, slopes = np.empty(11), np.empty(11)
    kernels.pointwise_loss_forward(KINDS[name], x, t, 1.0, False, none, losses)
    kernels.pointwise_loss_backward(np.ones(11), KINDS[name], x, t, 1.0, none, slopes)
    assert np.flatnonzero(np.isnan(losses)).tolist() == [3]
    assert np.flatnonzero(np.isnan(slopes)).tolist() == [3]


@pytest.mark.parametrize("name", KINDS)
def test_a_row_of_weight_zero_counts_nothing_whatever_is_in_it(name):
    x, t, weights = np.full((3, 2), 0.5), np.ones((3, 2)), np.array([1.0, 0.0, 2.0])
    x[1] = np.nan
    losses, gradient = np.empty((3, 2)), np.empty((3, 2))
    kernels.pointwise_loss_gradient(KINDS[name], x, t, 1.0, False, np.empty(0), weights, 1.0, losses, gradient)
    np.testing.assert_array_equal(losses[1], 0.0)
    np.testing.assert_array_equal(gradient[1], 0.0)
    np.testing.assert_array_equal(losses[2], 2.0 * losses[0])
