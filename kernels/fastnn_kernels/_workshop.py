"""Compiling instructions in processes beside this one: Numba compiles on one core only, holding a lock.

Each process writes to the cache of compiled kernels (see `_jit`), from which the caller then loads. What goes wrong there costs
time alone: the caller compiles what it does not find.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import Any

from numba.core import config

from ._jit import Instruction, cache_folder

__all__ = ["compile_beside"]

_LEAST = 4  # fewer are compiled sooner than a process starts
_MOST = 8  # processes, of some 300 MB each
_MAIN = "from fastnn_kernels._workshop import _main; _main()"


def compile_beside(missing: list[tuple[Instruction, bool]], types: tuple[Any, ...]) -> None:
    """Compile the builds (instruction, whether parallel) that are not in the cache yet, a share of them on each core."""
    shares = min(os.cpu_count() or 1, _MOST, len(missing) // 2)
    if len(missing) < _LEAST or shares < 2 or cache_folder() is None or not sys.executable:
        return
    builds = sorted(missing, key=_weight, reverse=True)
    children: list[subprocess.Popen[bytes]] = []
    try:
        with suppress(OSError):  # no processes to be had here
            children.extend(_start(builds[share::shares], types) for share in range(1, shares))
        for op, parallel in builds[::shares]:
            op.compile(parallel, types)
        for child in children:
            child.wait()
    finally:
        for child in children:
            if child.poll() is None:  # Ctrl-C
                child.kill()
                child.wait()


def _weight(build: tuple[Instruction, bool]) -> bool:
    """Those that take longest are dealt out first."""
    return build[0].__name__.startswith(("linear", "batchnorm"))


def _start(builds: list[tuple[Instruction, bool]], types: tuple[Any, ...]) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path or "." for path in sys.path)
    child = subprocess.Popen(
        [sys.executable, "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": config.CACHE_DIR},
    )
    assert child.stdin is not None
    names = [(op.__module__, op.__name__, parallel) for op, parallel in builds]
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(pickle.dumps((names, types)))
    return child


def _main() -> None:
    """What a process does: compile its share."""
    names, types = pickle.load(sys.stdin.buffer)
    for module, name, parallel in names:
        __import__(module)
        Instruction.known[module, name].compile(parallel, types)
