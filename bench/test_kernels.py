"""Elementwise kernels beside good NumPy, one at a time, with pytest-benchmark; `python -m bench kernels` runs it.

One process and no BLAS, so thread pools cannot disturb one another. In cache: one thread. Out of cache: one thread, and all, and
on either the floor: passes with the same mixes of streams over arrays of that size. Each result is checked against NumPy's before
it is timed; the first call, which may compile, is not timed.
"""

import os
import time
from functools import cache

import numba
import numpy as np
import pytest

from .floor import mix_loop, out_of_cache
from .kernel_cases import CASES

QUICK = bool(os.environ.get("FASTNN_BENCH_QUICK"))
IN_CACHE = 1 << 15  # 128 KiB an array: Adam's four stay in an L2 cache
SIZES = {"in cache": IN_CACHE, "out of cache": out_of_cache() // (8 if QUICK else 1)}
ROUNDS = 3 if QUICK else 9
ROUND_SECONDS = 2e-3


@pytest.fixture(scope="module", params=[(name, size) for size in SIZES for name in CASES], ids=lambda p: f"{p[0]}, {p[1]}")
def case(request):
    name, size = request.param
    made = CASES[name](SIZES[size])
    made.kernel.serial(*made.args)
    made.numpy()
    if made.tolerance is not None:
        error = np.abs(made.got.astype(np.float64) - made.expected)
        assert np.all(error <= made.tolerance * np.maximum(1.0, np.abs(made.expected))), f"{name}: other results than NumPy's"
    return name, size, made


@cache
def _streams(elements):
    return [np.ones(elements, np.float32) for _ in range(4)]


_loop = cache(mix_loop)


def _floor(made, elements, threads):
    loops, arrays = [_loop(mix, threads) for mix in made.passes], _streams(elements)

    def passes():
        for loop in loops:
            loop(*arrays)

    return passes


@pytest.mark.parametrize("contender", ["fastnn", "floor", "fastnn, all threads", "floor, all threads", "NumPy"])
def test_kernel(benchmark, case, contender):
    name, size, made = case
    if size == "in cache" and contender not in ("fastnn", "NumPy"):
        pytest.skip("in cache kernels are timed on one thread, and beside NumPy alone")
    threads = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(threads)
    function, args = {
        "fastnn": (made.kernel.serial, made.args),
        "floor": (_floor(made, SIZES[size], 1), ()),
        "fastnn, all threads": (made.kernel.parallel, made.args),
        "floor, all threads": (_floor(made, SIZES[size], threads), ()),
        "NumPy": (made.numpy, ()),
    }[contender]
    function(*args)
    started = time.perf_counter()
    function(*args)
    iterations = max(1, min(1000, int(ROUND_SECONDS / (time.perf_counter() - started))))
    benchmark.group = f"{name}, {size}"
    elements = SIZES[size] // 784 * 784 if name == "gather" else SIZES[size]
    benchmark.extra_info.update(
        name=name, size=size, contender=contender, elements=elements, passes=made.passes, bytes_each=made.bytes_each,
        operations=made.operations, memory_bound=made.memory_bound,
    )  # fmt: skip
    benchmark.pedantic(function, args, rounds=ROUNDS, iterations=iterations, warmup_rounds=1)
