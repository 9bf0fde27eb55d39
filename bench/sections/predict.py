"""Prediction: one row at a time on the tabular network, and rows a second on mnist in batches of 4096."""

from ..run import agree, present
from ..timing import seconds, times
from ..worker import Field, compare
from ..workloads import WORKLOADS

_MODULES = {"fastnn": "fastnn", "NumPy": "numpy", "torch": "torch", "JAX": "jax"}
CASES = {"one row, tabular": ("tabular", 1), "4096 rows, mnist": ("mnist", 4096)}


def measure(run):
    names, left_out = present(_MODULES)
    found = {}
    with Field(names, run.threads, left_out) as field:
        for case, (workload, rows) in CASES.items():
            field.each("make", lambda name, w=WORKLOADS[workload], rows=rows: (_path(name), w, rows))
            error = agree({name: [output] for name, output in field.each("outputs").items()}, 1e-4)
            timed = compare(field.interleave(run.rounds, run.seconds(0.3)))
            found[case] = {"rows": rows, "error": error, "times": timed}
            for name, row in timed.items():
                rate = f"{rows / row['median']:,.0f} rows/s"
                print(f"  {case}: {name:<8}{seconds(row['median']):>10}  {times(row['ratio']['median']):>7}  {rate}")
    return {"cases": found, "left_out": left_out}


def _path(name):
    return f"bench.contenders.with_{name.lower()}:Predict"
