"""Medians and their spread, and how they are written."""

import math
import statistics


def summary(values):
    """Median and quartiles of some rounds."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": quartiles[1], "low": quartiles[0], "high": quartiles[2], "rounds": len(values)}


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def seconds(value):
    """3.2 s, 15.4 ms, 830 µs, 12.5 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size or unit == "µs":
            return f"{value / size:.{_decimals(value / size)}f} {unit}"
    raise AssertionError("unreachable")


def times(ratio):
    """2.35×"""
    return f"{ratio:.{max(1, _decimals(ratio))}f}×"


def _decimals(value):
    return 2 if value < 10 else 1 if value < 100 else 0
