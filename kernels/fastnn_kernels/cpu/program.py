"""Runs many training steps of any network in one call: an interpreter of instruction tables.

A row of the table is one instruction: the address of its compiled function, then its operands (sizes, offsets, numbers of
streams ...); `reals` has a row of floats beside it. The interpreter calls the addresses one after the other, step after
step, and knows nothing of what they do; `instructions` holds them. So the interpreter is compiled once, an instruction when a
network first uses it, and a new architecture costs no compilation. A call through the table costs some 80 ns.
"""

from typing import Any, NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._jit import kernel, worker
from .._team import lead, quick_subnormals, restore_subnormals

__all__ = [
    "COUNTED",
    "COUNTERS",
    "FIRST",
    "PENALTY",
    "ROWS",
    "SCALE",
    "SCORE",
    "STOP",
    "TOTAL",
    "WEIGHT",
    "Context",
    "run_steps",
    "run_steps_in_team",
]

ROWS, FIRST, COUNTERS = range(3)  # in state: rows of the present batch; the place of its first row in order; counters follow
# in results: sums over rows; the gradient's scale; whether to stop; what losses with weights divide TOTAL and SCORE by
TOTAL, PENALTY, SCORE, SCALE, STOP, WEIGHT, COUNTED = range(7)


class Context(NamedTuple):
    """What all instructions of a program share. 1-D, C-contiguous; floats are of the network's dtype."""

    state: Any  # int64: ROWS, FIRST, and counters such as dropout's steps
    results: Any  # float64: TOTAL, PENALTY, SCORE, SCALE, STOP, WEIGHT, COUNTED
    parameters: Any
    gradients: Any
    buffers: Any
    work: Any  # activations, their gradients, and scratch
    scratch: Any  # float64, for partial sums
    moments_0: Any  # the optimiser's state
    moments_1: Any
    moments_2: Any
    source: Any  # uint8: the bytes of the inputs
    order: Any  # int64: row numbers in the order of this epoch
    labels: Any  # int64: of the rows in that order
    targets: Any  # floats: rows of targets, in the inputs' own order
    row_weights: Any  # floats: of the rows in the order of this epoch; empty where all count alike


@intrinsic
def _invoke(typing_context, address, row, reals, context):
    """Call the compiled instruction at an address, in Numba's own calling convention."""
    arguments = (row, reals, context)

    def generate(target, builder, signature, values):
        convention = target.call_conv
        function = convention.get_function_type(types.none, arguments)
        pointer = builder.inttoptr(values[0], function.as_pointer())
        status, _ = convention.call_function(builder, pointer, types.none, arguments, values[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return target.get_dummy_value()

    return types.none(types.int64, *arguments), generate


@worker
def _run(index, begin, end, batch, rows, table, reals, context):
    state, results = context.state, context.results
    for step in range(begin, end):
        state[FIRST] = step * batch
        state[ROWS] = min(batch, rows - step * batch)
        for i in range(table.shape[0]):
            _invoke(table[i, 0], table[i], reals[i], context)
            if results[STOP] != 0.0:
                return


@kernel
def run_steps(begin, end, batch, rows, table, reals, context):
    """Run steps begin to end - 1 of a pass over `rows` rows in batches.

    begin, end, batch, rows: integers. table: (instructions, width) int64. reals: (instructions, width) float64. context: a
    Context. After each instruction results[STOP] is looked at; where it is not 0, the call returns at once, and
    state[FIRST] // batch is the step.
    """
    before = quick_subnormals()
    _run(0, begin, end, batch, rows, table, reals, context)
    restore_subnormals(before)


@kernel
def run_steps_in_team(begin, end, batch, rows, table, reals, context):
    """The same, with the pool's threads at hand for the loops of parallel instructions (see `_team`)."""
    lead(_run, (begin, end, batch, rows, table, reals, context))
