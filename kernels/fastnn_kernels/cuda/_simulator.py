"""Numba's CUDA simulator, made safe for its own threads.

Numba puts a stand-in for `cuda` into a device function's module when a thread enters, and takes it out when that thread leaves,
while others are still inside; and two threads that come to the same `cuda.shared.array` at once may get an array each. Both are
rare; the one ends the kernel with an error, the other gives wrong sums. This `cuda` asks for the running kernel's stand-in at
each access, and hands out shared arrays under a lock.
"""

import sys
import threading

import numpy as np
from numba import cuda as _host
from numba.cuda.simulator import kernel as _running

__all__ = ["cuda"]


class _Shared:
    """Arrays of the running block, one for each line that asks for one."""

    def __init__(self):
        self._lock = threading.Lock()
        self._context, self._arrays = None, {}

    def array(self, shape, dtype):
        frame, context = sys._getframe(1), _running._get_kernel_context()
        with self._lock:
            if context is not self._context:
                self._context, self._arrays = context, {}
            return self._arrays.setdefault((frame.f_code, frame.f_lineno), np.empty(shape, dtype))


class _Cuda:
    """Inside a kernel what the kernel sees as `cuda`, outside the package."""

    def __init__(self):
        self.shared = _Shared()

    def __getattr__(self, name):
        return getattr(_running._get_kernel_context() or _host, name)


cuda = _Cuda()
