"""The memory-bound kernels against a copy of an array of the same size, both in GB/s of the bytes that they name. Target: 85%."""

from .cases import memory_bound
from .device import arguments, seconds_of, wait, write, xp

TARGET = 0.85


def main():
    options = arguments(__doc__)
    m, n = (6, 4) if options.tiny else (65536, 1024)  # 256 MiB a matrix: out of every cache
    repeat = 1 if options.tiny else 10
    source, target = xp.zeros((m, n), "f"), xp.empty((m, n), "f")
    copy = 2 * source.nbytes / seconds_of(lambda: xp.copyto(target, source), repeat) / 1e9
    print(f"copy{copy:42.0f} GB/s")
    figures = {"copy_gb_s": copy, "kernels": {}}
    for name, call, size in memory_bound(m, n):
        rate = size / seconds_of(call, repeat) / 1e9
        figures["kernels"][name] = {"gb_s": rate, "share": rate / copy}
        print(f"{name:<38}{rate:8.0f} GB/s {rate / copy:7.0%}{'' if rate >= TARGET * copy else '  below the target'}")
    wait()
    write(options, figures)


if __name__ == "__main__":
    main()
