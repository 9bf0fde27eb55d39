"""Layers written in Python by a user, inside a model."""

import copy
import pickle

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, blobs

import fastnn as fnn

X, Y = blobs()


class Scale(fnn.Layer):
    """Scales each feature, and counts the rows that it has seen in training."""

    def __init__(self, features):
        super().__init__()
        self.add_parameter("factor", np.ones(features), regularized=True)
        self.add_parameter("shift", np.zeros(features))
        self.add_buffer("rows_seen", 0.0)

    def forward(self, x):
        if self.training:
            self.rows_seen += len(x)
        self._x = x
        return x * self.factor + self.shift

    def backward(self, dy):
        self.gradients["factor"][...] = (dy * self._x).sum(axis=0)
        self.gradients["shift"][...] = dy.sum(axis=0)
        return dy * self.factor

    def __repr__(self):
        return f"Scale({len(self.factor)})"


class Residual(fnn.Layer):
    """x + branch(x)."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def children(self):
        yield "branch", self.branch

    def forward(self, x):
        return x + self.branch.forward(x)

    def backward(self, dy):
        return dy + self.branch.backward(dy)


class Pairs(fnn.Layer):
    """Sums neighbouring features: half as many come out."""

    def output_features(self, features):
        if features is not None and features % 2:
            raise ValueError(f"Pairs needs an even number of features, got {features}")
        return None if features is None else features // 2

    def forward(self, x):
        return x[:, ::2] + x[:, 1::2]

    def backward(self, dy):
        return np.repeat(dy, 2, axis=1)


def scaled():
    return fnn.Sequential(Scale(FEATURES), fnn.Linear(FEATURES, 6), fnn.ReLU(), Scale(6), fnn.Linear(6, CLASSES), seed=0)


def residual():
    branch = fnn.Sequential(fnn.Linear(6, 6), fnn.BatchNorm1d(6), fnn.Dropout(0.2), seed=1)
    return fnn.Sequential(
        fnn.Linear(FEATURES, 6), Residual(branch), fnn.Tanh(), Residual(fnn.Linear(6, 6)), fnn.Linear(6, CLASSES), seed=0
    )


def pairs():
    return fnn.Sequential(fnn.Linear(FEATURES, 8), Pairs(), fnn.Sigmoid(), fnn.Linear(4, CLASSES), seed=0)


@pytest.fixture(params=[scaled, residual, pairs])
def model(request):
    return request.param()


def fit(model, epochs=12):
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.03))
    return trainer, trainer.fit(X, Y, epochs=epochs, batch_size=16)


def test_a_model_with_custom_layers_learns_and_trains_all_its_parameters(model):
    before = model.flat_parameters.copy()
    arrays = {name: array.copy() for name, array in model.state_dict().items()}
    _, history = fit(model)
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert not np.array_equal(model.flat_parameters, before)
    assert [name for name, array in model.state_dict().items() if np.array_equal(array, arrays[name])] == []


def test_their_gradients_check(model):
    report = fnn.gradcheck(model, X[:7], Y[:7], loss=fnn.CrossEntropyLoss())
    assert report.verdict == "excellent", str(report)


def test_their_arrays_are_views_of_the_flat_buffers(model):
    for twin in (
        model,
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        model.astype(np.float64),
        fit(model, 1)[0].model,
    ):
        for layer in twin.walk():
            assert all(np.shares_memory(a, twin.flat_parameters) for a in layer.parameters.values())
            assert all(np.shares_memory(a, twin.flat_gradients) for a in layer.gradients.values())
            assert all(np.shares_memory(a, twin.flat_buffers) for a in layer.buffers.values())


def test_their_arrays_are_in_the_state_dict():
    names = list(scaled().state_dict())
    assert names[:3] == ["0.factor", "0.shift", "0.rows_seen"]
    assert "3.factor" in names
    names = list(residual().state_dict())
    assert {"1.branch.0.weight", "1.branch.1.running_mean", "3.branch.weight"} < set(names)


def test_they_survive_pickling_with_what_they_learned(model):
    fit(model, 2)
    again = pickle.loads(pickle.dumps(model))
    assert again.state_dict().keys() == model.state_dict().keys()
    assert np.array_equal(again.predict(X), model.predict(X))
    again.load_state_dict({name: 0.0 * array for name, array in again.state_dict().items()})
    assert not again.flat_parameters.any()


def test_a_trained_and_restored_trainer_goes_on_where_it_was(model):
    whole, _ = fit(copy.deepcopy(model), 4)
    half, _ = fit(model, 2)
    half = pickle.loads(pickle.dumps(half))
    half.fit(X, Y, epochs=2, batch_size=16)
    assert half.model.flat_parameters.tobytes() == whole.model.flat_parameters.tobytes()


def test_buffers_move_in_training_only():
    model = scaled()
    fit(model, 2)
    assert model[0].rows_seen == 2 * len(X)
    model.predict(X)
    assert model[0].rows_seen == 2 * len(X)


def test_modes_reach_the_layers_inside_them():
    model = residual().eval()
    assert not any(layer.training for layer in model.walk())
    assert not model[1].branch[2].training


def test_penalties_act_on_the_parameters_that_ask_for_it():
    model = scaled()
    size = sum(a.size for layer in model for n, a in layer.parameters.items() if n in layer.regularized)
    model.flat_parameters[:] = 0.0
    for layer in model:
        for array in layer.parameters.values():
            array[...] = 1.0
    assert fnn.L1(1.0).add_gradient(model, 1) == size
    assert model[0].gradients["factor"].all()
    assert not model[0].gradients["shift"].any()


def test_features_are_followed_through_them():
    assert pairs().out_features == CLASSES
    with pytest.raises(ValueError, match=r"^layers\[1\]: Pairs needs an even number of features, got 5"):
        fnn.Sequential(fnn.Linear(3, 5), Pairs())


def test_parameters_are_assigned_by_value():
    layer = Scale(3)
    array = layer.factor
    layer.factor = [1, 2, 3]
    assert layer.factor is array
    assert array.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"^factor: expected shape \(3,\), got \(4,\)"):
        layer.factor = np.ones(4)
    with pytest.raises(AttributeError, match="nothing"):
        layer.nothing  # noqa: B018


def test_a_layer_without_forward_or_backward_says_so():
    with pytest.raises(NotImplementedError, match="Layer has no forward"):
        fnn.Layer()(X)
    with pytest.raises(NotImplementedError, match="Layer has no backward"):
        fnn.Layer().backward(X)
