"""How schedules and averages by steps are lowered: each reads an array with a value a step, filled before every pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn_kernels.cpu.instructions import averages, rates

from ..program import REALS, Table
from .common import RULE_NS


def lower_rates(t: Table, first: int, steps: int, whole: bool) -> None:
    """Let the instructions from place `first` on, those of the rule, read their learning rate from `Program.rates`.

    The learning rate is the first of a rule's reals. whole: all of its reals are read there, for momenta too.
    """
    count, width = len(t.rows) - first, REALS if whole else 1
    t.rule_reals = [reals for _, _, _, reals in t.rows[first:]]
    t.rates = np.zeros((steps, count, width))
    t.add(rates.set_reals, 0.0, t.batch, count, width, t.borrow(t.rates))
    t.rows.insert(first, t.rows.pop())


def lower_average(t: Table, average: Any, steps: int) -> None:
    """The average of the weights after each step, as `Program.weights` weighs them."""
    t.weights = np.zeros(steps)
    values = average.values
    t.add(averages.average, values.size * RULE_NS, t.batch, t.borrow(t.weights), t.borrow(values))
