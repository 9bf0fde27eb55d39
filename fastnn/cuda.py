"""Whether there is an NVIDIA GPU to train on, and if not, why not.

    fnn.cuda.is_available()    # True or False; imports CuPy and Numba's CUDA target, and asks the driver, at the first call
    fnn.cuda.reason()          # what is missing, and what to install; None where nothing is

The bare kernels are in `fastnn_kernels.cuda`.
"""

from __future__ import annotations

import importlib.util
from functools import cache

from numba.core import config

__all__ = ["is_available", "reason"]

INSTALL = "pip install 'fastnn[cuda]' (or 'fastnn[cuda12]' where the driver is older than CUDA 13)"


def is_available() -> bool:
    """Whether models can be moved to a GPU. True in Numba's simulator (NUMBA_ENABLE_CUDASIM=1), which is for tests."""
    return reason() is None


@cache
def reason() -> str | None:
    """Why CUDA cannot be used here, and what to do about it; None where it can."""
    if config.ENABLE_CUDASIM:
        return None
    if not any(map(_installed, ("numba_cuda_mlir", "numba_cuda"))):
        return f"Numba's CUDA target is not installed: {INSTALL}"
    if not _installed("cupy"):
        return f"CuPy is not installed: {INSTALL}"
    try:
        from fastnn_kernels.cuda._target import cuda, cupy

        devices = cupy.cuda.runtime.getDeviceCount()
        found = devices > 0 and cuda.is_available()
    except Exception as error:  # a driver that is missing or too old, libraries that do not fit: each has its own kind
        return f"no NVIDIA GPU can be used: {type(error).__name__}: {error}"
    return None if found else "no NVIDIA GPU was found; nvidia-smi shows what the driver sees"


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
