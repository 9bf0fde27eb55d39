"""Residual and SpectralNorm: what they compute, what they hold, and how they sit in models."""

import copy
import pickle

import numpy as np
import pytest
from library.helpers import blobs

import fastnn as fnn


def net(**settings):
    return fnn.Sequential(
        fnn.Linear(5, 8),
        fnn.Residual(
            fnn.BatchNorm1d(8), fnn.ReLU(), fnn.Dropout(0.2), fnn.Linear(8, 3),
            fnn.Sequential(fnn.Tanh(), fnn.Residual(fnn.Linear(3, 3), fnn.LayerNorm(3)), seed=4), fnn.Linear(3, 8),
        ),
        fnn.RMSNorm(8), fnn.Linear(8, 3), seed=0, **{"dtype": np.float64, **settings},
    )  # fmt: skip


def test_the_branch_is_added_to_its_input(rng):
    block = fnn.Residual(fnn.Linear(4, 3, seed=0), fnn.Tanh(), fnn.Linear(3, 4, seed=1))
    x, dy = rng.standard_normal((2, 7, 4)).astype(np.float32)
    branch = fnn.Sequential(*copy.deepcopy(block.layers), seed=9)
    np.testing.assert_array_equal(block(x), x + branch(x))
    np.testing.assert_array_equal(block.backward(dy), branch.backward(dy) + dy)


def test_both_roads_agree_and_the_first_layer_may_be_residual():
    x, y = blobs()
    for make in (net, lambda: fnn.Sequential(fnn.Residual(fnn.Linear(5, 5)), fnn.Linear(5, 3), seed=0, dtype=np.float64)):
        found = []
        for compiled in (True, False):
            model = make()
            trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), compiled=compiled, regularizer=fnn.L2(0.01))
            trainer.fit(x, y, epochs=5, batch_size=16, progress=False)
            found.append((model.flat_parameters, model.flat_buffers, model.predict(x), trainer.evaluate(x, y)["loss"]))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_names_copies_pickles_and_files(tmp_path):
    x, _ = blobs()
    model = net()
    model(x)
    assert {"1.0.weight", "1.0.running_mean", "1.3.weight", "1.4.1.0.weight", "1.4.1.1.bias"} <= model.state_dict().keys()
    fnn.save_model(tmp_path / "model.npz", model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fnn.load_model(tmp_path / "model.npz")):
        assert repr(other) == repr(model)
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
        assert other[1].layers[0].weight.base is not None, "views of the flat buffer"
    assert repr(eval(repr(model[1]), vars(fnn).copy())) == repr(model[1])


def test_the_gradient_of_everything_is_right(rng):
    assert fnn.gradcheck(net(), rng.standard_normal((9, 5))).difference < 1e-7
    assert fnn.diagnostics.signal_report(net(), rng.standard_normal((50, 5))).verdict


def test_modes_and_seeds_reach_the_branch():
    model = net()
    model.eval()
    assert not any(layer.training for layer in model.walk())
    assert net()[1].layers[3].weight.tobytes() == model[1].layers[3].weight.tobytes()
    assert fnn.Sequential(fnn.Residual(fnn.Dropout(0.5)), fnn.Linear(2, 2), seed=1)[0].layers[0].seed == 1


BAD = {
    "no layers": (fnn.Residual, ValueError, "layers"),
    "no layer": (lambda: fnn.Residual(3), TypeError, r"layers\[0\]"),
    "another width": (lambda: fnn.Sequential(fnn.Residual(fnn.Linear(4, 3))), ValueError, r"layers\[0\]: .*cannot be added"),
    "inner widths": (
        lambda: fnn.Sequential(fnn.Residual(fnn.Linear(4, 3), fnn.Linear(4, 4))),
        ValueError,
        r".*branch layers\[1\]",
    ),
    "LayerNorm's width": (lambda: fnn.Sequential(fnn.Linear(4, 3), fnn.LayerNorm(4)), ValueError, r"layers\[1\]"),
    "no width": (lambda: fnn.LayerNorm(0), ValueError, "normalized_shape"),
    "eps": (lambda: fnn.RMSNorm(3, eps=-1.0), ValueError, "eps"),
    "spectral norm of what is no Linear": (lambda: fnn.spectral_norm(fnn.ReLU()), TypeError, "layer"),
    "iterations": (lambda: fnn.spectral_norm(fnn.Linear(2, 2), 0), ValueError, "n_power_iterations"),
}


@pytest.mark.parametrize(("make", "error", "name"), BAD.values(), ids=BAD.keys())
def test_bad_input(make, error, name):
    with pytest.raises(error, match=f"^{name}"):
        make()


# spectral normalisation


def test_the_largest_singular_value_becomes_one(rng):
    layer = fnn.spectral_norm(fnn.Linear(6, 4, seed=0, dtype=np.float64))
    x = rng.standard_normal((5, 6))
    for _ in range(200):
        y = layer(x)
    sigma = np.linalg.norm(layer.layer.weight, 2)
    np.testing.assert_allclose(y, x @ layer.layer.weight / sigma + layer.layer.bias, rtol=1e-9)
    layer.eval()
    u = layer.buffers["u"].copy()
    layer(x)
    np.testing.assert_array_equal(layer.buffers["u"], u)  # in use the vectors rest


def test_spectral_norm_in_a_model(rng, tmp_path):
    x, y = blobs()
    model = fnn.Sequential(fnn.spectral_norm(fnn.Linear(5, 6)), fnn.ReLU(), fnn.spectral_norm(fnn.Linear(6, 3)), seed=0)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.05))
    trainer.fit(x, y, epochs=30, batch_size=16, progress=False)
    assert trainer.road.startswith("layer by layer")
    assert trainer.evaluate(x, y)["accuracy"] > 0.9
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    fnn.save_model(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(fnn.load_model(tmp_path / "model.npz").predict(x), model.predict(x))
    assert repr(fnn.load_model(tmp_path / "model.npz")) == repr(model)
