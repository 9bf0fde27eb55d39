"""Launch every kernel, at odd sizes: for compute-sanitizer, under which everything is slow."""

from .cases import memory_bound, others
from .device import SIMULATED, wait


def every_call(m, n, k):
    return [call for _, call, _ in memory_bound(m, n)] + others(m, n, k)


def main():
    m, n, k = (5, 3, 4) if SIMULATED else (131, 67, 10)
    calls = every_call(m, n, k)
    for call in calls:
        call()
    wait()
    print(f"{len(calls)} functions ran")


if __name__ == "__main__":
    main()
