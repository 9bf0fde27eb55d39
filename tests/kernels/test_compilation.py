"""What the kernels' cache promises: never yesterday's kernel, never a failed call. Each test runs a copy of the kernels."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn_kernels
from fastnn_kernels.cpu.random import philox

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from fastnn_kernels._jit import cache_folder
from fastnn_kernels.cpu.scaled import double
y = np.zeros(3)
double(np.arange(3.0), y)
dispatcher = double.serial
print(y.tolist(), sum(dispatcher.stats.cache_hits.values()), sum(dispatcher.stats.cache_misses.values()), cache_folder())
"""

HELPER = """
from .._jit import worker

FACTOR = {factor}

@worker
def scale(value):
    return FACTOR * value
"""

KERNEL = """
from numba import prange
from .._jit import kernel
from ._scale import scale

@kernel
def double(x, y):
    for i in prange(x.size):
        y[i] = scale(x[i])
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the kernels with one kernel and one helper more."""
    source = Path(fastnn_kernels.__file__).parent
    copy = tmp_path / "fastnn_kernels"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "cpu" / "_scale.py").write_text(HELPER.format(factor=2))
    (copy / "cpu" / "scaled.py").write_text(KERNEL)
    return copy


def run(package, **environment):
    """Call the kernel in a process of its own; returns (result, cache hits, cache misses, folder)."""
    settings = os.environ | {"NUMBA_CACHE_DIR": "", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    script = SCRIPT.format(folder=str(package.parent))
    done = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result, hits, misses, folder = done.stdout.rsplit(" ", 3)
    return result, int(hits), int(misses), folder.strip()


@pytest.mark.parametrize("imports", ["from . import _scale", "from . import (\n    _scale,\n)"])
def test_a_changed_helper_is_seen_through_an_import_of_its_module(package, imports):
    kernel = KERNEL.replace("from ._scale import scale", imports + "\nscale = _scale.scale")
    (package / "cpu" / "scaled.py").write_text(kernel)
    assert run(package)[0] == "[0.0, 2.0, 4.0]"
    (package / "cpu" / "_scale.py").write_text(HELPER.format(factor=3))
    assert run(package)[0] == "[0.0, 3.0, 6.0]"


def entries(package):
    return sorted((package / "__pycache__").glob("*.nbc"))


def test_the_second_process_loads_what_the_first_compiled(package):
    assert run(package)[:3] == ("[0.0, 2.0, 4.0]", 0, 1)
    assert run(package)[:3] == ("[0.0, 2.0, 4.0]", 1, 0)


def test_a_changed_helper_in_another_file_is_seen(package):
    run(package)
    helper = package / "cpu" / "_scale.py"
    times = helper.stat().st_atime_ns, helper.stat().st_mtime_ns
    helper.write_text(HELPER.format(factor=3))
    os.utime(helper, ns=times)  # even where the time stamp does not tell
    assert run(package)[:3] == ("[0.0, 3.0, 6.0]", 0, 1)


def test_a_truncated_entry_is_compiled_afresh(package):
    run(package)
    (entry,) = entries(package)
    entry.write_bytes(entry.read_bytes()[:100])
    assert run(package)[:3] == ("[0.0, 2.0, 4.0]", 0, 1)
    assert run(package)[:3] == ("[0.0, 2.0, 4.0]", 1, 0)


def test_bounds_checking_has_entries_of_its_own(package):
    run(package)
    assert run(package, NUMBA_BOUNDSCHECK="1")[1:3] == (0, 1)
    assert len(entries(package)) == 2


def test_a_folder_that_cannot_be_made_falls_back_to_the_users(package, tmp_path):
    (package / "__pycache__").write_text("a file, where the folder would be")
    *outcome, folder = run(package, XDG_CACHE_HOME=str(tmp_path / "home"))
    assert outcome == ["[0.0, 2.0, 4.0]", 0, 1]
    assert folder == str(tmp_path / "home" / "fastnn")
    assert run(package, XDG_CACHE_HOME=str(tmp_path / "home"))[1] == 1


def test_without_any_folder_the_call_still_works(package, tmp_path):
    (package / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    assert run(package, XDG_CACHE_HOME=str(tmp_path / "home")) == ("[0.0, 2.0, 4.0]", 0, 1, "None")


def test_serial_and_parallel_builds_are_kept_apart(package):
    script = package.parent / "both.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
        "import numpy as np\nfrom fastnn_kernels.cpu.scaled import double\n"
        "y = np.zeros(3)\n"
        "double.serial(np.arange(3.0), y)\ndouble.parallel(np.arange(3.0), y)\n"
        "print([sum(b.stats.cache_hits.values()) for b in (double.serial, double.parallel)])\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": ""}
    outputs = [
        subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert outputs == ["[0, 0]", "[1, 1]"]
    assert {entry.name.split("-")[1] for entry in entries(package)} == {"serial", "parallel"}


def test_importing_compiles_nothing():
    code = (
        "import numba.core.compiler as c\n"
        "def refuse(*a, **k): raise AssertionError('compiled at import')\n"
        "c.compile_extra = refuse\n"
        "import fastnn, fastnn.kernels\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_worker_refuses_to_be_called_from_python():
    for _ in range(2):
        with pytest.raises(TypeError, match="philox: expected a call from compiled code"):
            philox(1, 2, 3, 4)


BESIDE = """
import os, sys
sys.path.insert(0, {folder!r})
os.cpu_count = lambda: 2
import numpy as np
from fastnn_kernels._jit import types_of
from fastnn_kernels._workshop import compile_beside
from fastnn_kernels.cpu.instructions.data import GATHERS
from fastnn_kernels.cpu.program import Context

floats, integers = np.zeros(1), np.zeros(1, np.int64)
context = Context(*[floats] * len(Context._fields))._replace(state=integers, order=integers, source=np.zeros(1, np.uint8))
types = types_of(integers, floats, context)
builds = [(op, False) for op in GATHERS.values()]
{sabotage}
compile_beside(builds, types)
print(len(builds), sum(op.is_ready(False, types) for op, _ in builds), sum(len(op._build(False).overloads) for op, _ in builds))
"""


@pytest.mark.parametrize(
    ("sabotage", "found"), [("", 4), ("sys.executable = '/bin/false'", 2), ("sys.executable = '/nowhere'", 2)]
)
def test_another_process_compiles_its_share_for_this_one(package, sabotage, found):
    script = BESIDE.format(folder=str(package.parent), sabotage=sabotage)
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", str(found), "2"]  # this one compiled two of the four
