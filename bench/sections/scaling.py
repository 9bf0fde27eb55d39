"""The same work on 1, 2, 4 ... threads, where there are more than two cores: a large product, a step, a memory-bound kernel."""

from ..run import present
from ..timing import seconds, times
from ..worker import Field
from ..workloads import WORKLOADS

_PRODUCT = ((1024, 1024, 1024), "float32", "forward")
_WORK = {
    "product, 1024 x 1024 x 1024": {
        "fastnn": ("with_fastnn:Product", *_PRODUCT),
        "torch": ("with_torch:Product", *_PRODUCT),
    },
    "64 steps, mnist": {
        "fastnn": ("with_fastnn:Steps", WORKLOADS["mnist"]),
        "torch fused": ("with_torch:Steps", WORKLOADS["mnist"], "fused"),
    },
    "4 steps, wide": {
        "fastnn": ("with_fastnn:Steps", WORKLOADS["wide"]),
        "torch fused": ("with_torch:Steps", WORKLOADS["wide"], "fused"),
    },
    "Adam, out of cache": {"fastnn": ("with_fastnn:AdamUpdate",)},
}


def measure(run):
    if run.threads < 3:
        print("  left out: needs more than two cores")
        return {"left_out": {"all": "needs more than two cores"}}
    return scale(run, thread_counts(run.threads))


def scale(run, counts):
    """The shortest time of each piece of work on each number of threads."""
    _, left_out = present({"torch": "torch"})
    found = {work: {} for work in _WORK}
    for work, contenders in _WORK.items():
        for threads in counts:
            names = [name for name in contenders if not (left_out and name.startswith("torch"))]
            with Field(names, threads, {}) as field:
                field.each("make", lambda name, c=contenders: (f"bench.contenders.{c[name][0]}", *c[name][1:]))
                rounds = field.interleave(run.rounds, run.seconds(0.3))
            for name, values in rounds.items():
                found[work].setdefault(name, {})[str(threads)] = min(values)
        for name, row in found[work].items():
            gains = ", ".join(f"{threads}: {times(row[str(counts[0])] / taken)}" for threads, taken in row.items())
            print(f"  {work}: {name}, {seconds(row[str(counts[0])])} on one thread; {gains}")
    return {"counts": counts, "seconds": found, "left_out": left_out}


def thread_counts(cores):
    """1, 2, 4 ... and all."""
    return sorted({2**i for i in range(cores.bit_length()) if 2**i <= cores} | {cores})
