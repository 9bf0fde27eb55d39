"""Each layer by itself: what it computes, what it keeps, how it prints."""

import math
import warnings
from functools import partial

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn.random import DROPOUT, stream_number

ROWS, N = 11, 5
X = np.random.default_rng(0).normal(1.0, 2.0, (ROWS, N)).astype(np.float32)
DY = np.random.default_rng(1).normal(0.0, 1.0, (ROWS, N)).astype(np.float32)

ONES = np.ones((40, 50), np.float32)


# dropout


def test_dropout_is_the_identity_in_eval_mode():
    layer = fnn.Dropout(0.5, seed=0).eval()
    assert np.array_equal(layer(X), X)
    assert np.array_equal(layer.backward(DY), DY)
    assert layer.step == 0


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout_zeroes_a_share_of_p_and_scales_the_rest(p):
    y = fnn.Dropout(p, seed=0)(ONES)
    kept = y != 0.0
    assert np.allclose(y[kept], 1.0 / (1.0 - p))
    assert 1.0 - kept.mean() == pytest.approx(p, abs=4.0 * math.sqrt(p * (1 - p) / y.size))


def test_dropout_draws_another_mask_each_step():
    layer = fnn.Dropout(0.5, seed=0)
    masks = [layer(ONES) for _ in range(4)]
    for i in range(4):
        for j in range(i):
            assert (masks[i] != masks[j]).mean() == pytest.approx(0.5, abs=0.05)


def test_dropout_repeats_its_masks_for_one_seed():
    first, same, other = fnn.Dropout(0.5, seed=7), fnn.Dropout(0.5, seed=7), fnn.Dropout(0.5, seed=8)
    for _ in range(3):
        y = first(ONES)
        assert np.array_equal(y, same(ONES))
        assert not np.array_equal(y, other(ONES))


def test_dropout_can_return_to_a_step():
    layer = fnn.Dropout(0.5, seed=7)
    layer(ONES)
    second = layer(ONES)
    layer.step = 1
    assert np.array_equal(layer(ONES), second)


def test_dropout_advances_with_every_training_forward_and_no_other():
    layer = fnn.Dropout(0.5, seed=0)
    for expected in (1, 2, 3):
        layer(X)
        assert layer.step == expected
    layer.backward(DY)
    layer.eval()(X)
    assert layer.step == 3
    layer.train()(X)
    assert layer.step == 4


def test_dropout_backward_uses_the_mask_of_the_last_forward():
    layer = fnn.Dropout(0.4, seed=0)
    for _ in range(3):
        y = layer(ONES)
        assert np.array_equal(layer.backward(ONES), y)
        assert np.array_equal(layer.backward(ONES), y), "and again"


def test_dropout_without_probability_still_counts_steps():
    layer = fnn.Dropout(0.0)
    assert np.array_equal(layer(X), X)
    assert layer.step == 1


def test_two_dropout_layers_of_a_model_have_different_masks():
    model = fnn.Sequential(fnn.Dropout(0.5), fnn.Dropout(0.5), seed=0)
    assert not np.array_equal(model[0](ONES), model[1](ONES))


def test_the_seed_of_the_model_sets_the_masks():
    masks = [fnn.Sequential(fnn.Dropout(0.5, seed=layer), seed=model)(ONES) for layer, model in ((1, 1), (2, 1), (1, 2))]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


# batch normalisation


def batch_norm(x, layer, mean, var):
    y = (x - mean) / np.sqrt(var + layer.eps)
    return y * layer.weight + layer.bias if layer.affine else y


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_normalises_by_the_batch_in_training(affine):
    layer = fnn.BatchNorm1d(N, affine=affine, dtype=np.float64)
    if affine:
        layer.weight, layer.bias = np.arange(N) - 2.0, np.arange(N) * 0.5
    x = X.astype(np.float64)
    np.testing.assert_allclose(layer(x), batch_norm(x, layer, x.mean(axis=0), x.var(axis=0)), rtol=1e-12, atol=1e-12)
    assert list(layer.parameters) == (["weight", "bias"] if affine else [])


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.7, 1.0])
def test_batch_norm_moves_its_running_statistics_by_momentum(momentum, unbiased):
    layer = fnn.BatchNorm1d(N, momentum=momentum, unbiased_running_var=unbiased, dtype=np.float64)
    mean, var = np.zeros(N), np.ones(N)
    for step in range(3):
        x = X.astype(np.float64) * (step + 1)
        layer(x)
        mean = (1 - momentum) * mean + momentum * x.mean(axis=0)
        var = (1 - momentum) * var + momentum * x.var(axis=0, ddof=1 if unbiased else 0)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-12)
    assert layer.num_batches_tracked == 3


@pytest.mark.parametrize("unbiased", [True, False])
def test_batch_norm_without_momentum_averages_over_all_batches(unbiased):
    layer = fnn.BatchNorm1d(N, momentum=None, unbiased_running_var=unbiased, dtype=np.float64)
    batches = [X[:4].astype(np.float64), X[4:].astype(np.float64) * 3.0, X.astype(np.float64) - 5.0]
    for x in batches:
        layer(x)
    np.testing.assert_allclose(layer.running_mean, np.mean([x.mean(axis=0) for x in batches], axis=0), rtol=1e-12)
    ddof = 1 if unbiased else 0
    np.testing.assert_allclose(layer.running_var, np.mean([x.var(axis=0, ddof=ddof) for x in batches], axis=0), rtol=1e-12)


def test_batch_norm_uses_the_running_statistics_in_eval_mode_and_leaves_them():
    layer = fnn.BatchNorm1d(N, eps=1e-3, dtype=np.float64)
    layer(X)
    mean, var = layer.running_mean.copy(), layer.running_var.copy()
    x = X.astype(np.float64) - 3.0
    np.testing.assert_allclose(layer.eval()(x), batch_norm(x, layer, mean, var), rtol=1e-12, atol=1e-12)
    assert layer(x[:1]).shape == (1, N), "one row is enough"
    assert np.array_equal(layer.running_mean, mean)
    assert np.array_equal(layer.running_var, var)
    assert layer.num_batches_tracked == 1


def test_batch_norm_goes_back_through_the_statistics_it_used():
    layer = fnn.BatchNorm1d(N, dtype=np.float64)
    layer(X)
    dx = layer.backward(DY)
    np.testing.assert_allclose(dx.sum(axis=0), 0.0, atol=1e-12)
    layer.eval()(X)
    dx = layer.backward(DY)
    np.testing.assert_allclose(dx, DY / np.sqrt(layer.running_var + layer.eps), rtol=1e-12)
    np.testing.assert_allclose(layer.gradients["bias"], DY.sum(axis=0, dtype=np.float64), rtol=1e-12)


def test_batch_norm_refuses_one_row_in_training_and_does_not_count_it():
    layer = fnn.BatchNorm1d(N)
    with pytest.raises(ValueError, match=r"^x: expected at least 2 rows .* got 1"):
        layer(X[:1])
    assert layer.num_batches_tracked == 0
    assert not layer.running_mean.any()


def test_batch_norm_starts_anew_on_reset():
    layer = fnn.BatchNorm1d(N)
    layer.weight, layer.bias = 3.0 * np.ones(N), np.ones(N)
    layer(X)
    layer.reset_parameters()
    expected = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0.0}
    assert {name: np.unique(array).tolist() for name, array in layer.state_dict().items()} == {
        n: [v] for n, v in expected.items()
    }


def test_batch_norm_survives_a_large_mean_in_float32():
    x = np.random.default_rng(3).normal(1e4, 1.0, (257, 3)).astype(np.float32)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axis=0)) / np.sqrt(exact.var(axis=0) + 1e-5)
    np.testing.assert_allclose(fnn.BatchNorm1d(3)(x), exact, atol=1e-3)


# activations

LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
ACTIVATIONS = {
    "ReLU": (fnn.ReLU, lambda x: np.maximum(x, 0.0)),
    "LeakyReLU": (fnn.LeakyReLU, lambda x: np.where(x > 0, x, 0.01 * x)),
    "LeakyReLU(0.2)": (partial(fnn.LeakyReLU, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "Sigmoid": (fnn.Sigmoid, lambda x: 1.0 / (1.0 + np.exp(-x))),
    "Tanh": (fnn.Tanh, np.tanh),
    "SELU": (fnn.SELU, lambda x: LAMBDA * np.where(x > 0, x, ALPHA * np.expm1(x))),
    "ELU": (fnn.ELU, lambda x: np.where(x > 0, x, np.expm1(x))),
    "ELU(0.2)": (partial(fnn.ELU, 0.2), lambda x: np.where(x > 0, x, 0.2 * np.expm1(x))),
    "GELU": (fnn.GELU, lambda x: 0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))),
    "GELU, tanh": (
        partial(fnn.GELU, "tanh"),
        lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "SiLU": (fnn.SiLU, lambda x: x / (1.0 + np.exp(-x))),
    "Softplus": (fnn.Softplus, lambda x: np.log1p(np.exp(x))),
    "Softplus(2, 1)": (partial(fnn.Softplus, 2.0, 1.0), lambda x: np.where(2 * x > 1, x, np.log1p(np.exp(2 * x)) / 2)),
}


@pytest.mark.parametrize(("make", "formula"), ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_activations_follow_their_formula_in_both_modes(make, formula, dtype, tolerance):
    layer = make(dtype=dtype)
    x = np.linspace(-6.0, 6.0, 7 * 13, dtype=dtype).reshape(7, 13)
    for mode in (True, False):
        y = layer.train(mode)(x)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, formula(x.astype(np.float64)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("make", [make for make, _ in ACTIVATIONS.values()], ids=ACTIVATIONS.keys())
def test_activations_have_no_parameters_and_go_back_along_their_slope(make):
    layer = make(dtype=np.float64)
    x, h = X.astype(np.float64), 1e-6
    slope = (layer(x + h) - layer(x - h)) / (2 * h)
    layer(x)
    np.testing.assert_allclose(layer.backward(DY), DY * slope, rtol=1e-6, atol=1e-8)
    assert layer.parameters == layer.gradients == layer.buffers == {}


def test_the_slope_of_relu_at_zero_is_zero():
    layer = fnn.ReLU()
    layer(np.zeros((2, 3)))
    assert not layer.backward(np.ones((2, 3))).any()


# linear


def test_linear_is_x_times_weight_plus_bias_and_its_gradients():
    layer = fnn.Linear(N, 3, seed=0, dtype=np.float64)
    layer.bias = [1.0, 2.0, 3.0]
    dy = DY[:, :3].astype(np.float64)
    np.testing.assert_allclose(layer(X), X.astype(np.float64) @ layer.weight + layer.bias, rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), dy @ layer.weight.T, rtol=1e-12)
    np.testing.assert_allclose(layer.gradients["weight"], X.astype(np.float64).T @ dy, rtol=1e-12)
    np.testing.assert_allclose(layer.gradients["bias"], dy.sum(axis=0), rtol=1e-12)


def test_linear_without_bias():
    layer = fnn.Linear(N, 3, bias=False, seed=0)
    assert list(layer.parameters) == list(layer.gradients) == ["weight"]
    np.testing.assert_allclose(layer(X), X @ layer.weight, rtol=1e-5, atol=1e-6)
    with pytest.raises(AttributeError, match="bias"):
        layer.bias  # noqa: B018


def test_a_linear_alone_starts_with_xaviers_weights_and_zero_biases():
    layer = fnn.Linear(400, 300, seed=0)
    assert layer.weight.std() == pytest.approx(math.sqrt(2 / 700), rel=0.015)
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("chosen", "check"),
    [
        ("he_normal", lambda w: w.std() == pytest.approx(math.sqrt(2 / 400), rel=0.015)),
        ("kaiming_uniform", lambda w: 0.99 < np.abs(w).max() / math.sqrt(6 / 400) <= 1.0),
        ("fan_in_uniform", lambda w: 0.99 < np.abs(w).max() / math.sqrt(1 / 400) <= 1.0),
        ("orthogonal", lambda w: np.allclose(w.T @ w, np.eye(300), atol=1e-5)),
        (partial(fnn.init.normal, std=0.5), lambda w: w.std() == pytest.approx(0.5, rel=0.015)),
        (fnn.init.lecun_normal, lambda w: w.std() == pytest.approx(math.sqrt(1 / 400), rel=0.015)),
        (lambda shape, seed, dtype: np.arange(np.prod(shape)).reshape(shape), lambda w: w[0, 5] == 5 and w[399, 299] == 119_999),
    ],
    ids=["name", "alias", "fan-in", "orthogonal", "partial", "function", "one's own"],
)
def test_weight_init_takes_names_and_functions(chosen, check):
    for layer in (
        fnn.Linear(400, 300, weight_init=chosen),
        fnn.Sequential(fnn.Linear(400, 300, weight_init=chosen), fnn.SELU())[0],
    ):
        assert layer.weight.dtype == np.float32
        assert check(layer.weight)


def test_a_function_of_ones_own_gets_a_seed_that_numpy_takes():
    def own(shape, seed, dtype):
        return np.random.default_rng(seed).normal(size=shape).astype(dtype)

    first, same = (fnn.Sequential(fnn.Linear(4, 3, weight_init=own), seed=0) for _ in range(2))
    assert first[0].weight.any()
    assert np.array_equal(first[0].weight, same[0].weight)


def test_a_function_that_returns_another_shape_is_refused_each_time():
    layer = fnn.Linear(3, 2, weight_init=lambda shape, seed, dtype: np.arange(6.0).reshape(2, 3))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^weight: expected shape \(3, 2\), got \(2, 3\)"):
            layer(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("chosen", "check"),
    [
        ("zeros", lambda b: not b.any()),
        ("constant", lambda b: (b == np.float32(0.01)).all()),
        ("ones", lambda b: (b == 1.0).all()),
        (partial(fnn.init.constant, value=-2.0), lambda b: (b == -2.0).all()),
        ("fan_in_uniform", lambda b: 0.98 < np.abs(b).max() / math.sqrt(1 / 100) <= 1.0 and abs(b.mean()) < 0.01),
        ("normal", lambda b: b.std() == pytest.approx(0.01, rel=0.1)),
    ],
    ids=["zeros", "constant", "ones", "partial", "fan-in of the weights", "normal"],
)
def test_bias_init_takes_names_and_functions_without_a_warning(chosen, check):
    assert check(fnn.Linear(100, 500, bias_init=chosen, seed=0).bias)


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal"])
def test_weights_and_biases_are_drawn_apart(name):
    layer = fnn.Linear(3, 4, weight_init=name, bias_init=name, seed=0)
    assert not np.isin(layer.bias, layer.weight).any()


@pytest.mark.parametrize("chosen", ["zeros", "ones", "constant", partial(fnn.init.constant, value=0.3)])
def test_equal_weights_warn_of_the_symmetry_problem(chosen):
    with pytest.warns(UserWarning, match=r"all weights of Linear\(3, 2.* start equal"):
        fnn.Sequential(fnn.Linear(3, 2, weight_init=chosen))
    with pytest.warns(UserWarning, match="stay copies of one another"):
        fnn.Linear(3, 2, weight_init=chosen).weight  # noqa: B018


def test_equal_weights_warn_once_and_equal_biases_not_at_all():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fnn.Sequential(fnn.Linear(3, 2, weight_init="zeros"), fnn.Linear(2, 2, bias_init="constant"), seed=0)
        model.astype(np.float64).forward(np.ones((4, 3)))
        model.predict(np.ones((4, 3)))
    assert len(caught) == 1
    assert "Linear(3, 2, weight_init='zeros')" in str(caught[0].message)


def test_a_single_weight_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fnn.Linear(1, 1, weight_init="ones").weight == 1.0


def test_a_seed_fixes_the_weights_of_a_layer_by_itself():
    first, same, other, drawn = (fnn.Linear(3, 2, seed=seed, bias_init="normal") for seed in (1, 1, 2, None))
    assert np.array_equal(first.weight, same.weight)
    assert np.array_equal(first.bias, same.bias)
    assert not np.array_equal(first.weight, other.weight)
    assert not np.array_equal(first.weight, drawn.weight)


def test_weights_are_assigned_by_value_and_checked():
    layer = fnn.Linear(3, 2, seed=0)
    array, given = layer.weight, np.arange(6.0).reshape(3, 2)
    layer.weight = given
    given[...] = 9.0
    assert layer.weight is array
    assert layer.weight is layer.parameters["weight"]
    assert layer.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match=r"^weight: expected shape \(3, 2\), got \(2, 3\)"):
        layer.weight = given.T
    with pytest.raises(TypeError, match=r"^bias"):
        layer.bias = ["a", "b"]


# all of them

LAYERS = {
    "Linear(5, 3)": lambda **kw: fnn.Linear(5, 3, **kw),
    "Linear(5, 3, bias=False, weight_init='he_normal')": lambda **kw: fnn.Linear(5, 3, False, weight_init="he_normal", **kw),
    "Linear(5, 3, bias_init='constant')": lambda **kw: fnn.Linear(5, 3, bias_init="constant", **kw),
    "BatchNorm1d(5)": lambda **kw: fnn.BatchNorm1d(5, **kw),
    "BatchNorm1d(5, eps=0.001, momentum=None, affine=False, unbiased_running_var=False)": lambda **kw: fnn.BatchNorm1d(
        5, 1e-3, None, False, unbiased_running_var=False, **kw
    ),
    "BatchNorm1d(5, momentum=0.5)": lambda **kw: fnn.BatchNorm1d(5, momentum=0.5, **kw),
    "Dropout(0.25)": lambda **kw: fnn.Dropout(0.25, **kw),
    "ReLU()": fnn.ReLU,
    "LeakyReLU(0.2)": lambda **kw: fnn.LeakyReLU(0.2, **kw),
    "Sigmoid()": fnn.Sigmoid,
    "Tanh()": fnn.Tanh,
    "SELU()": fnn.SELU,
    "ELU(0.5)": lambda **kw: fnn.ELU(0.5, **kw),
    "GELU()": fnn.GELU,
    "GELU(approximate='tanh')": lambda **kw: fnn.GELU("tanh", **kw),
    "SiLU()": fnn.SiLU,
    "Softplus(2.0, 3.0)": lambda **kw: fnn.Softplus(2, 3, **kw),
    "Softmax()": fnn.Softmax,
    "LogSoftmax()": fnn.LogSoftmax,
    "Flatten()": fnn.Flatten,
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())


@pytest.mark.parametrize(("text", "make"), LAYERS.items(), ids=LAYERS.keys())
def test_repr_rebuilds_the_layer(text, make):
    assert repr(make()) == text
    assert repr(eval(text, vars(fnn).copy())) == text


@each_layer
def test_repr_rebuilds_the_dtype_of_a_layer_by_itself(make):
    again = eval(repr(make(dtype=np.float64)), vars(fnn).copy())
    assert again.dtype == np.float64


@each_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_works_in_its_dtype(make, dtype):
    layer = make(dtype=dtype)
    y = layer(X.astype(np.float64))
    assert layer.dtype == y.dtype == dtype
    assert layer.backward(y).dtype == dtype
    for arrays in (layer.parameters, layer.gradients, layer.buffers):
        assert {array.dtype for array in arrays.values()} <= {np.dtype(dtype)}


@each_layer
def test_a_layer_leaves_its_arguments_alone(make):
    layer = make()
    x, dy = X.copy(), np.ones_like(make()(X))
    layer(x)
    layer.backward(dy)
    layer.eval()(x)
    layer.backward(dy)
    assert np.array_equal(x, X)
    assert (dy == 1.0).all()


@each_layer
def test_a_layer_takes_lists_and_other_layouts(make):
    layer = make().eval()
    expected = layer(X)
    assert np.array_equal(layer(X.tolist()), expected)
    assert np.array_equal(layer(np.asfortranarray(X)), expected)
    assert np.array_equal(layer.forward(np.repeat(X, 2, axis=0)[::2]), expected)


@each_layer
def test_gradients_are_overwritten_not_added_up(make):
    layer = make(dtype=np.float64)
    dy = np.ones_like(layer(X))
    layer.backward(dy)
    once = {name: array.copy() for name, array in layer.gradients.items()}
    layer.backward(dy)
    assert all(np.array_equal(array, once[name]) for name, array in layer.gradients.items())


def test_layers_agree_with_the_functions():
    layer = fnn.Linear(N, 3, seed=0)
    assert np.array_equal(layer(X), F.linear(X, layer.weight, layer.bias))
    assert np.array_equal(fnn.SELU()(X), F.selu(X))
    assert np.array_equal(fnn.ELU(0.3)(X), F.elu(X, 0.3))
    assert np.array_equal(fnn.GELU("tanh")(X), F.gelu(X, "tanh"))
    assert np.array_equal(fnn.SiLU()(X), F.silu(X))
    assert np.array_equal(fnn.Softplus(2.0, 3.0)(X), F.softplus(X, 2.0, 3.0))
    assert np.array_equal(fnn.Softmax()(X), F.softmax(X))
    assert np.array_equal(fnn.LogSoftmax()(X), F.log_softmax(X))
    assert np.array_equal(fnn.BatchNorm1d(N)(X), F.batch_norm(X, training=True))
    assert np.array_equal(fnn.Dropout(0.5, seed=3)(X), F.dropout(X, 0.5, seed=3, stream=stream_number(DROPOUT)))
