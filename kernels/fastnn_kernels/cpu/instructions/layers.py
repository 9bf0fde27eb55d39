"""Instructions of layers."""

import numpy as np

from ..._jit import instruction, worker
from .. import activations, batchnorm, dropout, linear
from .._rows import row_chunks
from .._views import view_at
from ..gemm import scratch_size
from ..program import ROWS
from ._views import matrix, maybe, vector

STEPS = 2**32  # dropout's steps are counted modulo this


@instruction
def linear_forward(build):
    """n_in, n_out, X, weight in parameters, bias in parameters, the activation's kind, Y, SCRATCH, pieces. reals: slope."""
    forward = build(linear.linear_forward)

    def run(row, reals, context):
        n_in, n_out, x, weight, bias, kind, y = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        m, work, parameters = context.state[ROWS], context.work, context.parameters
        forward(
            matrix(work, x, m, n_in), matrix(parameters, weight, n_in, n_out), maybe(parameters, bias, n_out),
            kind, reals[0], matrix(work, row[8], row[9], scratch_size()), matrix(work, y, m, n_out),
        )  # fmt: skip

    return run


@instruction
def linear_backward(build):
    """n_in, n_out, DY, X, weight in parameters, SCRATCH, pieces, its gradient in gradients, the bias's, DX.

    DX is -1 for the first layer, whose input nobody wants the gradient of.
    """
    backward = build(linear.linear_backward)

    def run(row, reals, context):
        n_in, n_out, dy, x, weight = row[1], row[2], row[3], row[4], row[5]
        dweight, dbias, dx = row[8], row[9], row[10]
        m, work, gradients = context.state[ROWS], context.work, context.gradients
        backward(
            matrix(work, dy, m, n_out), matrix(work, x, m, n_in), matrix(context.parameters, weight, n_in, n_out),
            False, matrix(work, row[6], row[7], scratch_size()), matrix(gradients, dweight, n_in, n_out),
            maybe(gradients, dbias, n_out), matrix(work, max(dx, 0), m if dx >= 0 else 0, n_in),
        )  # fmt: skip

    return run


@worker
def _affine(parameters, offset, work, otherwise, n):
    """gamma or beta: a parameter, or constants in work where there is none."""
    return vector(parameters, offset, n) if offset >= 0 else vector(work, otherwise, n)


@instruction
def batchnorm_forward(build):
    """n, X, gamma and beta in parameters, ONES, ZEROS, mean, variance and count in buffers, STATS, Y, partials in scratch, the
    activation's kind, dropout's seed, its stream, the place of its step (-1 for no dropout).

    reals: eps, momentum (below 0: the cumulative average), unbiased (0 or 1), slope, p.
    """
    forward = build(batchnorm.batchnorm_forward)

    def run(row, reals, context):
        n, x, gamma, beta, ones, zeros = row[1], row[2], row[3], row[4], row[5], row[6]
        mean, var, count, stats, y, partials = row[7], row[8], row[9], row[10], row[11], row[12]
        m, work, buffers, p = context.state[ROWS], context.work, context.buffers, reals[4]
        buffers[count] += 1
        momentum = reals[1] if reals[1] >= 0.0 else 1.0 / buffers[count]
        chunks = row_chunks(m)
        counter = row[16]
        step = context.state[counter] if counter >= 0 else 0
        forward(
            matrix(work, x, m, n), _affine(context.parameters, gamma, work, ones, n),
            _affine(context.parameters, beta, work, zeros, n), reals[0], momentum, reals[2] != 0.0,
            row[13], reals[3], p, np.uint64(row[14]), step, row[15],
            view_at(context.scratch, partials, (chunks, 4, n)),
            vector(buffers, mean, n), vector(buffers, var, n), matrix(work, stats, 3, n), matrix(work, y, m, n),
        )  # fmt: skip
        if counter >= 0:
            context.state[counter] = (step + 1) % STEPS

    return run


@instruction
def batchnorm_inference(build):
    """n, X, gamma and beta in parameters, ONES, ZEROS, mean and variance in buffers, STATS, Y, kind. reals: eps, slope."""
    inference = build(batchnorm.batchnorm_inference)

    def run(row, reals, context):
        n, x, gamma, beta, ones, zeros = row[1], row[2], row[3], row[4], row[5], row[6]
        mean, var, stats, y = row[7], row[8], row[9], row[10]
        m, work, buffers = context.state[ROWS], context.work, context.buffers
        inference(
            matrix(work, x, m, n), _affine(context.parameters, gamma, work, ones, n),
            _affine(context.parameters, beta, work, zeros, n), vector(buffers, mean, n), vector(buffers, var, n),
            reals[0], row[11], reals[1], matrix(work, stats, 3, n), matrix(work, y, m, n),
        )  # fmt: skip

    return run


@instruction
def batchnorm_backward(build):
    """n, X, Y, gamma in parameters, ONES, dgamma and dbeta in gradients, UNUSED, STATS, DY, DX, partials in scratch, kind.

    UNUSED is room for 2n sums where there is no gamma. reals: slope, p.
    """
    backward = build(batchnorm.batchnorm_backward)

    def run(row, reals, context):
        n, x, y, gamma, ones, dgamma, dbeta = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        unused, stats, dy, dx, partials = row[8], row[9], row[10], row[11], row[12]
        m, work, gradients = context.state[ROWS], context.work, context.gradients
        chunks = row_chunks(m)
        backward(
            matrix(work, dy, m, n), matrix(work, x, m, n), matrix(work, y, m, n),
            _affine(context.parameters, gamma, work, ones, n), matrix(work, stats, 3, n), True, row[13], reals[0], reals[1],
            view_at(context.scratch, partials, (chunks, 2, n)),
            _affine(gradients, dgamma, work, unused, n), _affine(gradients, dbeta, work, unused + n, n),
            matrix(work, dx, m, n),
        )  # fmt: skip

    return run


@instruction
def activation_forward(build):
    """n, kind, X, Y. reals: slope."""
    forward = build(activations.activation_forward)

    def run(row, reals, context):
        size, x, y = context.state[ROWS] * row[1], row[3], row[4]
        forward(vector(context.work, x, size), row[2], reals[0], vector(context.work, y, size))

    return run


@instruction
def activation_backward(build):
    """n, kind, DY, Y, DX. reals: slope."""
    backward = build(activations.activation_backward)

    def run(row, reals, context):
        size, dy, y, dx, work = context.state[ROWS] * row[1], row[3], row[4], row[5], context.work
        backward(vector(work, dy, size), vector(work, y, size), row[2], reals[0], vector(work, dx, size))

    return run


@instruction
def dropout_forward(build):
    """n, X, Y, seed (its 64 bits), stream, the place of the layer's step in state, which moves on. reals: p."""
    forward = build(dropout.dropout_forward)

    def run(row, reals, context):
        size, x, y, counter = context.state[ROWS] * row[1], row[2], row[3], row[6]
        step = context.state[counter]
        forward(vector(context.work, x, size), reals[0], np.uint64(row[4]), step, row[5], vector(context.work, y, size))
        context.state[counter] = (step + 1) % STEPS

    return run


@instruction
def dropout_backward(build):
    """n, DY, DX, seed, stream, the place of the step. reals: p. Uses the step before the present one: forward's."""
    backward = build(dropout.dropout_backward)

    def run(row, reals, context):
        size, dy, dx, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        step = (context.state[row[6]] + STEPS - 1) % STEPS
        backward(vector(work, dy, size), reals[0], np.uint64(row[4]), step, row[5], vector(work, dx, size))

    return run


@instruction
def relu_dropout_backward(build):
    """n, DY, Y, DX. reals: p. Through dropout and the ReLU before it, by the output alone."""
    backward = build(dropout.relu_dropout_backward)

    def run(row, reals, context):
        size, dy, y, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(vector(work, dy, size), vector(work, y, size), reals[0], vector(work, dx, size))

    return run
