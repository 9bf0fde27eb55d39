"""Run the benchmarks: checks, floor, sections; then the report.

python -m bench                     everything, into bench/results/, README.md and docs/
python -m bench steps predict       some sections; the others stay as they were
python -m bench --quick             a smoke test of everything in a few minutes, into out/bench/
python -m bench --unchecked ...     without the tests first, into out/bench/
"""

import argparse
import importlib
import json
import subprocess
import sys
import time

from . import machine, report
from .machine import ROOT
from .run import Run

SECTIONS = ("kernels", "groups", "products", "steps", "predict", "startup", "fashion", "scaling")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="short runs: the figures mean little")
    parser.add_argument("--unchecked", action="store_true", help="do not run the kernels' tests first")
    chosen = parser.parse_args()
    for name in chosen.sections:
        if name not in SECTIONS:
            parser.error(f"expected sections of {', '.join(SECTIONS)}, got {name}")
    draft = chosen.quick or chosen.unchecked
    folder = ROOT / ("out/bench" if draft else "bench/results")

    if not chosen.unchecked:
        _say("tests of the kernels")
        _check()
    described = machine.describe()
    path = folder / f"{machine.file_name(described)}.json"
    results = json.loads(path.read_text()) if path.exists() and chosen.sections else {"sections": {}}
    run = Run(threads=len(machine.cores()), quick=chosen.quick)
    note = machine.stamp() | {"checked": not chosen.unchecked, "quick": chosen.quick, "threads": run.threads}
    results["machine"] = described
    for name in ("floor", *(chosen.sections or SECTIONS)):
        _say(name)
        others = round(machine.busy(), 3)
        if others > report.QUIET:
            print(f"  other programs take {others:.0%} of the processors: the figures will not be the project's")
        started = time.perf_counter()
        found = importlib.import_module(f"bench.sections.{name}").measure(run)
        if name == "floor":
            run.floor = found
        taken = round(time.perf_counter() - started, 1)
        results["sections"][name] = {"found": found, "note": note | {"seconds": taken, "busy": others}}
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(f"  ({taken:.0f} s)")
    _say(f"report of {path.relative_to(ROOT)}")
    report.write(results, into=folder if draft else ROOT)


def _check():
    """No speed is measured while a kernel's tests are red."""
    command = [sys.executable, "-m", "pytest", "tests/kernels", "tests/gradients", "-q", "-x", "--no-header"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit("the kernels' tests are red: nothing is measured")


def _say(what):
    print(f"\n== {what}", flush=True)


if __name__ == "__main__":
    main()
