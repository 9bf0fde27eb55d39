"""The tool itself: it catches what is wrong, names it, and leaves everything as it was."""

import random

import numpy as np
import pytest

import fastnn as fnn


class Wrong(fnn.Layer):
    """A layer whose gradients can be planted with errors."""

    def __init__(self, features, weight_error=0.0, input_error=0.0):
        super().__init__()
        self.add_parameter("factor", np.linspace(0.5, 1.5, features))
        self.errors = weight_error, input_error

    def forward(self, x):
        self.x = x
        return x * self.factor

    def backward(self, dy):
        gradient = (dy * self.x).sum(axis=0)
        gradient[2] *= 1.0 + self.errors[0]
        self.gradients["factor"][...] = gradient
        return dy * self.factor * (1.0 + self.errors[1])


def model_with(layer, dtype=np.float64):
    return fnn.Sequential(fnn.Linear(4, 5), fnn.Tanh(), layer, fnn.Linear(5, 3), seed=1, dtype=dtype)


def test_a_planted_error_is_caught_and_named_by_layer_and_parameter(rng):
    report = fnn.gradcheck(model_with(Wrong(5, weight_error=0.5)), rng.standard_normal((6, 4)))
    assert report.verdict == "wrong"
    assert [entry.name for entry in report.entries if entry.verdict != "excellent"] == ["2.factor"]
    assert report["2.factor"].layer == "Wrong"
    assert report["2.factor"].worst == (2,)
    assert report["2.factor"].analytic == pytest.approx(1.5 * report["2.factor"].numeric)


@pytest.mark.parametrize(("error", "verdict"), [(0.0, "excellent"), (1e-6, "good"), (1e-4, "suspicious"), (1e-1, "wrong")])
def test_verdicts_follow_the_size_of_the_error(rng, error, verdict):
    assert fnn.gradcheck(Wrong(5, input_error=error), rng.standard_normal((6, 5)))["x"].verdict == verdict


def test_an_error_in_the_input_gradient_shows_in_everything_before_it(rng):
    report = fnn.gradcheck(model_with(Wrong(5, input_error=0.1)), rng.standard_normal((6, 4)))
    wrong = {entry.name for entry in report.entries if entry.verdict == "wrong"}
    assert wrong == {"0.weight", "0.bias", "x"}


def test_missing_nan_and_misshapen_gradients_are_wrong(rng):
    x = rng.standard_normal((6, 5))
    assert fnn.gradcheck(Wrong(5, weight_error=-1.0), x)["factor"].verdict == "wrong"
    assert fnn.gradcheck(Wrong(5, weight_error=np.nan), x)["factor"].verdict == "wrong"

    class Misshapen(fnn.ReLU):
        def backward(self, dy):
            return super().backward(dy)[:1]

    with pytest.raises(ValueError, match="x: expected a gradient of shape"):
        fnn.gradcheck(Misshapen(), x)


def test_a_report_is_true_only_if_the_gradients_are_right(rng):
    x = rng.standard_normal((6, 5))
    assert fnn.gradcheck(Wrong(5), x)
    assert not fnn.gradcheck(Wrong(5, weight_error=0.5), x)
    assert not fnn.gradcheck(fnn.ReLU(), np.zeros((1, 4)))


def test_a_gradient_that_is_added_to_or_not_written_is_wrong(rng):
    class Adds(Wrong):
        def backward(self, dy):
            np.add(self.gradients["factor"], (dy * self.x).sum(axis=0), out=self.gradients["factor"])
            return dy * self.factor

    class Forgets(Wrong):
        def backward(self, dy):
            return dy * self.factor

    for layer in (Adds(5), Forgets(5)):
        assert fnn.gradcheck(layer, rng.standard_normal((6, 5)))["factor"].verdict == "wrong"


def test_gradients_cannot_be_replaced(rng):
    class Replaces(Wrong):
        def backward(self, dy):
            self.gradients["factor"] = (dy * self.x).sum(axis=0)

    layer = Replaces(5)
    layer.forward(rng.standard_normal((6, 5)))
    with pytest.raises(TypeError, match="does not support item assignment"):
        layer.backward(np.ones((6, 5)))


def test_a_forward_that_writes_into_its_input_is_named(rng):
    class InPlace(Wrong):
        def forward(self, x):
            x *= self.factor
            return x

    with pytest.raises(ValueError, match="^target: expected a forward that leaves its input as it is"):
        fnn.gradcheck(InPlace(5), rng.standard_normal((6, 5)))


def test_a_wrong_regulariser_gradient_is_caught(rng):
    class Half(fnn.L2):
        def add_gradient(self, model, rows):
            return 2.0 * super().add_gradient(model, rows)

    model = model_with(fnn.Tanh())
    report = fnn.gradcheck(
        model, rng.standard_normal((6, 4)), rng.integers(0, 3, 6), loss=fnn.CrossEntropyLoss(), regularizer=Half(0.1)
    )
    assert {entry.name for entry in report.entries if entry.verdict == "wrong"} == {"0.weight", "3.weight"}


def test_kinks_are_left_out_and_counted():
    x = np.array([[0.0, 1.0, -1.0, 3e-7, -4e-7, 2.0]])
    report = fnn.gradcheck(fnn.ReLU(), x)
    assert (report["x"].kinks, report["x"].checked) == (3, 3)
    assert report.kinks == 3
    assert report.verdict == "excellent"


def test_a_wrong_gradient_away_from_kinks_is_not_excused():
    class Leaky(fnn.ReLU):
        def backward(self, dy):
            return super().backward(dy) + 0.01 * dy

    report = fnn.gradcheck(Leaky(), np.array([[0.0, 1.0, -1.0, 2.0]]))
    assert report["x"].kinks == 1
    assert report.verdict == "wrong"


@pytest.mark.parametrize("place", np.linspace(-0.95, 0.95, 39))
def test_kinks_are_found_wherever_they_are_within_epsilon(place):
    report = fnn.gradcheck(fnn.ReLU(), np.array([[1e-6 * place, 1.0, -1.0]]))
    assert report["x"].kinks == 1


def test_smooth_functions_have_no_kinks(rng):
    for layer in (fnn.Tanh(), fnn.Sigmoid(), fnn.Linear(5, 5, seed=0), fnn.BatchNorm1d(5)):
        assert fnn.gradcheck(layer, 10.0 * rng.standard_normal((7, 5))).kinks == 0


def test_everything_is_left_as_it_was(rng):
    model = fnn.Sequential(fnn.Linear(4, 5), fnn.BatchNorm1d(5), fnn.Dropout(0.5), fnn.Linear(5, 3), seed=1)
    x, y = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    model.forward(x)
    before = [a.copy() for a in (model.flat_parameters, model.flat_gradients, model.flat_buffers)], model[2].step, x.copy()
    fnn.gradcheck(model, x, y, loss=fnn.CrossEntropyLoss())
    after = (model.flat_parameters, model.flat_gradients, model.flat_buffers)
    for old, new in zip(before[0], after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert (model[2].step, model.dtype) == (before[1], np.float32)
    np.testing.assert_array_equal(x, before[2])


def test_batch_statistics_are_live_and_the_mask_is_fixed(rng):
    """With frozen statistics the closed form of the batch's gradient would be wrong; with moving masks everything would."""
    model = fnn.Sequential(fnn.BatchNorm1d(4), fnn.Dropout(0.5), seed=1)
    x = rng.standard_normal((6, 4))
    assert fnn.gradcheck(model, x).verdict == "excellent"
    model.eval()
    assert fnn.gradcheck(model, x).verdict == "excellent"


def test_a_users_own_random_layer_is_held_fixed(rng):
    class Noise(fnn.Layer):
        def __init__(self):
            super().__init__()
            self.generator = np.random.default_rng(0)

        def forward(self, x):
            self.noise = self.generator.uniform(0.5, 1.5, x.shape)
            return x * self.noise

        def backward(self, dy):
            return dy * self.noise

    assert fnn.gradcheck(Noise(), rng.standard_normal((6, 4))).verdict == "excellent"


@pytest.mark.parametrize("kind", ["Generator", "RandomState", "random.Random", "array", "list", "helper"])
def test_whatever_a_users_layer_changes_is_held_fixed_and_put_back(rng, kind):
    class Helper:
        count = 0

    class Stateful(fnn.Layer):
        def __init__(self):
            super().__init__()
            self.inner = [fnn.Linear(4, 4, seed=0)]
            self.state = {
                "Generator": np.random.default_rng(0), "RandomState": np.random.RandomState(0),
                "random.Random": random.Random(0), "array": np.zeros(1), "list": [], "helper": Helper(),
            }[kind]  # fmt: skip

        def children(self):
            yield "inner", self.inner[0]

        def draw(self):
            if kind == "array":
                self.state += 1
                return self.state[0]
            if kind == "list":
                self.state.append(0)
                return len(self.state)
            if kind == "helper":
                self.state.count += 1
                return self.state.count
            return 0.5 + self.state.random()

        def forward(self, x):
            self.factor = self.draw()
            return self.inner[0].forward(x) * self.factor

        def backward(self, dy):
            return self.inner[0].backward(dy * self.factor)

    layer, twin = Stateful(), Stateful()
    report = fnn.gradcheck(layer, rng.standard_normal((6, 4)))
    assert report.verdict == "excellent"
    assert report["inner.weight"].checked == 16
    assert layer.draw() == twin.draw()


def test_a_losss_own_draws_are_held_fixed(rng):
    class NoisyLoss:
        def __init__(self):
            self.generator = np.random.default_rng(0)

        def forward(self, prediction, targets):
            self.noise = self.generator.uniform(0.5, 1.5, prediction.shape)
            return float((self.noise * prediction).sum())

        def backward(self):
            return self.noise

    x = rng.standard_normal((6, 4))
    assert fnn.gradcheck(NoisyLoss(), x, 0).verdict == "excellent"
    assert fnn.gradcheck(fnn.Sequential(fnn.Linear(4, 3), seed=0), x, 0, loss=NoisyLoss()).verdict == "excellent"


@pytest.mark.parametrize("epsilon", [1e-6, 1e-7])
@pytest.mark.parametrize("reduction", ["mean", "sum", None])
@pytest.mark.parametrize(("rows", "width"), [(5, 3), (128, 61)])
def test_a_bias_before_batch_normalisation_passes_as_zero(rng, rows, width, reduction, epsilon):
    model = fnn.Sequential(fnn.Linear(9, width), fnn.BatchNorm1d(width), fnn.Tanh(), fnn.Linear(width, 4), seed=0)
    loss = None if reduction is None else fnn.CrossEntropyLoss(reduction=reduction)
    y = None if loss is None else rng.integers(0, 4, rows)
    report = fnn.gradcheck(model, rng.standard_normal((rows, 9)), y, loss=loss, epsilon=epsilon, max_checks=40)
    assert report["0.bias"].difference == 0.0
    assert report["3.bias"].difference > 0.0
    assert report.difference < 1e-5


def test_what_passes_as_zero_is_small(rng):
    """A gradient that is not written where one is wanted is still wrong, however small the weight of its rows."""

    class Tiny(Wrong):
        def forward(self, x):
            return 1e-4 * super().forward(x)

        def backward(self, dy):
            return super().backward(1e-4 * dy)

    model = fnn.Sequential(Tiny(5), fnn.Linear(5, 3), seed=0)
    x, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
    assert fnn.gradcheck(model, x, y, loss=fnn.CrossEntropyLoss()).verdict in ("excellent", "good")
    model = fnn.Sequential(Tiny(5, weight_error=-1.0), fnn.Linear(5, 3), seed=0)
    assert fnn.gradcheck(model, x, y, loss=fnn.CrossEntropyLoss())["0.factor"].verdict == "wrong"


def test_max_checks_looks_at_so_many_random_numbers(rng):
    layer = fnn.Linear(20, 30, seed=0)
    report = fnn.gradcheck(layer, rng.standard_normal((3, 20)), max_checks=7)
    assert [entry.checked for entry in report.entries] == [7, 7, 7]


def test_a_users_loss_is_checked(rng):
    class Cubic:
        def __init__(self, factor):
            self.factor = factor

        def forward(self, prediction, targets):
            self.difference = prediction - targets
            return float(np.sum(self.difference**3))

        def backward(self):
            return self.factor * self.difference**2

    x, y = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    assert fnn.gradcheck(Cubic(3.0), x, y).verdict == "excellent"
    assert fnn.gradcheck(Cubic(2.0), x, y).verdict == "wrong"


def test_the_courses_epsilon_works_too(rng):
    model = model_with(fnn.Tanh())
    report = fnn.gradcheck(model, rng.standard_normal((6, 4)), rng.integers(0, 3, 6), loss=fnn.CrossEntropyLoss(), epsilon=1e-7)
    assert report.difference < 1e-6


def test_the_report_prints_a_table(rng):
    text = str(fnn.gradcheck(model_with(Wrong(5, weight_error=0.5)), rng.standard_normal((6, 4))))
    assert "2.factor" in text
    assert "wrong" in text
    assert len(text.splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((object(), [[1.0]]), TypeError, "target"),
        ((fnn.ReLU(), [["a"]]), TypeError, "x"),
        ((fnn.CrossEntropyLoss(), [[1.0, 2.0]]), ValueError, "y"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"^{name}: expected"):
        fnn.gradcheck(*arguments)


@pytest.mark.parametrize("option", ["epsilon", "max_checks", "floor"])
def test_bad_options_are_named(option):
    with pytest.raises(ValueError, match=f"^{option}: expected"):
        fnn.gradcheck(fnn.ReLU(), [[1.0]], **{option: -1})
