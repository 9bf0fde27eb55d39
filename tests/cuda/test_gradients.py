"""Backward kernels against two-sided differences of forward ones, in float64: below 1e-7."""

import numpy as np
import pytest
from twins import kernels

M, N, K = 5, 3, 4
SLOPE, STEP = 0.1, 1e-6
NOTHING = np.empty(0)


def differences(loss, x):
    """The gradient of a function of x by differences."""
    gradient, flat = np.empty(x.size), x.reshape(-1)
    for i, value in enumerate(flat.copy()):
        values = []
        for moved in (value + STEP, value - STEP):
            flat[i] = moved
            values.append(loss())
        flat[i] = value
        gradient[i] = (values[0] - values[1]) / (2 * STEP)
    return gradient.reshape(x.shape)


def assert_gradient(got, loss, x):
    expected = differences(loss, x)
    assert np.linalg.norm(got - expected) < 1e-7 * (np.linalg.norm(got) + np.linalg.norm(expected))


@pytest.mark.parametrize("kind", range(6))
def test_activations(rng, kind):
    x, weights, y = rng.standard_normal(11), rng.standard_normal(11), np.empty(11)

    def loss():
        kernels.activation_forward(x, kind, SLOPE, y)
        return y @ weights

    loss()
    dx = np.empty(11)
    kernels.activation_backward(weights, y, kind, SLOPE, dx)
    assert_gradient(dx, loss, x)


@pytest.mark.parametrize(
    ("name", "settings"), [("elu", (0.7,)), ("gelu", (False,)), ("gelu", (True,)), ("silu", ()), ("softplus", (2.0, 1.0))]
)
def test_smooth_activations(rng, name, settings):
    x, weights, y, dx = *rng.standard_normal((2, 11)), np.empty(11), np.empty(11)
    forward, backward = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_backward")

    def loss():
        forward(x, *settings, y)
        return y @ weights

    loss()
    backward(weights, y if name == "elu" else x, *settings, dx)
    assert_gradient(dx, loss, x)


def test_dropout(rng):
    x, weights, y, dx = *rng.standard_normal((2, 11)), np.empty(11), np.empty(11)

    def loss():
        kernels.dropout_forward(x, 0.4, 3, 4, 5, y)
        return y @ weights

    kernels.dropout_backward(weights, 0.4, 3, 4, 5, dx)
    assert_gradient(dx, loss, x)


def test_linear(rng):
    x, weight, bias = rng.standard_normal((M, N)), rng.standard_normal((N, K)), rng.standard_normal(K)
    weights, y, room = rng.standard_normal((M, K)), np.empty((M, K)), np.empty((1, 0))

    def loss():
        kernels.linear_forward(x, weight, bias, kernels.TANH, 0.0, room, y)
        return (y * weights).sum()

    loss()
    dz = np.empty(y.size)
    kernels.activation_backward(weights.reshape(-1), y.reshape(-1), kernels.TANH, 0.0, dz)
    gradients = np.empty_like(weight), np.empty_like(bias), np.empty_like(x)
    kernels.linear_backward(dz.reshape(M, K), x, weight, False, room, *gradients)
    for gradient, array in zip(gradients, (weight, bias, x), strict=True):
        assert_gradient(gradient, loss, array)


@pytest.mark.parametrize(("kind", "p"), [(0, 0.0), (1, 0.3), (3, 0.0)])
def test_batch_normalisation(rng, kind, p):
    x, gamma, beta = rng.standard_normal((M, N)), rng.uniform(0.5, 1.5, N), rng.standard_normal(N)
    weights, y, stats = rng.standard_normal((M, N)), np.empty((M, N)), np.empty((3, N))
    scratch = np.empty((kernels.row_chunks(M), 4, N))

    def loss():
        kernels.batchnorm_forward(
            x, gamma, beta, 1e-5, 0.1, True, kind, SLOPE, p, np.uint64(1), 2, 3, scratch, NOTHING, NOTHING, stats, y
        )
        return (y * weights).sum()

    loss()
    gradients = np.empty(N), np.empty(N), np.empty((M, N))
    sums = np.empty((kernels.row_chunks(M), 2, N))
    kernels.batchnorm_backward(weights, x, y.copy(), gamma, stats.copy(), True, kind, SLOPE, p, sums, *gradients)
    for gradient, array in zip(gradients, (gamma, beta, x), strict=True):
        assert_gradient(gradient, loss, array)


@pytest.mark.parametrize("centered", [True, False])
def test_normalisation_of_rows(rng, centered):
    x, gamma, beta = rng.standard_normal((M, N)), rng.uniform(0.5, 1.5, N), rng.standard_normal(N)
    weights, y, stats = rng.standard_normal((M, N)), np.empty((M, N)), np.empty((3, M))

    def loss():
        kernels.layernorm_forward(x, gamma, beta, 1e-5, centered, stats, y)
        return (y * weights).sum()

    loss()
    gradients = np.empty(N), np.empty(N), np.empty((M, N))
    sums = np.empty((kernels.layernorm_chunks(M), 2, N))
    kernels.layernorm_backward(weights, x, gamma, stats.copy(), centered, sums, *gradients)
    for gradient, array in zip(gradients, (gamma, beta, x), strict=True):
        assert_gradient(gradient, loss, array)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(rng, smoothing):
    z, labels, soft = rng.standard_normal((M, K)), rng.integers(0, K, M), rng.dirichlet(np.ones(K), M)
    losses, log_sums, hits, dz = np.empty(M), np.empty((2, M)), np.empty(M), np.empty((M, K))
    for targets, name in ((labels, "cross_entropy"), (soft, "soft_cross_entropy")):
        forward, backward = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_backward")

        def loss(forward=forward, targets=targets):
            forward(z, targets, smoothing, np.empty_like(z), log_sums, losses)
            return losses.sum()

        loss()
        backward(np.ones(M), z, targets, smoothing, log_sums, dz)
        assert_gradient(dz, loss, z)
    kernels.cross_entropy_gradient(z, labels, smoothing, 0.5, losses, hits, dz)

    def fused():
        kernels.cross_entropy_forward(z, labels, smoothing, np.empty_like(z), log_sums, losses)
        return 0.5 * losses.sum()

    assert_gradient(dz, fused, z)


def test_squared_error(rng):
    a, b, weights, losses, da = *rng.standard_normal((3, 11)), np.empty(11), np.empty(11)

    def loss():
        kernels.squared_error_forward(a, b, losses)
        return losses @ weights

    kernels.squared_error_backward(weights, a, b, da)
    assert_gradient(da, loss, a)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(rng, name):
    x, weights, y, dx = *rng.standard_normal((2, M, K)), np.empty((M, K)), np.empty((M, K))
    forward, backward = getattr(kernels, f"{name}_forward"), getattr(kernels, f"{name}_backward")

    def loss():
        forward(x, y)
        return (y * weights).sum()

    loss()
    backward(weights, y, dx)
    assert_gradient(dx, loss, x)


KINDS = ["SQUARED", "ABSOLUTE", "HUBER", "POISSON", "POISSON_LOG", "LOGISTIC"]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_that_go_element_by_element(rng, kind):
    number, a = getattr(kernels, kind), 0.4
    x, t, rows = rng.standard_normal((M, K)), rng.uniform(0.1, 0.9, (M, K)), np.array([1.0, 2.0, 0.0, 0.5, 3.0])
    factors = rng.uniform(0.5, 2.0, K) if kind == "LOGISTIC" else NOTHING
    if kind == "POISSON":
        x = np.abs(x)
    weights, losses, dx = rng.standard_normal(M * K), np.empty(M * K), np.empty(M * K)

    def loss():
        kernels.pointwise_loss_forward(number, x.reshape(-1), t.reshape(-1), a, False, factors, losses)
        return losses @ weights

    kernels.pointwise_loss_backward(weights, number, x.reshape(-1), t.reshape(-1), a, factors, dx)
    assert_gradient(dx.reshape(M, K), loss, x)

    def weighted():
        kernels.pointwise_loss_gradient(number, x, t, a, False, factors, rows, 0.5, values, np.empty((M, K)))
        return 0.5 * values.sum()

    values, gradient = np.empty((M, K)), np.empty((M, K))
    kernels.pointwise_loss_gradient(number, x, t, a, False, factors, rows, 0.5, values, gradient)
    assert_gradient(gradient, weighted, x)


@pytest.mark.parametrize("name", ["nll_loss_gradient", "weighted_cross_entropy_gradient"])
def test_losses_against_labels_with_weights(rng, name):
    z, labels, rows, classes = (
        rng.standard_normal((M, K)),
        rng.integers(0, K, M),
        rng.uniform(0.5, 2.0, M),
        rng.uniform(0.5, 2.0, K),
    )
    labels[1], rows[2] = -1, 0.0
    smoothing = (0.1,) if name.startswith("weighted") else ()
    losses, hits, dz = np.empty(M), np.empty(M), np.empty((M, K))

    def loss():
        getattr(kernels, name)(z, labels, *smoothing, -1, classes, rows, 0.5, losses, hits, np.empty((M, K)))
        return 0.5 * losses.sum()

    getattr(kernels, name)(z, labels, *smoothing, -1, classes, rows, 0.5, losses, hits, dz)
    assert_gradient(dz, loss, z)
