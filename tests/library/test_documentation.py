"""What the docstrings and the README show is what happens."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn

MODULES = [module.name for module in pkgutil.walk_packages(fnn.__path__, "fastnn.")]
README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    names = vars(fnn) | {"np": np} | vars(module)
    results = doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_every_public_name_has_a_docstring():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            value = getattr(module, public)
            if callable(value) and not isinstance(value, type(np.dtype)):
                assert value.__doc__, f"{name}.{public}"


def test_the_readmes_python_runs_as_shown(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:  # one after the other, as a reader would type them
        exec(compile(block, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "excellent" in shown
    assert float(re.search(r"'accuracy': ([\d.]+)", shown).group(1)) > 0.95
