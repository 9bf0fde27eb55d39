"""The instructions of a compiled program: kernels behind one signature, (row, reals, context); see `program`.

Each function here makes an instruction for one build of its kernels: `build` picks the serial or the parallel one. Its docstring
names the operands of its row, from position 1 on, and of `reals`. Capital names are offsets into `work` unless another array is
named; -1 stands for none. Adding an instruction: write it here, and lower to it in `fastnn/program.py`.
"""

import math

import numpy as np

from .._jit import instruction, worker
from . import activations, batchnorm, dropout, gather, linear, losses, optimizers, reductions
from ._rows import row_chunks
from .gemm import scratch_size
from .program import FIRST, PENALTY, ROWS, SCALE, SCORE, STOP, TOTAL, view_at
from .reductions import LANES, sum_chunks

__all__ = [
    "GATHERS",
    "activation_backward",
    "activation_forward",
    "adam",
    "batchnorm_backward",
    "batchnorm_forward",
    "batchnorm_inference",
    "clip_norm",
    "cross_entropy",
    "dropout_backward",
    "dropout_forward",
    "emit",
    "linear_backward",
    "linear_forward",
    "penalty",
    "relu_dropout_backward",
    "rmsprop",
    "sgd",
    "soft_cross_entropy",
    "squared_error",
]

STEPS = 2**32  # dropout's steps are counted modulo this


@worker
def _matrix(array, offset, m, n):
    return view_at(array, offset, (m, n))


@worker
def _vector(array, offset, size):
    return view_at(array, offset, (size,))


@worker
def _maybe(array, offset, size):
    """A piece of an array, or nothing for offset -1."""
    return view_at(array, max(offset, 0), (size if offset >= 0 else 0,))


# inputs


def _gather(dtype):
    def make(build):
        gather_rows = build(gather.gather_rows)

        def run(row, reals, context):
            n, y = row[1], row[2]
            m, first = context.state[ROWS], context.state[FIRST]
            elements = context.source.view(dtype)
            rows = elements.reshape((elements.size // n, n))
            gather_rows(rows, _vector(context.order, first, m), reals[0], _matrix(context.work, y, m, n))

        return run

    make.__name__ = f"gather_{np.dtype(dtype).name}"
    make.__doc__ = "n, Y; reals: scale. The rows of the batch, from the bytes in source."
    return instruction(make)


GATHERS = {np.dtype(t): _gather(t) for t in (np.uint8, np.int64, np.float32, np.float64)}


# layers


@instruction
def linear_forward(build):
    """n_in, n_out, X, weight in parameters, bias in parameters, the activation's kind, Y, SCRATCH, pieces. reals: slope."""
    forward = build(linear.linear_forward)

    def run(row, reals, context):
        n_in, n_out, x, weight, bias, kind, y = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        m, work, parameters = context.state[ROWS], context.work, context.parameters
        forward(
            _matrix(work, x, m, n_in), _matrix(parameters, weight, n_in, n_out), _maybe(parameters, bias, n_out),
            kind, reals[0], _matrix(work, row[8], row[9], scratch_size()), _matrix(work, y, m, n_out),
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
            _matrix(work, dy, m, n_out), _matrix(work, x, m, n_in), _matrix(context.parameters, weight, n_in, n_out),
            False, _matrix(work, row[6], row[7], scratch_size()), _matrix(gradients, dweight, n_in, n_out),
            _maybe(gradients, dbias, n_out), _matrix(work, max(dx, 0), m if dx >= 0 else 0, n_in),
        )  # fmt: skip

    return run


@worker
def _affine(parameters, offset, work, otherwise, n):
    """gamma or beta: a parameter, or constants in work where there is none."""
    return _vector(parameters, offset, n) if offset >= 0 else _vector(work, otherwise, n)


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
            _matrix(work, x, m, n), _affine(context.parameters, gamma, work, ones, n),
            _affine(context.parameters, beta, work, zeros, n), reals[0], momentum, reals[2] != 0.0,
            row[13], reals[3], p, np.uint64(row[14]), step, row[15],
            view_at(context.scratch, partials, (chunks, 4, n)),
            _vector(buffers, mean, n), _vector(buffers, var, n), _matrix(work, stats, 3, n), _matrix(work, y, m, n),
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
            _matrix(work, x, m, n), _affine(context.parameters, gamma, work, ones, n),
            _affine(context.parameters, beta, work, zeros, n), _vector(buffers, mean, n), _vector(buffers, var, n),
            reals[0], row[11], reals[1], _matrix(work, stats, 3, n), _matrix(work, y, m, n),
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
            _matrix(work, dy, m, n), _matrix(work, x, m, n), _matrix(work, y, m, n),
            _affine(context.parameters, gamma, work, ones, n), _matrix(work, stats, 3, n), True, row[13], reals[0], reals[1],
            view_at(context.scratch, partials, (chunks, 2, n)),
            _affine(gradients, dgamma, work, unused, n), _affine(gradients, dbeta, work, unused + n, n),
            _matrix(work, dx, m, n),
        )  # fmt: skip

    return run


@instruction
def activation_forward(build):
    """n, kind, X, Y. reals: slope."""
    forward = build(activations.activation_forward)

    def run(row, reals, context):
        size, x, y = context.state[ROWS] * row[1], row[3], row[4]
        forward(_vector(context.work, x, size), row[2], reals[0], _vector(context.work, y, size))

    return run


@instruction
def activation_backward(build):
    """n, kind, DY, Y, DX. reals: slope."""
    backward = build(activations.activation_backward)

    def run(row, reals, context):
        size, dy, y, dx, work = context.state[ROWS] * row[1], row[3], row[4], row[5], context.work
        backward(_vector(work, dy, size), _vector(work, y, size), row[2], reals[0], _vector(work, dx, size))

    return run


@instruction
def dropout_forward(build):
    """n, X, Y, seed (its 64 bits), stream, the place of the layer's step in state, which moves on. reals: p."""
    forward = build(dropout.dropout_forward)

    def run(row, reals, context):
        size, x, y, counter = context.state[ROWS] * row[1], row[2], row[3], row[6]
        step = context.state[counter]
        forward(_vector(context.work, x, size), reals[0], np.uint64(row[4]), step, row[5], _vector(context.work, y, size))
        context.state[counter] = (step + 1) % STEPS

    return run


@instruction
def dropout_backward(build):
    """n, DY, DX, seed, stream, the place of the step. reals: p. Uses the step before the present one: forward's."""
    backward = build(dropout.dropout_backward)

    def run(row, reals, context):
        size, dy, dx, work = context.state[ROWS] * row[1], row[2], row[3], context.work
        step = (context.state[row[6]] + STEPS - 1) % STEPS
        backward(_vector(work, dy, size), reals[0], np.uint64(row[4]), step, row[5], _vector(work, dx, size))

    return run


@instruction
def relu_dropout_backward(build):
    """n, DY, Y, DX. reals: p. Through dropout and the ReLU before it, by the output alone."""
    backward = build(dropout.relu_dropout_backward)

    def run(row, reals, context):
        size, dy, y, dx, work = context.state[ROWS] * row[1], row[2], row[3], row[4], context.work
        backward(_vector(work, dy, size), _vector(work, y, size), reals[0], _vector(work, dx, size))

    return run


# results


@instruction
def emit(build):
    """k, Z. The rows of the batch become rows of targets: what a network in use gives out."""

    def run(row, reals, context):
        k, z = row[1], row[2]
        m, first = context.state[ROWS], context.state[FIRST]
        rows, out = context.work[z : z + m * k], context.targets[first * k : (first + m) * k]
        for i in range(rows.size):
            out[i] = rows[i]

    return run


# losses: each adds the loss of the batch's rows to results[TOTAL], stops where it is not finite, and leaves the gradient


@worker
def _account(losses, results, rows):
    """Add the batch's loss times its rows to TOTAL, and see that it is finite."""
    total = 0.0
    for i in range(losses.size):
        total += losses[i]
    results[TOTAL] += total * (rows / losses.size)
    if not math.isfinite(total):
        results[STOP] = 1.0


@instruction
def cross_entropy(build):
    """k, Z, DZ, LOSSES, HITS, summed (0 or 1). reals: label smoothing."""
    gradient = build(losses.cross_entropy_gradient)

    def run(row, reals, context):
        k, z, dz, values, scores = row[1], row[2], row[3], row[4], row[5]
        m, first, work = context.state[ROWS], context.state[FIRST], context.work
        loss, hits = _vector(work, values, m), _vector(work, scores, m)
        gradient(
            _matrix(work, z, m, k), _vector(context.labels, first, m), reals[0], 1.0 if row[6] else 1.0 / m, loss, hits,
            _matrix(work, dz, m, k),
        )  # fmt: skip
        _account(loss, context.results, m)
        for i in range(m):
            context.results[SCORE] += hits[i]

    return run


@worker
def _fill(array, value):
    for i in range(array.size):
        array[i] = value


@worker
def _target_rows(context, k, offset):
    """The batch's rows of targets, gathered into work."""
    m, first = context.state[ROWS], context.state[FIRST]
    rows = _matrix(context.work, offset, m, k)
    for i in range(m):
        source = context.order[first + i] * k
        rows[i] = _vector(context.targets, source, k)
    return rows


@instruction
def soft_cross_entropy(build):
    """k, Z, DZ (-1: no gradient), LOSSES, LOG_SUMS, DLOSSES, SCRATCH, summed, TARGETS. reals: label smoothing."""
    forward, backward = build(losses.soft_cross_entropy_forward), build(losses.soft_cross_entropy_backward)

    def run(row, reals, context):
        k, z, dz, values, log_sums, weights, room = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        m, work = context.state[ROWS], context.work
        logits, targets = _matrix(work, z, m, k), _target_rows(context, k, row[9])
        sums, loss, dloss = _matrix(work, log_sums, 2, m), _vector(work, values, m), _vector(work, weights, m)
        forward(logits, targets, reals[0], _matrix(work, room, m, k), sums, loss)
        _account(loss, context.results, m)
        _fill(dloss, 1.0 if row[8] else 1.0 / m)
        truth = targets.reshape(m * k)
        for i in range(m):
            context.results[SCORE] += losses.largest(work, z + i * k, k) == losses.largest(truth, i * k, k)
        if dz >= 0:
            backward(dloss, logits, targets, reals[0], sums, _matrix(work, dz, m, k))

    return run


@instruction
def squared_error(build):
    """k, Z, DZ (-1: no gradient), LOSSES (m·k), DLOSSES (m·k), summed, TARGETS."""
    forward, backward = build(losses.squared_error_forward), build(losses.squared_error_backward)

    def run(row, reals, context):
        k, z, dz, values, weights = row[1], row[2], row[3], row[4], row[5]
        m, work = context.state[ROWS], context.work
        size = m * k
        targets = _target_rows(context, k, row[7]).reshape(size)
        prediction, loss, dloss = _vector(work, z, size), _vector(work, values, size), _vector(work, weights, size)
        forward(prediction, targets, loss)
        _account(loss, context.results, m if row[6] == 0 else size)
        _fill(dloss, 1.0 if row[6] else 1.0 / size)
        if dz >= 0:
            backward(dloss, prediction, targets, _vector(work, dz, size))

    return run


# what is done with the gradient


@instruction
def penalty(build):
    """size, partials in scratch, by rows (0 or 1), summed (0 or 1). reals: l1, l2. Adds to results[PENALTY] for the rows."""
    update = build(reductions.penalty_update)

    def run(row, reals, context):
        size, partials, m = row[1], row[2], context.state[ROWS]
        share = 1.0 / m if row[3] else 1.0
        l1, l2 = reals[0] * share, reals[1] * share
        chunks = sum_chunks(size)
        room = view_at(context.scratch, partials, (chunks, 2 * LANES))
        sums = context.scratch[partials + chunks * 2 * LANES : partials + chunks * 2 * LANES + 2]
        update(context.parameters[:size], l1, l2, room, context.gradients[:size], sums)
        value = l1 * sums[0] + 0.5 * l2 * sums[1]
        context.results[PENALTY] += value if row[4] else value * m

    return run


@instruction
def clip_norm(build):
    """partials in scratch. reals: the largest norm. Sets results[SCALE], and stops where the norm is not finite."""
    squared_norm = build(reductions.squared_norm)

    def run(row, reals, context):
        partials, gradients = row[1], context.gradients
        chunks = sum_chunks(gradients.size)
        room = view_at(context.scratch, partials, (chunks, LANES))
        out = context.scratch[partials + chunks * LANES : partials + chunks * LANES + 1]
        squared_norm(gradients, room, out)
        norm = math.sqrt(out[0])
        context.results[SCALE] = min(1.0, reals[0] / (norm + 1e-6))
        if not math.isfinite(norm):
            context.results[STOP] = 2.0

    return run


@instruction
def sgd(build):
    """nesterov, the place of the count of steps in state. reals: lr, momentum, dampening, weight decay."""
    update = build(optimizers.sgd_update)

    def run(row, reals, context):
        first = context.state[row[2]] == 0
        update(
            context.gradients, reals[0], reals[1], reals[2], row[1] != 0, reals[3], context.results[SCALE], first,
            context.parameters, context.moments_0,
        )  # fmt: skip
        context.state[row[2]] += 1

    return run


@instruction
def rmsprop(build):
    """The place of the count of steps in state. reals: lr, rho, eps inside, eps outside, momentum, weight decay."""
    update = build(optimizers.rmsprop_update)

    def run(row, reals, context):
        update(
            context.gradients, reals[0], reals[1], reals[2], reals[3], reals[4], reals[5], context.results[SCALE],
            context.parameters, context.moments_0, context.moments_1, context.moments_2,
        )  # fmt: skip
        context.state[row[1]] += 1

    return run


@instruction
def adam(build):
    """bias correction, the place of the count of steps. reals: lr, both betas, eps inside, eps outside, weight decay."""
    update = build(optimizers.adam_update)

    def run(row, reals, context):
        context.state[row[2]] += 1
        update(
            context.gradients, context.state[row[2]], reals[0], reals[1], reals[2], reals[3], reals[4], row[1] != 0,
            reals[5], context.results[SCALE], context.parameters, context.moments_0, context.moments_1,
            context.moments_2,
        )  # fmt: skip

    return run
