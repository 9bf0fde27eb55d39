"""Second-order training: the optimum of convex problems, against SciPy on NumPy alone, and what is refused."""

import sys

import numpy as np
import pytest
from library.helpers import blobs

import fastnn as fnn
from fastnn import second_order

optimize = pytest.importorskip("scipy.optimize")

METHODS = ["L-BFGS-B", "BFGS", "Newton-CG", "newton"]
STRENGTH = 0.01


def solve(method, model, loss, x, y, **options):
    if method == "newton":
        return fnn.newton(model, loss, x, y, **options)
    return fnn.minimize(model, loss, x, y, method, **options)


def softmax_regression(x, y, classes):
    """The least of mean cross-entropy + STRENGTH/2 ΣW², by SciPy on the formula."""
    m, n = x.shape

    def objective(theta):
        w, b = theta[: n * classes].reshape(n, classes), theta[n * classes :]
        z = x @ w + b
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        p = e / e.sum(axis=1, keepdims=True)
        value = -np.mean(np.log(p[np.arange(m), y])) + 0.5 * STRENGTH * (w**2).sum()
        p[np.arange(m), y] -= 1.0
        return value, np.concatenate([(x.T @ p / m + STRENGTH * w).ravel(), p.mean(axis=0)])

    return optimize.minimize(objective, np.zeros((n + 1) * classes), jac=True, method="BFGS", options={"gtol": 1e-9})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_softmax_regression_reaches_its_optimum(method, dtype):
    x, y = blobs()
    best = softmax_regression(np.asarray(x, float), y, y.max() + 1)
    model = fnn.Sequential(fnn.Linear(x.shape[1], y.max() + 1), seed=0, dtype=dtype)
    model.flat_parameters[:] = 0.0  # from far away plain Newton overshoots
    damping = {"damping": 1e-3} if method == "newton" else {}  # a shift of all biases changes nothing
    found = solve(method, model, fnn.CrossEntropyLoss(), x, y, regularizer=fnn.L2(STRENGTH), tolerance=1e-9, **damping)
    assert found.loss == pytest.approx(best.fun, rel=1e-9)
    assert found.losses[0] > found.loss
    weight = best.x[: model[0].weight.size].reshape(model[0].weight.shape)
    np.testing.assert_allclose(model[0].weight, weight, atol=1e-4)
    assert len(found.losses) == len(found.seconds) == len(found.evaluations) == found.iterations + 1
    assert (np.diff(found.seconds) >= 0).all()
    assert (np.diff(found.evaluations) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_linear_regression_is_least_squares_and_newton_takes_one_step(rng, method):
    x, noise = rng.standard_normal((40, 6)), rng.standard_normal(40)
    y = x @ np.arange(6.0) + 3.0 + 0.1 * noise
    model = fnn.Sequential(fnn.Linear(6, 1), seed=0, dtype=np.float64)
    found = solve(method, model, fnn.MSELoss(), x, y, tolerance=1e-7)
    exact, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), y, rcond=None)
    np.testing.assert_allclose(np.append(model[0].weight, model[0].bias), exact, rtol=1e-6)
    if method == "newton":
        assert found.iterations == 1
        assert found.converged


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "newton"])
def test_a_small_net_with_batch_normalisation_is_trained(method):
    x, y = blobs()
    model = fnn.Sequential(
        fnn.Linear(x.shape[1], 4), fnn.BatchNorm1d(4), fnn.Tanh(), fnn.Linear(4, y.max() + 1), seed=0, dtype=np.float64
    )
    damping = {"damping": 0.5} if method == "newton" else {}
    found = solve(method, model, fnn.CrossEntropyLoss(), x, y, regularizer=fnn.L2(1e-2), max_iterations=15, **damping)
    assert found.loss < 0.5 * found.losses[0]
    hidden = np.asarray(x, float) @ model[0].weight + model[0].bias
    np.testing.assert_allclose(model[1].running_mean, hidden.mean(axis=0), rtol=1e-10)
    model.eval()
    assert (model.predict(x).argmax(axis=1) == y).mean() > 0.9


def test_the_product_with_the_hessian_and_the_hessian_agree(rng):
    x, y = blobs()
    model = fnn.Sequential(fnn.Linear(x.shape[1], 3), fnn.Tanh(), fnn.Linear(3, y.max() + 1), seed=0)
    problem = second_order._Objective(model, fnn.CrossEntropyLoss(), x, y, fnn.L2(0.1))
    theta, v = problem.start(), rng.standard_normal(problem.size)
    hessian = problem.hessian(theta)
    np.testing.assert_allclose(problem.times_hessian(theta, v), hessian @ v, atol=1e-6)
    np.testing.assert_array_equal(hessian, hessian.T)


def test_the_callback_sees_every_iteration_and_can_end_it():
    x, y = blobs()
    seen = []

    def stop_at_three(iteration, loss):
        seen.append((iteration, loss))
        return iteration == 3

    model = fnn.Sequential(fnn.Linear(x.shape[1], y.max() + 1), seed=0)
    found = fnn.minimize(model, fnn.CrossEntropyLoss(), x, y, callback=stop_at_three)
    assert [iteration for iteration, _ in seen] == [1, 2, 3]
    assert found.iterations == 3
    assert [loss for _, loss in seen] == found.losses[1:].tolist()


BAD = {
    "a layer": (lambda m, x, y: fnn.minimize(fnn.Linear(2, 2), fnn.MSELoss(), x, y), TypeError, "model"),
    "no loss": (lambda m, x, y: fnn.minimize(m, 3, x, y), TypeError, "loss"),
    "loss by rows": (lambda m, x, y: fnn.minimize(m, fnn.MSELoss(reduction="none"), x, y), ValueError, "loss"),
    "a method": (lambda m, x, y: fnn.minimize(m, fnn.CrossEntropyLoss(), x, y, "Powell"), ValueError, "method"),
    "L1": (lambda m, x, y: fnn.newton(m, fnn.CrossEntropyLoss(), x, y, regularizer=fnn.L1(0.1)), ValueError, "regularizer"),
    "labels": (lambda m, x, y: fnn.newton(m, fnn.CrossEntropyLoss(), x, y + 9), ValueError, "y"),
    "NaN": (lambda m, x, y: fnn.newton(m, fnn.CrossEntropyLoss(), x * np.nan, y), ValueError, "x"),
    "singular": (lambda m, x, y: fnn.newton(m, fnn.CrossEntropyLoss(), x, y), ValueError, "damping"),
    "iterations": (lambda m, x, y: fnn.minimize(m, fnn.CrossEntropyLoss(), x, y, max_iterations=0), ValueError, "max_iterations"),
}


@pytest.mark.parametrize(("call", "error", "name"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_and_leaves_the_model_alone(call, error, name):
    x, y = blobs()
    model = fnn.Sequential(fnn.Linear(x.shape[1], y.max() + 1), seed=0)
    before = model.flat_parameters.copy()
    with pytest.raises(error, match=f"^{name}"):
        call(model, x, y)
    np.testing.assert_array_equal(model.flat_parameters, before)


def test_dropout_is_refused():
    x, y = blobs()
    model = fnn.Sequential(fnn.Linear(x.shape[1], 9), fnn.Dropout(0.1), fnn.Linear(9, y.max() + 1), seed=0)
    with pytest.raises(ValueError, match="dropout"):
        fnn.minimize(model, fnn.CrossEntropyLoss(), x, y)


@pytest.mark.parametrize("method", ["BFGS", "newton"])
def test_a_matrix_that_does_not_fit_is_refused_with_its_size(method, monkeypatch):
    x, y = blobs()
    monkeypatch.setattr(second_order, "_available_bytes", lambda: 2**20)
    model = fnn.Sequential(fnn.Linear(x.shape[1], 300), fnn.Linear(300, y.max() + 1), seed=0)
    with pytest.raises(ValueError, match=r"^model: .*2,703 parameters.*GiB"):
        solve(method, model, fnn.CrossEntropyLoss(), x, y)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    x, y = blobs()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn\[scipy\]"'):
        fnn.minimize(fnn.Sequential(fnn.Linear(x.shape[1], y.max() + 1), seed=0), fnn.CrossEntropyLoss(), x, y)


@pytest.mark.parametrize(("features", "classes", "rows", "size"), [(2, 2, 20, 1), (5, 3, 47, 10), (20, 10, 500, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_a_hessian_that_is_singular_but_for_the_noise_of_its_differences_is_refused(seed, features, classes, rows, size):
    rng = np.random.default_rng(seed)
    x, y = size * rng.standard_normal((rows, features)), rng.integers(0, classes, rows)
    model = fnn.Sequential(fnn.Linear(features, classes), seed=seed)
    with pytest.raises(ValueError, match="^damping: expected more than 0, since the Hessian is singular"):
        fnn.newton(model, fnn.CrossEntropyLoss(), x, y)
