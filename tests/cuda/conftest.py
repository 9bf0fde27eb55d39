"""The CUDA kernels' tests. They need a GPU, or the simulator, which must be asked for before numba is imported:

NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda

`tests/test_cuda_simulator.py` does so in a process of its own; in others nothing here is collected, unless there is a GPU.
"""

import sys
from pathlib import Path

import numba
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `twins`

SIMULATED = bool(numba.config.ENABLE_CUDASIM)


def available():
    if SIMULATED:
        return True
    from fastnn import cuda

    return cuda.is_available()


collect_ignore_glob = [] if available() else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _quick_turns():
    """The simulator's threads wait for one another: Python's usual 5 ms a turn make a block's barrier take 20."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
