"""Seeded tables that a small network can learn."""

import csv
from pathlib import Path

import numpy as np

import fastnn as fnn

QUICK = ("--hidden", "16", "--epochs", "12", "--lr", "0.01", "--quiet")


def animals(rows=300, seed=0):
    """Weight, number of legs, colour and habitat of three kinds, which they tell, nearly always."""
    rng = np.random.default_rng(seed)
    kinds = ("cat", "hen", "trout")
    table = []
    for _ in range(rows):
        kind = rng.integers(3)
        weight = rng.normal((4.0, 2.0, 1.5)[kind], 0.5)
        colour = rng.choice(["black, spotted", "white", 'so-called "red"'])
        table.append([f"{weight:.3f}", ("4", "2", "0")[kind], colour, ("house", "yard", "water")[kind], kinds[kind]])
        if rng.random() < 0.1:
            table[-1][3] = "house"
        if rng.random() < 0.3:
            table[-1][1] = "2"
    return ["weight", "legs", "colour", "habitat", "kind"], table


def houses(rows=300, seed=0):
    """Prices around 200,000 from an area and a town, with noise of 2,000."""
    rng = np.random.default_rng(seed)
    table = []
    for _ in range(rows):
        area, town = rng.uniform(40.0, 160.0), rng.integers(2)
        price = 50_000.0 + 1_500.0 * area + 40_000.0 * town + rng.normal(0.0, 2_000.0)
        table.append([f"{area:.1f}", ("Ulm", "Köln")[town], f"{price:.2f}"])
    return ["area", "town", "price"], table


def write(path, table, delimiter=",", encoding="utf-8"):
    header, rows = table
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def without(table, *names):
    """The table without some columns."""
    header, rows = table
    kept = [i for i, name in enumerate(header) if name not in names]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def reordered(table, order):
    header, rows = table
    return [header[i] for i in order], [[row[i] for i in order] for row in rows]


def changed(table, row, name, value):
    """The table with one value replaced."""
    header, rows = table
    rows = [list(values) for values in rows]
    rows[row][header.index(name)] = value
    return header, rows


def held_out(table, fraction=0.2, seed=0):
    """The rows that `fastnn train` sets aside to test on."""
    header, rows = table
    (_, _), (index, _) = fnn.datasets.split(np.arange(len(rows)), np.arange(len(rows)), fraction, seed)
    return header, [rows[i] for i in index]


def column(text, name="prediction"):
    """A column of a CSV text."""
    return [row[name] for row in csv.DictReader(text.splitlines())]


def curves(path):
    return fnn.History.from_json(Path(path).read_text(encoding="utf-8"))
