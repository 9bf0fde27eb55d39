"""Each function and its gradient, against torch.nn.functional and autograd."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}
REDUCTIONS = ("mean", "sum", "none")
ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "selu": torch.selu,
}


def tensor(array):
    return torch.from_numpy(np.array(array)).requires_grad_()


def numpy(value):
    return value.detach().numpy()


def assert_close(ours, theirs, tolerance=None):
    """Every element to a relative tolerance, and to one of the largest finite magnitude; NaN and infinity in the same places."""
    ours, theirs = np.asarray(ours), numpy(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    tolerance = TOLERANCE[theirs.dtype.type] if tolerance is None else tolerance
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=0.1 * tolerance * scale)


# activations


def special_values(dtype):
    limits = np.finfo(dtype)
    sizes = [0.0, limits.smallest_subnormal, limits.tiny, limits.eps, 1e-3, 0.5, 1.0, 3.0, 9.5, 19.9, 20.1, 36.0, 45.0, 88.7]
    sizes += [103.9, 709.7, 710.1, 744.9, 750.0, 1e6, limits.max, np.inf]
    return np.array([sign * size for size in sizes for sign in (1.0, -1.0)], dtype)


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_any_number_is_torchs(name, dtype):
    x = np.append(special_values(dtype), [np.nan, -np.nan]).astype(dtype)
    # a few units in the last place; nothing less than the least normal number is wanted exactly
    limits = np.finfo(dtype)
    np.testing.assert_allclose(F.activation(name, x), numpy(ACTIVATIONS[name](tensor(x))), rtol=8 * limits.eps, atol=limits.tiny)


@DTYPES
@pytest.mark.parametrize("upstream", [1.0, -2.5, 0.0, 1e-3, np.nan])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_of_an_activation_at_any_number_is_torchs(name, upstream, dtype):
    x = special_values(dtype)
    dy = np.full_like(x, upstream)
    theirs = tensor(x)
    ACTIVATIONS[name](theirs).backward(torch.from_numpy(dy))
    ours = F.activation_backward(name, dy, F.activation(name, x))
    # where sigmoid, tanh and selu saturate, what is left of 1 - y² or y + λα is a rounding error of 1
    bound = 0.0 if np.isnan(upstream) else 16 * np.finfo(dtype).eps * abs(upstream)
    np.testing.assert_allclose(ours, numpy(theirs.grad), rtol=0.0, atol=bound)


@DTYPES
@pytest.mark.parametrize("upstream", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_an_infinite_gradient_passes_rectifiers_as_in_torch(name, upstream, dtype):
    x = special_values(dtype)
    dy = np.full_like(x, upstream)
    theirs = tensor(x)
    ACTIVATIONS[name](theirs).backward(torch.from_numpy(dy))
    np.testing.assert_array_equal(F.activation_backward(name, dy, F.activation(name, x)), numpy(theirs.grad))


@DTYPES
@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 5, 11), (600_011,)], ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_random_numbers_and_its_gradient_are_torchs(name, shape, dtype, rng):
    x, dy = (rng.normal(0.0, 3.0, shape).astype(dtype) for _ in range(2))
    theirs = tensor(x)
    expected = ACTIVATIONS[name](theirs)
    expected.backward(torch.from_numpy(dy))
    y = getattr(F, name)(x)
    assert_close(y, expected)
    assert_close(getattr(F, f"{name}_backward")(dy, y), theirs.grad)


@DTYPES
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0, 3.0])
def test_every_slope_of_leaky_relu_is_torchs(slope, dtype, rng):
    x, dy = (rng.normal(0.0, 3.0, (31, 5)).astype(dtype) for _ in range(2))
    x[0] = 0.0
    theirs = tensor(x)
    expected = torch.nn.functional.leaky_relu(theirs, slope)
    expected.backward(torch.from_numpy(dy))
    y = F.leaky_relu(x, slope)
    assert_close(y, expected)
    assert_close(F.leaky_relu_backward(dy, y, slope), theirs.grad)


# ours, its gradient from the input or the output, torch's; the settings are the same
SMOOTH = {
    "elu": (F.elu, F.elu_backward, torch.nn.functional.elu, [(), (0.3,)]),
    "gelu": (F.gelu, F.gelu_backward, lambda x, kind="none": torch.nn.functional.gelu(x, approximate=kind), [(), ("tanh",)]),
    "silu": (F.silu, F.silu_backward, torch.nn.functional.silu, [()]),
    "softplus": (F.softplus, F.softplus_backward, torch.nn.functional.softplus, [(), (2.0, 5.0), (0.5, 1.0)]),
}
SMOOTH_CASES = [(name, settings) for name, (*_, all_settings) in SMOOTH.items() for settings in all_settings]


@DTYPES
@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 5, 11), (60_011,)], ids=str)
@pytest.mark.parametrize(("name", "settings"), SMOOTH_CASES)
def test_a_smooth_activation_and_its_gradient_are_torchs(name, settings, shape, dtype, rng):
    ours, backward, torchs, _ = SMOOTH[name]
    x, dy = (rng.normal(0.0, 3.0, shape).astype(dtype) for _ in range(2))
    theirs = tensor(x)
    expected = torchs(theirs, *settings)
    expected.backward(torch.from_numpy(dy))
    y = ours(x, *settings)
    tolerance = {np.float64: 1e-12, np.float32: 2e-5}[dtype]
    for got, right in ((y, expected), (backward(dy, y if name == "elu" else x, *settings), theirs.grad)):
        # where torch's 1 + erf and 1 + tanh have lost their digits, ours have not
        np.testing.assert_allclose(got, numpy(right), rtol=tolerance, atol=tolerance)


@DTYPES
@pytest.mark.parametrize(("name", "settings"), SMOOTH_CASES)
def test_a_smooth_activation_of_any_number_is_torchs(name, settings, dtype):
    ours, backward, torchs, _ = SMOOTH[name]
    x = special_values(dtype)
    x = x[np.isfinite(x)]
    theirs = tensor(x)
    expected = torchs(theirs, *settings)
    expected.sum().backward()
    y = ours(x, *settings)
    dx = backward(np.ones_like(x), y if name == "elu" else x, *settings)
    eps = np.finfo(dtype).eps
    for got, right in ((y, numpy(expected)), (dx, numpy(theirs.grad))):
        assert np.isfinite(got).all()
        finite = np.isfinite(right)  # torch's tanh form overflows
        np.testing.assert_allclose(got[finite], right[finite], rtol=16 * eps, atol=64 * eps)


@DTYPES
@pytest.mark.parametrize("shape", [(7,), (3, 17, 7), (5, 40), (1000, 64)], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_gradient_are_torchs(name, shape, dtype, rng):
    x, dy = (rng.normal(0.0, 3.0, shape).astype(dtype) for _ in range(2))
    theirs = tensor(x)
    expected = getattr(torch, name)(theirs, dim=-1)
    expected.backward(torch.from_numpy(dy))
    y = getattr(F, name)(x)
    assert_close(y, expected)
    np.testing.assert_allclose(
        getattr(F, f"{name}_backward")(dy, y), numpy(theirs.grad), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@DTYPES
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_is_torchs_also_of_large_and_masked_logits(name, dtype, rng):
    x = rng.normal(0.0, 3.0, (3, 17, 7)).astype(dtype)
    x[0, 0] *= 300.0
    x[0, 1, 2:] = -np.inf
    x[0, 2] = -np.inf
    x[0, 3, 1] = np.inf
    x[0, 4, 1] = np.nan
    assert_close(getattr(F, name)(x), getattr(torch, name)(tensor(x), dim=-1))


# the fully connected layer


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 13, 7), (5, 3, 2), (33, 67, 29), (257, 129, 65)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_linear_with_any_activation_and_its_gradients_are_torchs(activation, bias, shape, dtype, rng):
    m, n_in, n_out = shape
    x, w = rng.standard_normal((m, n_in)).astype(dtype), (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype)
    b = rng.standard_normal(n_out).astype(dtype) if bias else None
    dy = rng.standard_normal((m, n_out)).astype(dtype)
    tx, tw, tb = tensor(x), tensor(w), tensor(b) if bias else None
    expected = torch.nn.functional.linear(tx, tw.T, tb)
    if activation == "leaky_relu":
        expected = torch.nn.functional.leaky_relu(expected, 0.3)
    elif activation is not None:
        expected = ACTIVATIONS[activation](expected)
    expected.backward(torch.from_numpy(dy))
    y = F.linear(x, w, b, activation, negative_slope=0.3)
    assert_close(y, expected)
    dx, dw, db = F.linear_backward(dy, x, w, activation=activation, y=y, negative_slope=0.3, bias=bias)
    assert_close(dx, tx.grad, 10 * TOLERANCE[dtype])
    assert_close(dw, tw.grad, 10 * TOLERANCE[dtype])
    if bias:
        assert_close(db, tb.grad, 10 * TOLERANCE[dtype])
    else:
        assert db is None


@DTYPES
def test_accumulated_gradients_of_linear_are_those_of_two_backwards_in_torch(dtype, rng):
    m, n_in, n_out = 37, 19, 11
    w, b = rng.standard_normal((n_in, n_out)).astype(dtype), rng.standard_normal(n_out).astype(dtype)
    tw, tb = tensor(w), tensor(b)
    dw, db = np.empty_like(w), np.empty_like(b)
    for accumulate in (False, True, True):
        x, dy = rng.standard_normal((m, n_in)).astype(dtype), rng.standard_normal((m, n_out)).astype(dtype)
        torch.nn.functional.linear(torch.from_numpy(x), tw.T, tb).backward(torch.from_numpy(dy))
        F.linear_backward(dy, x, w, accumulate=accumulate, need_dx=False, out=(None, dw, db))
    assert_close(dw, tw.grad)
    assert_close(db, tb.grad)


# batch normalisation


def columns(rng, shape, dtype):
    """A matrix whose columns differ in mean and deviation."""
    return (rng.standard_normal(shape) * rng.uniform(0.2, 5.0, shape[1]) + rng.normal(0.0, 3.0, shape[1])).astype(dtype)


@DTYPES
@pytest.mark.parametrize("shape", [(2, 1), (3, 5), (29, 13), (67, 259), (701, 131)], ids=str)
@pytest.mark.parametrize("running", [True, False], ids=["running", "no running"])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
def test_batch_norm_in_training_and_its_gradients_are_torchs(affine, running, shape, dtype, rng):
    m, n = shape
    x, dy = columns(rng, shape, dtype), rng.standard_normal(shape).astype(dtype)
    if m == 2:
        x[1] = x[0] + np.array(1.0, dtype)  # two rows that nearly agree would leave nothing but rounding in the gradient
    gamma, beta = (rng.uniform(0.5, 2.0, n).astype(dtype), rng.standard_normal(n).astype(dtype)) if affine else (None, None)
    mean, var = (rng.standard_normal(n).astype(dtype), rng.uniform(0.5, 2.0, n).astype(dtype)) if running else (None, None)
    t_mean, t_var = (torch.from_numpy(a.copy()) if running else None for a in (mean, var))
    tx, t_gamma, t_beta = tensor(x), *(tensor(a) if affine else None for a in (gamma, beta))
    expected = torch.nn.functional.batch_norm(tx, t_mean, t_var, t_gamma, t_beta, training=True, momentum=0.3, eps=1e-3)
    expected.backward(torch.from_numpy(dy))
    stats = np.empty((3, n), dtype)
    y = F.batch_norm(x, gamma, beta, mean, var, training=True, momentum=0.3, eps=1e-3, stats=stats)
    dx, dgamma, dbeta = F.batch_norm_backward(dy, x, gamma, stats)
    tolerance = 20 * TOLERANCE[dtype]
    assert_close(y, expected, tolerance)
    assert_close(dx, tx.grad, tolerance)
    if affine:
        assert_close(dgamma, t_gamma.grad, tolerance)
        assert_close(dbeta, t_beta.grad, tolerance)
    if running:
        assert_close(mean, t_mean)
        assert_close(var, t_var)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (29, 13), (701, 131)], ids=str)
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
def test_batch_norm_in_eval_and_its_gradients_are_torchs(affine, shape, dtype, rng):
    _, n = shape
    x, dy = columns(rng, shape, dtype), rng.standard_normal(shape).astype(dtype)
    gamma, beta = (rng.uniform(0.5, 2.0, n).astype(dtype), rng.standard_normal(n).astype(dtype)) if affine else (None, None)
    mean, var = rng.standard_normal(n).astype(dtype), rng.uniform(0.5, 2.0, n).astype(dtype)
    before = mean.copy(), var.copy()
    tx, t_gamma, t_beta = tensor(x), *(tensor(a) if affine else None for a in (gamma, beta))
    t_mean, t_var = torch.from_numpy(mean), torch.from_numpy(var)
    expected = torch.nn.functional.batch_norm(tx, t_mean, t_var, t_gamma, t_beta, training=False, eps=1e-3)
    expected.backward(torch.from_numpy(dy))
    stats = np.empty((3, n), dtype)
    y = F.batch_norm(x, gamma, beta, mean, var, eps=1e-3, stats=stats)
    dx, dgamma, dbeta = F.batch_norm_backward(dy, x, gamma, stats, training=False)
    tolerance = 10 * TOLERANCE[dtype]
    assert_close(y, expected, tolerance)
    assert_close(dx, tx.grad, tolerance)
    if affine:
        assert_close(dgamma, t_gamma.grad, tolerance)
        assert_close(dbeta, t_beta.grad, tolerance)
    np.testing.assert_array_equal((mean, var), before)


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
def test_the_running_statistics_move_as_torchs_at_the_ends_of_momentum_too(momentum, rng):
    mean, var = rng.standard_normal(5), rng.uniform(0.5, 2.0, 5)
    t_mean, t_var = torch.from_numpy(mean.copy()), torch.from_numpy(var.copy())
    for rows in (2, 7, 70):
        x = columns(rng, (rows, 5), np.float64)
        F.batch_norm(x, None, None, mean, var, training=True, momentum=momentum)
        torch.nn.functional.batch_norm(torch.from_numpy(x), t_mean, t_var, training=True, momentum=momentum)
    assert_close(mean, t_mean)
    assert_close(var, t_var)


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_spoils_its_column_of_batch_norm_as_in_torch(value, training, rng):
    x = columns(rng, (19, 5), np.float64)
    x[3, 2] = value
    mean, var = np.zeros(5), np.ones(5)
    t_mean, t_var = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    with np.errstate(invalid="ignore"):
        y = F.batch_norm(x, None, None, mean, var, training=training)
    expected = torch.nn.functional.batch_norm(torch.from_numpy(x), t_mean, t_var, training=training)
    assert_close(y, expected)
    np.testing.assert_array_equal(np.isfinite(mean), np.isfinite(numpy(t_mean)))
    np.testing.assert_array_equal(np.isfinite(var), np.isfinite(numpy(t_var)))


def test_constant_columns_are_normalised_to_zero_with_torchs_gradient(rng):
    x = np.tile(np.array([0.0, 1.5, -1e6]), (23, 1))
    dy = rng.standard_normal(x.shape)
    theirs = tensor(x)
    expected = torch.nn.functional.batch_norm(theirs, None, None, training=True)
    expected.backward(torch.from_numpy(dy))
    stats = np.empty((3, 3))
    np.testing.assert_allclose(F.batch_norm(x, training=True, stats=stats), 0.0, atol=1e-7)
    np.testing.assert_allclose(numpy(expected), 0.0, atol=1e-7)
    assert_close(F.batch_norm_backward(dy, x, None, stats).dx, theirs.grad)


# cross-entropy


def classes(kind, m, k, dtype, rng):
    if kind == "labels":
        return rng.integers(0, k, m)
    if kind == "one-hot":
        return np.eye(k, dtype=dtype)[rng.integers(0, k, m)]
    if kind == "probabilities":
        return rng.dirichlet(np.full(k, 0.5), m).astype(dtype)
    return rng.uniform(0.0, 2.0, (m, k)).astype(dtype)  # rows that do not sum to 1


def torch_cross_entropy(logits, targets, reduction, smoothing, dloss):
    """The loss, and the gradient of dloss · loss."""
    theirs = tensor(logits)
    loss = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(targets), reduction=reduction, label_smoothing=smoothing)
    (loss * torch.from_numpy(np.asarray(dloss, logits.dtype))).sum().backward()
    return loss, theirs.grad


def assert_loss_close(ours, theirs, reduction, dtype):
    if reduction == "none":
        assert_close(ours, theirs)
    else:
        assert isinstance(ours, float)
        np.testing.assert_allclose(ours, theirs.item(), rtol=TOLERANCE[dtype], atol=0.1 * TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (13, 7), (509, 11), (67, 1009)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities", "weights"])
def test_cross_entropy_and_its_gradient_are_torchs(kind, smoothing, reduction, shape, dtype, rng):
    m, k = shape
    logits, targets = rng.normal(0.0, 4.0, shape).astype(dtype), classes(kind, m, k, dtype, rng)
    for dloss in (1.0, -2.5, rng.standard_normal(m) if reduction == "none" else 0.3):
        loss, gradient = torch_cross_entropy(logits, targets, reduction, smoothing, dloss)
        assert_loss_close(F.cross_entropy(logits, targets, smoothing, reduction), loss, reduction, dtype)
        ours = F.cross_entropy_backward(logits, targets, smoothing, reduction, dloss=dloss)
        assert_close(ours, gradient, 10 * TOLERANCE[dtype])
        _, log_sums = F.cross_entropy_with_log_sums(logits, targets, smoothing)
        np.testing.assert_array_equal(
            ours, F.cross_entropy_backward(logits, targets, smoothing, reduction, dloss=dloss, log_sums=log_sums)
        )


@DTYPES
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_the_loss_layer_is_torchs(kind, smoothing, reduction, dtype, rng):
    logits, targets = rng.normal(0.0, 4.0, (23, 7)).astype(dtype), classes(kind, 23, 7, dtype, rng)
    dloss = rng.standard_normal(23) if reduction == "none" else -1.5
    loss, gradient = torch_cross_entropy(logits, targets, reduction, smoothing, dloss)
    layer = fnn.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction)
    assert_loss_close(layer.forward(logits, targets), loss, reduction, dtype)
    assert_close(layer.backward(dloss), gradient, 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [1e3, 1e8, 1e30, 1e300])
def test_logits_of_any_size_give_torchs_loss(size, smoothing, rng):
    logits, targets = size * rng.standard_normal((19, 5)), rng.integers(0, 5, 19)
    loss, gradient = torch_cross_entropy(logits, targets, "none", smoothing, 1.0)
    assert_close(F.cross_entropy(logits, targets, smoothing, "none"), loss, 1e-10)
    assert_close(F.cross_entropy_backward(logits, targets, smoothing, "none"), gradient, 1e-10)


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_logits_far_from_zero_give_torchs_loss(shift, kind, rng):
    logits, targets = rng.normal(shift, 3.0, (37, 7)), classes(kind, 37, 7, np.float64, rng)
    loss, gradient = torch_cross_entropy(logits, targets, "mean", 0.1, 1.0)
    np.testing.assert_allclose(F.cross_entropy(logits, targets, 0.1), loss.item(), rtol=1e-10)
    assert_close(F.cross_entropy_backward(logits, targets, 0.1), gradient, 1e-10)


MASKED = {
    "NaN": ([1.0, np.nan, 2.0], 0),
    "NaN at the label": ([1.0, np.nan, 2.0], 1),
    "NaN first": ([np.nan, 1.0, 2.0], 1),
    "-inf elsewhere": ([1.0, -np.inf, 2.0], 0),
    "-inf at the label": ([1.0, -np.inf, 2.0], 1),
    "-inf everywhere else": ([-np.inf, 1.0, -np.inf], 1),
    "-inf everywhere": ([-np.inf, -np.inf, -np.inf], 0),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("case", MASKED)
def test_masked_and_missing_logits_give_torchs_loss_and_gradient(case, smoothing):
    row, label = MASKED[case]
    logits, targets = np.array([[0.5, -1.0, 2.0], row]), np.array([1, label])
    loss, gradient = torch_cross_entropy(logits, targets, "none", smoothing, 1.0)
    assert_close(F.cross_entropy(logits, targets, smoothing, "none"), loss)
    assert_close(F.cross_entropy_backward(logits, targets, smoothing, "none"), gradient)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_an_infinite_logit_spoils_its_row_and_no_other_as_in_torch(label, smoothing):
    """Which of the row's numbers are NaN is not torch's, that some are is."""
    logits, targets = np.array([[0.5, -1.0, 2.0], [-np.inf, np.inf, 2.0], [3.0, 1.0, 0.0]]), np.array([1, label, 0])
    expected_loss, expected_gradient = torch_cross_entropy(logits, targets, "none", smoothing, 1.0)
    loss = F.cross_entropy(logits, targets, smoothing, "none")
    gradient = F.cross_entropy_backward(logits, targets, smoothing, "none")
    assert not np.isfinite(loss[1])
    assert not np.isfinite(numpy(expected_loss)[1])
    assert np.isnan(gradient[1]).any()
    assert np.isnan(numpy(expected_gradient)[1]).any()
    assert_close(loss[::2], expected_loss[::2])
    assert_close(gradient[::2], expected_gradient[::2])


# squared error


@DTYPES
@pytest.mark.parametrize("shape", [(1,), (7,), (13, 5), (3, 2, 11), (641, 509)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_squared_error_and_its_gradient_are_torchs(reduction, shape, dtype, rng):
    prediction, target = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    for dloss in (1.0, -2.5, rng.standard_normal(shape).astype(dtype) if reduction == "none" else 0.3):
        theirs = tensor(prediction)
        loss = torch.nn.functional.mse_loss(theirs, torch.from_numpy(target), reduction=reduction)
        (loss * torch.from_numpy(np.asarray(dloss, dtype))).sum().backward()
        assert_loss_close(F.mse_loss(prediction, target, reduction), loss, reduction, dtype)
        assert_close(F.mse_loss_backward(prediction, target, reduction, dloss=dloss), theirs.grad)
        layer = fnn.MSELoss(reduction=reduction)
        assert_loss_close(layer.forward(prediction, target), loss, reduction, dtype)
        assert_close(layer.backward(dloss), theirs.grad)


# norms and penalties


@DTYPES
@pytest.mark.parametrize("size", [1, 7, 1009, 200_003])
def test_the_squared_norm_is_torchs(size, dtype, rng):
    x = rng.standard_normal(size).astype(dtype)
    expected = (torch.from_numpy(x).double() ** 2).sum().item()
    np.testing.assert_allclose(F.squared_norm(x), expected, rtol=1e-13)


@DTYPES
@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.3), (0.2, 0.5)])
@pytest.mark.parametrize("size", [1, 7, 1009, 60_013])
def test_the_gradient_of_penalties_is_autograds(size, l1, l2, dtype, rng):
    w, g = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    w[size // 2 :: 5] = 0.0
    theirs = tensor(w)
    theirs.grad = torch.from_numpy(g.copy())
    magnitudes, squares = theirs.abs().sum(), (theirs**2).sum()
    (l1 * magnitudes + l2 / 2 * squares).backward()
    absolute, square = F.add_penalty_gradient(w, g, l1, l2)
    assert_close(g, theirs.grad)
    np.testing.assert_allclose((absolute, square), (magnitudes.item(), squares.item()), rtol=TOLERANCE[dtype])
