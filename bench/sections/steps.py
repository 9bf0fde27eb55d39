"""Training steps: the five workloads, all contenders in turns.

First each contender makes one step, which is where compilers work. Then eleven with dropout 0, all from the same weights on the
same batches: the losses before the first update, after one and after ten must agree, or nothing is timed.
"""

from contextlib import ExitStack
from dataclasses import replace

from .. import machine
from ..run import present
from ..timing import seconds, times
from ..worker import Field, Worker, compare
from ..workloads import WORKLOADS

CONTENDERS = {
    "fastnn": ("fastnn", "with_fastnn:Steps"),
    "NumPy": ("numpy", "with_numpy:Steps"),
    "torch": ("torch", "with_torch:Steps", "default"),
    "torch fused": ("torch", "with_torch:Steps", "fused"),
    "torch.compile": ("torch", "with_torch:Steps", "compiled"),
    "JAX loop": ("jax", "with_jax:Steps", "loop"),
    "JAX scan": ("jax", "with_jax:Steps", "scan"),
    "scikit-learn": ("sklearn", "with_sklearn:Steps"),
}
# relative; Adam turns a gradient that is 0 but for rounding into a step of full size, so ten steps are not held to the last bits
TOLERANCES = {0: 1e-5, 1: 1e-4, 10: 2e-3}


def measure(run):
    names, missing = present({name: module for name, (module, *_) in CONTENDERS.items()})
    if "torch.compile" in names and machine.compiler() is None:
        names.remove("torch.compile")
        missing["torch.compile"] = "needs a C++ compiler, which is not here"
    chosen = ("tiny", "tabular") if run.quick else WORKLOADS
    with ExitStack() as stack:  # floors are measured beside the workload: a virtual machine has better minutes and worse
        floors = {threads: stack.enter_context(Worker(threads)) for threads in sorted({1, run.threads})}
        for threads, worker in floors.items():
            worker.make("bench.floor:Floor", threads)
        return {name: _workload(run, WORKLOADS[name], names, dict(missing), floors) for name in chosen}


def _workload(run, workload, names, left_out, floors):
    if workload.name != "tiny":
        names = [name for name in names if name != "scikit-learn"]
        left_out["scikit-learn"] = "has neither batchnorm nor dropout"
    print(f"  {workload.name}")
    with Field(names, run.threads, left_out) as field:
        field.each("make", lambda name: _arguments(name, workload))
        first = field.each("first")
        losses = _verify(field, workload)
        field.each("make", lambda name: _arguments(name, workload))
        before = _floor(run, workload, floors)
        found = compare(field.interleave(run.rounds, run.seconds(0.3)))
        road = field.workers["fastnn"].call("road")
        overheads = field.workers["fastnn"].call("overheads")
    for name, row in found.items():
        for key in ("median", "low", "high"):
            row[key] /= workload.steps  # from a pass to a step
        row["first"] = first[name]
        ratio, started = times(row["ratio"]["median"]), seconds(first[name])
        print(f"    {name:<14}{seconds(row['median']):>10} a step  {ratio:>7}  first step {started}")
    return {
        "times": found, "left_out": left_out, "losses": losses, "road": road, "overheads": overheads,
        "floor": _least(before, _floor(run, workload, floors)), "steps_a_pass": workload.steps,
    }  # fmt: skip


def _arguments(name, workload):
    _, path, *form = CONTENDERS[name]
    return (f"bench.contenders.{path}", workload, *form)


def _verify(field, workload):
    """{name: [the loss before the first update, after one, after ten]}; an error where a contender's are not ours."""
    plain = replace(workload, dropout=0.0, steps=11)
    field.each("make", lambda name: _arguments(name, plain))
    losses = {
        name: [values[i] for i in TOLERANCES if i < len(values)] for name, values in field.each("losses", lambda _: (11,)).items()
    }
    for name, values in losses.items():
        for step, own, value in zip(TOLERANCES, losses["fastnn"], values, strict=False):
            if not abs(value - own) <= TOLERANCES[step] * abs(own):
                raise RuntimeError(f"{workload.name}: the loss of {name} after {step} steps is {value}, fastnn's {own}")
    return losses


def _floor(run, workload, floors):
    """The least time of a step: its products at the peak of multiply-adds, and Adam's bytes at what its mix of streams reaches
    over arrays of that size, on one thread or all.
    """
    products = workload.flops / floors[run.threads].call("peak", run.rounds)
    adam = min(worker.call("adam", run.rounds, workload.name) for worker in floors.values())
    return {"products": products, "adam": adam}


def _least(*floors):
    """Of floors measured before and after: a virtual machine may have one core for its two for seconds."""
    least = {part: min(floor[part] for floor in floors) for part in floors[0]}
    return least | {"seconds": sum(least.values())}
