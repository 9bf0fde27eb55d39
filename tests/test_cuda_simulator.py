"""The CUDA kernels' tests in numba's simulator, which needs an interpreter of its own but no GPU, nor a package for one."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent / "cuda"


def test_cuda_kernels_in_the_simulator():
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    result = subprocess.run(command, env=environment, cwd=TESTS.parents[1], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert " passed" in result.stdout
