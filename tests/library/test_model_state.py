"""The flat buffers and the views of them, and what goes into a state_dict and comes back."""

import contextlib
import copy
import itertools
import pickle

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, blobs, small_model

import fastnn as fnn

X, Y = blobs()


def nested():
    inner = fnn.Sequential(fnn.BatchNorm1d(7), fnn.ReLU(), fnn.Linear(7, 6, bias=False), seed=4)
    return fnn.Sequential(
        fnn.Linear(FEATURES, 7), inner, fnn.Dropout(0.2), fnn.BatchNorm1d(6, affine=False), fnn.Linear(6, CLASSES), seed=3
    )


def train(model):
    fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.01)).fit(X, Y, epochs=2, batch_size=16)
    return model


def load(model):
    model.load_state_dict(model.state_dict())
    return model


def dump(model):
    return pickle.loads(pickle.dumps(model))


MODELS = {"flat": small_model, "nested": nested, "float64": lambda: small_model(dtype=np.float64)}
WAYS = {
    "fresh": lambda model: model,
    "used": lambda model: (model(X), model)[1],
    "pickled": dump,
    "deep-copied": copy.deepcopy,
    "loaded": load,
    "as float32": lambda model: model.astype(np.float32),
    "as float64": lambda model: model.astype(np.float64),
    "trained": train,
    "trained and pickled": lambda model: dump(train(model)),
    "pickled, trained, copied and cast": lambda model: copy.deepcopy(train(dump(model))).astype("float64"),
    "predicted": lambda model: (model.predict(X), model)[1],
    "wrapped": lambda model: fnn.Sequential(model, seed=9),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def make(request):
    return request.param


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def model(make, request):
    return request.param(make())


def named_arrays(model, kind):
    return [(layer, name, array) for layer in model.walk() for name, array in getattr(layer, kind).items()]


@pytest.mark.parametrize(
    ("kind", "flat"), [("parameters", "flat_parameters"), ("gradients", "flat_gradients"), ("buffers", "flat_buffers")]
)
def test_every_array_is_an_aligned_view_of_its_flat_buffer(model, kind, flat):
    buffer = getattr(model, flat)
    assert buffer.ndim == 1
    assert buffer.flags.c_contiguous
    assert buffer.ctypes.data % 64 == 0
    arrays = named_arrays(model, kind)
    assert arrays
    for _, name, array in arrays:
        assert np.shares_memory(array, buffer), name
        assert array.dtype == buffer.dtype == model.dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0, name
    ends = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for _, _, array in arrays)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends)), "two arrays overlap"


def test_regularised_parameters_come_first(model):
    itemsize, start = model.flat_parameters.itemsize, model.flat_parameters.ctypes.data
    for layer, name, array in named_arrays(model, "parameters"):
        first = (array.ctypes.data - start) // itemsize
        if name in layer.regularized:
            assert first + array.size <= model.regularized_size
        else:
            assert first >= model.regularized_size
    weights = [layer.weight.size for layer in model.walk() if isinstance(layer, fnn.Linear)]
    assert sum(weights) <= model.regularized_size < len(model.flat_parameters)


def test_padding_is_zero_and_stays_zero(model):
    model = train(model)
    total = sum(array.size for _, _, array in named_arrays(model, "parameters"))
    own = np.concatenate([array.ravel() for _, _, array in named_arrays(model, "parameters")])
    assert len(model.flat_parameters) > total
    assert np.abs(own).sum(dtype=np.float64) == pytest.approx(np.abs(model.flat_parameters).sum(dtype=np.float64), rel=1e-12)


def test_what_is_written_through_a_layer_shows_in_the_output(model):
    model.eval()
    last = [layer for layer in model.walk() if isinstance(layer, fnn.Linear)][-1]
    last.weight[...] = 0.0
    last.bias = np.arange(CLASSES)
    assert np.array_equal(model(X), np.tile(np.arange(CLASSES), (len(X), 1)))


def test_what_is_written_to_the_flat_buffer_shows_in_the_layers(model):
    model.flat_parameters[:] = 3.0
    model.flat_gradients[:] = 4.0
    model.flat_buffers[:] = 5.0
    for kind, value in (("parameters", 3.0), ("gradients", 4.0), ("buffers", 5.0)):
        assert all((array == value).all() for _, _, array in named_arrays(model, kind))


def test_an_optimizer_that_was_bound_before_still_moves_the_weights(model):
    optimizer = fnn.SGD(lr=1.0).bind(model)
    model.load_state_dict(model.state_dict())
    model.flat_gradients[:] = 1.0
    before = model.state_dict()
    optimizer.step()
    for _, name, _ in named_arrays(model, "parameters"):
        assert name in {"weight", "bias"}
    after = model.state_dict()
    trained = [name for name in before if name.endswith(("weight", "bias"))]
    assert all(np.allclose(before[name] - after[name], 1.0, atol=1e-6) for name in trained)


# copies


@pytest.mark.parametrize("way", [dump, copy.deepcopy, lambda m: m.astype(m.dtype)], ids=["pickle", "deepcopy", "astype"])
def test_a_copy_computes_the_same_and_is_independent(make, way):
    model = train(make())
    twin = way(model)
    assert repr(twin) == repr(model)
    assert twin.flat_parameters.tobytes() == model.flat_parameters.tobytes()
    assert twin.flat_buffers.tobytes() == model.flat_buffers.tobytes()
    assert np.array_equal(twin(X), model(X)), "the same dropout step"
    before = model.flat_parameters.copy()
    twin.flat_parameters[:] = 0.0
    twin.flat_buffers[:] = 0.0
    assert np.array_equal(model.flat_parameters, before)
    assert model.flat_buffers.any()


def test_astype_leaves_the_original_and_rounds_only_once():
    model = train(small_model())
    before = model.flat_parameters.tobytes()
    double = model.astype(np.float64)
    assert model.dtype == np.float32
    assert double.dtype == np.float64
    assert double.predict(X).dtype == np.float64
    assert double.astype(np.float32).flat_parameters.tobytes() == model.flat_parameters.tobytes() == before
    np.testing.assert_allclose(double.predict(X), model.predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "way", [dump, copy.deepcopy, lambda layer: layer.astype(np.float64)], ids=["pickle", "deepcopy", "astype"]
)
def test_a_copy_of_a_layer_that_has_not_been_used_yet_has_its_weights(way):
    layer = fnn.Linear(4, 3)
    twin = way(layer)
    np.testing.assert_array_equal(twin.weight, layer.weight)


def test_a_pickle_does_not_carry_the_last_batch():
    model = small_model()
    empty = len(pickle.dumps(model))
    model(np.ones((20_000, FEATURES), np.float32))
    assert len(pickle.dumps(model)) < 2 * empty


def test_an_inner_model_can_be_pickled_by_itself():
    model = nested()
    inner = dump(model[1])
    hidden = model[0](X)
    assert np.array_equal(inner.eval()(hidden), model[1].eval()(hidden))
    assert np.shares_memory(inner[2].weight, inner.flat_parameters)


def test_layers_taken_into_another_model_are_refused_or_still_learn_in_the_first():
    model = small_model()
    with contextlib.suppress(ValueError):
        fnn.Sequential(*model.layers[:3])
    before = model[0].weight.copy()
    train(model)
    assert np.shares_memory(model[0].weight, model.flat_parameters)
    assert not np.array_equal(model[0].weight, before)


# state_dict


def test_state_dict_has_the_names_of_torch():
    assert list(small_model().state_dict()) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "4.weight",
        "4.bias",
    ]
    assert list(nested().state_dict())[2:8] == [
        "1.0.weight",
        "1.0.bias",
        "1.0.running_mean",
        "1.0.running_var",
        "1.0.num_batches_tracked",
        "1.2.weight",
    ]
    assert list(fnn.Linear(2, 3).state_dict()) == ["weight", "bias"]


def test_state_dict_holds_copies():
    model = train(small_model())
    state = model.state_dict()
    assert np.array_equal(state["0.weight"], model[0].weight)
    assert np.array_equal(state["1.running_var"], model[1].running_var)
    for array in state.values():
        assert not np.shares_memory(array, model.flat_parameters)
        assert not np.shares_memory(array, model.flat_buffers)
        array[...] = -1.0
    assert not (model[0].weight == -1.0).any()


def test_load_state_dict_copies_everything_in(make):
    source, target = train(make()), make()
    state = source.state_dict()
    target.load_state_dict(state)
    assert target.flat_parameters.tobytes() == source.flat_parameters.tobytes()
    assert target.flat_buffers.tobytes() == source.flat_buffers.tobytes()
    state["0.weight"][...] = 0.0
    assert target[0].weight.any(), "a copy, not the caller's array"


def test_load_state_dict_converts_other_dtypes_and_lists():
    source, target = train(small_model(dtype=np.float64)), small_model()
    state = {name: array.tolist() if name == "4.weight" else array for name, array in source.state_dict().items()}
    target.load_state_dict(state)
    np.testing.assert_allclose(target.flat_parameters, source.astype(np.float32).flat_parameters, rtol=0)


LAST = "4.bias"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop(LAST), ValueError, r"^state: .*missing \['4\.bias'\]"),
        (lambda s: s.update({"5.weight": np.ones(3)}), ValueError, r"^state: .*unknown \['5\.weight'\]"),
        (lambda s: s.update({LAST: np.ones(CLASSES + 1)}), ValueError, r"^state\['4\.bias'\]: expected shape \(3,\), got \(4,\)"),
        (lambda s: s.update({LAST: np.ones((CLASSES, 1))}), ValueError, r"^state\['4\.bias'\]"),
        (lambda s: s.update({LAST: np.float32(1.0)}), ValueError, r"^state\['4\.bias'\]"),
        (lambda s: s.update({LAST: np.array([None] * CLASSES)}), TypeError, r"^state\['4\.bias'\]"),
        (lambda s: s.update({LAST: ["a"] * CLASSES}), TypeError, r"^state\['4\.bias'\]"),
    ],
    ids=["missing", "unknown", "longer", "column", "scalar", "objects", "strings"],
)
def test_a_refused_state_changes_nothing(change, error, message):
    model = small_model()
    before = model.flat_parameters.tobytes(), model.flat_buffers.tobytes()
    state = {name: array + 1.0 for name, array in model.state_dict().items()}
    change(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    assert (model.flat_parameters.tobytes(), model.flat_buffers.tobytes()) == before
