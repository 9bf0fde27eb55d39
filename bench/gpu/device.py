"""The GPU, or numba's simulator of one: there these programs can be seen to run, and their figures mean nothing."""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from fastnn import cuda as availability
from fastnn_kernels.cuda import _target

xp = _target.cupy or np
SIMULATED = _target.SIMULATED


def wait():
    """Until the device has done all that was launched."""
    if not SIMULATED:
        _target.cupy.cuda.Device().synchronize()


def seconds_of(work, repeat, rounds=7):
    """Median seconds of one call of `work`, which launches: `repeat` calls in a row, the host's waiting included."""
    work()
    wait()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(repeat):
            work()
        wait()
        found.append((time.perf_counter() - started) / repeat)
    return statistics.median(found)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--tiny", action="store_true", help="sizes for the simulator")
    if not availability.is_available():
        parser.exit(1, f"{availability.reason()}\n")
    return parser.parse_args()


def write(options, figures):
    figures = {"device": name(), **figures}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def name():
    if SIMULATED:
        return "numba's simulator"
    return _target.cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
