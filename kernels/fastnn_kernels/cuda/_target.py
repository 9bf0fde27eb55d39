"""Where the CUDA target comes from: the only module, beside `_simulator`, that names its package or CuPy.

numba-cuda-mlir is what NVIDIA develops; numba-cuda, and the target inside numba, are only kept alive and take the same kernels.
The simulator (NUMBA_ENABLE_CUDASIM=1 before the import) is theirs alone. It starts a Python thread for each of the GPU's, so its
blocks are small: with them a few dozen elements already need several blocks.

A kernel here is what the device runs. What callers see are functions that pick grid and block by shape and launch one kernel or
a few, on the stream 0, in which CuPy works too: each finds what the one before has written, and the host waits for none.
"""

import importlib.util

import numpy as np
from numba.core import config

__all__ = ["BLOCK", "SIMULATED", "TILE_COLUMNS", "TILE_ROWS", "Launcher", "cuda", "cupy", "device", "groups", "kernel"]

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:
    from ._simulator import cuda
elif importlib.util.find_spec("numba_cuda_mlir") is None:
    from numba import cuda

    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # small nets make small grids
else:
    from numba_cuda_mlir import cuda
    from numba_cuda_mlir.numba_cuda.core import config as target_config

    target_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

if SIMULATED or importlib.util.find_spec("cupy") is None:
    cupy = None
else:
    import cupy
    import cupy.cublas

BLOCK = 8 if SIMULATED else 256  # threads
TILE_COLUMNS, TILE_ROWS = (4, 2) if SIMULATED else (32, 8)  # of a block that adds up columns


def device(function):
    """Compile a function for use inside kernels."""
    return cuda.jit(device=True)(function)


class Launcher:
    """A compiled kernel. Call it with the grid, the block, and its arguments; `launches` counts the calls."""

    def __init__(self, function):
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        self.compiled = cuda.jit(function)
        self.launches = 0

    def __call__(self, grid, block, *args):
        self.launches += 1
        self.compiled[grid, block](*args)

    def __repr__(self):
        return f"<CUDA kernel {self.__module__}.{self.__name__}>"


def kernel(function):
    """Compile a kernel when it is first launched (see `Launcher`)."""
    return Launcher(function)


def groups(size, each):
    """How many groups of so many hold `size`."""
    return -(-size // each)


def is_cupy(array):
    """Whether a matrix product of this array is for cuBLAS."""
    return cupy is not None and isinstance(array, cupy.ndarray)


def scalar(array, value):
    """A number as the array's dtype, so that kernels are compiled for it, and no float32 work is done in float64."""
    return np.dtype(array.dtype).type(value)
