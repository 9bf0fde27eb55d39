"""How a Sequential is put together and used."""

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, blobs, dropout_steps, small_model

import fastnn as fnn

X, Y = blobs()


def nested():
    return fnn.Sequential(
        fnn.Linear(FEATURES, 7),
        fnn.Sequential(
            fnn.BatchNorm1d(7), fnn.Tanh(), fnn.Dropout(0.4), fnn.Sequential(fnn.Linear(7, 6), fnn.ReLU(), seed=5), seed=4
        ),
        fnn.Linear(6, CLASSES),
        seed=3,
    )


def test_forward_is_the_layers_one_after_another():
    model = small_model().eval()
    y = X
    for layer in model:
        y = layer.forward(y)
    assert np.array_equal(model(X), y)
    assert np.array_equal(model.forward(X), y)


def test_backward_returns_the_gradient_of_the_input_and_overwrites_the_others():
    model = fnn.Sequential(fnn.Linear(FEATURES, 4), fnn.Tanh(), fnn.Linear(4, CLASSES), seed=0)
    dy = np.ones((len(X), CLASSES), np.float32)
    model.forward(X)
    dx = model.backward(dy)
    once = model.flat_gradients.copy()
    model.forward(X)
    assert np.array_equal(model.backward(dy), dx)
    assert dx.shape == X.shape
    assert np.array_equal(model.flat_gradients, once)


def test_a_model_is_a_sequence_of_its_layers():
    layers = [fnn.Linear(2, 3), fnn.ReLU(), fnn.Linear(3, 2)]
    model = fnn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert model[1] is layers[1]
    assert (model.in_features, model.out_features) == (2, 2)


# nested


def test_a_nested_model_computes_what_the_flat_one_does():
    inside = nested().eval()
    flat = fnn.Sequential(
        fnn.Linear(FEATURES, 7),
        fnn.BatchNorm1d(7),
        fnn.Tanh(),
        fnn.Dropout(0.4),
        fnn.Linear(7, 6),
        fnn.ReLU(),
        fnn.Linear(6, CLASSES),
    ).eval()
    flat.load_state_dict(dict(zip(flat.state_dict(), inside.state_dict().values(), strict=True)))
    assert np.array_equal(inside(X), flat(X))
    dy = np.ones((len(X), CLASSES), np.float32)
    assert np.array_equal(inside.backward(dy), flat.backward(dy))


def test_a_nested_model_trains_all_its_parameters():
    model = nested()
    before = model.state_dict()
    fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.01)).fit(X, Y, epochs=2, batch_size=16)
    after = model.state_dict()
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


def test_the_inner_model_works_by_itself():
    model = nested().eval()
    hidden = model[0](X)
    assert np.array_equal(model[1].predict(hidden), model[1].forward(hidden))


def test_the_inner_model_prints_its_summary(capsys):
    nested()[1].summary()
    assert "BatchNorm1d(7)" in capsys.readouterr().out


def test_train_and_eval_reach_every_layer():
    model = nested()
    for mode, switch in ((False, model.eval), (True, model.train), (False, lambda: model.train(False))):
        assert switch() is model
        assert {layer.training for layer in model.walk()} == {mode}


# use


@pytest.mark.parametrize("batch_size", [1, 2, 13, 46, 47, 1000])
def test_predict_in_batches_is_one_forward_in_eval_mode(batch_size):
    model = small_model()
    model(X)  # moves the running statistics off their start
    expected = model.eval()(X)
    np.testing.assert_allclose(model.train().predict(X, batch_size), expected, rtol=1e-6, atol=1e-6)


def test_predict_leaves_modes_buffers_and_dropout_as_they_were():
    model = nested()
    model[1][0].eval()
    modes, buffers, steps = [layer.training for layer in model.walk()], model.flat_buffers.copy(), dropout_steps(model)
    model.predict(X, 10)
    assert [layer.training for layer in model.walk()] == modes
    assert len(set(modes)) == 2
    assert np.array_equal(model.flat_buffers, buffers)
    assert dropout_steps(model) == steps


def test_predict_restores_the_modes_after_an_error_in_a_layer():
    class Fails(fnn.Layer):
        def forward(self, x):
            raise RuntimeError("no")

    model = fnn.Sequential(fnn.Linear(FEATURES, 2), Fails())
    with pytest.raises(RuntimeError, match="no"):
        model.predict(X)
    assert all(layer.training for layer in model.walk())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, bool, np.float16, np.float64, ">f4"])
def test_input_of_any_real_dtype_is_converted(dtype):
    model = small_model().eval()
    x = (np.abs(X) * 3).astype(dtype)
    y = model(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, model(x.astype(np.float32)))


@pytest.mark.parametrize("order", ["fortran", "strided", "reversed", "read-only", "list"])
def test_input_of_any_layout_is_taken(order):
    model = small_model().eval()
    wide = np.repeat(X, 2, axis=1)
    read_only = X.copy()
    read_only.flags.writeable = False
    x = {
        "fortran": np.asfortranarray(X),
        "strided": wide[:, ::2],
        "reversed": X[::-1][::-1],
        "read-only": read_only,
        "list": X.tolist(),
    }
    assert np.array_equal(model(x[order]), model(X))


def test_input_scale_multiplies_the_input():
    x = np.random.default_rng(0).integers(0, 256, (11, FEATURES), dtype=np.uint8)
    scaled, plain = small_model(input_scale=1 / 255).eval(), small_model().eval()
    np.testing.assert_allclose(scaled(x), plain(x.astype(np.float32) / 255), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scaled.predict(x, 4), plain(x.astype(np.float32) / 255), rtol=1e-5, atol=1e-6)


def test_input_scale_is_in_the_gradient_of_the_input():
    scaled, plain = small_model(input_scale=0.25).eval(), small_model().eval()
    dy = np.ones((len(X), CLASSES), np.float32)
    scaled(X)
    plain(X * np.float32(0.25))
    np.testing.assert_allclose(scaled.backward(dy), 0.25 * plain.backward(dy), rtol=1e-6)


# what it is made of


def test_summary_prints_each_layer_and_the_number_of_parameters(capsys):
    model = small_model()
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    count = FEATURES * 7 + 7 + 7 + 7 + 7 * CLASSES + CLASSES
    assert model.parameter_count == count == sum(a.size for layer in model for a in layer.parameters.values())
    assert [line.split()[0] for line in lines[1:6]] == ["0", "1", "2", "3", "4"]
    for line, layer in zip(lines[1:6], model, strict=True):
        assert repr(layer) in line
    assert lines[1].split()[-2:] == ["7", str(FEATURES * 7 + 7)]
    assert lines[3].split()[-2:] == ["7", "0"]
    assert lines[-1].startswith(f"{count} parameters")


REPRS = {
    "plain": lambda: fnn.Sequential(fnn.Linear(3, 4), fnn.ReLU(), fnn.Linear(4, 2), seed=11),
    "a random seed": lambda: fnn.Sequential(fnn.Linear(3, 4)),
    "options": lambda: fnn.Sequential(
        fnn.Linear(3, 4, bias=False, weight_init="orthogonal"),
        fnn.BatchNorm1d(4, eps=1e-3, momentum=None, affine=False, unbiased_running_var=False),
        fnn.LeakyReLU(0.2),
        fnn.Dropout(0.25),
        fnn.Linear(4, 4, bias_init="fan_in_uniform"),
        fnn.SELU(),
        fnn.BatchNorm1d(4),
        fnn.Sigmoid(),
        fnn.Tanh(),
        seed=2**64 - 1,
    ),
    "float64": lambda: fnn.Sequential(fnn.Linear(3, 4), seed=1, dtype=np.float64),
    "scale": lambda: fnn.Sequential(fnn.Linear(3, 4), seed=1, input_scale=1 / 255),
    "nested": nested,
    "nested float64": lambda: fnn.Sequential(
        fnn.Sequential(fnn.Linear(3, 2), seed=1, dtype=np.float64), seed=0, dtype=np.float64
    ),
}


@pytest.mark.parametrize("make", REPRS.values(), ids=REPRS.keys())
def test_repr_rebuilds_the_model(make):
    model = make()
    again = eval(repr(model), vars(fnn).copy())
    assert repr(again) == repr(model)
    assert again.flat_parameters.dtype == model.flat_parameters.dtype
    assert again.input_scale == model.input_scale
    assert np.array_equal(again.flat_parameters, model.flat_parameters)


def test_repr_rebuilds_the_dropout_masks():
    model = nested()
    again = eval(repr(model), vars(fnn).copy())
    assert np.array_equal(again(X), model(X))


# seeds and initial weights


def test_one_seed_gives_the_same_weights_and_another_seed_others():
    first, same, other, drawn = small_model(seed=1), small_model(seed=1), small_model(seed=2), small_model(seed=None)
    assert np.array_equal(first.flat_parameters, same.flat_parameters)
    assert not np.array_equal(first[0].weight, other[0].weight)
    assert not np.array_equal(first[0].weight, drawn[0].weight)
    assert not np.array_equal(small_model(seed=None)[0].weight, drawn[0].weight)


def test_layers_of_one_shape_start_different():
    model = fnn.Sequential(fnn.Linear(4, 4), fnn.Linear(4, 4), seed=0)
    assert not np.array_equal(model[0].weight, model[1].weight)


def test_the_seed_of_the_model_counts_not_that_of_the_layer():
    first = fnn.Sequential(fnn.Linear(4, 4, seed=1), seed=0)
    second = fnn.Sequential(fnn.Linear(4, 4, seed=2), seed=0)
    assert np.array_equal(first[0].weight, second[0].weight)


HE, LECUN, XAVIER = (2 / 400) ** 0.5, (1 / 400) ** 0.5, (2 / 700) ** 0.5


def first_std(*following):
    return float(fnn.Sequential(fnn.Linear(400, 300), *following, seed=0)[0].weight.std())


@pytest.mark.parametrize(
    ("following", "std"),
    [
        ([fnn.ReLU], HE),
        ([fnn.LeakyReLU], HE),
        ([fnn.SELU], LECUN),
        ([fnn.ELU], HE),
        ([fnn.GELU], HE),
        ([fnn.SiLU], HE),
        ([fnn.Softplus], HE),
        ([fnn.Softmax], XAVIER),
        ([fnn.Flatten, fnn.GELU], HE),
        ([fnn.Sigmoid], XAVIER),
        ([fnn.Tanh], XAVIER),
        ([lambda: fnn.Linear(300, 2), fnn.ReLU], XAVIER),
        ([], XAVIER),
    ],
    ids=[
        "ReLU", "LeakyReLU", "SELU", "ELU", "GELU", "SiLU", "Softplus", "Softmax", "Flatten, GELU", "Sigmoid", "Tanh", "Linear",
        "nothing",
    ],
)  # fmt: skip
def test_default_weights_follow_the_activation_that_comes_next(following, std):
    assert first_std(*[make() for make in following]) == pytest.approx(std, rel=0.015)


@pytest.mark.parametrize(
    "between",
    [lambda: fnn.BatchNorm1d(300), lambda: fnn.Dropout(0.5), lambda: fnn.Sequential(fnn.BatchNorm1d(300), seed=1)],
    ids=["BatchNorm1d", "Dropout", "a nested model"],
)
@pytest.mark.parametrize(("activation", "std"), [(fnn.ReLU, HE), (fnn.SELU, LECUN)], ids=["ReLU", "SELU"])
def test_the_next_activation_is_found_behind_other_layers(between, activation, std):
    assert first_std(between(), activation()) == pytest.approx(std, rel=0.015)


def test_the_next_activation_is_found_inside_a_nested_model():
    assert first_std(fnn.Sequential(fnn.ReLU(), seed=1)) == pytest.approx(HE, rel=0.015)


def test_biases_start_at_zero():
    model = small_model()
    assert not model[0].bias.any()
    assert not model[4].bias.any()


def test_weights_set_by_hand_are_adopted():
    layer = fnn.Linear(3, 2)
    layer.weight = [[1, 2], [3, 4], [5, 6]]
    layer.bias = [7, 8]
    model = fnn.Sequential(layer, fnn.ReLU(), seed=0)
    assert model[0].weight.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert model[0].bias.tolist() == [7, 8]


def test_weights_that_have_been_looked_at_are_adopted():
    layer = fnn.Linear(3, 2)
    seen = layer.weight.copy()
    assert np.array_equal(fnn.Sequential(layer, fnn.ReLU(), seed=0)[0].weight, seen)


def test_float64_models_compute_in_float64():
    model = small_model(dtype=np.float64)
    y = model(X)
    assert y.dtype == model.backward(np.ones_like(y)).dtype == np.float64
    assert {a.dtype for a in model.state_dict().values()} == {np.dtype(np.float64)}
    np.testing.assert_allclose(small_model().predict(X), small_model(dtype=np.float64).predict(X), rtol=1e-4, atol=1e-5)


# refused


@pytest.mark.parametrize(
    ("layers", "position"),
    [
        ([fnn.Linear(3, 4), fnn.ReLU(), fnn.Linear(5, 2)], 2),
        ([fnn.Linear(3, 4), fnn.BatchNorm1d(3)], 1),
        ([fnn.Dropout(0.1), fnn.Linear(3, 4), fnn.Sigmoid(), fnn.Linear(4, 2), fnn.Linear(3, 1)], 4),
        ([fnn.Linear(3, 4), fnn.Sequential(fnn.Tanh(), fnn.Linear(5, 2))], 1),
    ],
)
def test_features_that_do_not_chain_are_refused_with_the_position(layers, position):
    with pytest.raises(ValueError, match=rf"^layers\[{position}\]: "):
        fnn.Sequential(*layers)


def test_a_layer_twice_is_refused():
    layer = fnn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"^layers: expected each layer once"):
        fnn.Sequential(layer, fnn.Sequential(layer))


@pytest.mark.parametrize(("layers", "error"), [([], ValueError), ([np.ones(3)], TypeError), ([[fnn.ReLU()]], TypeError)])
def test_other_things_than_layers_are_refused(layers, error):
    with pytest.raises(error, match=r"^layers"):
        fnn.Sequential(*layers)
