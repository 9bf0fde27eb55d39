"""The CUDA kernels' tests. They need a GPU, or the simulator, which must be asked for before numba is imported:

NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda

`tests/test_cuda_simulator.py` does so in a process of its own; in others nothing here is collected, unless there is a GPU.
"""

import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `twins`

SIMULATED = bool(numba.config.ENABLE_CUDASIM)


def available():
    if SIMULATED:
        return True
    from fastnn import cuda

    return cuda.is_available()


collect_ignore_glob = [] if available() else ["test_*.py"]


if SIMULATED:
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    _lock = threading.Lock()

    def _array_in_turn(self, shape, dtype):
        """Two of its threads that ask at once would get an array each; it tells arrays apart by the line of their callers."""
        with _lock:
            place = sys._getframe(1)
            key = place.f_code.co_filename, place.f_lineno
            if key not in self._allocations:
                self._allocations[key] = np.empty(shape, dtype)
            return self._allocations[key]

    FakeCUDAShared.array = _array_in_turn


@pytest.fixture(scope="session", autouse=True)
def _quick_turns():
    """The simulator's threads wait for one another: Python's usual 5 ms a turn make a block's barrier take 20."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
