"""What fit, evaluate and predict take as data: dtypes, layouts, files larger than memory."""

import tracemalloc

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, Record, blobs, small_model, small_trainer, weights_of

import fastnn as fnn
from fastnn import functional as F

X, Y = blobs()


def fit(x, y=Y, model=None, **kwargs):
    trainer = small_trainer(model)
    trainer.fit(x, y, epochs=2, batch_size=16, **kwargs)
    return trainer


def on_disk(path, array):
    """The array as a read-only memmap."""
    file = np.memmap(path, array.dtype, "w+", shape=array.shape)
    file[...] = array
    file.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape)


# dtypes and layouts


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", ">f8"])
def test_input_of_another_float_dtype_is_converted(dtype):
    x = X.astype(dtype)
    trainer = fit(x)
    assert weights_of(trainer) == weights_of(fit(x.astype(np.float32)))
    assert trainer.evaluate(x, Y) == trainer.evaluate(x.astype(np.float32), Y)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint16, np.int32, np.int64])
def test_input_of_integers_is_converted(dtype):
    x = (np.abs(X) * 5).astype(dtype)
    assert weights_of(fit(x)) == weights_of(fit(x.astype(np.float32)))


def test_a_float64_model_takes_float32_input_as_it_is():
    models = [small_model(dtype=np.float64) for _ in range(2)]
    assert weights_of(fit(X, model=models[0])) == weights_of(fit(X.astype(np.float64), model=models[1]))


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 3, axis=1)[:, ::3],
        lambda x: x.tolist(),
        lambda x: np.lib.stride_tricks.as_strided(x, x.shape, x.strides, writeable=False),
    ],
    ids=["fortran", "every other row", "every third column", "lists", "read-only"],
)
def test_input_of_any_layout_trains_alike(change):
    trainer = fit(change(X))
    assert weights_of(trainer) == weights_of(fit(X))
    assert trainer.evaluate(change(X), Y) == trainer.evaluate(X, Y)
    assert np.array_equal(trainer.predict(change(X), 10), trainer.predict(X, 10))


def test_the_data_is_left_as_it_is():
    x, y = X.copy(), Y.copy()
    fit(x, y, validation_data=(x, y))
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)


# integer images, scaled batch by batch


def images(rows=47):
    return np.random.default_rng(8).integers(0, 256, (rows, FEATURES), dtype=np.uint8)


def test_scaled_images_train_as_images_scaled_beforehand():
    scaled = fit(images(), model=small_model(input_scale=1 / 256))
    plain = fit(images().astype(np.float32) / 256)
    assert np.array_equal(scaled.history["loss"], plain.history["loss"])
    assert weights_of(scaled) == weights_of(plain), "a power of two does not round"


def test_scaled_images_are_evaluated_as_they_are_predicted():
    trainer = fit(images(), model=small_model(input_scale=1 / 255))
    for x in (images(), images().astype(np.float32)):
        assert trainer.evaluate(x, Y)["loss"] == pytest.approx(F.cross_entropy(trainer.predict(x), Y), rel=1e-6)


def test_the_validation_loss_of_scaled_images_is_that_of_evaluate():
    trainer = fit(images(), model=small_model(input_scale=1 / 255), validation_data=(images(), Y))
    loss = F.cross_entropy(trainer.model.predict(images()), Y)
    assert trainer.history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)


# files


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_memmap_trains_as_the_array_does(tmp_path, dtype, shuffle):
    array = (np.abs(X) * 5).astype(dtype)
    x, y = on_disk(tmp_path / "x", array), on_disk(tmp_path / "y", Y)
    trainer = fit(x, y, shuffle=shuffle, validation_data=(x, y))
    assert weights_of(trainer) == weights_of(fit(array, shuffle=shuffle))
    assert trainer.evaluate(x, y) == trainer.evaluate(array, Y)
    assert np.array_equal(trainer.predict(x), trainer.predict(array))


def test_some_columns_of_a_memmap_train_as_the_array_does(tmp_path):
    wide = np.concatenate([X, X], axis=1)
    x = on_disk(tmp_path / "x", wide)[:, FEATURES:]
    assert weights_of(fit(x)) == weights_of(fit(X))


def test_regression_targets_may_be_a_memmap(tmp_path):
    y = on_disk(tmp_path / "y", X[:, 0])
    trainers = [fnn.Trainer(fnn.Sequential(fnn.Linear(FEATURES, 1), seed=0), fnn.MSELoss(), fnn.Adam()) for _ in range(2)]
    for trainer, targets in zip(trainers, (y, X[:, 0]), strict=True):
        trainer.fit(X, targets, epochs=2, batch_size=16)
    assert weights_of(trainers[0]) == weights_of(trainers[1])


def test_a_memmap_is_never_copied_whole(tmp_path):
    rows, features = 500, 8000
    path = tmp_path / "x"
    np.memmap(path, np.uint8, "w+", shape=(rows, features)).flush()
    x, y = np.memmap(path, np.uint8, "r", shape=(rows, features)), np.zeros(rows, np.int64)
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(features, 2), seed=0), fnn.CrossEntropyLoss(), fnn.SGD())

    def use():
        trainer.fit(x, y, epochs=1, batch_size=10, validation_data=(x, y))
        trainer.evaluate(x, y, batch_size=10)
        trainer.predict(x, batch_size=10)

    use()  # compiles
    tracemalloc.start()
    try:
        use()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 3


def bad_memmap(path, row, value=np.nan):
    x = X.copy()
    x[row, 2] = value
    return on_disk(path, x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_row_of_a_memmap_is_found_when_its_batch_is_read(tmp_path, value):
    record, trainer = Record(), small_trainer()
    with pytest.raises(ValueError, match=r"^x: expected finite values, got NaN or infinity in row 37$"):
        trainer.fit(bad_memmap(tmp_path / "x", 37, value), Y, batch_size=10, shuffle=False, callbacks=[record])
    assert [call for call in record.calls if call[0] == "batch end"] == [("batch end", i) for i in range(3)]
    assert record.calls[-1] == ("fit end",)


def test_a_shuffled_memmap_names_the_row_of_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"^x: .* row 37$"):
        small_trainer().fit(bad_memmap(tmp_path / "x", 37), Y, batch_size=10)


def test_the_weights_from_before_the_bad_epoch_are_back(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    x[...] = X

    class Spoil(fnn.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            if epoch == 1:
                x[46] = np.nan

    trainer = small_trainer()
    with pytest.raises(ValueError, match=r"^x: .* row 46"):
        trainer.fit(x, Y, epochs=4, batch_size=10, callbacks=[Spoil()])
    expected = small_trainer()
    expected.fit(X, Y, epochs=2, batch_size=10)
    assert weights_of(trainer) == weights_of(expected)
    assert len(trainer.history) == 2


def test_a_bad_row_of_a_validation_memmap_is_named(tmp_path):
    bad = bad_memmap(tmp_path / "x", 3)
    with pytest.raises(ValueError, match=r"^validation x: .* row 3"):
        small_trainer().fit(X, Y, validation_data=(bad, Y))
    with pytest.raises(ValueError, match=r"^x: .* row 3"):
        small_trainer().evaluate(bad, Y)


@pytest.mark.parametrize("epochs", [1, 3])
def test_what_an_epoch_has_learnt_stays_where_its_validation_fails(tmp_path, epochs):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    x[...] = X

    class Spoil(fnn.Callback):
        def on_epoch_begin(self, trainer, epoch):
            if epoch == epochs - 1:
                x[3] = np.nan

    trainer, expected = small_trainer(), small_trainer()
    with pytest.raises(ValueError, match=r"^validation x: .* row 3"):
        trainer.fit(X, Y, epochs=epochs, batch_size=10, validation_data=(x, Y), callbacks=[Spoil()])
    expected.fit(X, Y, epochs=epochs, batch_size=10)
    assert weights_of(trainer) == weights_of(expected)


@pytest.mark.parametrize(
    ("make", "loss", "outputs"),
    [
        (lambda: np.where(np.arange(len(Y)) == 37, CLASSES, Y), fnn.CrossEntropyLoss(), CLASSES),
        (lambda: np.where(np.arange(len(Y)) == 37, np.nan, X[:, 0]), fnn.MSELoss(), 1),
    ],
    ids=["a label out of range", "NaN"],
)
def test_bad_targets_in_a_memmap_are_named_and_the_weights_are_back(tmp_path, make, loss, outputs):
    model = fnn.Sequential(fnn.Linear(FEATURES, outputs), seed=0)
    trainer = fnn.Trainer(model, loss, fnn.Adam())
    before = weights_of(trainer)
    with pytest.raises(ValueError, match=r"^y: "):
        trainer.fit(X, on_disk(tmp_path / "y", make()), batch_size=10, shuffle=False)
    assert weights_of(trainer) == before


def test_the_check_can_be_switched_off(tmp_path):
    trainer = small_trainer()
    with pytest.raises(fnn.NonFiniteLossError):
        trainer.fit(bad_memmap(tmp_path / "x", 37), Y, batch_size=10, shuffle=False, check_finite=False)
    x = X.copy()
    x[37, 2] = np.nan
    with pytest.raises(fnn.NonFiniteLossError, match="epoch 1, step 4"):
        trainer.fit(x, Y, batch_size=10, shuffle=False, check_finite=False)
