"""Instructions of normalisation by rows."""

from ..._jit import instruction
from .. import layernorm
from .._views import view_at
from ..program import ROWS
from ._views import matrix, vector


@instruction
def layernorm_forward(build):
    """n, X, gamma and beta in parameters, ONES, ZEROS, STATS, Y, centered (0 or 1). reals: eps."""
    forward = build(layernorm.layernorm_forward)

    def run(row, reals, context):
        n, gamma, beta = row[1], row[3], row[4]
        m, work, parameters = context.state[ROWS], context.work, context.parameters
        forward(
            matrix(work, row[2], m, n),
            vector(parameters, gamma, n) if gamma >= 0 else vector(work, row[5], n),
            vector(parameters, beta, n) if beta >= 0 else vector(work, row[6], n),
            reals[0], row[9] != 0, matrix(work, row[7], 3, m), matrix(work, row[8], m, n),
        )  # fmt: skip

    return run


@instruction
def layernorm_backward(build):
    """n, X, DY, DX, gamma in parameters, ONES, dgamma, dbeta in gradients, UNUSED (2n), STATS, partials in scratch, centered."""
    backward = build(layernorm.layernorm_backward)

    def run(row, reals, context):
        n, gamma, dgamma, dbeta, unused = row[1], row[5], row[7], row[8], row[9]
        m, work, gradients = context.state[ROWS], context.work, context.gradients
        backward(
            matrix(work, row[3], m, n), matrix(work, row[2], m, n),
            vector(context.parameters, gamma, n) if gamma >= 0 else vector(work, row[6], n),
            matrix(work, row[10], 3, m), row[12] != 0,
            view_at(context.scratch, row[11], (layernorm.layernorm_chunks(m), 2, n)),
            vector(gradients, dgamma, n) if dgamma >= 0 else vector(work, unused, n),
            vector(gradients, dbeta, n) if dbeta >= 0 else vector(work, unused + n, n),
            matrix(work, row[4], m, n),
        )  # fmt: skip

    return run
