"""Building blocks for intrinsics that emit LLVM vector instructions, for loops that LLVM will not vectorise by itself.

LLVM splits a vector wider than the machine's registers, so what is written here runs on every CPU. Functions take an LLVM
`builder` and values; they are called while Numba compiles, never at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

__all__ = [
    "F64",
    "I32",
    "I64",
    "bits_of",
    "constant",
    "element_pointer",
    "interleave",
    "load",
    "magnitude",
    "multiply_add",
    "pointer_to",
    "prefetch",
    "size_of",
    "splat",
    "store",
    "transpose",
    "vector",
]

I32, I64, F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """The vector with `scalar` in every lane."""
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def vector(element: Any, lanes: int) -> Any:
    """The type of a vector."""
    return ir.VectorType(element, lanes)


def constant(element: Any, values: Sequence[int] | Sequence[float]) -> Any:
    """A constant vector."""
    return ir.Constant(ir.VectorType(element, len(values)), list(values))


def interleave(builder: Any, vectors: Sequence[Any]) -> Any:
    """a0 b0 c0 d0 a1 b1 ... from the vectors a, b, c, d (two or four of them)."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        lanes = vectors[0].type.count
        order = [lane + side * lanes for lane in range(lanes) for side in (0, 1)]
        indices = constant(ir.IntType(32), order)
        vectors = [builder.shuffle_vector(vectors[i], vectors[i + half], indices) for i in range(half)]
    return vectors[0]


def transpose(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """The columns of a square of vectors, as vectors."""
    lanes = len(rows)
    rows, width = list(rows), 1
    while width < lanes:  # swap the off-diagonal quarters of squares of 2, 4, 8 ... lanes
        low = constant(I32, [lane if lane & width == 0 else lanes + lane - width for lane in range(lanes)])
        high = constant(I32, [lane + width if lane & width == 0 else lanes + lane for lane in range(lanes)])
        for i in range(lanes):
            if i & width == 0:
                top, bottom = rows[i], rows[i + width]
                rows[i] = builder.shuffle_vector(top, bottom, low)
                rows[i + width] = builder.shuffle_vector(top, bottom, high)
        width *= 2
    return rows


def element_pointer(context: Any, builder: Any, array_type: types.Array, array: Any, index: Any) -> Any:
    """The address of a 1-D contiguous array's element."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def load(builder: Any, pointer: Any, element: Any, lanes: int) -> Any:
    """Read a vector from an address aligned to one element only."""
    vector = ir.VectorType(element, lanes)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size_of(element), typ=vector)


def store(builder: Any, value: Any, pointer: Any) -> None:
    """Write a vector to an address aligned to one element only."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=size_of(value.type.element))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c of vectors, fused where the machine can."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def magnitude(builder: Any, value: Any) -> Any:
    """|value| of a vector."""
    name = f"llvm.fabs.v{value.type.count}f{bits_of(value.type.element)}"
    function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(value.type, [value.type]), name)
    return builder.call(function, [value])


def prefetch(builder: Any, place: Any, *, write: bool, level: int = 1) -> None:
    """Ask for the cache line at an address, into the cache of that level; where it is not the process's, nothing happens."""
    place = builder.bitcast(place, ir.IntType(8).as_pointer())
    name = "llvm.prefetch.p0"
    kind = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    locality, data = I32(4 - level), I32(1)
    builder.call(function, [place, I32(int(write)), locality, data])


def pointer_to(kind: Any) -> Any:
    """The type of an address of such values."""
    return kind.as_pointer()


def size_of(element: Any) -> int:
    """Bytes of an element."""
    return _BYTES[str(element)]


def bits_of(element: Any) -> int:
    """Bits of an element."""
    return 8 * size_of(element)


_BYTES = {"i32": 4, "i64": 8, "float": 4, "double": 8}
