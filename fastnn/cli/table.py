"""CSV files as columns of text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TextIO

__all__ = ["MISSING", "Table", "read_table"]

MISSING = frozenset(("", "na", "nan", "null", "?"))  # of values in lower case
_DELIMITERS = ",;\t|"


@dataclass
class Table:
    """Columns by name, without white space around the values, and the line of the file where each row starts."""

    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)


def read_table(path: str | PathLike[str], delimiter: str | None = None) -> Table:
    """Read a CSV file with a header, UTF-8 with or without a mark. delimiter: None takes , ; tab or |, as in the header."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = [*_rows(file, path, delimiter)]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8: {error}") from None
    if not lines:
        raise ValueError(f"{path}: expected a header and rows, got an empty file")
    (_, header), *rows = lines
    for position, name in enumerate(header):
        if not name:
            raise ValueError(f"{path}: expected a name for every column, got none for column {position + 1} of {len(header)}")
        if name in header[:position]:
            raise ValueError(f"{path}: expected different names for the columns, got {name!r} twice")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: expected {len(header)} fields, as in the header, got {len(row)}")
    if not rows:
        raise ValueError(f"{path}: expected rows after the header, got none")
    columns = zip(*(row for _, row in rows), strict=True)
    return Table({name: list(column) for name, column in zip(header, columns, strict=True)}, [line for line, _ in rows])


def _rows(file: TextIO, path: str | PathLike[str], delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the line where it starts: a quoted field may hold line breaks."""
    text = file.readline()
    while text and not text.strip():
        text = file.readline()
    delimiter = delimiter or max(_DELIMITERS, key=lambda mark: len(next(csv.reader([text], delimiter=mark), [])))
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    line = 1
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if len(values) > 1 or any(values):
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {line}: {error}") from None
