"""From a table or array to what a network takes, by rules that are learned from the training rows and saved with the model.

`Columns` prepares a table, `Features` an array; both have `fit`, `apply`, `to_dict` and `from_dict`. `Target` does it for what
is predicted, and leads back: from outputs to labels, or to numbers in the original unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from .. import functional as F
from .._check import Array
from .table import MISSING, Table

__all__ = ["Columns", "Features", "Target", "to_number"]

Indices = Sequence[int] | Array
MOST_CATEGORIES = 100
MOST_INTEGER_CLASSES = 20
_INTEGER = re.compile(r"[+-]?[0-9]+")


def to_number(text: str) -> float | None:
    """The number that a text stands for, maybe infinite; None for another text. Python's 1_000 is not meant."""
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


class Columns:
    """The columns of a table: numbers standardised by mean and deviation, text as one column a category.

    missing: 'error', or 'fill', which takes the mean for a number, and makes a category of a text that is not there.

    >>> table = Table({"size": ["1", "3"], "colour": ["red", "red"]}, lines=[2, 3])
    >>> columns = Columns.fit(table, [0, 1], drop=["colour"])
    >>> columns.apply(table)
    array([[-1.],
           [ 1.]], dtype=float32)
    """

    def __init__(self, columns: list[dict[str, Any]], missing: str) -> None:
        self.columns, self.missing = columns, missing

    @classmethod
    def fit(
        cls, table: Table, rows: Indices, drop: Sequence[str] = (), categorical: Sequence[str] = (), missing: str = "error"
    ) -> Self:
        """Learn from those rows; whether a column holds numbers is looked up in all, so that no row fails later."""
        names = [name for name in table.columns if name not in drop]
        if not names:
            raise ValueError("--drop: expected at least one column to stay besides the target, got none")
        return cls([_fitted(table, rows, name, name in categorical, missing) for name in names], missing)

    @property
    def width(self) -> int:
        """Columns of what `apply` returns."""
        return sum(len(column.get("categories", "1")) for column in self.columns)

    def apply(self, table: Table, unknown: str = "error") -> Array:
        """The matrix (rows, width), float32. unknown: 'error', or 'ignore', which makes zeros of an unknown category."""
        absent = [column["name"] for column in self.columns if column["name"] not in table.columns]
        if absent:
            raise ValueError(f"columns: expected {', '.join(map(repr, absent))}, got {', '.join(map(repr, table.columns))}")
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and the network refuses that
            pieces = [self._numbers(c, table) if "mean" in c else self._categories(c, table, unknown) for c in self.columns]
            return np.concatenate(pieces, axis=1).astype(np.float32)

    def _numbers(self, column: dict[str, Any], table: Table) -> Array:
        values = _parsed(table, column["name"], _texts(table, column["name"], self.missing))
        numbers = [column["mean"] if value is None else value for value in values]
        return _standardised(np.array(numbers)[:, np.newaxis], np.array(column["mean"]), np.array(column["deviation"]))

    def _categories(self, column: dict[str, Any], table: Table, unknown: str) -> Array:
        name, places = column["name"], {category: i for i, category in enumerate(column["categories"])}
        result = np.zeros((len(table), len(places)))
        for i, value in enumerate(_texts(table, name, self.missing)):
            if value in places:
                result[i, places[value]] = 1.0
            elif value is not None and unknown == "error":
                raise ValueError(
                    f"column {name!r}: expected a category that training saw, got {value!r} in line {table.lines[i]}; "
                    "--unknown ignore takes it as none of them"
                )
        return result

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": "table", "missing": self.missing, "columns": self.columns}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(saved["columns"], saved["missing"])


class Features:
    """The columns of an array: uint8 stays as it is, for the network to scale; others are standardised by mean and deviation.

    >>> Features.fit(np.array([[1.0], [3.0]]), [0, 1]).apply(np.array([[2.0]]))
    array([[0.]], dtype=float32)
    """

    def __init__(self, width: int, mean: list[float] | None, deviation: list[float] | None, missing: str) -> None:
        self.width, self.mean, self.deviation, self.missing = width, mean, deviation, missing

    @classmethod
    def fit(cls, x: Array, rows: Indices, missing: str = "error") -> Self:
        """Learn from those rows."""
        if x.dtype == np.uint8:
            return cls(x.shape[1], None, None, missing)
        _refuse_odd(x, missing)
        values = x[rows].astype(np.float64)
        gone = np.isnan(values).all(axis=0)
        if gone.any():
            raise ValueError(f"x: expected values in every column, got none in column {int(gone.argmax())} (from 0)")
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        constant = low == high
        deviation = np.where(constant, 0.0, np.nanstd(values, axis=0))
        mean = np.where(constant, low, np.nanmean(values, axis=0))
        return cls(x.shape[1], mean.tolist(), deviation.tolist(), missing)

    def apply(self, x: Array, unknown: str = "error") -> Array:
        """The array as the network takes it. unknown is of no meaning here."""
        if x.shape[1] != self.width:
            raise ValueError(f"x: expected {self.width} columns, as in training, got {x.shape[1]}")
        _refuse_odd(x, self.missing)
        if self.mean is None:
            return x
        mean = np.array(self.mean)
        filled = np.where(np.isnan(x), mean, x) if x.dtype.kind == "f" else x
        with np.errstate(over="ignore"):
            return _standardised(filled, mean, np.array(self.deviation)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": "array", **vars(self)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(saved["width"], saved["mean"], saved["deviation"], saved["missing"])


class Target:
    """What is predicted: one of some classes, or a number, which the network sees standardised.

    >>> target = Target.fit("animal", ["cat", "dog", "cat"], [0, 1, 2])
    >>> target.encode(["dog", "cat"])
    array([1, 0])
    >>> target.decode(np.array([[0.0, 2.0]]))
    ['dog']
    """

    def __init__(self, name: str, classes: list[str] | None, mean: float = 0.0, deviation: float = 1.0) -> None:
        self.name, self.classes, self.mean, self.deviation = name, classes, mean, deviation

    @classmethod
    def fit(
        cls,
        name: str,
        values: Sequence[str],
        rows: Indices,
        task: str = "auto",
        where: Callable[[int], str] = "row {}".format,
    ) -> Self:
        """Learn the classes, or mean and deviation of the training rows. where: how errors call a row."""
        missing = [i for i, value in enumerate(values) if value.lower() in MISSING]
        if missing:
            first = where(missing[0])
            raise ValueError(f"target {name!r}: expected a value in every row, got {len(missing)} without, the first in {first}")
        distinct = set(values)
        numbers = {value: to_number(value) for value in distinct}
        odd = next((i for i, value in enumerate(values) if not _finite(numbers[value])), None)
        few = len(distinct) <= MOST_INTEGER_CLASSES and all(map(_INTEGER.fullmatch, distinct))
        if task == "classification" or (task == "auto" and (odd is not None or few)):
            if len(distinct) == 1:
                raise ValueError(f"target {name!r}: expected at least two classes, got only {values[0]!r}")
            if odd is not None and len(distinct) == len(values):
                raise ValueError(f"target {name!r}: expected classes that occur again, got a different value in every row")
            return cls(name, sorted(distinct, key=lambda value: (numbers[value] if odd is None else 0, value)))
        if odd is not None:
            raise ValueError(f"target {name!r}: expected finite numbers for regression, got {values[odd]!r} in {where(odd)}")
        training = np.array([numbers[values[i]] for i in rows], np.float64)
        if training.min() == training.max():
            raise ValueError(f"target {name!r}: expected different numbers, got {training[0]:g} in all training rows")
        return cls(name, None, float(training.mean()), float(training.std()))

    @property
    def outputs(self) -> int:
        """Outputs of a network for it."""
        return 1 if self.classes is None else len(self.classes)

    def encode(self, values: Sequence[str], where: Callable[[int], str] = "row {}".format) -> Array:
        """What the loss takes: numbers of classes, -1 for one that training did not see, or standardised numbers."""
        if self.classes is not None:
            places = {label: i for i, label in enumerate(self.classes)}
            return np.array([places.get(value, -1) for value in values], np.int64)
        numbers = [to_number(value) for value in values]
        for i, number in enumerate(numbers):
            if not _finite(number):
                raise ValueError(f"target {self.name!r}: expected finite numbers, got {values[i]!r} in {where(i)}")
        return (np.array(numbers, np.float64) - self.mean) / self.deviation

    def decode(self, outputs: Array) -> list[str] | list[float]:
        """Labels, or numbers in the original unit with the digits that the network resolves."""
        if self.classes is not None:
            return [self.classes[i] for i in outputs.argmax(axis=1)]
        digits = 6 - math.floor(math.log10(self.deviation))
        return [round(value, digits) for value in self._original(outputs).tolist()]

    def probabilities(self, outputs: Array) -> Array:
        """Of each class, (rows, classes)."""
        return F.softmax(outputs)

    def scores(self, outputs: Array, encoded: Array) -> dict[str, float]:
        """{'accuracy'}, or {'rmse', 'r2'} in the original unit. encoded: the truth."""
        if self.classes is not None:
            return {"accuracy": float(np.mean(outputs.argmax(axis=1) == encoded))}
        truth = encoded * self.deviation + self.mean
        squared = float(np.mean((self._original(outputs) - truth) ** 2))
        variance = float(truth.var())
        return {"rmse": math.sqrt(squared), "r2": 1.0 - squared / variance if variance > 0.0 else math.nan}

    def _original(self, outputs: Array) -> Array:
        result: Array = outputs[:, 0].astype(np.float64) * self.deviation + self.mean
        return result

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(saved["name"], saved["classes"], saved["mean"], saved["deviation"])


def _refuse_odd(x: Array, missing: str) -> None:
    """No infinity in an array, and no NaN unless it is to be filled."""
    if x.dtype.kind == "f":
        odd = ~np.isfinite(x) if missing == "error" else np.isinf(x)
        if odd.any():
            row, column = np.argwhere(odd)[0]
            hint = "; a model trained with --missing fill takes NaN" if np.isnan(x[row, column]) else ""
            raise ValueError(f"x: expected finite values, got {x[row, column]} in row {row}, column {column} (from 0){hint}")


def _finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def _standardised(values: Array, mean: Array, deviation: Array) -> Array:
    """(values - mean) / deviation, and 0 where the deviation is 0."""
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0.0)
    result: Array = (values - mean) * scale
    return result


def _texts(table: Table, name: str, rule: str) -> list[str | None]:
    """A column with None for what is missing, which is an error unless the rule is to fill it."""
    values = [None if value.lower() in MISSING else value for value in table.columns[name]]
    if rule == "error" and None in values:
        first = values.index(None)
        raise ValueError(
            f"column {name!r}: expected a value in every row, got {values.count(None)} without, the first in line "
            f"{table.lines[first]}; a model trained with --missing fill takes them"
        )
    return values


def _parsed(table: Table, name: str, texts: list[str | None]) -> list[float | None]:
    """A column of numbers, None for what is missing."""
    numbers = [None if text is None else to_number(text) for text in texts]
    for i, text in enumerate(texts):
        if text is not None and not _finite(numbers[i]):
            raise ValueError(f"column {name!r}: expected finite numbers, got {text!r} in line {table.lines[i]}")
    return numbers


def _fitted(table: Table, rows: Indices, name: str, categorical: bool, missing: str) -> dict[str, Any]:
    """What `Columns` keeps of one column."""
    texts = _texts(table, name, missing)
    if all(texts[i] is None for i in rows):
        raise ValueError(f"column {name!r}: expected values, got none in the training rows; --drop {name} leaves it out")
    odd = next((i for i, text in enumerate(texts) if text is not None and to_number(text) is None), None)
    if odd is None and not categorical:
        numbers = _parsed(table, name, texts)
        known = np.array([numbers[i] for i in rows if numbers[i] is not None], np.float64)
        if known.min() == known.max():  # rounding would leave a mean and a deviation beside it
            return {"name": name, "mean": float(known[0]), "deviation": 0.0}
        return {"name": name, "mean": float(known.mean()), "deviation": float(known.std())}
    found = {texts[i] for i in rows}
    if len(found) > MOST_CATEGORIES or len(found) == len(rows):
        example = "" if odd is None else f" ({texts[odd]!r} in line {table.lines[odd]} is no number)"
        raise ValueError(
            f"column {name!r}: expected numbers, or text of at most {MOST_CATEGORIES} categories that occur again, got "
            f"{len(found)} in {len(rows)} training rows{example}; --drop {name} leaves it out"
        )
    return {"name": name, "categories": [*sorted(text for text in found if text is not None), *([None] if None in found else [])]}
