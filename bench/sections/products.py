"""Linear + bias + ReLU forward, and the two products of its backward, beside NumPy (OpenBLAS) and torch (MKL), on all threads."""

import math

from ..run import agree, present
from ..timing import geometric_mean, times
from ..worker import Field, compare
from ..workloads import PRODUCTS, PRODUCTS_FLOAT64

_PATHS = {name: f"bench.contenders.with_{name.lower()}:Product" for name in ("fastnn", "NumPy", "torch")}


def measure(run):
    names, left_out = present({"fastnn": "fastnn", "NumPy": "numpy", "torch": "torch"})
    rows = []
    with Field(names, run.threads, left_out) as field:
        for dtype, shapes in (("float32", PRODUCTS), ("float64", PRODUCTS_FLOAT64)):
            for shape in shapes[::3] if run.quick else shapes:
                for operation in ("forward", "backward"):
                    rows.append(_one(run, field, shape, dtype, operation))
    for peer in ("torch", "NumPy"):
        ratios = [row["times"][peer]["ratio"]["median"] for row in rows if peer in row["times"] and row["dtype"] == "float32"]
        if ratios:
            print(f"  geometric mean over float32, {peer}'s time to ours: {times(geometric_mean(ratios))}")
    return {"rows": rows, "left_out": left_out}


def _one(run, field, shape, dtype, operation):
    field.each("make", lambda name: (_PATHS[name], shape, dtype, operation))
    terms = max(shape)
    error = agree(field.each("outputs"), math.sqrt(terms) * {"float32": 1e-6, "float64": 2e-15}[dtype])
    found = compare(field.interleave(run.rounds, run.seconds(0.06)))
    flops = 2 * math.prod(shape) * (1 if operation == "forward" else 2)
    for row in found.values():
        row["flops_per_second"] = flops / row["median"]
        row["share"] = row["flops_per_second"] / run.peak(run.threads, dtype)
    m, n, k = shape
    ours = found["fastnn"]
    ratios = ", ".join(f"{times(row['ratio']['median'])} {name}" for name, row in found.items() if name != "fastnn")
    gflops = f"{ours['flops_per_second'] / 1e9:.0f} GFLOP/s, {ours['share']:.0%} of the peak"
    print(f"  {m} x {n} x {k} {dtype} {operation}: {gflops}; {ratios}")
    return {"shape": shape, "dtype": dtype, "operation": operation, "error": error, "times": found}
