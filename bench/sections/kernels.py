"""Elementwise kernels beside NumPy: runs bench/test_kernels.py under pytest-benchmark, and holds the times against the floor."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..floor import mix_name, streams
from ..machine import ROOT
from ..timing import seconds, times


def measure(run):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.json"
        variables = {"NUMBA_NUM_THREADS": str(run.threads), "FASTNN_BENCH_QUICK": "1" if run.quick else ""}
        command = [sys.executable, "-m", "pytest", "bench/test_kernels.py", "-q", "-x", "-p", "no:cacheprovider", "--no-header"]
        command += ["--benchmark-quiet", "--benchmark-disable-gc", f"--benchmark-json={path}"]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"bench/test_kernels.py failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        benchmarks = json.loads(path.read_text())["benchmarks"]
    rows = {}
    for benchmark in benchmarks:
        info, stats = benchmark["extra_info"], benchmark["stats"]
        known = {key: info[key] for key in ("name", "size", "elements", "operations", "memory_bound")}
        row = rows.setdefault((info["name"], info["size"]), known)
        row[info["contender"]] = {
            "median": stats["median"], "low": stats["q1"], "high": stats["q3"], "rounds": stats["rounds"],
        } | _against_floor(run, info, stats["median"])  # fmt: skip
    for row in rows.values():
        row["ratio"] = row["NumPy"]["median"] / row["fastnn"]["median"]
        share = f"  {row['fastnn']['share']:.0%} of the bandwidth" if "share" in row["fastnn"] else ""
        print(f"  {row['name']:<26}{row['size']:<14}{seconds(row['fastnn']['median']):>10}  {times(row['ratio'])} NumPy{share}")
    return list(rows.values())


def _against_floor(run, info, taken):
    """Bytes a second, and out of cache the share of what passes with the same mixes of streams reach."""
    passes = [tuple(mix) for mix in info["passes"]]
    each = info["bytes_each"] or 4.0 * sum(map(streams, passes))
    found = {"bytes_per_second": each * info["elements"] / taken}
    if info["size"] == "out of cache":
        threads = run.threads if "all threads" in info["contender"] else 1
        whole = 4.0 * sum(map(streams, passes))
        least = sum(4.0 * streams(mix) * info["elements"] / run.bandwidth(threads, mix_name(mix)) for mix in passes)
        found["share"] = least * each / whole / taken
    return found
