"""Models in files: what comes back, and what bad files get."""

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from library.helpers import blobs, small_model, small_trainer

import fastnn as fnn
from fastnn.files import FORMAT, whole_file

LAYERS = {
    "linear": lambda: [fnn.Linear(5, 4)],
    "linear without bias": lambda: [fnn.Linear(5, 4, bias=False, weight_init="orthogonal", seed=3)],
    "linear of equal weights": lambda: [fnn.Linear(5, 4, weight_init=fnn.init.zeros, bias_init="fan_in_uniform")],
    "batch norm": lambda: [fnn.BatchNorm1d(5)],
    "batch norm with settings": lambda: [fnn.BatchNorm1d(5, 1e-3, None, affine=False, unbiased_running_var=False)],
    "dropout": lambda: [fnn.Linear(5, 5), fnn.Dropout(0.25)],
    "dropout with a seed": lambda: [fnn.Linear(5, 5), fnn.Dropout(0.25, seed=2**64 - 1)],
    "relu": lambda: [fnn.Linear(5, 5), fnn.ReLU()],
    "leaky relu": lambda: [fnn.Linear(5, 5), fnn.LeakyReLU(0.3)],
    "sigmoid": lambda: [fnn.Linear(5, 5), fnn.Sigmoid()],
    "tanh": lambda: [fnn.Linear(5, 5), fnn.Tanh()],
    "selu": lambda: [fnn.Linear(5, 5), fnn.SELU()],
    "elu": lambda: [fnn.Linear(5, 5), fnn.ELU(0.3)],
    "gelu": lambda: [fnn.Linear(5, 5), fnn.GELU(), fnn.GELU("tanh")],
    "silu": lambda: [fnn.Linear(5, 5), fnn.SiLU()],
    "softplus": lambda: [fnn.Linear(5, 5), fnn.Softplus(2, 3.5)],
    "softmax": lambda: [fnn.Linear(5, 5), fnn.Softmax(), fnn.LogSoftmax()],
    "flatten": lambda: [fnn.Flatten(), fnn.Linear(5, 5)],
    "layer norm": lambda: [fnn.LayerNorm(5), fnn.LayerNorm(5, 1e-3, bias=False), fnn.LayerNorm(5, elementwise_affine=False)],
    "RMS norm": lambda: [fnn.RMSNorm(5), fnn.RMSNorm(5, 1e-4, elementwise_affine=False)],
    "residual": lambda: [
        fnn.Linear(5, 4),
        fnn.Residual(fnn.Linear(4, 6), fnn.ReLU(), fnn.Residual(fnn.Tanh()), fnn.Linear(6, 4)),
    ],
    "spectral norm": lambda: [fnn.SpectralNorm(fnn.Linear(5, 4), 2, 1e-6)],
    "nested": lambda: [
        fnn.Linear(5, 6),
        fnn.Sequential(fnn.BatchNorm1d(6), fnn.Sequential(fnn.ReLU(), fnn.Dropout(0.1), seed=1), seed=2, input_scale=0.5),
        fnn.Linear(6, 2),
    ],
}


@pytest.mark.filterwarnings("ignore:all weights of")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_every_layer_comes_back_with_the_same_bits(make, dtype, tmp_path):
    x, _ = blobs()
    model = fnn.Sequential(*make(), seed=7, dtype=dtype, input_scale=1 / 3)
    model(x)  # moves running statistics
    fnn.save_model(tmp_path / "model.npz", model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fnn.load_model(tmp_path / "model.npz")
    assert repr(again) == repr(model)
    assert again.flat_parameters.tobytes() == model.flat_parameters.tobytes()
    assert again.flat_buffers.tobytes() == model.flat_buffers.tobytes()
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.filterwarnings("ignore:all weights of")
def test_every_layer_of_the_package_is_among_them():
    made = {type(layer).__name__ for make in LAYERS.values() for layer in fnn.Sequential(*make(), seed=0).walk()}
    assert made == {name for name in fnn.layers.__all__ if name not in ("Layer", "spectral_norm")} | {"Sequential"}


def test_a_loaded_model_trains_as_the_first_would_have(tmp_path):
    x, y = blobs()
    fnn.save_model(tmp_path / "model.npz", small_model(seed=4))
    losses = [
        small_trainer(model).fit(x, y, epochs=2)["loss"] for model in (fnn.load_model(tmp_path / "model.npz"), small_model(4))
    ]
    np.testing.assert_array_equal(*losses)


def test_extra_comes_back_and_the_file_is_plain_numpy(tmp_path):
    path = tmp_path / "any name"
    extra = {"classes": ["ä", "\0", "b"], "mean": 0.1, "nested": {"list": [1, None, True]}}
    model = small_model()
    fnn.save_model(path, model, extra)
    assert fnn.load_extra(path) == extra
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"fastnn"} | set(model.state_dict())
        header = json.loads(file["fastnn"].item())
        np.testing.assert_array_equal(file["0.weight"], model[0].weight)
    assert header["format"] == FORMAT


def test_an_initialiser_of_ones_own_is_left_out_and_its_weights_stay(tmp_path):
    model = fnn.Sequential(
        fnn.Linear(2, 2, weight_init=lambda shape, rng, dtype: np.eye(2), bias_init=lambda shape, rng, dtype: np.ones(2)), seed=0
    )
    fnn.save_model(tmp_path / "model.npz", model)
    again = fnn.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again[0].weight, np.eye(2))
    np.testing.assert_array_equal(again[0].bias, np.ones(2))


class Doubled(fnn.Layer):
    keeps_width = True

    def __repr__(self):
        return "Doubled()"


class ReLU(fnn.ReLU):
    """Of the same name as one of ours."""


@pytest.mark.parametrize("layer", [Doubled(), ReLU()], ids=repr)
def test_a_layer_of_ones_own_is_refused_by_name(layer, tmp_path):
    model = fnn.Sequential(fnn.Linear(2, 2), fnn.Sequential(layer, seed=0), seed=0)
    with pytest.raises(ValueError, match=rf"^model\[1\]\[0\]: expected a layer of fastnn, got {layer!r}"[:-2] + ".*pickle"):
        fnn.save_model(tmp_path / "model.npz", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "call", "error"),
    [
        ("model", lambda path: fnn.save_model(path, fnn.ReLU()), TypeError),
        ("extra", lambda path: fnn.save_model(path, small_model(), [1]), TypeError),
        ("extra", lambda path: fnn.save_model(path, small_model(), {"a": np.ones(2)}), ValueError),
        ("extra", lambda path: fnn.save_model(path, small_model(), {"a": float("nan")}), ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(argument, call, error, tmp_path):
    with pytest.raises(error, match=f"^{argument}: expected"):
        call(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model.npz"
    fnn.save_model(path, small_model(seed=1))
    before = path.read_bytes()

    def interrupted():
        with whole_file(path) as scratch:
            scratch.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
    assert path.read_bytes() == before
    fnn.save_model(path, small_model(seed=2))
    assert path.read_bytes() != before
    fnn.save_model(path, small_model(seed=1))
    assert path.read_bytes() == before, "the same model gives the same file"


# bad files


class Planted:
    """What a pickle would run."""

    ran = False

    def __reduce__(self):
        return setattr, (Planted, "ran", True)


def refused(path):
    for load in (fnn.load_model, fnn.load_extra):
        with pytest.raises(ValueError, match="expected a whole model file of fastnn: .") as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert not Planted.ran


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(kept, tmp_path):
    path = tmp_path / "model.npz"
    fnn.save_model(path, small_model())
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    refused(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "model.npz"
    model = small_model()
    fnn.save_model(path, model)
    data = path.read_bytes()
    start = data.index(model[0].weight.tobytes())
    path.write_bytes(data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :])
    with pytest.raises(ValueError, match="expected a whole model file of fastnn: Bad CRC"):
        fnn.load_model(path)


FOREIGN = {
    "text": lambda path: path.write_text("hello"),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Planted())),
    "npy": lambda path: path.write_bytes(npy(np.ones(3))),
    "npy of objects": lambda path: path.write_bytes(npy(np.array([Planted()], object))),
    "npz": lambda path: np.savez(path, x=np.ones(3)),
    "header of objects": lambda path: np.savez(path, fastnn=np.array([Planted()], object)),
    "header of numbers": lambda path: np.savez(path, fastnn=np.array(3)),
    "header of many": lambda path: np.savez(path, fastnn=np.array(["{}", "{}"])),
    "no json": lambda path: np.savez(path, fastnn=np.array("__import__('os')")),
    "no format": lambda path: np.savez(path, fastnn=np.array("{}")),
    "deep json": lambda path: np.savez(path, fastnn=np.array("[" * 100_000)),
    "zip": lambda path: zipfile.ZipFile(path, "w").close(),
}


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_other_origin_is_refused_and_nothing_in_it_runs(make, tmp_path):
    path = tmp_path / "model.npz"
    make(path)
    refused(path)


def forged(path, arrays=(), **changes):
    """A file with a header as `save_model` writes it, but for some changes."""
    model = fnn.Sequential(fnn.Linear(2, 1), seed=0)
    fnn.save_model(path, model)
    with np.load(path) as file:
        header = json.loads(file["fastnn"].item()) | changes
    np.savez(path, fastnn=np.array(json.dumps(header)), **(model.state_dict() | dict(arrays)))


LINEAR = {"class": "Linear", "in_features": 2, "out_features": 1}
FORGED = {
    "newer": ({"format": FORMAT + 1}, "it has format 2, .*update fastnn"),
    "no layer": ({"model": 3}, "a layer was expected"),
    "unknown class": ({"model": {"class": "os.system", "command": "true"}}, "a layer of fastnn was expected, 'os.system' came"),
    "class that is a list": ({"model": {"class": ["Linear"]}}, "a layer of fastnn was expected"),
    "base class": ({"model": {"class": "Layer"}}, "a layer of fastnn was expected"),
    "no Sequential": ({"model": LINEAR}, "a Sequential was expected"),
    "no layers": ({"model": {"class": "Sequential", "layers": {}}}, "a list of layers was expected"),
    "unknown setting": ({"model": {"class": "Sequential", "layers": [LINEAR | {"hook": "x"}]}}, "hook"),
    "unknown initialiser": ({"model": {"class": "Sequential", "layers": [LINEAR | {"weight_init": "by_name"}]}}, "weight_init"),
    "other shapes": ({"model": {"class": "Sequential", "layers": [LINEAR | {"in_features": 3}]}}, "expected shape"),
    "more layers": ({"model": {"class": "Sequential", "layers": [LINEAR, LINEAR | {"in_features": 1}]}}, "missing"),
    "array of objects": ({"arrays": {"0.weight": np.array([[Planted()]], object)}}, "allow_pickle"),
    "array of text": ({"arrays": {"0.weight": np.array([["a"], ["b"]])}}, "expected an array of real numbers"),
}


@pytest.mark.parametrize(("changes", "match"), FORGED.values(), ids=FORGED)
def test_a_forged_file_is_refused(changes, match, tmp_path):
    path = tmp_path / "model.npz"
    forged(path, **changes)
    with pytest.raises(ValueError, match=f"expected a whole model file of fastnn: .*{match}"):
        fnn.load_model(path)
    assert not Planted.ran


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        fnn.load_model(tmp_path / "model.npz")
