"""What the figures were measured on: processor, caches, versions, commit; and which cores a contender may use."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "scikit-learn")
_CPUS = Path("/sys/devices/system/cpu")


def cores():
    """One logical processor of each physical core that this process may use: twins share their units, and would not add speed."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    allowed = sorted(os.sched_getaffinity(0))
    chosen, seen = [], set()
    for cpu in allowed:
        siblings = _read(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        if siblings not in seen:
            seen.add(siblings)
            chosen.append(cpu)
    return chosen


def caches():
    """Bytes of each data cache that the first core sees: {'L1': ..., 'L2': ...}; empty where the system does not say."""
    found = {}
    for index in sorted(_CPUS.glob("cpu0/cache/index*")):
        size = re.fullmatch(r"(\d+)([KM])", _read(index / "size"))
        if size and _read(index / "type") != "Instruction":
            found[f"L{_read(index / 'level')}"] = int(size[1]) << {"K": 10, "M": 20}[size[2]]
    return found


def last_cache():
    """Bytes of the largest cache; 32 MiB where the system does not say."""
    return max(caches().values(), default=32 << 20)


def cpu_name():
    match = re.search(r"model name\s*:\s*(.+)", _read(Path("/proc/cpuinfo")))
    return match[1].strip() if match else platform.processor() or platform.machine()


def describe():
    return {
        "cpu": cpu_name(),
        "cores": len(cores()),
        "logical": os.cpu_count(),
        "caches": caches(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "compiler": compiler(),
        "versions": versions(),
    }


def file_name(machine):
    """amd-epyc-2-cores: the name of a machine's results."""
    name = re.sub(r"\((r|tm)\)|@.*|\bcpu\b|\bprocessor\b|\d+-core", " ", machine["cpu"].lower())
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {machine['cores']} cores").strip("-")


def versions():
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def has(module):
    return importlib.util.find_spec(module) is not None


def compiler():
    """The C++ compiler that torch.compile would use, or None."""
    return next((name for name in (os.environ.get("CXX"), "g++", "clang++") if name and shutil.which(name)), None)


def busy(seconds=1.0):
    """The share of all processors' time that other programs take now; 0 where the system does not say."""
    before = _ticks()
    time.sleep(seconds)
    idle, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _ticks():
    """Of all processors since the start: idle, and all."""
    counts = [int(word) for word in _read(Path("/proc/stat")).partition("\n")[0].split()[1:9]]
    return sum(counts[3:5]), sum(counts)


def stamp():
    """When, and of which commit: {'date', 'commit', 'dirty'}; results and what is made from them do not make a tree dirty."""
    changes = _git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs", ":!README.md")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git("rev-parse", "--short", "HEAD") or "unknown",
        "dirty": bool(changes),
    }


def _git(*arguments):
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _read(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""
