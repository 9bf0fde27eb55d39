"""The report on signals: its numbers, its verdicts, and that the model is left as it was."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, blobs, dropout_steps, small_model

import fastnn as fnn
from fastnn.diagnostics import signal_report

X, Y = blobs()
WIDTH = 96
ACTIVATIONS = {"linear": None, "tanh": fnn.Tanh, "sigmoid": fnn.Sigmoid, "relu": fnn.ReLU}
LARGE = partial(fnn.init.normal, std=1.0)


def stack(activation, weight_init, depth=10, seed=0, **settings):
    layers = []
    for _ in range(depth):
        layers.append(fnn.Linear(WIDTH, WIDTH, weight_init=weight_init))
        if ACTIVATIONS[activation] is not None:
            layers.append(ACTIVATIONS[activation]())
    return fnn.Sequential(*layers, seed=seed, **settings)


def inputs(rng, rows=200):
    return rng.standard_normal((rows, WIDTH))


def identity(factor):
    return lambda shape, seed, dtype: factor * np.eye(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("activation", "weight_init", "verdict"),
    [
        ("relu", "he_normal", "healthy"),
        ("relu", "he_uniform", "healthy"),
        ("tanh", "xavier_normal", "healthy"),
        ("linear", "xavier_normal", "healthy"),
        ("linear", "orthogonal", "healthy"),
        ("relu", "xavier_normal", "vanishing"),  # halves the second moment at each layer
        ("relu", "normal", "vanishing"),
        ("tanh", "normal", "vanishing"),
        ("sigmoid", "normal", "vanishing"),
        ("sigmoid", "xavier_normal", "vanishing"),  # a slope of 1/4 at most
        ("sigmoid", "he_normal", "vanishing"),
        ("linear", identity(0.5), "vanishing"),
        ("linear", identity(1.5), "exploding"),
        ("linear", LARGE, "exploding"),
        ("relu", LARGE, "exploding"),
        ("tanh", LARGE, "saturated"),
        ("sigmoid", LARGE, "saturated"),
    ],
    ids=str,
)
def test_verdicts_are_the_theorys(rng, activation, weight_init, verdict):
    for seed in range(3):
        report = signal_report(stack(activation, weight_init, seed=seed), inputs(rng))
        assert report.verdict == verdict, str(report)


@pytest.mark.filterwarnings("ignore:all weights of")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weight_init", ["zeros", "ones", "constant"])
def test_equal_weights_are_symmetric(rng, activation, weight_init):
    model = stack(activation, weight_init, depth=4)
    for arguments in ((), (rng.integers(0, WIDTH, 200), fnn.CrossEntropyLoss())):
        report = signal_report(model, inputs(rng), *arguments)
        assert report.verdict == "symmetric", str(report)
        assert report["0"].copies == pytest.approx(1 - 1 / WIDTH)


@pytest.mark.filterwarnings("ignore:all weights of")
def test_a_last_layer_of_zeros_is_not_symmetric():
    """Its units get gradients of their own."""
    model = fnn.Sequential(fnn.Linear(FEATURES, 8), fnn.ReLU(), fnn.Linear(8, CLASSES, weight_init="zeros"), seed=0)
    report = signal_report(model, X, Y, fnn.CrossEntropyLoss())
    assert [row.copies for row in report.rows if row.name in ("0", "2")] == [0.0, 0.0]
    assert report.verdict == "vanishing"  # for the first step nothing comes back


def test_the_numbers_are_those_of_the_arrays(rng):
    model = fnn.Sequential(fnn.Linear(5, 7), fnn.Tanh(), fnn.Linear(7, 3), seed=0, dtype=np.float64)
    x, y = rng.standard_normal((11, 5)), rng.integers(0, 3, 11)
    loss = fnn.CrossEntropyLoss()
    report = signal_report(model, x, y, loss)
    z = x @ model[0].weight
    h = np.tanh(z)
    out = h @ model[2].weight
    loss.forward(out, y)
    d_out = loss.backward()
    dh = d_out @ model[2].weight.T
    dz = dh * (1 - h**2)
    expected = {"x": (x, dz @ model[0].weight.T), "0": (z, dz), "1": (h, dh), "2": (out, d_out)}
    assert [row.name for row in report.rows] == list(expected)
    assert [row.kind for row in report.rows] == ["input", "pre-activation", "activation", "output"]
    assert [row.units for row in report.rows] == [5, 7, 7, 3]
    for name, (value, gradient) in expected.items():
        row = report[name]
        for got, array in (
            ((row.mean, row.std, row.second_moment), value),
            ((row.gradient_mean, row.gradient_std, row.gradient_second_moment), gradient),
        ):
            np.testing.assert_allclose(got, (array.mean(), array.std(), (array**2).mean()), rtol=1e-9, atol=1e-15)
    assert report.forward_change == pytest.approx((out**2).mean() / (h**2).mean())
    assert report.backward_change == pytest.approx((dh**2).mean() * 7 / ((d_out**2).mean() * 3))


def test_he_and_relu_keep_the_second_moment_and_not_the_mean(rng):
    report = signal_report(stack("relu", "he_normal", depth=12), inputs(rng))
    activations = [row for row in report.rows if row.kind in ("activation", "output")]
    assert 0.2 < report.forward_change < 5
    assert all(row.mean > 0.2 * math.sqrt(row.second_moment) for row in activations)


@pytest.mark.parametrize("widths", [(400, 50, 400, 10), (10, 400, 50, 300)], ids=str)
def test_widths_that_differ_do_not_count(rng, widths):
    layers = [layer for pair in itertools.pairwise(widths) for layer in (fnn.Linear(*pair, weight_init="he_normal"), fnn.ReLU())]
    report = signal_report(fnn.Sequential(*layers, seed=0), rng.standard_normal((300, widths[0])))
    assert report.verdict == "healthy", str(report)


def test_dead_units_are_counted():
    model = fnn.Sequential(fnn.Linear(FEATURES, 8), fnn.ReLU(), fnn.Linear(8, CLASSES), seed=0)
    alive = signal_report(model, X)
    assert alive["1"].dead == 0.0
    model[0].bias = [-1e6] * 5 + [1e-3] * 3
    report = signal_report(model, X)
    assert report["1"].dead == pytest.approx(5 / 8)
    assert report["0"].dead == 0.0  # the pre-activation is not 0
    assert report.verdict == "saturated"


@pytest.mark.parametrize("layer", [fnn.Tanh(), fnn.Sigmoid()], ids=repr)
def test_saturated_units_are_counted(rng, layer):
    model = fnn.Sequential(fnn.Linear(4, 4, weight_init=identity(1.0)), layer, seed=0)
    x = rng.uniform(-1.0, 1.0, (101, 4))
    assert signal_report(model, x)["1"].saturated == 0.0
    model[0].bias = [30.0, -6.0, 0.0, 0.0]
    assert signal_report(model, x)["1"].saturated == 0.5


def test_functions_that_flatten_on_one_side_do_not_saturate(rng):
    for layer in (fnn.ReLU(), fnn.LeakyReLU(), fnn.SELU(), fnn.ELU(), fnn.GELU(), fnn.GELU("tanh"), fnn.SiLU(), fnn.Softplus()):
        row = signal_report(fnn.Sequential(layer, seed=0), rng.normal(-1.0, 1.0, (50, 3)))["0"]
        assert math.isnan(row.saturated)
        assert row.dead == 0.0
    assert signal_report(fnn.Sequential(fnn.LeakyReLU(), seed=0), -np.ones((5, 3)))["0"].dead == 0.0


@pytest.mark.parametrize("layer", [fnn.GELU(), fnn.SiLU(), fnn.ELU(), fnn.Softplus()], ids=repr)
def test_units_far_below_zero_are_dead_also_where_the_tail_is_not_flat(rng, layer):
    assert signal_report(fnn.Sequential(layer, seed=0), np.full((5, 3), -20.0))["0"].dead == 1.0


def test_softmax_is_no_activation_function_of_single_units(rng):
    report = signal_report(fnn.Sequential(fnn.Linear(5, 5), fnn.Softmax(), seed=0), rng.standard_normal((20, 5)))
    assert [row.kind for row in report.rows] == ["input", "layer", "output"]


def test_an_overflow_is_exploding(rng):
    report = signal_report(stack("linear", partial(fnn.init.normal, std=1e8), depth=6), inputs(rng))
    assert report.verdict == "exploding"
    assert not math.isfinite(report.rows[-1].second_moment)
    str(report)


def test_an_input_of_any_scale_does_not_count_before_batch_normalisation(rng):
    report = signal_report(small_model(), 1e4 * X)
    assert report.verdict == "healthy", str(report)
    assert [row.kind for row in report.rows] == ["input", "layer", "pre-activation", "activation", "layer", "output"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("arguments", [(), (Y, fnn.CrossEntropyLoss())], ids=["random", "loss"])
def test_the_model_is_left_as_it_was(training, arguments):
    model = small_model().train(training)
    model.forward(X)
    kept = model[2]._y
    copies = [a.copy() for a in (model.flat_parameters, model.flat_gradients, model.flat_buffers)]
    before = dropout_steps(model), [layer.training for layer in model.walk()], [sorted(vars(layer)) for layer in model.walk()]
    signal_report(model, X[:20], *(a[:20] if isinstance(a, np.ndarray) else a for a in arguments))
    for old, new in zip(copies, (model.flat_parameters, model.flat_gradients, model.flat_buffers), strict=True):
        np.testing.assert_array_equal(old, new)
    assert before == (
        dropout_steps(model),
        [layer.training for layer in model.walk()],
        [sorted(vars(layer)) for layer in model.walk()],
    )
    assert model[2]._y is kept


def test_the_mode_is_the_models(rng):
    model = fnn.Sequential(fnn.Linear(5, 5, weight_init=identity(1.0)), fnn.Dropout(0.5), seed=0)
    x = rng.standard_normal((4000, 5))
    assert signal_report(model, x)["1"].second_moment == pytest.approx(2.0, rel=0.1)
    assert signal_report(model.eval(), x)["1"].second_moment == pytest.approx(1.0, rel=0.1)


class Residual(fnn.Layer):
    """x + branch(x)."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch.forward(x)

    def backward(self, dy):
        return dy + self.branch.backward(dy)


class Fused(Residual):
    """Goes back past its branch."""

    def backward(self, dy):
        return 2.0 * dy


def test_nested_models_and_layers_of_ones_own_have_rows():
    branch = fnn.Sequential(fnn.Linear(6, 6), fnn.Tanh(), seed=1)
    model = fnn.Sequential(fnn.Linear(FEATURES, 6), Residual(branch), fnn.Sequential(fnn.Linear(6, CLASSES)), seed=0)
    report = signal_report(model, X / 4, Y, fnn.CrossEntropyLoss())
    assert [row.name for row in report.rows] == ["x", "0", "1.branch.0", "1.branch.1", "1", "2.0"]
    assert report["1"].layer == "Residual"
    assert report.verdict == "healthy"
    assert report.layers == 3


def test_a_layer_without_a_gradient_is_shown_and_not_judged():
    branch = fnn.Sequential(fnn.Linear(6, 6, weight_init=partial(fnn.init.normal, std=1e-6)), seed=1)
    report = signal_report(fnn.Sequential(fnn.Linear(FEATURES, 6), Fused(branch), fnn.Linear(6, CLASSES), seed=0), X)
    assert math.isnan(report["1.branch.0"].gradient_std)
    assert report.verdict == "healthy"


def test_a_layer_used_twice_has_one_row(rng):
    class Twice(fnn.Layer):
        def __init__(self):
            super().__init__()
            self.inner = fnn.ReLU()

        def forward(self, x):
            y = self.inner.forward(x)
            return self.inner.forward(y)

        def backward(self, dy):
            return self.inner.backward(self.inner.backward(dy))

    report = signal_report(fnn.Sequential(fnn.Linear(5, 5), Twice(), seed=0), rng.standard_normal((9, 5)))
    assert [row.name for row in report.rows] == ["x", "0", "1.inner", "1"]


def test_a_single_layer_has_a_report_too():
    report = signal_report(fnn.Linear(FEATURES, 4, seed=0), X)
    assert [row.kind for row in report.rows] == ["input", "output"]
    assert report.verdict == "healthy"


def test_the_report_prints_a_table_and_gives_dictionaries():
    report = signal_report(small_model(), X)
    lines = str(report).splitlines()
    assert len(lines) == len(report.rows) + 2
    assert lines[2].startswith("0  Linear(5, 7)")
    assert lines[-1].startswith("healthy: ")
    assert report.to_dicts()[3]["name"] == "2"
    with pytest.raises(KeyError, match="no layer '9'"):
        report["9"]


@pytest.mark.filterwarnings("ignore:all weights of")
@pytest.mark.parametrize("weight_init", ["he_normal", "zeros", partial(fnn.init.normal, std=1e8)], ids=str)
def test_it_is_drawn(tmp_path, rng, weight_init):
    path = tmp_path / "report.png"
    signal_report(stack("relu", weight_init, depth=6), inputs(rng, 20)).plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((object(), X), TypeError, "model"),
        ((small_model(), X[:, :3]), ValueError, "x"),
        ((small_model(), X[:0]), ValueError, "x"),
        ((small_model(), np.full((3, FEATURES), np.nan)), ValueError, "x"),
        ((small_model(), X[:1]), ValueError, "x"),
        ((small_model(), X, Y), ValueError, "loss"),
        ((small_model(), X, None, fnn.CrossEntropyLoss()), ValueError, "targets"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"^{name}: expected"):
        signal_report(*arguments)
