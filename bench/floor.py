"""What the machine can do, measured in the same run as the kernels: memory bandwidth for each mix of streams, and the peak of
fused multiply-adds.

A mix (reads, writes, updates) says how many arrays a loop reads, writes, and updates in place; a triad in the word's old sense
is (2, 1, 0). Bandwidth counts the bytes that the program names, two for each byte updated; the read that a store to a line
out of cache causes (write-allocate) is not counted, but the loop of the same mix that a kernel is held against pays for it too.
"""

import time

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import machine
from .timing import summary
from .workloads import WORKLOADS

_CHUNK = 16384
_CHAINS = 14  # independent multiply-adds in flight: more than latency times ports, and the registers hold them


@njit(fastmath={"contract", "reassoc", "nsz"})
def _r1(a, b, c, d):
    total = np.float32(0)
    for i in range(a.size):
        total += a[i]
    b[0] = total


@njit
def _u1(a, b, c, d):
    for i in range(a.size):
        a[i] = np.float32(1) - a[i]


@njit
def _w1(a, b, c, d):
    for i in range(a.size):
        a[i] = np.float32(i)


@njit
def _r1w1(a, b, c, d):
    for i in range(a.size):
        b[i] = np.float32(2) * a[i]


@njit
def _r2w1(a, b, c, d):
    for i in range(a.size):
        c[i] = a[i] + np.float32(2) * b[i]


@njit
def _r3w1(a, b, c, d):
    for i in range(a.size):
        d[i] = a[i] + b[i] * c[i]


@njit(fastmath={"contract", "reassoc", "nsz"})
def _r2(a, b, c, d):
    total = np.float32(0)
    for i in range(a.size):
        total += a[i] * b[i]
    c[0] = total


@njit
def _r1u1(a, b, c, d):
    for i in range(a.size):
        b[i] = b[i] + np.float32(0.5) * a[i]


@njit
def _r1u2(a, b, c, d):
    for i in range(a.size):
        b[i] = np.float32(0.5) * b[i] + a[i]
        c[i] = c[i] + np.float32(0.5) * b[i]


@njit
def _r1u3(a, b, c, d):
    for i in range(a.size):
        b[i] = np.float32(0.5) * b[i] + a[i]
        c[i] = np.float32(0.5) * c[i] + a[i]
        d[i] = d[i] + b[i] * c[i]


_PIECES = {
    (1, 0, 0): _r1, (2, 0, 0): _r2, (0, 1, 0): _w1, (0, 0, 1): _u1, (1, 1, 0): _r1w1, (2, 1, 0): _r2w1, (3, 1, 0): _r3w1,
    (1, 0, 1): _r1u1, (1, 0, 2): _r1u2, (1, 0, 3): _r1u3,
}  # fmt: skip
ADAM = (1, 0, 3)


def streams(mix):
    """Bytes that a mix moves for each byte of an array."""
    reads, writes, updates = mix
    return reads + writes + 2 * updates


def mix_name(mix):
    """'2R1W', 'in place' where something is updated, which is both read and written: Adam's mix is '4R3W in place'."""
    reads, writes, updates = mix
    name = "".join(f"{n}{letter}" for n, letter in ((reads + updates, "R"), (writes + updates, "W")) if n)
    return f"{name} in place" if updates else name


def mix_loop(mix, threads):
    """A loop of this mix over four arrays, on one thread or all."""
    piece = _PIECES[mix]

    @njit(parallel=threads > 1)
    def loop(a, b, c, d):
        for chunk in prange((a.size + _CHUNK - 1) // _CHUNK):
            i0 = np.intp(chunk) * _CHUNK
            i1 = i0 + _CHUNK
            piece(a[i0:i1], b[i0:i1], c[i0:i1], d[i0:i1])

    return loop


def bandwidth(mix, size, threads, rounds):
    """Bytes a second of a mix over arrays of so many float32, and the seconds of one pass."""
    arrays = [np.ones(size, np.float32) for _ in range(4)]
    loop = mix_loop(mix, threads)
    loop(*arrays)
    calls = max(1, int(2e6 // size))
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(calls):
            loop(*arrays)
        times.append((time.perf_counter() - started) / calls)
    moved = 4 * size * streams(mix)
    return summary([moved / t for t in times]), summary(times)


def out_of_cache():
    """Elements of float32 that make an array of twice the largest cache, 64 MiB at least, 512 MiB at most."""
    return min(max(1 << 24, 2 * machine.last_cache() // 4), 1 << 27)


def vector_bits():
    features = binding.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx") else 128


@intrinsic
def _multiply_adds(typing_context, count, start):
    """count rounds of _CHAINS independent fused multiply-adds on the widest vectors; returns a lane of their sum."""

    def generate(context, builder, signature, args):
        element = context.get_value_type(start)
        lanes = vector_bits() // start.bitwidth
        vector = ir.VectorType(element, lanes)
        name = f"llvm.fma.v{lanes}f{start.bitwidth}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        number, position = args[1], ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, position)
        splat = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
        factors = [ir.Constant(vector, [i + 1.0] * lanes) for i in range(_CHAINS)]
        chains = [cgutils.alloca_once_value(builder, builder.fmul(splat, factor)) for factor in factors]
        with cgutils.for_range(builder, args[0]):
            for chain in chains:
                builder.store(builder.call(fma, [builder.load(chain), splat, splat]), chain)
        total = builder.load(chains[0])
        for chain in chains[1:]:
            total = builder.fadd(total, builder.load(chain))
        return builder.extract_element(total, position)

    return start(types.intp, start), generate


@njit(nogil=True)
def _spin(count, start):
    return _multiply_adds(count, start)


@njit(parallel=True)
def _spin_all(count, start, tasks, out):
    for task in prange(tasks):
        out[task] = _multiply_adds(count, start)


def peak(dtype, threads, rounds):
    """Floating-point operations a second, two for a fused multiply-add."""
    count, start = 2_000_000, dtype(0.5)
    out = np.zeros(threads, dtype)
    lanes = vector_bits() // (8 * start.itemsize)
    times = []
    for _ in range(rounds + 1):  # the first compiles
        started = time.perf_counter()
        if threads > 1:
            _spin_all(count, start, threads, out)
        else:
            out[0] = _spin(count, start)
        times.append(time.perf_counter() - started)
    return summary([threads * count * _CHAINS * lanes * 2 / t for t in times[1:]])


class Floor:
    """All of it, in a process of its own."""

    def __init__(self, threads):
        self.threads = threads

    def measure(self, rounds, size):
        numba.set_num_threads(self.threads)
        bandwidths, peaks = {}, {}
        for _ in range(2):  # apart in time, the better of the two: a virtual machine may have one core for its two for seconds
            for found, name, measured in (
                *((bandwidths, mix_name(mix), bandwidth(mix, size, self.threads, rounds)[0]) for mix in _PIECES),
                *((peaks, np.dtype(dtype).name, peak(dtype, self.threads, rounds)) for dtype in (np.float32, np.float64)),
            ):
                if name not in found or measured["median"] > found[name]["median"]:
                    found[name] = measured
        return {"threads": self.threads, "elements": size, "vector_bits": vector_bits(), "bandwidth": bandwidths, "peak": peaks}

    def peak(self, rounds):
        """Operations a second in float32."""
        return peak(np.float32, self.threads, rounds)["median"]

    def adam(self, rounds, workload):
        """Seconds of one pass of Adam's mix over the parameters of a workload, wherever in cache they are."""
        numba.set_num_threads(self.threads)
        return bandwidth(ADAM, WORKLOADS[workload].parameters, self.threads, rounds)[1]["median"]
