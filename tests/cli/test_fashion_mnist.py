"""Fashion-MNIST by the command: what it reaches, on any number of threads."""

import json
import os

import numba
import pytest
from cli.helpers import curves

import fastnn as fnn


@pytest.fixture
def folder():
    try:
        fnn.datasets.load_fashion_mnist()
    except FileNotFoundError as error:
        pytest.skip(f"Fashion-MNIST is not here: {error}")
    return os.environ.get("FASTNN_FASHION_MNIST") or "/usr/share/datasets/fashion-mnist"


@pytest.mark.long
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_ten_epochs_reach_what_such_a_net_is_known_to_reach_with_the_same_bits_on_one_and_two_threads(command, folder):
    accuracies = []
    for threads in (1, 2):
        code, out, _ = command(
            "train", "fashion-mnist", "--data-dir", folder, "--hidden", "512,256", "--batchnorm", "--dropout", 0.2,
            "--optimizer", "adam", "--epochs", 10, "--threads", threads, "--out", threads, "--json",
        )  # fmt: skip
        assert code == 0
        accuracies.append(json.loads(out)["test"]["accuracy"])
    assert accuracies[0] == accuracies[1] >= 0.885
    states = [fnn.load_model(f"{threads}/model.npz").state_dict() for threads in (1, 2)]
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])
    histories = [curves(f"{threads}/history.json") for threads in (1, 2)]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert histories[0][name].tobytes() == histories[1][name].tobytes()
