"""Bandwidth and peak, on one thread and on all; every run begins with it."""

from ..floor import out_of_cache
from ..worker import Worker


def measure(run):
    size = out_of_cache() // (8 if run.quick else 1)
    found = {}
    for threads in sorted({1, run.threads}):
        with Worker(threads) as worker:
            worker.make("bench.floor:Floor", threads)
            found[str(threads)] = worker.call("measure", run.rounds, size)
        peak, triad = found[str(threads)]["peak"]["float32"]["median"], found[str(threads)]["bandwidth"]["2R1W"]["median"]
        print(f"  threads: {threads}  triad: {triad / 1e9:.1f} GB/s  multiply-adds: {peak / 1e9:.0f} GFLOP/s in float32")
    return found
