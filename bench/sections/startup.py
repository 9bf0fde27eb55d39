"""Starting up, each time in a fresh process: the import beyond numba's and numpy's, the first step with kernels on disk, and
without.
"""

import json
import os
import subprocess
import sys
import tempfile

from ..machine import ROOT
from ..timing import seconds, summary

_PROGRAM = """
import json, time
import numba, numpy
begun = time.perf_counter()
import fastnn
imported = time.perf_counter()
if {step}:
    from bench.contenders.with_fastnn import Steps
    from bench.workloads import WORKLOADS
    from dataclasses import replace
    steps = Steps(replace(WORKLOADS["mnist"], steps=1))
    print(json.dumps([imported - begun, steps.first()]))
else:
    print(json.dumps([imported - begun, 0.0]))
"""


def measure(run):
    with tempfile.TemporaryDirectory() as folder:
        _start(run, folder, step=False)  # Python compiles what has changed, as pip does when it installs
        imports = [_start(run, folder, step=False)[0] for _ in range(run.rounds)]
        never = _first_steps(run, 1)
        _start(run, folder, step=True)
        cached = [_start(run, folder, step=True)[1] for _ in range(run.rounds)]
    found = {"import": summary(imports), "first step, cached": summary(cached), "first step ever": summary(never)}
    for name, row in found.items():
        print(f"  {name:<20}{seconds(row['median']):>10}")
    return found


def _first_steps(run, count):
    times = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            times.append(_start(run, folder, step=True)[1])
    return times


def _start(run, cache, *, step):
    variables = {"NUMBA_CACHE_DIR": cache, "NUMBA_NUM_THREADS": str(run.threads)}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | variables
    command = [sys.executable, "-c", _PROGRAM.format(step=step)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
