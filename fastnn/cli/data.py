"""What a model is trained on, or predicts for: built-in sets, CSV files, arrays in .npz and .npy files."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from .._check import Array
from .preparation import Columns, Features, Target
from .table import Table, read_table

__all__ = ["Rows", "Training", "read_rows", "read_training"]

_PIXEL = 1 / 255


@dataclass
class Rows:
    """Raw inputs, and the targets as text, None where there are none."""

    inputs: Table | Array
    target: list[str] | None

    def where(self, row: int) -> str:
        """How an error calls a row."""
        return f"line {self.inputs.lines[row]}" if isinstance(self.inputs, Table) else f"row {row}"


@dataclass
class Training:
    """Prepared arrays, and what prepared them."""

    name: str
    features: Columns | Features
    target: Target
    input_scale: float
    x: Array
    y: Array
    validation: tuple[Array, Array] | None
    test: tuple[Array, Array] | None
    unseen: int  # held-out rows of which a category is not among the training rows


def read_training(options: Namespace) -> Training:
    """Read, split and prepare the data that the options name."""
    name, rows, own_test, scale = _source(options)
    if own_test is not None and options.test is not None:
        raise ValueError("--test: expected none for data with a test set of its own")
    total = len(rows.inputs)
    kept, held = np.arange(total), np.arange(0)
    if own_test is None:
        kept, held = _split(kept, 0.2 if options.test is None else options.test, options.seed, "test")
    kept, watched = _split(kept, options.validation, options.seed, "validation")

    assert rows.target is not None
    target_name = options.target or options.y_name
    target = Target.fit(target_name, rows.target, kept, options.task, rows.where)
    if options.label_smoothing and target.classes is None:
        raise ValueError("--label-smoothing: expected none for regression")
    y = target.encode(rows.target, rows.where)
    features: Columns | Features
    if isinstance(rows.inputs, Table):
        features = Columns.fit(rows.inputs, kept, options.drop, options.categorical, options.missing)
        x = features.apply(rows.inputs, "ignore")
        unseen = _unseen(features, x, np.concatenate([watched, held]))
    else:
        features, unseen = Features.fit(rows.inputs, kept, options.missing), 0
        x = features.apply(rows.inputs)
    test = (x[held], y[held]) if len(held) else None
    if own_test is not None:
        assert isinstance(features, Features)
        assert isinstance(own_test.inputs, np.ndarray)
        assert own_test.target is not None
        y_test = target.encode(own_test.target, own_test.where)
        if target.classes is not None and y_test.min() < 0:
            odd = own_test.target[int(y_test.argmin())]
            raise ValueError(f"{options.y_name}_test: expected classes that {options.y_name} has, got {odd!r}")
        test = features.apply(own_test.inputs), y_test
    validation = (x[watched], y[watched]) if len(watched) else None
    return Training(name, features, target, scale, x[kept], y[kept], validation, test, unseen)


def read_rows(options: Namespace, features: Columns | Features, target: Target) -> Rows:
    """The rows to predict for, with the target where it is there."""
    path = Path(options.data)
    if isinstance(features, Columns):
        if path.suffix.lower() in (".npz", ".npy"):
            raise ValueError(f"{path}: expected a CSV file, on which the model was trained, got arrays")
        table = read_table(path, options.delimiter)
        return Rows(table, table.columns.get(target.name))
    if path.suffix.lower() not in (".npz", ".npy"):
        raise ValueError(f"{path}: expected an .npz or .npy file, since the model was trained on arrays")
    arrays = _arrays(path)
    if isinstance(arrays, np.ndarray):
        return Rows(_matrix("x", arrays), None)
    x = _matrix(options.x_name, _named(arrays, options.x_name, "--x-name"))
    return Rows(x, _texts(options.y_name, arrays[options.y_name], len(x)) if options.y_name in arrays else None)


def _source(options: Namespace) -> tuple[str, Rows, Rows | None, float]:
    """The data's name, rows, test rows of its own, and the network's input scale."""
    path = Path(options.data)
    is_table = options.data not in ("digits", "fashion-mnist") and path.suffix.lower() != ".npz"
    for option in ("target", "drop", "categorical"):
        if vars(options)[option] and not is_table:
            raise ValueError(f"--{option}: expected only for CSV files, got it for {options.data}")
    if options.data_dir and options.data != "fashion-mnist":
        raise ValueError(f"--data-dir: expected only for fashion-mnist, got it for {options.data}")
    if options.data == "digits":
        images, labels = datasets.load_digits()
        return "digits", Rows(images, _texts("y", labels, len(images))), None, 1 / 16
    if options.data == "fashion-mnist":
        train, test = (
            Rows(images, _texts("y", labels, len(images))) for images, labels in datasets.load_fashion_mnist(options.data_dir)
        )
        return "fashion-mnist", train, test, _PIXEL
    if is_table:
        return path.stem, _table(path, options), None, 1.0
    return path.stem, *_npz(path, options)


def _npz(path: Path, options: Namespace) -> tuple[Rows, Rows | None, float]:
    """Rows, test rows where there are such, and the network's input scale."""
    arrays = _arrays(path)
    if isinstance(arrays, np.ndarray):
        raise ValueError(f"{path}: expected an .npz file with {options.x_name} and {options.y_name}, got a single array")
    parts: list[Rows | None] = [None, None]
    for i, names in enumerate(((options.x_name, options.y_name), (f"{options.x_name}_test", f"{options.y_name}_test"))):
        if i == 0 or any(name in arrays for name in names):
            x = _matrix(names[0], _named(arrays, names[0], "--x-name"))
            parts[i] = Rows(x, _texts(names[1], _named(arrays, names[1], "--y-name"), len(x)))
    rows, test = parts
    assert rows is not None
    return rows, test, _PIXEL if arrays[options.x_name].dtype == np.uint8 else 1.0


def _table(path: Path, options: Namespace) -> Rows:
    """A CSV file, with its target apart."""
    if not path.exists():  # before asking for a target: it may be a misspelt name of a data set
        raise ValueError(f"{options.data}: expected digits, fashion-mnist or a file, got no such file")
    table = read_table(path, options.delimiter)
    if options.target is None:
        raise ValueError(f"--target: expected one of the columns of {path}, {_listed(table)}, got none")
    _require("--target", options.target, table)
    target = table.columns.pop(options.target)
    for option, columns in (("--drop", options.drop), ("--categorical", options.categorical)):
        for column in columns:
            _require(option, column, table)
    return Rows(table, target)


def _require(option: str, column: str, table: Table) -> None:
    if column not in table.columns:
        raise ValueError(f"{option}: expected one of the columns {_listed(table)}, got {column!r}")


def _listed(table: Table) -> str:
    return ", ".join(map(repr, table.columns))


def _arrays(path: Path) -> Array | dict[str, Array]:
    with path.open("rb") as file:
        if not file.read(6).startswith((b"PK", b"\x93NUMPY")):  # NumPy would take it for a pickle
            raise ValueError(f"{path}: expected an .npz or .npy file, got something else")
        file.seek(0)
        try:
            loaded: Any = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
        except Exception as error:  # a damaged file can raise anything while it is read
            raise ValueError(f"{path}: expected a NumPy file without pickled objects: {error}") from None


def _named(arrays: dict[str, Array], name: str, option: str) -> Array:
    if name not in arrays:
        raise ValueError(f"{option}: expected one of the arrays, {', '.join(map(repr, arrays))}, got none named {name!r}")
    return arrays[name]


def _matrix(name: str, array: Array) -> Array:
    """Rows of real numbers; images become rows of their pixels."""
    if array.dtype.kind not in "biuf" or array.ndim < 2 or array.size == 0:
        raise ValueError(f"{name}: expected rows of real numbers, got shape {array.shape} and dtype {array.dtype}")
    return np.ascontiguousarray(array.reshape(len(array), -1))


def _texts(name: str, array: Array, rows: int) -> list[str]:
    """Targets as text, from which numbers come back to the last bit."""
    if array.shape not in ((rows,), (rows, 1)) or array.dtype.kind not in "biufUS":
        raise ValueError(f"{name}: expected {rows} numbers or texts, got shape {array.shape} and dtype {array.dtype}")
    flat: list[Any] = (array.astype("U") if array.dtype.kind == "S" else array).reshape(-1).tolist()
    return [str(value) for value in flat]


def _split(rows: Array, fraction: float, seed: int, option: str) -> tuple[Array, Array]:
    """The rows that stay, in a random order if any go, and those held out."""
    if fraction == 0.0:
        return rows, rows[:0]
    try:
        (kept, _), (held, _) = datasets.split(rows, rows, fraction, seed)
    except ValueError:
        raise ValueError(
            f"--{option}: expected 0, or a fraction with rows on both sides of {len(rows)}, got {fraction:g}"
        ) from None
    return kept, held


def _unseen(features: Columns, x: Array, held: Array) -> int:
    """Rows of zeros alone for a text column: a category, or a missing value, that no training row has."""
    rows, first = np.zeros(len(held), bool), 0
    for column in features.columns:
        width = len(column.get("categories", "1"))
        if "categories" in column:
            rows |= ~x[held, first : first + width].any(axis=1)
        first += width
    return int(rows.sum())
