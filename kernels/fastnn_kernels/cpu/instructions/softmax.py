"""Instructions of softmax and its logarithm."""

from ..._jit import instruction
from .. import softmax as kernels
from ..program import ROWS
from ._views import matrix


def _forward(kernel, name):
    def make(build):
        forward = build(kernel)

        def run(row, reals, context):
            m, n, work = context.state[ROWS], row[1], context.work
            forward(matrix(work, row[2], m, n), matrix(work, row[3], m, n))

        return run

    make.__name__, make.__doc__ = name, "n, X, Y."
    return instruction(make)


def _backward(kernel, name):
    def make(build):
        backward = build(kernel)

        def run(row, reals, context):
            m, n, work = context.state[ROWS], row[1], context.work
            backward(matrix(work, row[2], m, n), matrix(work, row[3], m, n), matrix(work, row[4], m, n))

        return run

    make.__name__, make.__doc__ = name, "n, DY, Y, DX."
    return instruction(make)


softmax_forward = _forward(kernels.softmax_forward, "softmax_forward")
softmax_backward = _backward(kernels.softmax_backward, "softmax_backward")
log_softmax_forward = _forward(kernels.log_softmax_forward, "log_softmax_forward")
log_softmax_backward = _backward(kernels.log_softmax_backward, "log_softmax_backward")
