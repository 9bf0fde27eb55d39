"""Augmentation in training: the compiled program and the layers see the same batches, which are those that `Compose` makes."""

import pickle

import numba
import numpy as np
import pytest

import fastnn as fnn
from fastnn import augment as A

ROWS, CLASSES = 53, 4
SHAPE = (3, 6, 5)

EACH = {
    "flips": [A.RandomHorizontalFlip(), A.RandomVerticalFlip(0.3)],
    "crop": [A.RandomCrop(2)],
    "affine": [A.RandomAffine((-20, 40), (0.1, 0.2), (0.7, 1.2))],
    "cutout": [A.Cutout((3, 2), p=0.8)],
    "erasing": [A.RandomErasing(0.9)],
    "brightness": [A.Brightness(0.4, limits=(-1.0, 1.0))],
    "contrast": [A.Contrast(0.4)],
    "saturation": [A.Saturation((0.1, 3.0))],
    "noise": [A.GaussianNoise(0.2)],
    "blur": [A.GaussianBlur((0.5, 1.5))],
    "mixup": [A.Mixup(0.4)],
    "mixup by row": [A.Mixup(0.4, by_row=True)],
    "cutmix": [A.CutMix()],
    "cutmix by row": [A.CutMix(0.5, by_row=True)],
    "several": [A.GaussianNoise(0.1), A.RandomCrop(1), A.Mixup(1.0), A.RandomHorizontalFlip(), A.CutMix()],
    "none": [],
}


def data(dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 90)).astype(dtype)
    targets = {
        "labels": rng.integers(0, CLASSES, ROWS),
        "probabilities": rng.dirichlet(np.ones(CLASSES), ROWS),
        "real": rng.standard_normal((ROWS, CLASSES)),
    }
    return x, targets


def trainer(augmentation, compiled, loss=None, dtype=np.float64, **options):
    model = fnn.Sequential(fnn.Linear(90, 11), fnn.ReLU(), fnn.Dropout(0.1), fnn.Linear(11, CLASSES), seed=3, dtype=dtype)
    return fnn.Trainer(
        model, loss or fnn.CrossEntropyLoss(), fnn.Adam(lr=0.01), augmentation=augmentation, image_shape=SHAPE, compiled=compiled,
        **options,
    )  # fmt: skip


class Seen(fnn.Layer):
    """Writes down what it is given in training."""

    keeps_width = True

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x):
        if self.training:
            self.batches.append(x.copy())
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize("kind", ["labels", "probabilities", "real"])
@pytest.mark.parametrize("name", EACH)
def test_both_roads_agree(name, kind):
    x, targets = data()
    before = x.copy()
    y = targets[kind]
    ends = []
    for compiled in (True, False):
        one = trainer(EACH[name], compiled, fnn.MSELoss() if kind == "real" else None)
        history = one.fit(x, y, epochs=3, batch_size=16, validation_data=(x, y))
        assert one.road.startswith("compiled program" if compiled else "layer by layer")
        assert one.augmenter.step == (12 if EACH[name] else 0)
        ends.append((one.model.flat_parameters, [history[name] for name in history.names if name != "seconds"]))
    for ours, theirs in zip(ends[0], ends[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, data()[1][kind])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads to compare with one")
@pytest.mark.parametrize("name", ["affine", "several", "blur"])
def test_the_same_bits_on_any_number_of_threads(name):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 3 * 16 * 15)).astype(np.float32), rng.integers(0, CLASSES, 300)
    ends = []
    for threads in (1, 2):
        fnn.set_num_threads(threads)
        model = fnn.Sequential(fnn.Linear(720, CLASSES), seed=3)
        options = {"augmentation": EACH[name], "image_shape": (3, 16, 15), "compiled": True}
        one = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(), **options)
        one.fit(x, y, batch_size=128)
        ends.append(model.flat_parameters.tobytes())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_batches_of_training_are_those_that_compose_makes(dtype):
    x, targets = data(dtype)
    augment = A.Compose([A.RandomHorizontalFlip(), A.GaussianNoise(0.1), A.Mixup(0.4)])
    seen = Seen()
    model = fnn.Sequential(seen, fnn.Linear(90, CLASSES), seed=9, dtype=dtype)
    one = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(), augmentation=augment, image_shape=SHAPE)
    one.fit(x, targets["labels"], batch_size=16, shuffle=False, validation_data=(x, targets["labels"]))
    assert len(seen.batches) == 4
    for step, batch in enumerate(seen.batches):
        rows = slice(16 * step, 16 * step + 16)
        expected, _ = augment(x[rows], targets["labels"][rows], seed=9, step=step, image_shape=SHAPE)
        np.testing.assert_array_equal(batch, expected)
    one.evaluate(x, targets["labels"])
    one.predict(x)
    assert len(seen.batches) == 4


def test_training_goes_on_where_it_stopped_and_from_pickle():
    x, targets = data()
    whole = trainer(EACH["several"], True)
    whole.fit(x, targets["labels"], epochs=4, batch_size=16)
    parts = trainer(EACH["several"], True)
    parts.fit(x, targets["labels"], epochs=1, batch_size=16)
    parts = pickle.loads(pickle.dumps(parts))
    parts.compiled = False
    parts.fit(x, targets["labels"], epochs=3, batch_size=16)
    np.testing.assert_allclose(parts.model.flat_parameters, whole.model.flat_parameters, rtol=1e-11, atol=1e-11)
    assert parts.augmenter.step == whole.augmenter.step == 16


def test_a_failed_fit_puts_the_step_back():
    x, targets = data()
    y = targets["real"].copy()
    y[40] = 1e200
    one = trainer(EACH["noise"], True, fnn.MSELoss())
    with pytest.raises(fnn.NonFiniteLossError):
        one.fit(x, y, batch_size=16, shuffle=False)
    assert one.augmenter.step == 0


def test_settings_changed_between_epochs_are_followed():
    class More(fnn.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            trainer.augmenter.compose.augmentations[0].std *= 2.0

    x, targets = data()
    ends = []
    for compiled in (True, False):
        one = trainer([A.GaussianNoise(0.1)], compiled)
        one.fit(x, targets["labels"], epochs=3, batch_size=16, callbacks=[More()])
        ends.append(one.model.flat_parameters)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-11, atol=1e-11)


def test_bytes_are_augmented_after_scaling():
    x = np.random.default_rng(0).integers(0, 256, (ROWS, 90), dtype=np.uint8)
    y = np.arange(ROWS) % CLASSES
    seen = Seen()
    model = fnn.Sequential(seen, fnn.Linear(90, CLASSES), seed=9, input_scale=1 / 255)
    augmentation = [A.Brightness((2.0, 2.0), limits=(0, 1))]
    one = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(), augmentation=augmentation, image_shape=SHAPE)
    one.fit(x, y, batch_size=ROWS, shuffle=False)
    np.testing.assert_allclose(seen.batches[0], np.minimum(x / 255 * 2, 1.0), rtol=1e-6)


def test_labels_that_are_mixed_need_no_one_hot_rows_and_a_loss_of_ones_own_gets_them():
    class Recorder:
        def forward(self, prediction, targets):
            self.shape, self.targets = prediction.shape, targets
            return float(prediction.sum())

        def backward(self):
            return np.ones(self.shape)

    x, targets = data()
    loss = Recorder()
    one = trainer([A.Mixup(0.4)], None, loss)
    one.fit(x, targets["labels"], batch_size=16)
    assert loss.targets.shape == (5, CLASSES)
    np.testing.assert_allclose(loss.targets.sum(axis=1), 1.0)
    one.fit(x, targets["real"][:, 0], batch_size=16)
    assert loss.targets.shape == (5,)


class Doubled(A.Augmentation):
    """A user's own."""

    needs_images = False

    def augment(self, x, key):
        return 2.0 * x


def test_an_augmentation_of_ones_own_trains_layer_by_layer():
    x, targets = data()
    one = trainer([Doubled(), A.RandomCrop(1)], None)
    one.fit(x, targets["labels"], batch_size=16)
    assert "Doubled" in one.road
    with pytest.raises(ValueError, match=r"^compiled: .*Doubled.* has no instruction"):
        trainer([Doubled()], True).fit(x, targets["labels"])


def test_digits_are_learnt_with_mixup_and_shifts():
    x, y = fnn.datasets.load_digits()
    train, test = fnn.datasets.split(x, y, 0.3)
    model = fnn.Sequential(fnn.Linear(64, 64), fnn.ReLU(), fnn.Linear(64, 10), seed=0, input_scale=1 / 16)
    one = fnn.Trainer(
        model, fnn.CrossEntropyLoss(), fnn.Adam(lr=3e-3), augmentation=[A.RandomAffine(5, (0.05, 0.05)), A.Mixup(0.2)],
        image_shape=(8, 8), compiled=True,
    )  # fmt: skip
    one.fit(*train, epochs=30, batch_size=64)
    assert one.evaluate(*test)["accuracy"] > 0.95
