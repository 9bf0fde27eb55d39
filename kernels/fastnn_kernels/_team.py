"""Loops over threads: `spread` cuts one over the pool, and `lead` keeps the pool's threads at hand for all the loops of a call.

    spread(work, arguments, count)      work(i, *arguments) for i < count, in as many pieces as there are threads
    lead(work, arguments)               work(0, *arguments), in which each `spread` is a word to threads that stand by

`work` is a `_jit.worker`, `arguments` a tuple. Who writes kernels needs neither: the parallel build makes a `spread` of each
`prange` (see `_jit`).

Why not Numba's own parallel loops. One launch of them takes OpenMP's 1.0 µs and 0.5 to 1 µs for Python's lock and the packing of
arguments, and a training step is some twenty to sixty launches. Here threads are taken from the same pool (`numba_parallel_for`:
OpenMP, TBB or Numba's own) once for some 50 ms of steps, and then look at one cache line for what to do: a loop costs the time
in which that line and one back cross between the cores, 0.5 µs on the machine at hand (two cores with an L3 cache each), 0.1 µs
within a cache.

No deadlock where the pool gives fewer threads than asked for, or late: the first thread to come leads, whoever comes while it is
at work is let in before the next loop, and who comes after the end goes. Loops are cut by how many are in; kernels give the same
bits however they are cut. There is one team in a process: a second thread of Python's that wants to lead meanwhile, and loops of
other threads, launch each loop by itself.

While they work for a team, and in `quick_subnormals`, threads take subnormal numbers for 0, as XLA does, where the CPU can (x86):
arithmetic on them takes several times as long, and a net that is sure of its answers is full of them (gradients of 1e-40: a step
of a small net took 10.9 µs, and 8.9 since).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.core.types.misc import unliteral
from numba.extending import intrinsic

from ._jit import worker

__all__ = ["forget", "lead", "quick_subnormals", "restore_subnormals", "spread"]

# places in the team's memory, in units of 8 bytes; what different threads write stands 128 bytes apart, since some CPUs fetch two
# cache lines at once
LEADER = 0  # the thread that leads; 0 where there is no team
# the leader's: the number of the loop, what to call, on what, for how many indices, members, the loop before a newcomer's first
WORD, FUNCTION, DATA, COUNT, SIZE, START = range(16, 22)
SEATS, TAKEN = 32, 48  # threads that have come; whether there is a team
DONE, _DONE_STEP = 64, 16  # of each member: the number of the last loop that it has finished
OVER = -1  # instead of a loop's number
_SPINS = 20_000  # some 0.5 ms, after which a waiting thread lets others have its core now and then

_memory = np.zeros(DONE + _DONE_STEP * (config.NUMBA_NUM_THREADS + 1) + 16, np.int64)
_aligned = _memory[-_memory.ctypes.data % 128 // 8 :]
binding.add_symbol("fastnn_team", _aligned.ctypes.data)

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES = _I8.as_pointer()
_TASK = ir.FunctionType(ir.VoidType(), [_BYTES, _I64, _I64])  # what is called: data, first index, end


def forget() -> None:
    """Dissolve the team: in a forked child, whose parent may have had one at work."""
    _aligned[:] = 0


def _place(builder: Any, index: Any) -> Any:
    """The address of a place in the team's memory."""
    memory = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []), "fastnn_team")
    return builder.gep(builder.bitcast(memory, _I64.as_pointer()), [index])


@intrinsic
def _read(typing_context, place):  # type: ignore[no-untyped-def]
    """What another thread may have written, and with it all that it wrote before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_place(builder, values[0]), "acquire", 8, typ=_I64)

    return types.int64(types.int64), generate


@intrinsic
def _write(typing_context, place, value):  # type: ignore[no-untyped-def]
    """For other threads to read, after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[1], _place(builder, values[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _add_one(typing_context, place):  # type: ignore[no-untyped-def]
    """One more at a place, in one go; returns what was there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, values[0]), _I64(1), "seq_cst")

    return types.int64(types.int64), generate


@intrinsic
def _take(typing_context, place):  # type: ignore[no-untyped-def]
    """1 instead of 0 at a place, in one go; whether there was a 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        found = builder.cmpxchg(_place(builder, values[0]), _I64(0), _I64(1), "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64), generate


def _call_of(name: str, result: Any) -> Any:
    """An intrinsic that calls a function of the process without arguments, for an int64."""

    @intrinsic
    def call(typing_context):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, []), name)
            value = builder.call(function, [])
            return value if result == _I64 else builder.sext(value, _I64)

        return types.int64(), generate

    return call


_this_thread = _call_of("PyThread_get_thread_ident", _I64)
_threads = _call_of("get_num_threads", _I64)  # of the pool, for this thread
_POSIX = os.name == "posix"
_yield_core = _call_of("sched_yield", _I32)


def _is_x86(builder: Any) -> bool:
    return str(builder.module.triple).startswith(("x86_64", "i686"))


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the core that this is a loop that waits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _is_x86(builder):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


_FLUSH = 0x8040  # in MXCSR: results that would be subnormal are 0, and so are subnormal operands


def _control(builder: Any, name: str, slot: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [_BYTES])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr")
    builder.call(function, [builder.bitcast(slot, _BYTES)])


@intrinsic
def quick_subnormals(typing_context):  # type: ignore[no-untyped-def]
    """From here on this thread takes subnormal numbers for 0; returns what `restore_subnormals` puts back."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if not _is_x86(builder):
            return _I32(0)
        slot = cgutils.alloca_once(builder, _I32)
        _control(builder, "st", slot)
        before = builder.load(slot)
        builder.store(builder.or_(before, _I32(_FLUSH)), slot)
        _control(builder, "ld", slot)
        return before

    return types.uint32(), generate


@intrinsic
def restore_subnormals(typing_context, before):  # type: ignore[no-untyped-def]
    """Do with subnormal numbers as before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _is_x86(builder):
            slot = cgutils.alloca_once_value(builder, values[0])
            _control(builder, "ld", slot)
        return context.get_dummy_value()

    return types.void(types.uint32), generate


@intrinsic
def _call(typing_context, function, data, begin, end):  # type: ignore[no-untyped-def]
    """Call a task by its address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function, data, begin, end = values
        pointer = builder.inttoptr(function, _TASK.as_pointer())
        builder.call(pointer, [builder.inttoptr(data, _BYTES), begin, end])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def _launch(typing_context, function, data, count, pieces):  # type: ignore[no-untyped-def]
    """Call a task for `count` indices in so many pieces, on the threads of Numba's pool, and wait for all."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        job = cgutils.alloca_once(builder, ir.ArrayType(_I64, 4))
        for i, value in enumerate(values):
            builder.store(value, cgutils.gep_inbounds(builder, job, 0, i))
        # the pool hands a function the elements of arrays, as a ufunc gets them: of one "array" from address 0 on, whose elements
        # are a byte apart, so that an element's address is the number of the piece
        row, ones = (cgutils.alloca_once_value(builder, ir.Constant(ir.ArrayType(_I64, 2), [first, 1])) for first in (0, 1))
        pieces_at = cgutils.alloca_once_value(builder, values[3])
        kind = ir.FunctionType(ir.VoidType(), [_BYTES] * 5 + [_I64] * 3)
        launch = cgutils.get_or_insert_function(builder.module, kind, "numba_parallel_for")
        given = [_piece_function(builder.module), row, pieces_at, ones, job]
        builder.call(launch, [*(builder.bitcast(value, _BYTES) for value in given), _I64(0), _I64(1), values[3]])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


def _piece_function(module: Any) -> Any:
    """What the pool calls: (addresses of elements, how many, their steps, job); a piece is count · i // pieces to the next.

    Numba's own pool may ask for several pieces at once, OpenMP's and TBB's for one.
    """
    words = _I64.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [words, words, words, words])
    function = cgutils.get_or_insert_function(module, kind, "fastnn_piece")
    if function.blocks:
        return function
    function.linkage = "linkonce_odr"
    elements, how_many, _, job = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    task, data, count, pieces = (builder.load(builder.gep(job, [_I64(i)]), typ=_I64) for i in range(4))
    first = builder.load(elements, typ=_I64)
    last = builder.add(first, builder.load(how_many, typ=_I64))
    begin, end = (builder.sdiv(builder.mul(count, piece), pieces) for piece in (first, last))
    builder.call(builder.inttoptr(task, _TASK.as_pointer()), [builder.inttoptr(data, _BYTES), begin, end])
    builder.ret_void()
    return function


@worker
def _wait(spins):  # type: ignore[no-untyped-def]
    _pause()
    if _POSIX and spins >= _SPINS and spins % 64 == 0:
        _yield_core()
    return spins + 1


@worker
def _hand_out(function, data, count):  # type: ignore[no-untyped-def]
    """What a leader does with a loop."""
    word, size, come = _read(WORD), _read(SIZE), _read(SEATS)
    if come != size:  # let in who has come, to wait for the word after this one
        _write(START, word)
        _write(SIZE, come)
        size = come
    if size == 1:
        _call(function, data, 0, count)
        return
    word += 1
    _write(FUNCTION, function)
    _write(DATA, data)
    _write(COUNT, count)
    _write(WORD, word)
    _call(function, data, 0, count // size)
    for seat in range(1, size):
        spins = 0
        while _read(DONE + _DONE_STEP * seat) != word:
            spins = _wait(spins)


@worker
def _stand_by(seat):  # type: ignore[no-untyped-def]
    """What the other members do until the leader says that it is over."""
    spins = 0
    while _read(SIZE) <= seat:
        if _read(WORD) == OVER:
            return
        spins = _wait(spins)
    last, spins = _read(START), 0
    while True:
        word = _read(WORD)
        if word == last:
            spins = _wait(spins)
            continue
        if word == OVER:
            return
        count, size = _read(COUNT), _read(SIZE)
        _call(_read(FUNCTION), _read(DATA), count * seat // size, count * (seat + 1) // size)
        _write(DONE + _DONE_STEP * seat, word)
        last, spins = word, 0


@worker
def _member(index, function, data):  # type: ignore[no-untyped-def]
    before = quick_subnormals()
    seat = _add_one(SEATS)
    if seat == 0:
        _write(LEADER, _this_thread())
        _call(function, data, 0, 1)
        _write(LEADER, 0)
        _write(WORD, OVER)
    else:
        _stand_by(seat)
    restore_subnormals(before)


@worker
def _share(function, data, count):  # type: ignore[no-untyped-def]
    if count > 1 and _read(LEADER) == _this_thread():
        _hand_out(function, data, count)
        return
    pieces = min(_threads(), count)
    if pieces > 1:
        _launch(function, data, count, pieces)
    else:
        _call(function, data, 0, count)


@worker
def _launch_all(function, data, threads):  # type: ignore[no-untyped-def]
    _launch(function, data, threads, threads)


@worker
def _lead(function, data):  # type: ignore[no-untyped-def]
    threads = _threads()
    if threads > 1 and _take(TAKEN):
        for seat in range(threads):
            _write(DONE + _DONE_STEP * seat, 0)
        _write(SEATS, 0)
        _write(SIZE, 1)
        _write(WORD, 0)
        _muster(_member, (function, data), threads)
        _write(TAKEN, 0)
    else:
        before = quick_subnormals()
        _call(function, data, 0, 1)
        restore_subnormals(before)


def _compiled(dispatcher: Any, kinds: tuple[Any, ...]) -> Any:
    """The dispatcher's code for arguments of these types."""
    dispatcher.get_call_template(kinds, {})
    return dispatcher.overloads[kinds]


def _unowned(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value; of an array, one that counts no references: the caller keeps it.

    Every slice would count up and down in memory that all threads write (64 rows of 64 floats on two cores: 7 µs of 13).
    """
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _tasks_of(work: Any, arguments: Any) -> Any:
    """A function that makes a task of `work` and its arguments, as code; returns its address and its data's."""
    compiled = _compiled(work.dispatcher, (types.intp, *(unliteral(kind) for kind in arguments.types)))

    def make(context: Any, builder: Any, value: Any) -> tuple[Any, Any]:
        context.add_linking_libs((compiled.library,))
        slot = cgutils.alloca_once_value(builder, value)
        name = builder.module.get_unique_name(f"task_{work.dispatcher.py_func.__name__}")
        task = ir.Function(builder.module, _TASK, name)
        task.linkage = "internal"
        inside = ir.IRBuilder(task.append_basic_block("entry"))
        data, begin, end = task.args
        given = cgutils.unpack_tuple(inside, inside.load(inside.bitcast(data, slot.type), typ=value.type))
        elements = [_unowned(context, inside, kind, one) for kind, one in zip(arguments.types, given, strict=True)]
        with cgutils.for_range_slice(inside, begin, end, _I64(1), intp=_I64) as (index, _):
            status, _ = context.call_internal_no_propagate(inside, compiled.fndesc, compiled.signature, [index, *elements])
            with cgutils.if_unlikely(inside, status.is_error):  # kernels raise nothing; NUMBA_BOUNDSCHECK does
                trap = cgutils.get_or_insert_function(inside.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap")
                inside.call(trap, [])
        inside.ret_void()
        return builder.ptrtoint(task, _I64), builder.ptrtoint(slot, _I64)

    return make


def _through(caller: Any, work: Any, arguments: Any, numbers: int) -> Any:
    """Code of an intrinsic (work, arguments, ...): `caller`, a worker, called with the task, its data and so many numbers."""
    make = _tasks_of(work, arguments)
    called = _compiled(caller, (types.int64,) * (2 + numbers))

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        context.add_linking_libs((called.library,))
        given = [*make(context, builder, values[1]), *values[2:]]
        context.call_internal(builder, called.fndesc, called.signature, given)
        return context.get_dummy_value()

    return types.void(work, arguments, *[types.int64] * numbers), generate


@intrinsic
def spread(typing_context, work, arguments, count):  # type: ignore[no-untyped-def]
    """Call work(i, *arguments) for i < count, cut into as many pieces as there are threads. `work` is a worker."""
    return _through(_share, work, arguments, 1)


@intrinsic
def _muster(typing_context, work, arguments, threads):  # type: ignore[no-untyped-def]
    """Call work(i, *arguments) for i < threads, on a thread of the pool each where it has them."""
    return _through(_launch_all, work, arguments, 1)


@intrinsic
def lead(typing_context, work, arguments):  # type: ignore[no-untyped-def]
    """Call work(0, *arguments) with the pool's threads at hand for every `spread` in it. `work` is a worker."""
    return _through(_lead, work, arguments, 0)
