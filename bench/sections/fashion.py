"""Fashion-MNIST: seconds of training until 89% of the test images are right, and what is right after all epochs.

Both train the mnist workload from the same first weights, with Adam(1e-3), in batches of 128, epochs in turns; evaluation on
the test images after each epoch is not timed. A last run of fastnn alone, in which the rate follows half a cosine to 0, shows how
far the network goes.
"""

import statistics

from fastnn.datasets import load_fashion_mnist

from ..run import present
from ..timing import seconds, summary
from ..worker import Field
from ..workloads import WORKLOADS

TARGET = 0.89
_PATHS = {"fastnn": "bench.contenders.with_fastnn:Fashion", "torch": "bench.contenders.with_torch:Fashion"}


def measure(run):
    try:
        load_fashion_mnist()
    except FileNotFoundError as error:
        print(f"  left out: {error}")
        return {"left_out": {"all": "the data is not here"}}
    names, left_out = present({"fastnn": "fastnn", "torch": "torch"})
    seeds, epochs, long = (1, 1, 1) if run.quick else (3, 20, 30)
    runs = {name: [] for name in names}
    with Field(names, run.threads, left_out) as field:
        for seed in range(seeds):
            field.each("make", lambda name, seed=seed: (_PATHS[name], WORKLOADS["mnist"], seed, epochs))
            curves = {name: [] for name in names}
            for _ in range(epochs):
                for name, point in field.each("epoch").items():
                    curves[name].append(point)
            for name in names:
                runs[name].append(curves[name])
        field.workers["fastnn"].make(_PATHS["fastnn"], WORKLOADS["mnist"], 0, long, True)
        decayed = [field.workers["fastnn"].call("epoch") for _ in range(long)]
    found = {name: _describe(curves) for name, curves in runs.items()}
    for name, row in found.items():
        reached = seconds(row["to_target"]["median"]) if row["to_target"] else "never"
        final = f"{row['final']['median']:.2%} after {epochs} epochs"
        print(f"  {name:<8}{seconds(row['epoch']['median'])} an epoch; {TARGET:.0%}: {reached}; {final}")
    best = max(accuracy for _, accuracy in decayed)
    print(f"  fastnn with a decaying rate: {best:.2%} at best in {long} epochs")
    return {
        "target": TARGET, "epochs": epochs, "contenders": found, "left_out": left_out,
        "decayed": {"epochs": long, "best": best, "curve": decayed},
    }  # fmt: skip


def _describe(curves):
    """Of the curves of some seeds, lists of (seconds, accuracy) an epoch. to_target: None unless every seed got there."""
    reached = [_until(curve) for curve in curves]
    return {
        "to_target": summary([taken for taken, _ in reached]) if None not in reached else None,
        "epochs_to_target": statistics.median(epochs for _, epochs in reached) if None not in reached else None,
        "epoch": summary([taken for curve in curves for taken, _ in curve]),
        "final": summary([curve[-1][1] for curve in curves]),
        "curves": curves,
    }


def _until(curve):
    """Seconds and epochs until the target is reached; None if it is not."""
    total = 0.0
    for epoch, (taken, accuracy) in enumerate(curve, 1):
        total += taken
        if accuracy >= TARGET:
            return total, epoch
    return None
