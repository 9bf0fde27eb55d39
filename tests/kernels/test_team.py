"""The team of threads inside a compiled program: same bits, and nothing left behind. What may hang runs in its own process."""

import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from numba import prange
from support import DTYPES

import fastnn as fnn
from fastnn_kernels import _jit
from fastnn_kernels._team import LEADER, SEATS, TAKEN, _aligned

needs_two_threads = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="a team needs two threads")
X = np.random.default_rng(0).normal(size=(600, 120)).astype(np.float32)
Y = np.arange(600) % 10


def fitted(seed=0, epochs=2):
    """The weights after training that has parallel loops of every kind: products, batch normalisation, dropout, Adam."""
    layers = fnn.Linear(120, 256), fnn.BatchNorm1d(256), fnn.ReLU(), fnn.Dropout(0.2), fnn.Linear(256, 10)
    trainer = fnn.Trainer(fnn.Sequential(*layers, seed=seed), fnn.CrossEntropyLoss(), fnn.Adam())
    trainer.fit(X, Y, epochs=epochs, batch_size=128, progress=False)
    return trainer.model.flat_parameters.tobytes()


def test_a_team_leaves_nothing_behind():
    fitted()
    assert _aligned[TAKEN] == 0
    assert _aligned[LEADER] == 0


@needs_two_threads
def test_all_threads_of_the_pool_join_a_team():
    fitted()
    assert _aligned[SEATS] == fnn.get_num_threads()


@needs_two_threads
def test_two_threads_of_python_that_train_at_once_get_the_bits_of_one():
    """The second finds the team taken, and launches its loops by itself."""
    expected, found = [fitted(seed, epochs=30) for seed in (1, 2)], [None, None]

    def train(place, seed):
        found[place] = fitted(seed, epochs=30)

    threads = [threading.Thread(target=train, args=(place, seed)) for place, seed in enumerate((1, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_numpy_has_subnormal_numbers_after_training(dtype, threads):
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("needs two threads")
    before = fnn.get_num_threads()
    fnn.set_num_threads(threads)
    try:
        fitted()
    finally:
        fnn.set_num_threads(before)
    tiny = np.full(3, np.finfo(dtype).tiny)
    assert np.all(tiny / dtype(2) > 0)


@needs_two_threads
@pytest.mark.parametrize("setting", ["OMP_THREAD_LIMIT", "OMP_DYNAMIC"])
def test_a_pool_that_gives_fewer_threads_than_asked_for_does_not_hang(setting):
    script = (
        "import sys, hashlib\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        f"sys.path.insert(0, {os.path.dirname(os.path.dirname(__file__))!r})\n"
        "import test_team\n"
        "print(hashlib.sha256(test_team.fitted()).hexdigest())\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | more, capture_output=True, text=True, check=True, timeout=300
        ).stdout
        for more in ({}, {setting: "1"})
    ]
    assert results[0] == results[1]
    assert results[0].strip()


def scaled_rows(x, factors, y):
    """Two loops, the second over what the first made, with names of their own and of the kernel's."""
    m, n = x.shape
    half = factors[0] / 2
    for row in prange(m):
        i = np.intp(row)
        for j in range(n):
            y[i, j] = x[i, j] * factors[i]
    for column in prange(n):
        i = np.intp(column)
        for j in range(m):
            y[j, i] += half


def test_loops_are_taken_out_with_what_they_read(monkeypatch):
    monkeypatch.setattr(_jit, "cache_folder", lambda: None)
    built = _jit.kernel(scaled_rows)
    x, factors = np.arange(12.0).reshape(4, 3), np.arange(1.0, 5.0)
    serial, parallel = np.full((4, 3), np.nan), np.full((4, 3), np.nan)
    built.serial(x, factors, serial)
    built.parallel(x, factors, parallel)
    assert serial.tobytes() == parallel.tobytes()
    np.testing.assert_array_equal(serial, x * factors[:, np.newaxis] + 0.5)
