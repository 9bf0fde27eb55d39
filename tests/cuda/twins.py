"""Run the tests of the CPU's kernels over their CUDA twins.

`adopt("test_activations", ...)` loads that file of tests/kernels anew, with `kernels` and `every_way` replaced by those here and,
in the simulator, with smaller sizes, and returns its tests. On a GPU they run at the sizes that they have.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from support import Out

import fastnn
import fastnn.kernels
from fastnn_kernels import cuda
from fastnn_kernels.cuda import _target

KERNELS = Path(__file__).parents[1] / "kernels"


def to_device(value):
    """An array for the kernels: CuPy's on a GPU, in the simulator the same."""
    return _target.cupy.asarray(value) if _target.cupy is not None and isinstance(value, np.ndarray) else value


def to_host(value):
    return value if isinstance(value, np.ndarray) else value.get()


class Twin:
    """A CUDA function that takes NumPy arrays and writes into them. It fails where no CUDA kernel was launched."""

    def __init__(self, function):
        self.function = function
        self.__name__ = function.__name__

    def __call__(self, *args):
        before = launches()
        moved = {id(arg): to_device(arg) for arg in args if isinstance(arg, np.ndarray)}  # an array that comes twice is one
        self.function(*(moved.get(id(arg), arg) for arg in args))
        assert launches() > before, f"{self.__name__} launched no CUDA kernel"
        for arg in args:
            if isinstance(arg, np.ndarray) and moved[id(arg)] is not arg and arg.flags.writeable:
                arg[...] = to_host(moved[id(arg)])

    def __repr__(self):
        return f"<CUDA twin of {self.__name__}>"


class _Namespace:
    """`fastnn.kernels` for the tests: functions as twins, and the numbers and the sizes of scratch as they are."""

    def tile_rows(self, k):
        """Weights of columns may come in any number of whole rows."""
        return 2

    def __getattr__(self, name):
        value = getattr(cuda, name)
        return Twin(value) if callable(value) and name not in _SIZES else value


_SIZES = {"finite_chunks", "layernorm_chunks", "row_chunks", "scratch_size", "sum_chunks"}
kernels = _Namespace()


def every_launcher():
    """All kernels of the device."""
    modules = [value for value in vars(cuda).values() if getattr(value, "__package__", "") == "fastnn_kernels.cuda"]
    return {value for module in modules for value in vars(module).values() if isinstance(value, _target.Launcher)}


def launches():
    return sum(launcher.launches for launcher in every_launcher())


def every_way(kernel, *args):
    """Run it twice: the same bits."""
    first, second = ([*_run(kernel, args)] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes(), f"{kernel!r} differs from run to run"
    return first


def _run(kernel, args):
    given = [arg.array.copy() if isinstance(arg, Out) else arg for arg in args]
    kernel(*given)
    return [array for array, arg in zip(given, args, strict=True) if isinstance(arg, Out)]


def adopt(name, sizes, without=()):
    """The tests of tests/kernels/<name>.py, over the twins. sizes: for the simulator, by the name of the parameter."""
    spec = importlib.util.spec_from_file_location(f"twin_{name}", KERNELS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastnn, "kernels", kernels)  # what the file's own tables are made of
        spec.loader.exec_module(module)
    module.kernels, module.every_way = kernels, every_way
    tests = {key: value for key, value in vars(module).items() if key.startswith("test_") and key not in without}
    missing = set(without) - vars(module).keys()
    assert not missing, f"{name} has no {missing}"
    if _target.SIMULATED:
        silent = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning").mark  # NumPy's, for what a GPU does silently
        for test in tests.values():
            test.pytestmark = [silent, *(_smaller(mark, sizes) for mark in getattr(test, "pytestmark", []))]
    return tests


def _smaller(mark, sizes):
    if mark.name == "parametrize" and mark.args[0] in sizes:
        return type(mark)(mark.name, (mark.args[0], sizes[mark.args[0]]), mark.kwargs, _ispytest=True)
    return mark
