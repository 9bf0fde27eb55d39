"""Instructions of smooth activations, each with its own kernel alone."""

from ..._jit import instruction
from .. import smooth_activations as kernels
from ..program import ROWS
from ._views import vector


@instruction
def elu_forward(build):
    """n, X, Y. reals: alpha."""
    forward = build(kernels.elu_forward)

    def run(row, reals, context):
        size, x, y, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        forward(vector(work, x, size), reals[0], vector(work, y, size))

    return run


@instruction
def elu_backward(build):
    """n, DY, Y, DX. reals: alpha."""
    backward = build(kernels.elu_backward)

    def run(row, reals, context):
        size, dy, y, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(vector(work, dy, size), vector(work, y, size), reals[0], vector(work, dx, size))

    return run


@instruction
def gelu_forward(build):
    """n, X, Y. reals: 1 for tanh's approximation, else 0."""
    forward = build(kernels.gelu_forward)

    def run(row, reals, context):
        size, x, y, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        forward(vector(work, x, size), reals[0] != 0.0, vector(work, y, size))

    return run


@instruction
def gelu_backward(build):
    """n, DY, X, DX. reals: as in forward."""
    backward = build(kernels.gelu_backward)

    def run(row, reals, context):
        size, dy, x, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(vector(work, dy, size), vector(work, x, size), reals[0] != 0.0, vector(work, dx, size))

    return run


@instruction
def silu_forward(build):
    """n, X, Y."""
    forward = build(kernels.silu_forward)

    def run(row, reals, context):
        size, x, y, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        forward(vector(work, x, size), vector(work, y, size))

    return run


@instruction
def silu_backward(build):
    """n, DY, X, DX."""
    backward = build(kernels.silu_backward)

    def run(row, reals, context):
        size, dy, x, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(vector(work, dy, size), vector(work, x, size), vector(work, dx, size))

    return run


@instruction
def softplus_forward(build):
    """n, X, Y. reals: beta, threshold."""
    forward = build(kernels.softplus_forward)

    def run(row, reals, context):
        size, x, y, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        forward(vector(work, x, size), reals[0], reals[1], vector(work, y, size))

    return run


@instruction
def softplus_backward(build):
    """n, DY, X, DX. reals: beta, threshold."""
    backward = build(kernels.softplus_backward)

    def run(row, reals, context):
        size, dy, x, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(vector(work, dy, size), vector(work, x, size), reals[0], reals[1], vector(work, dx, size))

    return run
