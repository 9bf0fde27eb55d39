"""Penalties: their value, their gradient, and what they act on."""

import numpy as np
import pytest
from library.helpers import FEATURES, blobs, small_model

import fastnn as fnn

PENALTIES = {
    # name: (penalty, l1 and l2 of l1 · Σ|W| + l2 · ΣW²)
    "L1": (fnn.L1(0.3), 0.3, 0.0),
    "L2": (fnn.L2(0.3), 0.0, 0.15),
    "L2, whole": (fnn.L2(0.3, half=False), 0.0, 0.3),
    "elastic net": (fnn.ElasticNet(0.3, 0.2), 0.3, 0.2),
    "elastic net, half": (fnn.ElasticNet(0.3, 0.2, half=True), 0.3, 0.1),
    "none": (fnn.ElasticNet(0.0, 0.0), 0.0, 0.0),
}
each_penalty = pytest.mark.parametrize(("penalty", "l1", "l2"), PENALTIES.values(), ids=PENALTIES.keys())


def model():
    model = small_model(dtype=np.float64)
    model.flat_gradients[:] = 0.0
    model[0].weight[0, :3] = 0.0
    return model


def weights(model):
    return [model[0].weight, model[4].weight]


@each_penalty
def test_the_penalty_follows_its_formula(penalty, l1, l2):
    net = model()
    expected = sum(l1 * np.abs(w).sum() + l2 * (w**2).sum() for w in weights(net))
    assert penalty.add_gradient(net, 10) == pytest.approx(expected, rel=1e-12)


@each_penalty
def test_the_gradient_is_added_to_the_weights_alone_and_zero_at_zero(penalty, l1, l2):
    net = model()
    net.flat_gradients[:] = 5.0
    parameters = net.flat_parameters.copy()
    penalty.add_gradient(net, 10)
    for layer in (net[0], net[4]):
        w = layer.weight
        np.testing.assert_allclose(layer.gradients["weight"], 5.0 + l1 * np.sign(w) + 2 * l2 * w, rtol=1e-12)
        assert (layer.gradients["bias"] == 5.0).all()
    assert (net[0].gradients["weight"][0, :3] == 5.0).all()
    assert (net[1].gradients["weight"] == 5.0).all(), "not on batch normalisation's"
    assert np.array_equal(net.flat_parameters, parameters)


@each_penalty
def test_scaling_by_rows_divides_penalty_and_gradient(penalty, l1, l2):
    plain, scaled = model(), model()
    by_rows = fnn.ElasticNet(l1, l2, scale="rows")
    assert by_rows.add_gradient(scaled, 8) == pytest.approx(penalty.add_gradient(plain, 8) / 8, rel=1e-12)
    np.testing.assert_allclose(scaled.flat_gradients, plain.flat_gradients / 8, rtol=1e-12)


@each_penalty
@pytest.mark.parametrize("scale", ["none", "rows"])
def test_repr_rebuilds_the_penalty(penalty, l1, l2, scale):
    kind = type(penalty)
    penalty = eval(repr(penalty).replace("scale='none'", f"scale={scale!r}"), vars(fnn).copy())
    assert type(penalty) is kind
    again = eval(repr(penalty), vars(fnn).copy())
    assert repr(again) == repr(penalty)
    assert f"scale={scale!r}" in repr(again)
    nets = [model(), model()]
    assert again.add_gradient(nets[0], 4) == penalty.add_gradient(nets[1], 4)


def test_l2_is_weight_decay_for_plain_gradient_descent():
    x, y = blobs()

    def train(regularizer, weight_decay):
        net = fnn.Sequential(
            fnn.Linear(FEATURES, 4, bias=False), fnn.Tanh(), fnn.Linear(4, 3, bias=False), seed=0, dtype=np.float64
        )
        trainer = fnn.Trainer(net, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1, weight_decay=weight_decay), regularizer=regularizer)
        trainer.fit(x, y, epochs=2, batch_size=16)
        return net.flat_parameters

    np.testing.assert_allclose(train(fnn.L2(0.2), 0.0), train(None, 0.2), rtol=1e-10, atol=1e-12)


def test_weights_inside_nested_models_are_penalised_once():
    inner = fnn.Sequential(fnn.Linear(4, 3), fnn.BatchNorm1d(3), seed=1)
    net = fnn.Sequential(fnn.Linear(2, 4), inner, seed=0, dtype=np.float64)
    expected = np.abs(net[0].weight).sum() + np.abs(inner[0].weight).sum()
    assert fnn.L1(1.0).add_gradient(net, 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "argument"),
    [
        (lambda: fnn.L1(-1.0), ValueError, "strength"),
        (lambda: fnn.L2(np.nan), ValueError, "strength"),
        (lambda: fnn.L2(np.inf), ValueError, "strength"),
        (lambda: fnn.L2("1"), TypeError, "strength"),
        (lambda: fnn.L2(True), TypeError, "strength"),
        (lambda: fnn.ElasticNet(-1.0, 0.0), ValueError, "l1"),
        (lambda: fnn.ElasticNet(0.0, -1.0), ValueError, "l2"),
        (lambda: fnn.L2(1.0, half=1), TypeError, "half"),
        (lambda: fnn.L1(1.0, scale="columns"), ValueError, "scale"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, error, argument):
    with pytest.raises(error, match=rf"^{argument}: expected"):
        make()


# proximal steps, bounds, clipping by value

AFTER = {
    "proximal L1": {"regularizer": fnn.L1(0.02, proximal=True)},
    "proximal L1 by rows": {"regularizer": fnn.L1(0.5, scale="rows", proximal=True)},
    "elastic net, its L1 proximal": {"regularizer": fnn.ElasticNet(0.02, 0.01, proximal=True)},
    "max-norm": {"constraint": fnn.MaxNorm(0.7)},
    "clipping by value": {"clip_value": 1e-3},
    "all, under a schedule by steps": {
        "regularizer": fnn.L1(0.02, proximal=True),
        "constraint": fnn.MaxNorm(0.7),
        "clip_value": 1e-3,
        "clip_norm": 1e-3,
        "schedule": fnn.LinearLR(start_factor=0.1, total_iters=20, per="step"),
    },
}


@pytest.mark.parametrize("options", AFTER.values(), ids=AFTER.keys())
def test_both_roads_agree(options):
    x, y = blobs()
    weights, curves = [], []
    for compiled in (True, False):
        trainer = fnn.Trainer(
            small_model(dtype=np.float64), fnn.CrossEntropyLoss(), fnn.SGD(lr=0.05, momentum=0.9), compiled=compiled, **options
        )
        curves.append(trainer.fit(x, y, epochs=3, batch_size=16, progress=False))
        weights.append(trainer.model.flat_parameters)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(curves[0]["loss"], curves[1]["loss"], rtol=1e-10)
    if "regularizer" in options:
        np.testing.assert_allclose(curves[0]["penalty"], curves[1]["penalty"], rtol=1e-10)


def test_a_proximal_step_is_the_soft_threshold_after_the_update():
    x, y = blobs()
    plain, proximal = small_model(dtype=np.float64), small_model(dtype=np.float64)
    fnn.Trainer(plain, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1)).fit(x, y, epochs=1, batch_size=len(x), progress=False)
    trainer = fnn.Trainer(proximal, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1), regularizer=fnn.L1(0.5, proximal=True))
    history = trainer.fit(x, y, epochs=1, batch_size=len(x), progress=False)
    for a, b in zip(weights(plain), weights(proximal), strict=True):
        np.testing.assert_allclose(b, np.sign(a) * np.maximum(np.abs(a) - 0.05, 0.0), atol=1e-15)
        assert (b == 0.0).any()
    np.testing.assert_allclose(proximal[0].bias, plain[0].bias, atol=1e-15)
    start = sum(np.abs(w).sum() for w in weights(small_model(dtype=np.float64)))
    assert history["penalty"][0] == pytest.approx(0.5 * start, rel=1e-12)


def test_proximal_l1_makes_zeros_where_the_subgradient_makes_none():
    x, y = blobs()
    zeros = []
    for proximal in (False, True):
        model = small_model()
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1), regularizer=fnn.L1(0.2, proximal=proximal))
        trainer.fit(x, y, epochs=60, batch_size=16, progress=False)
        zeros.append(sum(int((w == 0.0).sum()) for w in weights(model)))
    assert zeros[0] == 0
    assert zeros[1] > 25


def test_max_norm_bounds_the_incoming_weights_of_every_unit():
    x, y = blobs()
    model = small_model()
    fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.05), constraint=fnn.MaxNorm(0.5)).fit(x, y, epochs=5, progress=False)
    for w in weights(model):
        assert (np.linalg.norm(w, axis=0) <= 0.5 * (1 + 1e-6)).all()
    assert max(np.linalg.norm(w, axis=0).max() for w in weights(model)) > 0.49


def test_clip_grad_value_cuts_each_element():
    net = model()
    net.flat_gradients[:] = np.linspace(-2.0, 2.0, net.flat_gradients.size)
    fnn.clip_grad_value_(net, 0.5)
    assert net.flat_gradients.min() >= -0.5
    assert net.flat_gradients.max() <= 0.5
    assert (np.abs(net.flat_gradients) < 0.5).any()


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: fnn.L1(0.1, proximal=1), TypeError, "proximal"),
        (lambda: fnn.MaxNorm(0.0), ValueError, "largest"),
        (lambda: fnn.clip_grad_value_(model(), -1.0), ValueError, "clip_value"),
        (lambda: fnn.Trainer(small_model(), fnn.MSELoss(), fnn.Adam(), clip_value=0.0), ValueError, "clip_value"),
        (lambda: fnn.Trainer(small_model(), fnn.MSELoss(), fnn.Adam(), constraint=3.0), TypeError, "constraint"),
        (
            lambda: fnn.gradcheck(model(), np.ones((4, FEATURES)), regularizer=fnn.L1(0.1, proximal=True)),
            ValueError,
            "regularizer",
        ),
    ],
)
def test_bad_settings_are_refused(make, error, name):
    with pytest.raises(error, match=f"^{name}"):
        make()


def test_reprs_rebuild():
    for one in (fnn.L1(0.1, proximal=True), fnn.ElasticNet(0.1, 0.2, half=True, proximal=True), fnn.MaxNorm(2.0), fnn.L1(0.2)):
        assert repr(eval(repr(one), vars(fnn).copy())) == repr(one)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("momentum", "weight"), [(0.0, 1.0), (0.9, 0.1)])
def test_proximal_steps_end_where_the_documentation_says(momentum, weight, compiled):
    """The least of (w - 1)² + l1 |w| is 1 - l1/2."""
    net = fnn.Sequential(fnn.Linear(1, 1, bias=False), seed=0, dtype=np.float64)
    rule, penalty = fnn.SGD(lr=0.01, momentum=momentum), fnn.L1(0.4, proximal=True)
    trainer = fnn.Trainer(net, fnn.MSELoss(), rule, regularizer=penalty, compiled=compiled)
    trainer.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=2000, batch_size=2, progress=False)
    assert net[0].weight[0, 0] == pytest.approx(1.0 - weight * 0.2, rel=1e-9)


def test_the_largest_norm_leaves_biases_and_normalisation_alone():
    net = model()
    for layer in (net[0], net[1], net[4]):
        for array in layer.parameters.values():
            array[...] = 100.0
    fnn.MaxNorm(1.0).apply(net)
    assert (net[0].bias == 100.0).all()
    assert (net[1].weight == 100.0).all()
    for w in weights(net):
        np.testing.assert_allclose(np.linalg.norm(w, axis=0), 1.0, rtol=1e-14)


@pytest.mark.parametrize("compiled", [True, False])
def test_values_are_clipped_before_the_norm_and_after_the_penalty(compiled):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), 5.0 * rng.standard_normal((30, 2))
    net = fnn.Sequential(fnn.Linear(4, 2), seed=0, dtype=np.float64)
    w, b = net[0].weight.copy(), net[0].bias.copy()
    trainer = fnn.Trainer(
        net, fnn.MSELoss(reduction="sum"), fnn.SGD(lr=1.0), regularizer=fnn.L2(30.0), clip_value=20.0, clip_norm=3.0,
        compiled=compiled,
    )  # fmt: skip
    trainer.fit(x, y, epochs=1, batch_size=30)
    error = 2.0 * (x @ w + b - y)
    gradients = [np.clip(g, -20.0, 20.0) for g in (x.T @ error + 30.0 * w, error.sum(axis=0))]
    assert any((np.abs(g) == 20.0).any() for g in gradients)
    assert any((np.abs(g) < 20.0).any() for g in gradients)
    scale = 3.0 / (np.sqrt(sum((g**2).sum() for g in gradients)) + 1e-6)
    np.testing.assert_allclose(net[0].weight, w - scale * gradients[0], rtol=1e-12)
    np.testing.assert_allclose(net[0].bias, b - scale * gradients[1], rtol=1e-12)
    assert "clip_value=20.0, clip_norm=3.0" in repr(trainer)
