"""Elementwise kernels beside NumPy: runs bench/test_kernels.py under pytest-benchmark, and holds the times against
passes with the same mixes of streams, which are timed next to them: memory is faster in one minute than in the next."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..floor import streams
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
        each = info["bytes_each"] or _bytes_of(info["passes"])
        row[info["contender"]] = {
            "median": stats["median"], "low": stats["q1"], "high": stats["q3"], "rounds": stats["rounds"],
            "bytes_per_second": each * info["elements"] / stats["median"],
        }  # fmt: skip
        row["bytes_share"] = each / _bytes_of(info["passes"])  # of those that the floor's passes move
    for row in rows.values():
        share = row.pop("bytes_share")
        for contender in ("fastnn", "fastnn, all threads"):
            floor = row.get(contender.replace("fastnn", "floor"))
            if floor is not None:
                row[contender]["share"] = share * floor["median"] / row[contender]["median"]
        row["ratio"] = row["NumPy"]["median"] / row["fastnn"]["median"]
        share = f"  {row['fastnn']['share']:.0%} of the bandwidth" if "share" in row["fastnn"] else ""
        print(f"  {row['name']:<26}{row['size']:<14}{seconds(row['fastnn']['median']):>10}  {times(row['ratio'])} NumPy{share}")
    return list(rows.values())


def _bytes_of(passes):
    """Bytes that passes over arrays of float32 move for an element."""
    return 4.0 * sum(streams(tuple(mix)) for mix in passes)
