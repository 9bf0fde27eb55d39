"""Images through a model that begins with Flatten, beside the same numbers as rows."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn.augment import Mixup, RandomCrop, RandomHorizontalFlip

ROWS, SHAPE, CLASSES = 83, (3, 5, 4), 4


def model(*before, dtype=np.float32, **settings):
    return fnn.Sequential(
        fnn.Flatten(), *before, fnn.Linear(60, 9), fnn.GELU(), fnn.Linear(9, CLASSES), seed=0, dtype=dtype, **settings
    )


def nested():
    return fnn.Sequential(fnn.Sequential(fnn.Flatten(), fnn.Linear(60, 9), seed=1), fnn.ReLU(), fnn.Linear(9, CLASSES), seed=0)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8), rng.integers(0, CLASSES, ROWS)


def fit(network, x, y, **options):
    fitting = {"validation_data": options.pop("validation_data", None)}
    trainer = fnn.Trainer(network, fnn.CrossEntropyLoss(), fnn.Adam(), **options)
    trainer.fit(x, y, epochs=2, batch_size=16, **fitting)
    return trainer


def test_flatten_and_its_way_back(rng):
    layer = fnn.Flatten(dtype=np.float64)
    x = rng.standard_normal((4, 2, 3, 5))
    y = layer(x)
    assert y.shape == (4, 30)
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(layer.backward(y), x)
    with pytest.raises(ValueError, match=r"^dy: expected shape \(4, 30\)"):
        layer.backward(x)
    rows = x.reshape(4, 30)
    assert layer(rows).shape == layer.backward(rows).shape == (4, 30)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("make", [model, nested])
@pytest.mark.parametrize("kind", ["bytes", "floats", "channels last"])
def test_images_train_evaluate_and_predict_as_their_rows_do(images, kind, make, compiled):
    x, y = images
    if kind == "floats":
        x = (x / 255).astype(np.float32)
    if kind == "channels last":  # in memory
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    rows = x.reshape(ROWS, -1).copy()
    trainers = [fit(make(), given, y, compiled=compiled, validation_data=(given, y)) for given in (x, rows)]
    assert len({trainer.model.flat_parameters.tobytes() for trainer in trainers}) == 1
    assert trainers[0].road == ("compiled program" if compiled else "layer by layer: compiled=False")
    assert trainers[0].evaluate(x, y, metrics=["top_3_accuracy"]) == trainers[1].evaluate(rows, y, metrics=["top_3_accuracy"])
    for method in ("predict", "predict_proba", "predict_labels"):
        np.testing.assert_array_equal(getattr(trainers[0], method)(x), getattr(trainers[1], method)(rows))


@pytest.mark.parametrize("shape", [(60,), (12, 5), (3, 5, 4), (2, 3, 2, 5)], ids=str)
def test_any_shape_of_as_many_values_will_do(images, shape):
    x = images[0].reshape(ROWS, *shape)
    network = model(input_scale=1 / 255)
    np.testing.assert_array_equal(network(x), network(images[0].reshape(ROWS, 60)))
    np.testing.assert_array_equal(network.predict(x.tolist()), network.predict(x))
    network(x)
    assert network.backward(np.ones((ROWS, CLASSES))).shape == x.shape


def test_the_door_copies_nothing(images):
    x = images[0]
    assert np.shares_memory(model().check_input("x", x), x)
    assert np.shares_memory(model().check_input("x", x[::2]), x)


def test_one_pixel_wide_predictions_use_the_program(images):
    network = model()
    np.testing.assert_array_equal(network.predict(images[0][:1]), network.predict(images[0])[:1])


def test_a_memmap_of_images_is_read_by_batches(images, tmp_path):
    x, y = images
    x = x.astype(np.float32)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    mapped[...] = x
    trainer, other = fit(model(), mapped, y), fit(model(), x, y)
    assert "memmap" in trainer.road
    np.testing.assert_allclose(trainer.model.flat_parameters, other.model.flat_parameters, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(trainer.predict(mapped), trainer.predict(x))
    mapped[3, 1, 2, 2] = np.nan
    with pytest.raises(ValueError, match=r"^x: expected finite values.*row 3"):
        trainer.fit(mapped, y)
    with pytest.raises(ValueError, match=r"^x: expected a memmap whose images are C-contiguous"):
        trainer.fit(mapped.transpose(0, 2, 3, 1), y)


def test_augmentation_takes_the_shape_of_images(images):
    x, y = images
    x = x / np.float32(255)
    augmentation = [RandomCrop(1), RandomHorizontalFlip(), Mixup(0.3)]
    ends = [
        fit(model(), given, y, compiled=compiled, augmentation=augmentation, image_shape=shape).model.flat_parameters
        for compiled in (True, False)
        for given, shape in ((x, None), (x.reshape(ROWS, -1), SHAPE), (x, SHAPE))
    ]
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"^image_shape: expected \(H, W\)"):
        fit(model(), x.reshape(ROWS, -1), y, augmentation=augmentation)


def test_what_else_takes_a_batch_takes_images(images):
    x, _ = images
    report = fnn.diagnostics.signal_report(model(input_scale=1 / 255), x)
    assert report["0"].kind == "layer"
    network = model(fnn.BatchNorm1d(60))
    fnn.update_bn(network, x)
    np.testing.assert_allclose(network[1].running_mean, x.reshape(ROWS, -1).mean(axis=0), rtol=1e-5)
    network.predict(x)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(twin.predict(x), network.predict(x))


@pytest.mark.parametrize("shape", [(5,), (5, 61), (5, 3, 5), (5, 3, 5, 4, 2)], ids=str)
def test_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=r"^x: expected shape \(rows, 60\), or images of as many values each, got"):
        model().predict(np.ones(shape))


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match=r"^x: expected at least one row, got shape \(0, 3, 5, 4\)"):
        model().predict(np.ones((0, *SHAPE)))


def test_a_model_that_does_not_begin_with_flatten_takes_rows_alone(images):
    network = fnn.Sequential(fnn.Linear(60, 4), fnn.Flatten(), seed=0)
    with pytest.raises(ValueError, match=r"^x: expected shape \(rows, 60\), got \(83, 3, 5, 4\)"):
        network(images[0])
