"""What all sections of a run share."""

from dataclasses import dataclass, field

import numpy as np

from . import machine


@dataclass
class Run:
    """On how many threads, whether only to try everything out, and the floor that was measured first."""

    threads: int
    quick: bool
    floor: dict = field(default_factory=dict)

    @property
    def rounds(self):
        return 3 if self.quick else 7

    def seconds(self, usual):
        """How long a contender's turn takes."""
        return usual / 8 if self.quick else usual

    def peak(self, threads, dtype="float32"):
        return self.floor[str(threads)]["peak"][dtype]["median"]

    def bandwidth(self, threads, mix):
        return self.floor[str(threads)]["bandwidth"][mix]["median"]


def present(candidates):
    """Of {name: module} the names whose module is installed, and {name: reason} for the others."""
    left_out = {name: f"{module} is not installed" for name, module in candidates.items() if not machine.has(module)}
    return [name for name in candidates if name not in left_out], left_out


def agree(outputs, tolerance, ours="fastnn"):
    """The largest difference of any contender's arrays from ours, as a share of the largest element; an error above tolerance."""
    worst = 0.0
    for name, arrays in outputs.items():
        for array, own in zip(arrays, outputs[ours], strict=True):
            error = float(np.max(np.abs(array - own)) / np.max(np.abs(own)))
            if not error <= tolerance:
                raise RuntimeError(f"{name} computes something else than {ours}: off by {error:.2g} of the largest element")
            worst = max(worst, error)
    return worst
