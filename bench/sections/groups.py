"""Batchnorm + ReLU + dropout, forward and backward: layers of fastnn against torch's, eager."""

from ..run import agree, present
from ..timing import times
from ..worker import Field, compare
from ..workloads import GROUPS

_PATHS = {"fastnn": "bench.contenders.with_fastnn:Group", "torch": "bench.contenders.with_torch:Group"}


def measure(run):
    names, left_out = present({"fastnn": "fastnn", "torch": "torch"})
    rows = []
    with Field(names, run.threads, left_out) as field:
        for m, n, p in GROUPS:
            field.each("make", lambda name, shape=(m, n, 0.0): (_PATHS[name], shape, 0.0))
            error = agree(field.each("outputs"), 1e-4)
            field.each("make", lambda name, shape=(m, n, p), p=p: (_PATHS[name], shape, p))
            found = compare(field.interleave(run.rounds, run.seconds(0.2)))
            rows.append({"rows": m, "columns": n, "p": p, "error": error, "times": found})
            ratios = ", ".join(f"{times(row['ratio']['median'])} {name}" for name, row in found.items() if name != "fastnn")
            print(f"  {m} x {n}, p {p}: {ratios}")
    return {"rows": rows, "left_out": left_out}
