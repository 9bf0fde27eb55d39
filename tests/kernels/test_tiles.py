"""The product on processors that this one is not: each in a process of its own, with a cache of its own."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn_kernels._tile import TILES

TESTS = Path(__file__).parents[1]
X86 = platform.machine() in ("x86_64", "AMD64")
HASWELL = "+64bit,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c"
# how LLVM is told of another processor, and the tile that is then chosen
PROCESSORS = {
    "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": HASWELL},
    "portable": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+64bit,+sse,+sse2"},  # has no fused multiply-add
}
CHOSEN = "import sys; from fastnn_kernels._tile import TILE; sys.exit(TILE.name != sys.argv[1])"


def run(settings, folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FASTNN_TILE", "NUMBA_CPU"))}
    environment |= settings | {"NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=TESTS.parent)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def run_tests(settings, folder):
    linear = [str(TESTS / "kernels" / "test_linear.py"), str(TESTS / "gradients" / "test_every_kernel.py"), "-k", "inear"]
    run(settings, folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *linear)


@pytest.mark.skipif(not X86, reason="tells LLVM of other x86-64 processors")
@pytest.mark.parametrize("tile", PROCESSORS)
def test_another_processor_has_its_tile_and_is_right(tile, tmp_path):
    run(PROCESSORS[tile], tmp_path, "-c", CHOSEN, tile)
    run_tests(PROCESSORS[tile], tmp_path)


@pytest.mark.parametrize("tile", sorted(TILES.keys() - PROCESSORS.keys()))
def test_a_forced_tile_is_right(tile, tmp_path):
    run({"FASTNN_TILE": tile}, tmp_path, "-c", CHOSEN, tile)
    run_tests({"FASTNN_TILE": tile}, tmp_path)


def test_an_unknown_tile_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="expected one of avx512, avx2, neon, portable, got 'abacus'"):
        run({"FASTNN_TILE": "abacus"}, tmp_path, "-c", CHOSEN, "abacus")
