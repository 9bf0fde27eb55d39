"""A compiled program: a table of instructions, and what runs it on data in slices.

`fastnn.lowering` fills a `Table` from a model; a `Program` is ready to run.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fastnn_kernels._jit import cache_folder, types_of
from fastnn_kernels._workshop import compile_beside
from fastnn_kernels.cpu.gemm import scratch_size
from fastnn_kernels.cpu.program import (
    COUNTED,
    COUNTERS,
    FIRST,
    PENALTY,
    SCALE,
    SCORE,
    STOP,
    TOTAL,
    WEIGHT,
    Context,
    run_steps,
    run_steps_in_team,
)

from ._check import Array
from ._memory import aligned_zeros, padded
from .functional import _dispatch

__all__ = ["REALS", "Crew", "Pace", "Program", "Table"]

_WIDTH = 17  # operands of the longest instruction, and its address
REALS = 6  # of an instruction
# In a program threads stand by (`fastnn_kernels._team`), and a loop over them costs 0.2 to 0.6 µs. But what one core has made has
# to be fetched by the other: a step of some 10 µs on one core took as long on two, or twice as long where these share no cache.
_LOOP_FROM_NS, _STEP_FROM_NS = 1_500, 50_000
_SLICE_SECONDS = 0.05
_TRIAL_SHARE, _TRIAL_STEPS, _FIRST_TRIALS, _TRIAL_EVERY, _MUCH_BETTER = 16, 4, 3, 10, 0.9  # see `Crew`
_COMPILATION_SECONDS = 2.0  # for an instruction, roughly


class Pace:
    """How many steps are run at a time: as many as take some 50 ms, by how long the caller took for the last ones."""

    def __init__(self) -> None:
        self._steps = 1

    def slices(self, steps: int, one_by_one: bool) -> Iterator[tuple[int, int]]:
        """Pieces of so many steps, as (first step, end)."""
        begin = 0
        while begin < steps:
            end = min(steps, begin + (1 if one_by_one else self._steps))
            started = time.perf_counter()
            yield begin, end
            if end - begin == self._steps:
                elapsed = max(time.perf_counter() - started, 1e-6)
                self._steps = max(1, min(4 * self._steps, int(self._steps * _SLICE_SECONDS / elapsed)))
            begin = end


class Crew:
    """Whether steps are made with all threads or with one: by what took less lately. The results are the same.

    More threads are not always faster: two cores that share no cache need some 10 ns for each line that changes hands (64 rows
    through ten layers of 128: a step takes 345 µs on one, 485 on two), and a thread whose core another program has taken lets
    all wait. A virtual machine can be moved from one case to the other while it trains. So now and then a part of a slice is made
    the other way: of the first three, then of every tenth.
    """

    def __init__(self) -> None:
        self.together = True
        self._until_trial, self._trials = 0, 0

    def plan(self, begin: int, end: int) -> list[tuple[int, int, bool]]:
        """Pieces of steps begin to end - 1, as (first, end, whether with all threads): a trial, if it is time for one, first."""
        if end - begin < _TRIAL_SHARE:  # large steps, whose work pays for what threads cost
            return [(begin, end, self.together)]
        if self._until_trial > 0:
            self._until_trial -= 1
            return [(begin, end, self.together)]
        self._trials += 1
        self._until_trial = 0 if self._trials < _FIRST_TRIALS else _TRIAL_EVERY - 1
        middle = begin + max(_TRIAL_STEPS, (end - begin) // _TRIAL_SHARE)
        return [(begin, middle, not self.together), (middle, end, self.together)]

    def note(self, seconds: list[float]) -> None:
        """What a step took in each of the pieces."""
        if len(seconds) == 2 and seconds[0] < _MUCH_BETTER * seconds[1]:
            self.together = not self.together
            self._until_trial = 0  # to see whether it was chance


_crews: WeakKeyDictionary[Any, dict[tuple[int, int], Crew]] = WeakKeyDictionary()  # of models, by what tells their programs apart


class Table:
    """A program in the making: instructions, room in the workspace, counters."""

    def __init__(self, model: Any, batch: int) -> None:
        self.model, self.batch = model, batch
        self.rows: list[tuple[Any, bool, tuple[int, ...], Callable[[], tuple[float, ...]]]] = []
        self.work = self.scratch = 0
        self.constants: list[tuple[int, int, float | Array]] = []
        self.counters: list[tuple[Callable[[], int], Callable[[int], None]]] = []
        self.borrowed: list[Array] = []
        self.rates: Array | None = None  # see `fastnn.lowering.rates`
        self.weights: Array | None = None
        self.rule_reals: list[Callable[[], tuple[float, ...]]] = []
        self._products: tuple[int, int] | None = None
        # a step is some three multiply-adds for each parameter and row, 110 of them a nanosecond
        self._is_long = model.flat_parameters.size * batch * 3 / 110 >= _STEP_FROM_NS
        self._gradients = (0, 0)
        self.mixed_targets = -1  # where augmentation leaves the batch's rows of targets, if it mixes them
        self.row_weights: Array | None = None  # of the source's rows
        self.weighs = False  # whether the loss adds up what it is divided by

    def add(self, op: Any, nanoseconds: float, *operands: int, reals: Callable[[], tuple[float, ...]] = tuple) -> None:
        """Append an instruction. nanoseconds: of its kernels on one core for a full batch, which picks the build."""
        parallel = self._parallel_pays(nanoseconds)
        self.rows.append((op, parallel, tuple(int(operand) for operand in operands), reals))

    def room(self, size: int) -> int:
        """Offset of so many new elements of work."""
        offset = self.work
        self.work += padded(size, self.model.dtype)
        return offset

    def partials(self, size: int) -> int:
        """Offset of room in scratch; all instructions share it, since none keeps anything there."""
        self.scratch = max(self.scratch, size)
        return 0

    def products(self, nanoseconds: float) -> tuple[int, int]:
        """Offset of scratch for products, which all share, and into how many pieces one of so much work is cut."""
        if self._products is None:
            threads = _dispatch.max_threads()
            self._products = self.room(threads * scratch_size()), threads
        return self._products[0], self._products[1] if self._parallel_pays(nanoseconds) else 1

    def _parallel_pays(self, nanoseconds: float) -> bool:
        return self._is_long and _dispatch.parallel_pays(nanoseconds, _LOOP_FROM_NS)

    def start_backward(self, columns: int) -> int:
        """Make room for gradients of so many columns at most; returns the place of the loss's."""
        self._gradients = self.room(self.batch * columns), self.room(self.batch * columns)
        return self._gradients[0]

    def other(self, place: int) -> int:
        """The other of the two rooms for gradients."""
        return self._gradients[place == self._gradients[0]]

    def constant(self, size: int, value: float | Array) -> int:
        """Offset of room that holds a constant, or an array of that size."""
        offset = self.room(size)
        self.constants.append((offset, size, value))
        return offset

    def borrow(self, array: Array) -> int:
        """The address of an array that is neither the program's nor the model's; the program keeps it alive."""
        self.borrowed.append(array)
        return array.ctypes.data

    def counter(self, read: Callable[[], int], write: Callable[[int], None]) -> int:
        """Place in state of a number that Python holds between runs."""
        self.counters.append((read, write))
        place: int = COUNTERS + len(self.counters) - 1
        return place


class Program:
    """A lowered model, ready to run on the data that it was lowered for."""

    def __init__(
        self,
        table: Table,
        source: Array,
        targets: Array,
        moments: Callable[[], list[Array | None]] = list,
        *,
        quiet: bool = False,
    ) -> None:
        self._model, self._moments, self._counters = table.model, moments, table.counters
        self._columns = [reals for _, _, _, reals in table.rows]
        self._borrowed, self._rule_reals = table.borrowed, table.rule_reals
        self.rates, self.weights = table.rates, table.weights  # of each step, for a schedule and an average by steps
        self._parallel = any(parallel for _, parallel, _, _ in table.rows)
        dtype = self._model.dtype
        self._work, self._scratch = aligned_zeros(table.work, dtype), aligned_zeros(table.scratch, np.float64)
        for offset, size, value in table.constants:
            self._work[offset : offset + size] = value
        self._state = np.zeros(COUNTERS + len(table.counters), np.int64)
        self.results = np.zeros(7)
        self._rows, self.batch = len(source), table.batch
        self._pace = Pace()
        # what one fit has found out serves the next
        self._crew = _crews.setdefault(self._model, {}).setdefault((table.batch, len(table.rows)), Crew())
        self._source = _bytes_of(source)
        labelled = targets.ndim == 1 and targets.dtype.kind in "iu"
        self._labels = targets if labelled else None
        self.targets = np.empty(0, dtype) if labelled else np.ascontiguousarray(targets, dtype)
        self._keep_alive = source
        self._order = np.arange(len(source))
        self._ordered_labels = np.zeros(0, np.int64)
        self._weighs = table.weighs
        self._row_weights = None if table.row_weights is None else table.row_weights.astype(dtype)
        self._ordered_weights = np.zeros(0, dtype)
        self.set_order(self._order)
        self._kept_context: Context | None = None
        self._reals, self._last_reals = np.zeros((len(table.rows), REALS)), [(0.0,) * REALS] * len(table.rows)
        self._table = np.zeros((len(table.rows), _WIDTH), np.int64)
        for i, (_, _, operands, _) in enumerate(table.rows):
            self._table[i, 1 : 1 + len(operands)] = operands
        self.types = types_of(self._table[0], self._reals[0], self._context())
        missing = {(op, parallel) for op, parallel, _, _ in table.rows if not op.is_ready(parallel, self.types)}
        if missing:
            if not quiet:
                _announce(missing)
            compile_beside(list(missing), self.types)
        for i, (op, parallel, _, _) in enumerate(table.rows):
            self._table[i, 0] = op.address(parallel, self.types)

    @property
    def steps(self) -> int:
        """Batches in a pass over the rows."""
        return -(-self._rows // self.batch)

    def slices(self, one_by_one: bool = False) -> Iterator[tuple[int, int]]:
        """Pieces of a pass for `run`, as (first step, end)."""
        return self._pace.slices(self.steps, one_by_one)

    def predict(self, x: Array) -> tuple[Array, bool]:
        """The outputs for rows x, C-contiguous, of the dtype and width that the program was lowered for; whether x is finite."""
        rows, width = len(x), self.targets.shape[1]
        self.results[SCORE] = 0.0
        if rows <= self.batch:  # in one step, through arrays that stay: taking in others would be most of the time of one row
            if self._kept_context is None:
                self._use(np.zeros((self.batch, x.shape[1]), x.dtype), np.empty((self.batch, width), self.targets.dtype))
                self._kept_context = self._context()
            self._keep_alive[:rows] = x
            self._rows = rows
            self.run(0, 1)
            return self.targets[:rows].copy(), self.results[SCORE] == 0.0
        out = np.empty((rows, width), self.targets.dtype)
        self._kept_context = None
        self._use(x, out)
        for begin, end in self.slices():
            self.run(begin, end)
        self._use(x[:0], out[:0])
        return out, self.results[SCORE] == 0.0

    def _use(self, x: Array, out: Array) -> None:
        """Read inputs from x, in their order, and write outputs to out."""
        self._keep_alive, self._source, self.targets, self._rows = x, _bytes_of(x), out, len(x)
        if len(self._order) < len(x):
            self._order = np.arange(len(x))

    def set_order(self, order: Array, rows: int | None = None) -> None:
        """Start a pass: the order of its rows, how many of them are used, and sums of zero."""
        self._order = np.ascontiguousarray(order, np.int64)
        self._rows = len(order) if rows is None else rows
        self.results[:] = 0.0
        if self._labels is not None:
            self._ordered_labels = np.ascontiguousarray(self._labels[self._order], np.int64)
        if self._row_weights is not None:
            self._ordered_weights = self._row_weights[self._order]

    def rule_settings(self) -> list[tuple[float, ...]]:
        """What each instruction of the rule reads, as the rule is set now."""
        return [reals() for reals in self._rule_reals]

    def set_rule(self, settings: list[list[tuple[float, ...]]]) -> None:
        """What the rule is to read in each step of a pass, for schedules of more than the learning rate."""
        assert self.rates is not None
        for place, values in enumerate(zip(*settings, strict=True)):
            self.rates[: len(values), place, : len(values[0])] = values

    def sums(self) -> tuple[float, float, float, tuple[float, float] | None]:
        """Loss, penalty and hits, added up over the rows of this pass so far, in the order of the steps.

        And what losses and hits are to be divided by; None for the rows.
        """
        divisors = (float(self.results[WEIGHT]), float(self.results[COUNTED])) if self._weighs else None
        return float(self.results[TOTAL]), float(self.results[PENALTY]), float(self.results[SCORE]), divisors

    @property
    def stopped_by_norm(self) -> bool:
        """Whether the last run stopped for the gradient's norm, not for the loss."""
        return bool(self.results[STOP] == 2.0)

    def run(self, begin: int, end: int, *, to_the_end: bool = False) -> int:
        """Run steps begin to end - 1 of a pass; returns the step at which it stopped, end if it did not.

        It stops where the loss, or the gradient's norm, is not finite, unless it is to go on to the end.
        """
        for place, (read, _) in enumerate(self._counters, COUNTERS):
            self._state[place] = read()
        for i, reals in enumerate(self._columns):
            values = reals()
            if values != self._last_reals[i]:
                self._reals[i, : len(values)] = self._last_reals[i] = values
        self.results[STOP], self.results[SCALE] = 0.0, 1.0
        arguments = self.batch, self._rows, self._table, self._reals, self._kept_context or self._context()
        try:
            self._call(begin, end, *arguments)
            while to_the_end and self.results[STOP] != 0.0:
                self.results[STOP] = 0.0
                self._call(int(self._state[FIRST]) // self.batch + 1, end, *arguments)
        finally:  # Ctrl-C is raised right after the call: the steps have been made all the same
            for place, (_, write) in enumerate(self._counters, COUNTERS):
                write(int(self._state[place]))
        return int(self._state[FIRST]) // self.batch if self.results[STOP] else end

    def _call(self, begin: int, end: int, *arguments: Any) -> None:
        if not self._parallel:
            run_steps.serial(begin, end, *arguments)
        elif _dispatch.get_num_threads() == 1:
            _dispatch.launch(run_steps_in_team.serial, begin, end, *arguments)
        else:
            seconds = []
            for first, last, together in self._crew.plan(begin, end):
                started = time.perf_counter()
                with nullcontext() if together else _dispatch.one_thread():
                    _dispatch.launch(run_steps_in_team.serial, first, last, *arguments)
                seconds.append((time.perf_counter() - started) / (last - first))
                if self.results[STOP] != 0.0:
                    return
            self._crew.note(seconds)

    def _context(self) -> Context:
        empty = np.empty(0, self._model.dtype)
        moments = [empty if array is None else array for array in self._moments()]
        model = self._model
        return Context(
            self._state, self.results, model.flat_parameters, model.flat_gradients, model.flat_buffers, self._work,
            self._scratch, *(moments + [empty] * (3 - len(moments))), self._source, self._order, self._ordered_labels,
            self.targets.reshape(-1), self._ordered_weights,
        )  # fmt: skip


def _announce(missing: set[tuple[Any, bool]]) -> None:
    """Say that instructions are about to be compiled, which would look like a program that hangs."""
    names = sorted({op.__name__ for op, _ in missing})
    seconds = len(missing) * _COMPILATION_SECONDS
    sys.stderr.write(
        f"fastnn: compiling {', '.join(names)}: once on this machine, some {max(1, round(seconds))} s on one core "
        f"(kept in {cache_folder() or 'memory only'})\n"
    )
    sys.stderr.flush()


def _bytes_of(array: Array) -> Array:
    """The memory of an array as bytes, without a copy, of one type whether or not it may be written."""
    if array.nbytes == 0:
        return np.empty(0, np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * array.nbytes).from_address(array.ctypes.data))
