"""Clipping by value: see `cpu.clipping`."""

from ._target import BLOCK, cuda, groups, kernel, scalar

__all__ = ["clip_values"]


@kernel
def _clip(bound, x):
    i = cuda.grid(1)
    if i < x.size:
        value = x[i]
        x[i] = bound if value > bound else (-bound if value < -bound else value)  # NaN stays NaN


def clip_values(bound, x):
    """Cut x to [-bound, bound]. x: (size,), updated."""
    _clip(groups(x.size, BLOCK), BLOCK, scalar(x, bound), x)
