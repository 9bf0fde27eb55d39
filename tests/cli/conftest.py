"""The command in this process, in a folder of its own."""

import json

import pytest

from fastnn.cli import main


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Call the command in an empty folder; returns the exit code, what was printed, and what was said on stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(command, tmp_path):
    """Call the command with what it must refuse: in one line, with code 2, and without leaving anything."""

    def call(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("fastnn: ")
        assert err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return call


@pytest.fixture
def report(command):
    """Call the command with --json; returns the object, after a success."""

    def call(*arguments):
        code, out, err = command(*arguments, "--json")
        assert code == 0, err
        return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))

    return call
