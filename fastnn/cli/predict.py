"""`fastnn predict`: a column of predictions for new rows."""

from __future__ import annotations

import csv
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, TextIO

from .._check import Array
from ..files import load_extra, load_model, whole_file
from ..functional import set_num_threads
from .data import Rows, read_rows
from .output import print_json, printable
from .preparation import Columns, Features, Target
from .table import MISSING

__all__ = ["predict"]


def predict(options: Namespace) -> int:
    """Run the subcommand; returns the exit code."""
    path = Path(options.model)
    path = path / "model.npz" if path.is_dir() else path
    features, target = _preparation(path)
    model = load_model(path)
    if options.proba and target.classes is None:
        raise ValueError("--proba: expected a model of classes, got one of numbers")
    if options.threads:
        set_num_threads(options.threads)
    rows = read_rows(options, features, target)
    outputs = model.predict(features.apply(rows.inputs, options.unknown))  # type: ignore[arg-type]
    predictions = target.decode(outputs)
    probabilities = target.probabilities(outputs) if options.proba else None
    scores = _scores(rows, target, outputs)
    if options.out:
        with whole_file(options.out) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
            _write(file, predictions, target, probabilities)
    elif not options.json:
        _write(sys.stdout, predictions, target, probabilities)
    if options.json:
        result: dict[str, Any] = {"rows": len(predictions), "target": target.name, "classes": target.classes, "scores": scores}
        if options.out:
            result["file"] = str(options.out)
        else:
            result["predictions"] = predictions
            if probabilities is not None:
                result["probabilities"] = probabilities.tolist()
        print_json(result)
    return 0


def _preparation(path: Path) -> tuple[Columns | Features, Target]:
    """How `fastnn train` prepared the data of this model."""
    saved: Any = load_extra(path).get("preparation")
    try:
        kind: type[Columns | Features] = {"table": Columns, "array": Features}[saved["features"]["kind"]]
        return kind.from_dict(saved["features"]), Target.from_dict(saved["target"])
    except (KeyError, TypeError):
        raise ValueError(f"{path}: expected a model of `fastnn train`, got one that does not say how to prepare data") from None


def _scores(rows: Rows, target: Target, outputs: Array) -> dict[str, float] | None:
    """How well the predictions fit the targets that are there, said on stderr as well; None without any."""
    values = rows.target or []
    known = [i for i, value in enumerate(values) if value.lower() not in MISSING]
    if not known:
        return None
    truth = target.encode([values[i] for i in known], lambda i: rows.where(known[i]))
    scores = target.scores(outputs[known], truth)
    partly = "" if len(known) == len(outputs) else f", in the {len(known)} of {len(outputs)} rows that have it"
    print(f"against {target.name!r}{partly}: {printable(scores)}", file=sys.stderr)
    if target.classes is not None and truth.min() < 0:
        number, odd = int((truth < 0).sum()), values[known[int(truth.argmin())]]
        print(f"{number} rows have a class that training did not see, e.g. {odd!r}: they count as wrong", file=sys.stderr)
    return scores


def _write(file: TextIO, predictions: list[str] | list[float], target: Target, probabilities: Array | None) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if probabilities is None:
        writer.writerow(["prediction"])
        writer.writerows([prediction] for prediction in predictions)
    else:
        writer.writerow(["prediction", *(target.classes or [])])
        for prediction, row in zip(predictions, probabilities.tolist(), strict=True):
            writer.writerow([prediction, *(f"{value:.6g}" for value in row)])
