"""Four threads wherever the tests run, so that thread counts can be compared; they share the cores that there are."""

import os

os.environ.setdefault("NUMBA_NUM_THREADS", str(max(4, os.cpu_count() or 1)))

import numba
import pytest


@pytest.fixture(autouse=True)
def _usual_threads():
    """Each test starts on as many threads as there are cores, whatever the last one set."""
    numba.set_num_threads(min(os.cpu_count() or 1, numba.config.NUMBA_NUM_THREADS))


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name: the same numbers in every run and order."""
    import numpy as np

    return np.random.default_rng(list(request.node.nodeid.encode()))
