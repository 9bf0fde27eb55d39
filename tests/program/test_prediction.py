"""Predictions by a compiled program, beside the layers one by one."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn


def model(dtype=np.float32, **options):
    return fnn.Sequential(
        fnn.Linear(7, 33), fnn.BatchNorm1d(33), fnn.ReLU(), fnn.Dropout(0.3), fnn.Linear(33, 20), fnn.Tanh(),
        fnn.Sequential(fnn.Linear(20, 9), fnn.BatchNorm1d(9, affine=False), seed=1), fnn.Linear(9, 3, bias=False),
        dtype=dtype, seed=0, **options,
    )  # fmt: skip


def layer_by_layer(network, x):
    network = copy.deepcopy(network).eval()
    return network.forward(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 16, 17, 256, 257, 700])
def test_a_program_gives_the_bits_of_the_layers(rng, rows, dtype):
    network, x = model(dtype), rng.standard_normal((rows, 7)).astype(dtype)
    np.testing.assert_array_equal(network.predict(x), layer_by_layer(network, x))
    np.testing.assert_array_equal(network.predict(x), network.predict(x, batch_size=3))
    assert all(layer.training for layer in network.walk())


@pytest.mark.parametrize("rows", [1, 70, 700])
def test_a_program_gives_the_bits_of_smooth_layers_too(rng, rows):
    network = fnn.Sequential(
        fnn.Flatten(), fnn.Linear(7, 50), fnn.GELU(), fnn.Linear(50, 40), fnn.Softmax(), fnn.Linear(40, 33), fnn.SiLU(),
        fnn.Linear(33, 9), fnn.ELU(), fnn.GELU("tanh"), fnn.Softplus(), fnn.LogSoftmax(), seed=0,
    )  # fmt: skip
    x = rng.standard_normal((rows, 7)).astype(np.float32)
    np.testing.assert_array_equal(network.predict(x), layer_by_layer(network, x))
    network[9].approximate, network[8].alpha = "none", 0.5
    np.testing.assert_array_equal(network.predict(x), layer_by_layer(network, x))


def test_bytes_are_scaled(rng):
    network, x = model(input_scale=1 / 255), rng.integers(0, 256, (30, 7), dtype=np.uint8)
    np.testing.assert_array_equal(network.predict(x), layer_by_layer(network, x))


def test_arrays_that_no_instruction_reads_go_layer_by_layer(rng):
    network, x = model(), rng.standard_normal((30, 14)).astype(np.float32)
    for other in (x[:, ::2], x[:, :7].astype(np.float16), x[:, :7].astype(">f4"), x[:, :7].tolist()):
        np.testing.assert_array_equal(network.predict(other), layer_by_layer(network, np.asarray(other)))


def test_results_are_the_callers_own(rng):
    network, x = model(), rng.standard_normal((5, 7)).astype(np.float32)
    first = network.predict(x)
    kept = first.copy()
    network.predict(-x)
    np.testing.assert_array_equal(first, kept)


def test_what_changes_in_the_model_is_seen(rng):
    network, x, y = model(), rng.standard_normal((64, 7)).astype(np.float32), rng.integers(0, 3, 64)
    for rows in (x[:1], x):
        network.predict(rows)
    fnn.Trainer(network, fnn.CrossEntropyLoss(), fnn.Adam(lr=0.01)).fit(x, y, epochs=2)
    for rows in (x[:1], x):
        np.testing.assert_array_equal(network.predict(rows), layer_by_layer(network, rows))
    network[1].eps = 0.5
    np.testing.assert_array_equal(network.predict(x[:1]), layer_by_layer(network, x[:1]))
    network[1].eps = 1e-5
    network.load_state_dict(model().state_dict())
    np.testing.assert_array_equal(network.predict(x), model().predict(x))


def test_copies_have_programs_of_their_own(rng):
    network, x = model(), rng.standard_normal((3, 7)).astype(np.float32)
    before = network.predict(x)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        twin[0].weight = np.zeros_like(twin[0].weight)
        assert not np.array_equal(twin.predict(x), before)
        np.testing.assert_array_equal(twin.predict(x), layer_by_layer(twin, x))
    np.testing.assert_array_equal(network.predict(x), before)


def test_a_layer_in_python_is_called(rng):
    class Twice(fnn.Layer):
        def forward(self, x):
            return 2.0 * x

    network = fnn.Sequential(fnn.Linear(7, 3), Twice(), seed=0)
    x = rng.standard_normal((5, 7)).astype(np.float32)
    np.testing.assert_array_equal(network.predict(x), 2.0 * network[0].forward(x))
    np.testing.assert_array_equal(network.predict(x), network.predict(x))


def test_a_memmap_is_read_by_batches(rng, tmp_path):
    x = rng.standard_normal((300, 7)).astype(np.float32)
    rows = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    rows[...] = x
    np.testing.assert_array_equal(model().predict(rows, batch_size=100), model().predict(x))
