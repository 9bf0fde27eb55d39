"""Contenders in processes of their own, driven over pipes.

The thread pools of torch, OpenBLAS, XLA and Numba disturb one another inside one process, so a `Worker` is a process with one
contender in it, pinned to the same cores as the others and told to use as many threads. Between its turns it blocks on
its pipe; `interleave` also waits after each turn, until the contender's pool has stopped spinning.
"""

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from .machine import ROOT, cores
from .timing import summary

OURS = "fastnn"

# seconds after a turn until the contender's threads have stopped spinning: OpenBLAS's were seen to give up after 0.1 s,
# libgomp's and XLA's within 0.04
SETTLE = {"NumPy": 0.15}
SETTLE_USUALLY = 0.04


class WorkerError(RuntimeError):
    """A contender failed, in its own words."""


class Worker:
    """A process that holds one object, made by `make`, and calls its methods."""

    def __init__(self, threads):
        self._connection, theirs = Pipe()
        self._folder = tempfile.TemporaryDirectory()
        pinned = cores()[:threads]
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
        libraries = {
            "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
            "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_CACHE_DIR": self._folder.name,  # torch.compile's first call is to be a first call
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(theirs.fileno()), ",".join(map(str, pinned))],
            cwd=ROOT,
            env=os.environ | dict.fromkeys(variables, str(threads)) | libraries,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def make(self, path, *arguments):
        """Replace the object by a new one, of the class at `bench.contenders.module:Class`. Returns the seconds that took."""
        return self.call("make", path, *arguments)

    def time(self, n):
        """Seconds that the object's run(n) takes."""
        return self.call("time", n)

    def call(self, method, *arguments):
        try:
            self._connection.send((method, arguments))
            good, answer = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise WorkerError(f"the process ended with status {self._process.wait()}") from None
        if not good:
            raise WorkerError(answer)
        return answer

    def close(self):
        self._connection.close()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Field:
    """Workers by name. A peer that fails is left out of what follows, with its reason in `left_out`."""

    def __init__(self, names, threads, left_out):
        self.workers = {name: Worker(threads) for name in names}
        self.left_out = left_out

    def each(self, method, arguments=lambda _: ()):
        """Call a method of all, one after the other; {name: answer} of those that could."""
        answers = {}
        for name in list(self.workers):
            with self._care(name):
                answers[name] = self.workers[name].call(method, *arguments(name))
        return answers

    def interleave(self, rounds, seconds):
        """Time run(n) of all in turns, A B C A B C ...; {name: [seconds for one unit of run, a round]}.

        n is such that a turn takes about `seconds`. Each turn begins with an untimed tenth of it, to wake the pool up, and each
        round with another contender.
        """
        counts, times = {}, {}
        for name in list(self.workers):
            with self._care(name):
                counts[name] = _calibrate(self.workers[name], seconds)
                times[name] = []
                time.sleep(SETTLE.get(name, SETTLE_USUALLY))
        for turn in range(rounds):
            names = [name for name in counts if name in self.workers]
            first = turn % max(1, len(names))
            for name in names[first:] + names[:first]:
                with self._care(name):
                    n = counts[name]
                    self.workers[name].time(max(1, n // 10))
                    times[name].append(self.workers[name].time(n) / n)
                    time.sleep(SETTLE.get(name, SETTLE_USUALLY))
        return {name: values for name, values in times.items() if len(values) == rounds}

    @contextlib.contextmanager
    def _care(self, name):
        try:
            yield
        except WorkerError as error:
            if name == OURS:
                raise
            self.left_out[name] = str(error)
            self.workers.pop(name).close()
            print(f"  {name} is left out: {error}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for worker in self.workers.values():
            worker.close()


def compare(times):
    """Summaries of interleaved times, each with its ratio to ours within the same rounds (above 1: ours is faster)."""
    return {
        name: summary(values) | {"ratio": summary([theirs / own for theirs, own in zip(values, times[OURS], strict=True)])}
        for name, values in times.items()
    }


def _calibrate(worker, seconds):
    worker.time(1)
    n = 1
    while (took := worker.time(n)) < seconds / 4:
        n = max(2 * n, min(20 * n, int(n * seconds / 2 / max(took, 1e-7))))
    return max(1, round(n * seconds / took))


def _serve(connection):
    subject = None
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            started = time.perf_counter()
            if method == "make":
                subject = None
                module, _, name = arguments[0].partition(":")
                subject = getattr(importlib.import_module(module), name)(*arguments[1:])
                answer = time.perf_counter() - started
            elif method == "time":
                subject.run(*arguments)
                answer = time.perf_counter() - started
            else:
                answer = getattr(subject, method)(*arguments)
            connection.send((True, answer))
        except Exception as error:  # whatever a library raises goes to the runner, which leaves it out and says why
            connection.send((False, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"))


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[2].split(",")})
    _serve(Connection(int(sys.argv[1])))
