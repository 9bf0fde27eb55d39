"""What the examples share: their command line, a table, a picture."""

import argparse
import inspect
from pathlib import Path

from matplotlib.figure import Figure

BLUE, RED, GREEN, GOLD, PURPLE, GREY, BROWN, TEAL, BLACK = COLORS = (
    "#1f6f8b", "#d1495b", "#66a182", "#edae49", "#8d6a9f", "#888888", "#8c5e3c", "#00a6a6", "#222222",
)  # fmt: skip


def run(main):
    """Call main(short, out) as the command line says."""
    parser = argparse.ArgumentParser(description=inspect.getmodule(main).__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a smaller problem, some seconds")
    parser.add_argument("--out", default="out", help="the folder for the picture; default: out")
    main(**vars(parser.parse_args()))


def table(head, rows):
    """Print rows of text and numbers under their head; text stands left, numbers right."""
    cells = [list(head)] + [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = [all(isinstance(row[k], str) for row in rows) for k in range(len(head))]
    for line in cells:
        print("  ".join(c.ljust(w) if ll else c.rjust(w) for c, w, ll in zip(line, widths, left, strict=True)).rstrip())


def panels(rows, columns, width=4.6, height=3.6, **settings):
    """A figure and its axes in rows and columns, as an array of both dimensions."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **settings)
    for one in axes.flat:
        one.grid(color="#dddddd", linewidth=0.6)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure, out, name):
    """Write the picture into the folder, and say where it is."""
    path = Path(out) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")


def _text(value):
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
