"""How kernels are called: the serial or the parallel build, on how many threads, and where parallel is not safe.

The estimated time of the work, which follows from shapes alone, picks the build; both give the same bits. A parallel launch
costs 1 to 2 µs here (OpenMP, 2 threads).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba

from fastnn_kernels._jit import cache_folder
from fastnn_kernels._team import forget

from .._check import integer

__all__ = [
    "cache_folder",
    "get_num_threads",
    "launch",
    "max_threads",
    "one_thread",
    "parallel_pays",
    "run",
    "set_num_threads",
    "threading_layer",
]

PARALLEL_FROM_NS = 6_000

_lock = threading.Lock()
_layer: str | None = None
_forked = False


def run(kernel: Any, nanoseconds: float, *args: Any) -> None:
    """Call a kernel; `nanoseconds` is what it would take on one core, roughly."""
    if parallel_pays(nanoseconds):
        launch(kernel.parallel, *args)
    else:
        kernel.serial(*args)


def parallel_pays(nanoseconds: float, least: float = PARALLEL_FROM_NS) -> bool:
    """Whether work that takes so long on one core runs in the parallel build; never in a child that lost its threads."""
    return nanoseconds >= least and not _forked


def max_threads() -> int:
    """The largest number of threads there can be."""
    return int(numba.config.NUMBA_NUM_THREADS)


def launch(function: Any, *args: Any) -> None:
    """Call compiled code that launches threads."""
    if _layer is None or _layer == "workqueue":  # workqueue aborts the process when two threads launch at once
        with _lock:
            function(*args)
            _note_layer()
    else:
        function(*args)


def set_num_threads(n: int) -> None:
    """Use n threads for large work started from this Python thread. Results do not depend on it, to the last bit.

    Raises ValueError unless 1 <= n <= the number of cores (or NUMBA_NUM_THREADS).
    """
    numba.set_num_threads(integer("n", n, low=1, high=max_threads()))


def get_num_threads() -> int:
    """The number of threads that large work started from this Python thread uses."""
    return int(numba.get_num_threads())


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread instead of several, for what this Python thread starts."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def threading_layer() -> str | None:
    """Numba's threading layer, 'omp', 'tbb' or 'workqueue'; None before the first parallel launch."""
    return _layer


def _note_layer() -> None:
    global _layer
    if _layer is None:
        _layer = str(numba.threading_layer())
        if _layer == "workqueue":
            warnings.warn(
                "fastnn runs on Numba's workqueue threading layer, whose launches cost about 100 µs: install OpenMP "
                "(libgomp, e.g. `apt install libgomp1`) or `pip install tbb` for layers that take a few",
                RuntimeWarning,
                stacklevel=4,
            )


def _after_fork_in_child() -> None:
    """OpenMP's threads do not survive a fork, and a launch without them kills the process: the child stays serial."""
    global _forked, _lock
    _lock = threading.Lock()
    try:
        _forked = numba.threading_layer() == "omp"  # whoever launched first: it may have been the user's own Numba code
    except ValueError:  # nobody did
        _forked = False
    forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
