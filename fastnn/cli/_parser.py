"""The command's options and their help."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

from .. import __version__

__all__ = ["parser"]

_DATA = """\
DATA is `digits` (1797 images, part of fastnn), `fashion-mnist` (its four files in --data-dir), a CSV file with a header and
--target COLUMN, or an .npz file with arrays x and y, and x_test and y_test where there are such.

Of a CSV file, columns of numbers are standardised, text becomes one column a category. A target of text, or of at most 20
different integers, is classified; of another its value is predicted. Validation and test rows are drawn by chance; means,
deviations and categories are those of the training rows alone. The folder gets model.npz, history.json and curves.png; what is
there by these names is replaced. Ctrl-C ends training and leaves them too."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the rest of the command does."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; `run` in what it returns is the function to call."""
    top = _Parser(prog="fastnn", description="Train neural networks on the CPU.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _train(commands.add_parser(
        "train", help="train a network on a data set, a CSV or an .npz file", epilog=_DATA, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ))  # fmt: skip
    _predict(commands.add_parser("predict", help="predict for new rows with a trained model", allow_abbrev=False))
    info = commands.add_parser("info", help="show versions, processor, threads and the cache of compiled kernels")
    info.set_defaults(run=_later("machine", "info"))
    warmup = commands.add_parser("warmup", help="compile kernels now, so that no training waits for it")
    warmup.add_argument("--dtype", choices=("float32", "float64", "both"), default="float32", help="default: float32")
    warmup.add_argument("--all", action="store_true", help="the rarer layers, losses and rules too, which takes minutes")
    warmup.set_defaults(run=_later("machine", "warmup"))
    for command in (info, warmup):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return top


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """The function of a module that is imported when it is called."""

    def run(options: argparse.Namespace) -> int:
        import importlib

        code: int = getattr(importlib.import_module(f"{__package__}.{module}"), function)(options)
        return code

    return run


def _train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_later("train", "train"))
    data = command.add_argument_group("data")
    data.add_argument("data", metavar="DATA", help="digits, fashion-mnist, FILE.csv or FILE.npz; see below")
    data.add_argument("--target", metavar="COLUMN", help="the column of a CSV file to predict")
    data.add_argument("--task", choices=("auto", "classification", "regression"), default="auto", help="default: auto")
    data.add_argument("--drop", metavar="COLUMN,...", type=_names, default=[], help="columns to leave out")
    data.add_argument("--categorical", metavar="COLUMN,...", type=_names, default=[], help="numbers that are mere codes")
    data.add_argument(
        "--missing", choices=("error", "fill"), default="error",
        help="missing values (empty, NA, NaN, null, ?): an error, or the mean of a number and a category of text of their own",
    )  # fmt: skip
    data.add_argument("--validation", metavar="FRACTION", type=_fraction, default=0.1, help="held out to watch; default: 0.1")
    data.add_argument("--test", metavar="FRACTION", type=_fraction, help="held out to the end; default: 0.2, or the data's own")
    data.add_argument("--data-dir", metavar="FOLDER", help="where Fashion-MNIST's files are")
    _reading(data)
    network = command.add_argument_group("network")
    network.add_argument(
        "--hidden", metavar="N,...", type=_sizes, default=[256, 128], help='sizes of hidden layers, "" for none; default: 256,128'
    )
    kinds = ("relu", "leaky_relu", "sigmoid", "tanh", "selu")
    network.add_argument("--activation", choices=kinds, default="relu", help="default: relu")
    network.add_argument(
        "--batchnorm", action=argparse.BooleanOptionalAction, default=True, help="batch normalisation; default: yes"
    )
    network.add_argument("--dropout", metavar="P", type=_fraction, default=0.0, help="after each hidden layer; default: 0")
    training = command.add_argument_group("training")
    training.add_argument("--optimizer", choices=("adam", "rmsprop", "sgd"), default="adam", help="default: adam")
    training.add_argument("--lr", metavar="RATE", type=_positive, help="default: 0.001, for sgd 0.05")
    training.add_argument(
        "--schedule", choices=("linear", "cosine", "onecycle", "constant"), default="linear",
        help="how the rate falls from epoch to epoch; onecycle: up to it and down again, by steps; default: linear",
    )  # fmt: skip
    training.add_argument("--momentum", metavar="M", type=_fraction, help="of sgd (default: 0.9) and rmsprop (default: 0)")
    training.add_argument("--l2", metavar="STRENGTH", type=_nonnegative, default=0.0, help="penalty on weights; default: 0")
    training.add_argument("--label-smoothing", metavar="E", type=_fraction, default=0.0, help="default: 0")
    training.add_argument("--clip-norm", metavar="NORM", type=_positive, help="largest norm of the gradient; default: none")
    training.add_argument("--epochs", metavar="N", type=_count, default=20, help="default: 20")
    training.add_argument("--batch-size", metavar="N", type=_count, help="default: 64; 32 below 3200 rows, 16 below 1600")
    training.add_argument(
        "--early-stopping", metavar="PATIENCE", type=_count,
        help="end when the validation loss has not improved for so many epochs, and take the best one's weights",
    )  # fmt: skip
    training.add_argument("--seed", metavar="N", type=_seed, default=0, help="of the split, the weights, all; default: 0")
    training.add_argument("--threads", metavar="N", type=_count, help="the results do not depend on it; default: all cores")
    output = command.add_argument_group("output")
    output.add_argument("--out", metavar="FOLDER", help="default: out/ and the data's name")
    output.add_argument("--quiet", action="store_true", help="no table of the network, no progress")
    output.add_argument("--json", action="store_true", help="print one JSON object, all else on stderr")


def _predict(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Write a CSV with a column `prediction`. Columns are found by name; others, such as the target, are ignored, "
        "but a target gives scores, on stderr."
    )
    command.set_defaults(run=_later("predict", "predict"))
    command.add_argument("model", metavar="MODEL", help="model.npz of `fastnn train`, or its folder")
    command.add_argument("data", metavar="DATA", help="FILE.csv; FILE.npz or FILE.npy for a model trained on arrays")
    command.add_argument("--proba", action="store_true", help="a column for each class too, with its probability")
    command.add_argument(
        "--unknown", choices=("error", "ignore"), default="error", help="categories that training did not see; default: error"
    )
    _reading(command)
    command.add_argument("--threads", metavar="N", type=_count, help="default: all cores")
    command.add_argument("--out", metavar="FILE", help="write there, not on stdout")
    command.add_argument("--json", action="store_true", help="print one JSON object, all else on stderr")


def _reading(group: Any) -> None:
    group.add_argument("--delimiter", metavar="CHARACTER", type=_delimiter, help="of a CSV file; default: , ; tab or |, as found")
    group.add_argument("--x-name", metavar="NAME", default="x", help="of the inputs in an .npz file; default: x")
    group.add_argument("--y-name", metavar="NAME", default="y", help="of the targets; default: y")


# the types of options: each the value, or an error that says what was expected and what came


def _expected(what: str, text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"expected {what}, got {text!r}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0.0 <= value < 1.0:
        raise _expected("a number from 0 to below 1", text)
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if not 0.0 < value < math.inf:
        raise _expected("a number above 0", text)
    return value


def _nonnegative(text: str) -> float:
    value = _number(text)
    if not 0.0 <= value < math.inf:
        raise _expected("a number of at least 0", text)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise _expected("an integer of at least 1", text)
    return int(text)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise _expected("an integer from 0 to 2**64 - 1", text)
    return int(text)


def _sizes(text: str) -> list[int]:
    try:
        return [_count(part.strip()) for part in text.split(",")] if text.strip() else []
    except argparse.ArgumentTypeError:
        raise _expected("sizes of layers such as 512,256", text) from None


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _delimiter(text: str) -> str:
    value = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(value) != 1 or value in '"\r\n':
        raise _expected("one character, or tab", text)
    return value
