"""Models in files: the architecture as JSON beside the arrays, in one .npz, read without running code from the file.

`numpy.load(path, allow_pickle=False)` opens such a file anywhere: "fastnn" holds the JSON (the file's format, layers
by class name with their settings, and `extra`), every other name is one of `model.state_dict()`.
"""

from __future__ import annotations

import inspect
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import init, layers
from ._check import quote
from .layers import Layer, Linear, Residual, SpectralNorm
from .sequential import Sequential

__all__ = ["load_extra", "load_model", "save_model", "whole_file"]

FORMAT = 1
_HEADER = "fastnn"
_CLASSES: dict[str, type[Layer]] = {
    name: getattr(layers, name) for name in layers.__all__ if name not in ("Layer", "spectral_norm")
}
_ATTRIBUTES = {
    "Linear": {"bias": "has_bias", "seed": "_seed"},
    "LayerNorm": {"bias": "has_bias"},
    "Dropout": {"seed": "_given_seed"},
}  # named otherwise


def save_model(path: str | PathLike[str], model: Sequential, extra: dict[str, Any] | None = None) -> None:
    """Write a model: its layers with their settings, and all its arrays, but not its optimiser; pickle a Trainer to go on.

    extra: what else JSON can hold, for `load_extra`. The file appears whole or not at all; one that is there is replaced.
    An initialiser of your own is left out (its weights are saved); a layer of your own is refused with a ValueError: pickle
    such a model.

    >>> import tempfile
    >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 3), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(f"{folder}/model.npz", model, extra={"classes": ["a", "b", "c"]})
    ...     again = load_model(f"{folder}/model.npz")
    >>> again
    Sequential(Linear(4, 8), ReLU(), Linear(8, 3), seed=0)
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"model: expected a Sequential, got {quote(model)}")
    if extra is not None and not isinstance(extra, dict):
        raise TypeError(f"extra: expected a dict, got {quote(extra)}")
    header = {"format": FORMAT, "model": _described(model, "model"), "extra": extra or {}}
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"extra: expected what JSON can hold, without NaN and infinity: {error}") from None
    arrays: dict[str, Any] = {_HEADER: np.array(text), **model.state_dict()}
    with whole_file(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **arrays)


def load_model(path: str | PathLike[str]) -> Sequential:
    """The model of a file that `save_model` wrote, with the same bits, in training mode like a new one.

    Nothing from the file is run. Raises ValueError where it is damaged, of a newer format or of other origin.
    """
    with _opened(path) as (header, file):
        model = _built(header["model"], "model")
        if not isinstance(model, Sequential):
            raise ValueError(f"a Sequential was expected, {model!r} came")
        model.load_state_dict({name: file[name] for name in file.files if name != _HEADER})
    return model


def load_extra(path: str | PathLike[str]) -> dict[str, Any]:
    """What `save_model` was given as extra."""
    with _opened(path) as (header, _):
        if not isinstance(header["extra"], dict):
            raise ValueError("extra is not a dict")
        return header["extra"]


@contextmanager
def whole_file(path: str | PathLike[str]) -> Iterator[Path]:
    """A path to write to, in the same folder and with the same ending, whose file takes the place of `path` at the end.

    Where writing fails or is interrupted, what was at `path` stays.
    """
    path = Path(path)
    scratch = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _described(layer: Layer, name: str) -> dict[str, Any]:
    """A layer as JSON: its class and what its constructor takes."""
    if type(layer) is Sequential:
        inner = [_described(child, f"{name}[{i}]") for i, child in enumerate(layer.layers)]
        return {
            "class": "Sequential", "layers": inner, "seed": layer.seed, "dtype": layer.dtype.name,
            "input_scale": layer.input_scale,
        }  # fmt: skip
    if type(layer) is Residual:
        inner = [_described(child, f"{name}[{i}]") for i, child in enumerate(layer.layers)]
        return {"class": "Residual", "layers": inner, "dtype": layer.dtype.name}
    if type(layer) is SpectralNorm:
        settings = {"n_power_iterations": layer.n_power_iterations, "eps": layer.eps, "dtype": layer.dtype.name}
        return {"class": "SpectralNorm", "layer": _described(layer.layer, f"{name}.layer")} | settings
    kind = type(layer).__name__
    if type(layer) is not _CLASSES.get(kind):
        raise ValueError(
            f"{name}: expected a layer of fastnn, got {layer!r}, whose code a model file does not hold: pickle the model instead"
        )
    held = _ATTRIBUTES.get(kind, {})
    settings = {argument: getattr(layer, held.get(argument, argument)) for argument in inspect.signature(type(layer)).parameters}
    return {"class": kind} | {argument: _plain(value) for argument, value in settings.items()}


def _plain(value: Any) -> Any:
    """A setting as JSON holds it: NumPy's numbers, dtypes and our own initialisers by value or name."""
    if isinstance(value, np.dtype):
        return value.name
    if callable(value):
        name = getattr(value, "__name__", "")
        return name if vars(init).get(name) is value else None
    return value.item() if isinstance(value, np.generic) else value


def _built(described: Any, name: str) -> Layer:
    """The inverse of `_described`; classes come from our own tables, never from the file."""
    if not isinstance(described, dict):
        raise ValueError(f"{name}: a layer was expected, {quote(described)} came")
    settings = {argument: value for argument, value in described.items() if argument != "class"}
    kind = described.get("class")
    if kind in ("Sequential", "Residual"):
        inner = settings.pop("layers", None)
        if not isinstance(inner, list):
            raise ValueError(f"{name}: a list of layers was expected, {quote(inner)} came")
        container = Sequential if kind == "Sequential" else Residual
        return container(*(_built(child, f"{name}[{i}]") for i, child in enumerate(inner)), **settings)
    if kind == "SpectralNorm":
        inner = _built(settings.pop("layer", None), f"{name}.layer")
        if not isinstance(inner, Linear):
            raise ValueError(f"{name}: a Linear was expected, {inner!r} came")
        return SpectralNorm(inner, **settings)
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise ValueError(f"{name}: a layer of fastnn was expected, {quote(kind)} came")
    if kind == "Linear" and settings.get("bias_init") is None:
        settings.pop("bias_init", None)  # one of the user's own
    layer = _CLASSES[kind](**settings)
    layer._pending = False  # the file has the weights: drawing others would take time, and may warn
    return layer


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The header and the arrays; every way in which a file can be wrong becomes a ValueError that names it."""
    with Path(path).open("rb") as raw:
        try:
            if not zipfile.is_zipfile(raw):  # NumPy would take it for a pickle
                raise ValueError("it is no .npz file, or cut short")
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                yield _header(file), file
        except Exception as error:  # a damaged file can raise anything while it is read
            raise ValueError(f"{path}: expected a whole model file of fastnn: {error or type(error).__name__}") from error


def _header(file: Any) -> dict[str, Any]:
    if _HEADER not in file.files:
        raise ValueError("it holds something else")
    header: dict[str, Any] = json.loads(str(file[_HEADER].item()))
    if header["format"] > FORMAT:
        raise ValueError(f"it has format {header['format']}, and this fastnn reads formats up to {FORMAT}: update fastnn")
    return header
