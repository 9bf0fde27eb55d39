"""`fastnn info` and `fastnn warmup`: what it runs on, and the compilation of all kernels beforehand."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np

from .. import __version__
from .. import functional as F
from ..warmup import warm_up
from .output import print_json

__all__ = ["info", "warmup"]

_FEATURES = {"avx512f": 512, "avx2": 256, "neon": 128}  # with the bits of a register
_EXTRAS = {"progress": "tqdm", "plot": "matplotlib"}


def info(options: Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    F.relu(np.zeros(2**20, np.float32))  # large enough for threads: only a launch tells the threading layer
    features = [name for name in _FEATURES if llvmlite.binding.get_host_cpu_features().get(name)]
    folder, (files, size) = F.cache_folder(), _cached()
    result: dict[str, Any] = {
        "fastnn": __version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "llvm_cpu": llvmlite.binding.get_host_cpu_name(),
        "vectors": features,
        "vector_bits": max((_FEATURES[name] for name in features), default=None),
        "cores": os.cpu_count(),
        "threads": F.get_num_threads(),
        "threading_layer": F.threading_layer(),
        "cache": {"folder": folder and str(folder), "files": files, "bytes": size},
        "extras": {extra: _version(package) for extra, package in _EXTRAS.items()},
    }
    if options.json:
        print_json(result)
        return 0
    shown = result | {
        "cpu": f"{result['cpu']} ({result['llvm_cpu']})",
        "vectors": f"{', '.join(features) or 'none known'} ({result['vector_bits']} bits)",
        "cache": f"{folder}: {files} files, {size / 1e6:.1f} MB" if folder else "no folder that can be written",
        "extras": ", ".join(
            f"{package} {result['extras'][extra]}" if result["extras"][extra] else f'no {package}: pip install "fastnn[{extra}]"'
            for extra, package in _EXTRAS.items()
        ),
    }
    for name in ("llvm_cpu", "vector_bits"):
        del shown[name]
    for name, value in shown.items():
        print(f"{name.replace('_', ' '):<16} {value}")
    return 0


def warmup(options: Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    dtypes = ("float32", "float64") if options.dtype == "both" else (options.dtype,)
    before, _ = _cached()
    started = time.perf_counter()
    warm_up(dtypes, _show, everything=options.all)
    seconds = time.perf_counter() - started
    files, size = _cached()
    result = {"dtypes": list(dtypes), "seconds": seconds, "compiled": files - before, "files": files, "bytes": size}
    if options.json:
        print_json(result)
    else:
        print(f"{files - before} pieces compiled in {seconds:.1f} s; the cache has {files}, in {F.cache_folder()}")
    return 0


def _show(done: int, total: int, name: str) -> None:
    """A counter on a terminal, a line for every tenth part elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{done}/{total} {name}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done * 10 // total > (done - 1) * 10 // total:
        print(f"{done}/{total} {name}".rstrip(), file=sys.stderr, flush=True)


def _cached() -> tuple[int, int]:
    """Compiled kernels on disk, and their bytes."""
    folder = F.cache_folder()
    sizes = [file.stat().st_size for file in folder.glob("*.nbc")] if folder else []
    return len(sizes), sum(sizes)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """The version of an installed package, None without it."""
    return importlib.metadata.version(package) if importlib.util.find_spec(package) else None
