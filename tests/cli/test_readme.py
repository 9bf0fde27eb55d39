"""The commands in the README do what it shows."""

import re
import shlex
from pathlib import Path

import numpy as np
from cli.helpers import write

from fastnn.cli._parser import parser

README = Path(__file__).resolve().parents[2] / "README.md"


def flowers(rows, target):
    rng = np.random.default_rng(0)
    header = ["id", "petal", "colour", "species"] if target else ["colour", "petal"]
    table = []
    for i in range(rows):
        kind = rng.integers(2)
        petal, colour = f"{rng.normal(1.0 + 3.0 * kind, 0.4):.2f}", "" if i % 9 == 0 else ("red", "blue")[kind]
        table.append([str(i), petal, colour, ("iris", "rose")[kind]] if target else [colour, petal])
    return header, table


def masked(text):
    """Without measured figures: seconds, and accuracies, whose last digits depend on the processor."""
    return re.sub(r"\d+\.\d+", "#", text)


def test_the_readmes_commands_run_as_shown(command, tmp_path):
    (block,) = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    write("flowers.csv", flowers(120, target=True))
    write("new.csv", flowers(10, target=False))
    for part in block.split("$ fastnn ")[1:]:
        line, *shown = part.splitlines()
        arguments = shlex.split(line)
        options = parser().parse_args(arguments)
        if arguments[0] == "warmup" or options.data == "fashion-mnist":  # minutes, and data of its own
            continue
        code, out, err = command(*arguments)
        assert code == 0, err
        for text in shown:
            assert text == "..." or masked(text) in masked(out)
    assert (tmp_path / "answers.csv").read_text().startswith("prediction,iris,rose\n")
