"""The main job at its real size: a 784-512-256-10 net on Fashion-MNIST."""

import numba
import numpy as np
import pytest

import fastnn as fnn


@pytest.fixture(scope="module")
def data():
    try:
        return fnn.datasets.load_fashion_mnist()
    except FileNotFoundError as error:
        pytest.skip(f"Fashion-MNIST is not here: {error}")


def train(data, threads, epochs=1):
    fnn.set_num_threads(threads)
    model = fnn.Sequential(
        fnn.Linear(784, 512), fnn.BatchNorm1d(512), fnn.ReLU(), fnn.Dropout(0.2),
        fnn.Linear(512, 256), fnn.BatchNorm1d(256), fnn.ReLU(), fnn.Dropout(0.2),
        fnn.Linear(256, 10),
        seed=7,
        input_scale=1 / 255,
    )  # fmt: skip
    trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=1e-3), clip_norm=5.0)
    history = trainer.fit(*data[0], epochs=epochs, batch_size=128)
    return model, history, trainer.evaluate(*data[1])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_the_same_bits_on_one_and_two_threads_and_from_run_to_run(data):
    runs = [train(data, threads) for threads in (1, 2, 2)]
    model, history, scores = runs[0]
    assert scores["accuracy"] > 0.83
    for other, other_history, other_scores in runs[1:]:
        assert other.flat_parameters.tobytes() == model.flat_parameters.tobytes()
        assert other.flat_buffers.tobytes() == model.flat_buffers.tobytes()
        np.testing.assert_array_equal(other_history["loss"], history["loss"])
        assert other_scores == scores


@pytest.mark.long
def test_ten_epochs_reach_what_such_a_net_is_known_to_reach(data):
    _, history, scores = train(data, numba.get_num_threads(), epochs=10)
    assert scores["accuracy"] > 0.88
    assert np.all(np.diff(history["loss"]) < 0.0)
