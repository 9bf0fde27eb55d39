"""Checks at the door, each in one place. Errors name the argument, what was expected and what came."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Array",
    "as_array",
    "boolean",
    "choice",
    "finite",
    "float_dtype",
    "floats",
    "integer",
    "labels",
    "nonempty",
    "number",
    "output",
    "quote",
    "reals",
    "same_shape",
    "weights",
]

Array = NDArray[Any]
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def quote(value: object) -> str:
    """What came, in few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def float_dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64."""
    try:
        result = None if dtype is None else np.dtype(dtype)
    except TypeError:
        result = None
    if result is None or result not in _FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {quote(dtype)}")
    return result


def as_array(name: str, value: ArrayLike) -> Array:
    """The value as an array, without a copy where it is one."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array, or nested lists of equal lengths, got {quote(value)}") from error


def reals(name: str, value: ArrayLike) -> Array:
    """An array of real numbers of any dtype, without a copy where it is one."""
    array = as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {array.dtype}")
    return array


def floats(name: str, value: ArrayLike, *, dtype: DTypeLike | None = None, ndim: int | None = None) -> Array:
    """A C-contiguous array of float32 or float64, without a copy where `value` is one already.

    Without `dtype`, float64 stays, and everything else that is real becomes float32.
    """
    if (  # what most calls bring, in half of the time: small products take less than a microsecond
        type(value) is np.ndarray
        and (value.dtype is dtype or (dtype is None and value.dtype in _FLOATS))
        and value.ndim == (ndim or value.ndim or -1)
        and value.flags.c_contiguous
    ):
        return value
    array = reals(name, value)
    if dtype is None:
        native = array.dtype.newbyteorder("=")
        dtype = native if native in _FLOATS else np.float32
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimension{'s' * (ndim != 1)}, got shape {array.shape}")
    if array.ndim == 0:
        return array.astype(dtype)
    return np.ascontiguousarray(array, dtype=dtype)


def same_shape(name: str, array: Array, shape: tuple[int, ...], of: str) -> None:
    """The array has exactly this shape; `of` says whose."""
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, {of}, got {array.shape}")


def weights(name: str, value: ArrayLike, size: int, each: str, dtype: DTypeLike) -> Array:
    """So many finite numbers of at least 0, as dtype; `each` says of what."""
    with np.errstate(over="ignore"):  # what is beyond dtype becomes infinite, and is refused
        array = floats(name, value, dtype=dtype)
    same_shape(name, array, (size,), each)
    if not np.isfinite(array).all() or (array < 0.0).any():
        raise ValueError(f"{name}: expected finite numbers of at least 0, got NaN, infinity or negative ones")
    return array


def nonempty(name: str, array: Array) -> Array:
    """An array with at least one element."""
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one element, got shape {array.shape}")
    return array


def output(name: str, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], *, apart: tuple[Array, ...] = ()) -> Array:
    """`out` if it can hold the result, a new array if it is None. apart: inputs that it must not share memory with."""
    if out is None:
        return np.empty(shape, dtype)
    if type(out) not in (np.ndarray, np.memmap):  # a np.matrix, say, stays 2-D when it is flattened
        raise TypeError(f"{name}: expected a NumPy array, got {quote(out)}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"{name}: expected shape {shape} and dtype {dtype}, got {quote(out)}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"{name}: expected a writeable C-contiguous array, got one that is not")
    for array in apart:
        owners = out.base is None and array.base is None and out is not array  # of memory of their own
        if not owners and np.may_share_memory(out, array):
            raise ValueError(f"{name}: expected an array that shares no memory with the inputs, got one that does")
    return out


def labels(name: str, value: ArrayLike, rows: int, classes: int) -> Array:
    """Class numbers as int64, each in [0, classes)."""
    array = as_array(name, value)
    if array.dtype.kind not in "iu":
        hint = "np.unique(labels, return_inverse=True) numbers others"
        raise TypeError(f"{name}: expected integer class labels, got dtype {array.dtype}; {hint}")
    same_shape(name, array, (rows,), "one label a row")
    if rows and (int(array.min()) < 0 or int(array.max()) >= classes):
        raise ValueError(
            f"{name}: expected labels from 0 to {classes - 1}, one for each of the {classes} outputs, "
            f"got values from {array.min()} to {array.max()}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False, open_high: bool = False
) -> float:
    """A finite number in the interval, whose ends belong to it unless open."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {quote(value)}")
    result = float(value)
    below = result <= low if open_low else result < low
    above = result >= high if open_high else result > high
    if not math.isfinite(result) or below or above:
        left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{name}: expected a finite number in {left}{low:g}, {high:g}{right}, got {quote(value)}")
    return result


def integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """An integer from low to high, both allowed."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {quote(value)}")
    result = int(value)
    if result < low or (high is not None and result > high):
        bound = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise ValueError(f"{name}: expected an integer {bound}, got {result}")
    return result


def boolean(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {quote(value)}")
    return bool(value)


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in options:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, options))}, got {quote(value)}")
    return str(value)


def finite(name: str, array: Array, dtype: np.dtype[Any], first: int = 0) -> None:
    """No NaN or infinity in the array, nor what would become one in dtype, looked at in pieces that stay in cache.

    first: the number of the array's first row, for the message.
    """
    if array.dtype.kind != "f":
        return
    rows = max(1, 65536 // max(1, array[0].size))
    for begin in range(0, len(array), rows):
        piece = np.abs(array[begin : begin + rows]) <= np.finfo(dtype).max
        if not piece.all():
            row = first + begin + int(np.flatnonzero(~piece.reshape(len(piece), -1).all(axis=1))[0])
            raise ValueError(f"{name}: expected finite values of {dtype}, got NaN, infinity or a larger number in row {row}")
