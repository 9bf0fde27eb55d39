"""The micro-kernel of the matrix product: a tile of C held in vector registers, as LLVM code for the host's vectors.

    C[0:rows, 0:columns] = first + A[0:rows, 0:k] · B[0:k, 0:columns]

`rows` is up to TILE.rows[0] and `columns` up to two vectors, so a step over k is two loads of B, one broadcast a row, and two
fused multiply-adds a row, all into registers; C is read and written once. Every element of C is one chain of fused
multiply-adds in the order of k, whatever the tile, so that the bits do not depend on how C is cut.

Sixteen sums in flight hide the latency of four cycles at two multiply-adds a cycle. Measured on Zen 5, one core, float32, sizes
in cache: 8x32 250 GFLOP/s, 14x32 220, 6x64 250, 12x32 210, 12x16 130; eight rows also divide the usual batch sizes.

`FASTNN_TILE` forces a tile (avx512, avx2, neon, portable): LLVM splits vectors that the host lacks, so any runs anywhere.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from ._simd import I32, I64, bits_of, constant, pointer_to, prefetch, size_of, splat, transpose, vector

__all__ = ["TILE", "TILES", "Tile", "ask_for", "copy_columns", "copy_rows", "multiply_tile", "transpose_columns"]


class Tile(NamedTuple):
    """Bytes of a vector, and the numbers of rows that there is a micro-kernel for, largest first."""

    name: str
    vector_bytes: int
    rows: tuple[int, ...]
    fused: bool  # whether the host is known to have a fused multiply-add, so that LLVM may be asked for nothing less


TILES = {
    tile.name: tile
    for tile in (
        Tile("avx512", 64, (8, 4, 2, 1), True),
        Tile("avx2", 32, (6, 4, 2, 1), True),  # 12 sums, 2 of B and a broadcast in 16 registers
        Tile("neon", 16, (8, 4, 2, 1), True),
        Tile("portable", 16, (4, 2, 1), False),
    )
}
VECTORS = 2
_LINE_BYTES = 64


def _choose() -> Tile:
    forced = os.environ.get("FASTNN_TILE")
    if forced:
        if forced not in TILES:
            raise ValueError(f"FASTNN_TILE: expected one of {', '.join(TILES)}, got {forced!r}")
        return TILES[forced]
    if config.CPU_FEATURES is None:
        has = {name for name, there in binding.get_host_cpu_features().items() if there}
    else:  # NUMBA_CPU_FEATURES
        has = {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    if not config.ENABLE_AVX:
        has = {name for name in has if not name.startswith("avx")}
    if {"avx512f", "avx512dq", "avx512vl"} <= has:
        return TILES["avx512"]
    if {"avx2", "fma"} <= has:
        return TILES["avx2"]
    return TILES["neon" if "neon" in has else "portable"]


TILE = _choose()

# multiply_tile(left, columns, k, A, its strides by row and by k, B, its stride by k, first, its stride by row, C, its stride by
# row), copy_columns(...), transpose_columns(...): addresses are integers, strides count elements


def _pointers(builder: Any, element: Any, values: list[Any], places: tuple[int, ...]) -> list[Any]:
    pointer = element.as_pointer()
    return [builder.inttoptr(value, pointer) if i in places else value for i, value in enumerate(values)]


def _function(module: Any, name: str, result: Any, arguments: list[Any]) -> tuple[Any, bool]:
    """A function that all who use it in a compiled library share, and whether its body is still to be written."""
    function = cgutils.get_or_insert_function(module, ir.FunctionType(result, arguments), name)
    if function.blocks:
        return function, False
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    return function, True


class _Masked:
    """Loads and stores of the first `columns` elements of a row of vectors."""

    def __init__(self, builder: Any, module: Any, element: Any, lanes: int, vectors: int, columns: Any) -> None:
        self._builder, self._element, self._lanes = builder, element, lanes
        self._vector = vector(element, lanes)
        mask = ir.VectorType(ir.IntType(1), lanes)
        suffix = f"v{lanes}f{bits_of(element)}.p0"
        of_load = ir.FunctionType(self._vector, [self._vector.as_pointer(), I32, mask, self._vector])
        of_store = ir.FunctionType(ir.VoidType(), [self._vector, self._vector.as_pointer(), I32, mask])
        self._load = cgutils.get_or_insert_function(module, of_load, f"llvm.masked.load.{suffix}")
        self._store = cgutils.get_or_insert_function(module, of_store, f"llvm.masked.store.{suffix}")
        self.zero = ir.Constant(self._vector, [0.0] * lanes)
        count = splat(builder, builder.trunc(columns, I32), lanes)
        self._masks = [builder.icmp_signed("<", constant(I32, range(v * lanes, (v + 1) * lanes)), count) for v in range(vectors)]

    def _at(self, row: Any, v: int) -> Any:
        return self._builder.bitcast(self._builder.gep(row, [I64(v * self._lanes)]), self._vector.as_pointer())

    def load(self, row: Any) -> list[Any]:
        alignment = I32(size_of(self._element))
        return [
            self._builder.call(self._load, [self._at(row, v), alignment, mask, self.zero]) for v, mask in enumerate(self._masks)
        ]

    def store(self, values: list[Any], row: Any) -> None:
        for v, (value, mask) in enumerate(zip(values, self._masks, strict=True)):
            self._builder.call(self._store, [value, self._at(row, v), I32(size_of(self._element)), mask])


def _opaque(builder: Any, value: Any) -> Any:
    """The same value, of which LLVM does not know where it comes from.

    Else it makes the rows' addresses one chain of additions, each waiting for the one before: seven cycles a step over k, where
    the arithmetic of a tile of one vector takes four (128x256 times 256x10: 8.0 µs, 6.0 without).
    """
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)


def _tile_function(module: Any, element: Any, rows: int, vectors: int) -> Any:
    """void tile(columns, k, a, a_row, a_k, b, b_k, first, first_row, c, c_row) for so many rows; first may be null: zeros."""
    lanes = TILE.vector_bytes // size_of(element)
    pointer = element.as_pointer()
    arguments = [I64, I64, pointer, I64, I64, pointer, I64, pointer, I64, pointer, I64]
    function, new = _function(module, f"fastnn_tile_{element}_{lanes}_{rows}_{vectors}", ir.VoidType(), arguments)
    if not new:
        return function
    columns, k, a, a_row, a_k, b, b_k, first, first_row, c, c_row = function.args
    of_vector = vector(element, lanes)
    multiply_add = cgutils.get_or_insert_function(
        module,
        ir.FunctionType(of_vector, [of_vector] * 3),
        f"llvm.{'fma' if TILE.fused else 'fmuladd'}.v{lanes}f{bits_of(element)}",
    )

    entry, given, loop, done = (function.append_basic_block(name) for name in ("entry", "given", "loop", "done"))
    builder = ir.IRBuilder(entry)
    masked = _Masked(builder, module, element, lanes, vectors, columns)
    # rows i, i + 1, i + 2 share a pointer and differ by an index register: x86 has 16 registers for all addresses
    bases = [builder.gep(a, [builder.mul(a_row, I64(i))]) for i in range(0, rows, 3)]
    if vectors == 1:  # with two, the additions hide behind the multiplications, and LLVM's way is 2% faster
        bases = [_opaque(builder, base) for base in bases]
    offsets = [None, a_row, builder.mul(a_row, I64(2))]
    # the tile of C below, which comes next: 140 to 185 became 220 GFLOP/s where C is out of the L2 cache
    for i in range(rows, 2 * rows):
        for v in range(vectors):
            place = builder.gep(c, [builder.add(builder.mul(c_row, I64(i)), I64(v * lanes))])
            prefetch(builder, place, write=True)
    is_null = builder.icmp_unsigned("==", builder.ptrtoint(first, I64), I64(0))
    builder.cbranch(is_null, loop, given)

    builder.position_at_end(given)
    starts = []
    for i in range(rows):
        starts += masked.load(builder.gep(first, [builder.mul(first_row, I64(i))]))
    builder.branch(loop)

    builder.position_at_end(loop)

    def carried(kind: Any, *values: Any) -> Any:
        """A value that the loop carries; from the entry, and where it is another, from `given`."""
        phi = builder.phi(kind)
        phi.add_incoming(values[0], entry)
        phi.add_incoming(values[-1], given)
        return phi

    left, row_b = carried(I64, k), carried(pointer, b)
    rows_a = [carried(pointer, base) for base in bases]
    sums = [carried(of_vector, masked.zero, start) for start in starts]
    columns_b = masked.load(row_b)
    results: list[Any] = []
    for i in range(rows):
        offset = offsets[i % 3]
        place = rows_a[i // 3] if offset is None else builder.gep(rows_a[i // 3], [offset])
        broadcast = splat(builder, builder.load(place, typ=element), lanes)
        results += [builder.call(multiply_add, [broadcast, columns_b[v], sums[len(results) + v]]) for v in range(vectors)]
    remaining = builder.sub(left, I64(1))
    left.add_incoming(remaining, loop)
    row_b.add_incoming(builder.gep(row_b, [b_k]), loop)
    for row in rows_a:
        row.add_incoming(builder.gep(row, [a_k]), loop)
    for total, result in zip(sums, results, strict=True):
        total.add_incoming(result, loop)
    builder.cbranch(builder.icmp_signed(">", remaining, I64(0)), loop, done)

    builder.position_at_end(done)
    for i in range(rows):
        masked.store(results[i * vectors : (i + 1) * vectors], builder.gep(c, [builder.mul(c_row, I64(i))]))
    builder.ret_void()
    return function


@intrinsic
def multiply_tile(typing_context, array, left, columns, k, a, a_row, a_k, b, b_k, first, first_row, c, c_row):  # type: ignore[no-untyped-def]
    """Multiply the largest tile of at most `left` rows, and return its rows. `array` gives the dtype.

    Of up to one vector's columns a tile has twice as many rows: half as many loads of B, and as many sums in flight.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.get_value_type(signature.args[0].dtype)
        lanes = TILE.vector_bytes // size_of(element)
        left, *rest = _pointers(builder, element, list(values[1:]), (3, 6, 8, 10))
        narrow = builder.icmp_signed("<=", rest[0], I64(lanes))
        end = builder.append_basic_block("tiled")
        done = []

        def call_largest(choices: tuple[int, ...], vectors: int) -> None:
            for rows in choices:
                if rows != choices[-1]:
                    fits, smaller = (builder.append_basic_block(name) for name in ("fits", "smaller"))
                    builder.cbranch(builder.icmp_signed(">=", left, I64(rows)), fits, smaller)
                    builder.position_at_end(fits)
                builder.call(_tile_function(builder.module, element, rows, vectors), rest)
                done.append((rows, builder.block))
                builder.branch(end)
                if rows != choices[-1]:
                    builder.position_at_end(smaller)

        one, two = builder.append_basic_block("one_vector"), builder.append_basic_block("two_vectors")
        builder.cbranch(narrow, one, two)
        builder.position_at_end(one)
        call_largest((2 * TILE.rows[0], *TILE.rows), 1)
        builder.position_at_end(two)
        call_largest(TILE.rows, VECTORS)
        builder.position_at_end(end)
        result = builder.phi(I64)
        for rows, block in done:
            result.add_incoming(I64(rows), block)
        return result

    return types.int64(array, *[types.int64] * 12), generate


def _copy(typing_context: Any, array: Any, width_of: Any) -> Any:
    """target[kk, 0:columns] = source[kk, 0:columns] for kk < k, in rows of `width_of(lanes)` elements filled up with zeros."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.get_value_type(signature.args[0].dtype)
        lanes = TILE.vector_bytes // size_of(element)
        width = width_of(lanes)
        vectors = -(-width // lanes)
        k, columns, source, stride, target = _pointers(builder, element, list(values[1:]), (2, 4))
        read = _Masked(builder, builder.module, element, lanes, vectors, columns)
        write = _Masked(builder, builder.module, element, lanes, vectors, I64(width))
        with cgutils.for_range(builder, k, intp=I64) as loop:
            row = read.load(builder.gep(source, [builder.mul(loop.index, stride)]))
            write.store(row, builder.gep(target, [builder.mul(loop.index, I64(width))]))
        return context.get_dummy_value()

    return types.void(array, *[types.int64] * 5), generate


@intrinsic
def copy_columns(typing_context, array, k, columns, b, b_k, packed):  # type: ignore[no-untyped-def]
    """packed[kk, 0:columns] = b[kk, 0:columns] for kk < k; rows of packed are two vectors long, filled up with zeros."""
    return _copy(typing_context, array, lambda lanes: VECTORS * lanes)


@intrinsic
def copy_rows(typing_context, array, k, rows, a, a_k, packed):  # type: ignore[no-untyped-def]
    """packed[kk, 0:rows] = a[kk, 0:rows] for kk < k; rows of packed are as long as a tile has rows, filled up with zeros."""
    return _copy(typing_context, array, lambda _: TILE.rows[0])


@intrinsic
def ask_for(typing_context, array, runs, lines, step, address):  # type: ignore[no-untyped-def]
    """Ask for so many runs of cache lines, `step` bytes apart from an address on, into the L2 cache."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        runs, lines, step, first = _pointers(builder, ir.IntType(8), list(values[1:]), (3,))
        with cgutils.for_range(builder, runs, intp=I64) as run, cgutils.for_range(builder, lines, intp=I64) as line:
            offset = builder.add(builder.mul(run.index, step), builder.mul(line.index, I64(_LINE_BYTES)))
            prefetch(builder, builder.gep(first, [offset]), write=False, level=2)
        return context.get_dummy_value()

    return types.void(array, *[types.int64] * 4), generate


@intrinsic
def transpose_columns(typing_context, array, k, columns, b, b_column, packed):  # type: ignore[no-untyped-def]
    """packed[kk, j] = b[j, kk] for j < columns and kk < k; rows of packed are two vectors long, filled up with zeros.

    Squares of vectors are transposed in registers: packed must have room for k rounded up to a vector's lanes.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.get_value_type(signature.args[0].dtype)
        lanes = TILE.vector_bytes // size_of(element)
        k, columns, b, b_column, packed = _pointers(builder, element, list(values[1:]), (2, 4))
        pointer = element.as_pointer()
        square, new = _function(
            builder.module, f"fastnn_transpose_{element}_{lanes}", ir.VoidType(), [I64, I64, pointer, I64, pointer]
        )
        if new:
            _write_transpose(square, element, lanes)
        squares = builder.sdiv(builder.add(k, I64(lanes - 1)), I64(lanes))
        with cgutils.for_range(builder, squares, intp=I64) as loop:
            k0 = builder.mul(loop.index, I64(lanes))
            for v in range(VECTORS):
                source = builder.gep(b, [builder.add(k0, builder.mul(b_column, I64(v * lanes)))])
                target = builder.gep(packed, [builder.add(builder.mul(k0, I64(VECTORS * lanes)), I64(v * lanes))])
                builder.call(square, [builder.sub(k, k0), builder.sub(columns, I64(v * lanes)), source, b_column, target])
        return context.get_dummy_value()

    return types.void(array, *[types.int64] * 5), generate


def _write_transpose(function: Any, element: Any, lanes: int) -> None:
    """void square(k, columns, b, b_column, packed): what lies beyond k and columns is read as zero and not touched."""
    k, columns, b, b_column, packed = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    rows = []
    for j in range(lanes):
        there = builder.icmp_signed("<", I64(j), columns)
        masked = _Masked(builder, function.module, element, lanes, 1, builder.select(there, k, I64(0)))
        rows += masked.load(builder.gep(b, [builder.mul(b_column, I64(j))]))
    for kk, row in enumerate(transpose(builder, rows)):
        place = builder.gep(packed, [I64(kk * VECTORS * lanes)])
        builder.store(row, builder.bitcast(place, pointer_to(row.type)), align=size_of(element))
    builder.ret_void()
