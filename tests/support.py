"""Helpers of the kernel tests."""

import numba
import numpy as np

DTYPES = (np.float32, np.float64)
THREADS = tuple(range(1, min(4, numba.config.NUMBA_NUM_THREADS) + 1))


class Out:
    """An array that a kernel writes: each run gets a fresh copy."""

    def __init__(self, array):
        self.array = array


def unwritten(shape, dtype):
    """An output full of NaN, so that an element that is never written, or is read, shows."""
    return Out(np.full(shape, np.nan, dtype))


def every_way(kernel, *args):
    """Run a kernel serially and in parallel on each number of threads; all must give the same bits. Returns the outputs."""
    before = numba.get_num_threads()
    results = [_run(kernel.serial, args)]
    try:
        for threads in THREADS:
            numba.set_num_threads(threads)
            results.append(_run(kernel.parallel, args))
    finally:
        numba.set_num_threads(before)
    for way, result in enumerate(results[1:]):
        for expected, got in zip(results[0], result, strict=True):
            assert expected.tobytes() == got.tobytes(), f"{kernel!r} differs from its serial build on {THREADS[way]} threads"
    return results[0]


def _run(build, args):
    given = [arg.array.copy() if isinstance(arg, Out) else arg for arg in args]
    build(*given)
    return [array for array, arg in zip(given, args, strict=True) if isinstance(arg, Out)]


def assert_close(got, expected, terms=1, scale=None):
    """Equal to rounding: the bound grows with the root of the number of terms added up, and with the size of the terms."""
    eps = np.finfo(got.dtype).eps
    expected = np.asarray(expected, np.float64)
    scale = np.maximum(np.abs(expected), 1e-30) if scale is None else scale
    error = np.abs(got.astype(np.float64) - expected)
    bound = 8.0 * eps * np.sqrt(terms) * scale
    assert got.shape == expected.shape
    assert np.all(error <= bound), f"error {np.max(error / np.maximum(bound, 1e-300)):.3g} times the bound"
