"""What happened in training, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np

from ._check import Array

__all__ = ["History"]


class History:
    """Curves by name, one value an epoch.

    `history["loss"]` is an array, `history.names` lists what there is: loss (in training, penalty included), penalty,
    accuracy, val_loss (without penalty) and val_accuracy, lr and seconds. A value missing in an epoch is NaN. Printing gives
    a table.

    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history["loss"]
    array([0.5])
    """

    def __init__(self) -> None:
        self._curves: dict[str, list[float]] = {}
        self._epochs = 0

    @property
    def names(self) -> list[str]:
        """The curves' names."""
        return list(self._curves)

    def append(self, values: dict[str, float]) -> None:
        """Add an epoch."""
        for name in values:
            self._curves.setdefault(name, [float("nan")] * self._epochs)
        self._epochs += 1
        for name, curve in self._curves.items():
            curve.append(float(values.get(name, float("nan"))))

    def __len__(self) -> int:
        return self._epochs

    def __iter__(self) -> Iterator[str]:
        return iter(self._curves)

    def __contains__(self, name: object) -> bool:
        return name in self._curves

    def __getitem__(self, name: str) -> Array:
        if name not in self._curves:
            raise KeyError(f"no curve {name!r}; there are {self.names}")
        return np.array(self._curves[name])

    def last(self) -> dict[str, float]:
        """The values of the last epoch."""
        return {name: curve[-1] for name, curve in self._curves.items()}

    def table(self) -> str:
        """A line an epoch."""
        rows = [["epoch", *self.names]]
        rows += [[str(i + 1), *(f"{self._curves[name][i]:.4g}" for name in self.names)] for i in range(self._epochs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)

    def __repr__(self) -> str:
        return f"<History of {self._epochs} epoch{'s' * (self._epochs != 1)}: {', '.join(self.names) or 'nothing'}>"

    def __str__(self) -> str:
        return self.table()

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """The curves as JSON text, also written to `path` where given. NaN and infinity become null."""
        curves = {name: [v if np.isfinite(v) else None for v in curve] for name, curve in self._curves.items()}
        text = json.dumps({"epochs": self._epochs, "curves": curves}, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, text: str) -> History:
        """The inverse of `to_json`; null becomes NaN."""
        data = json.loads(text)
        history = cls()
        history._epochs = int(data["epochs"])
        history._curves = {
            name: [float("nan") if v is None else float(v) for v in curve] for name, curve in data["curves"].items()
        }
        return history

    def plot(self, path: str | PathLike[str] | IO[bytes]) -> None:
        """Draw training and validation curves into an image file (.png, .svg, .pdf), or into an open one as .png.

        Needs `pip install "fastnn[plot]"`.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError('history.plot needs matplotlib: pip install "fastnn[plot]"') from error
        skipped = {"lr", "seconds", "penalty"}
        panels = [name for name in self.names if not name.startswith("val_") and name not in skipped]
        panels += [n[4:] for n in self.names if n.startswith("val_") and n[4:] not in self.names]
        figure = Figure(figsize=(5.2 * max(1, len(panels)), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        epochs = np.arange(1, self._epochs + 1)
        for position, name in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), position + 1)
            for key, label, color in ((name, "training", "#1f6f8b"), (f"val_{name}", "validation", "#d1495b")):
                if key in self._curves:
                    marker = "o" if self._epochs == 1 else None  # a line needs two points
                    axes.plot(epochs, self._curves[key], label=label, color=color, linewidth=1.8, marker=marker)
            axes.set(xlabel="epoch", title=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        figure.savefig(path, dpi=120)
