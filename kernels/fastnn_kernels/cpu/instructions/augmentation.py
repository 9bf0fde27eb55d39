"""Instructions of data augmentation, between the gathering of a batch and the first layer.

Each reads X and writes Y, and begins its row with c, h, w, X, Y, the seed (its 64 bits), the stream, and the place in state of
the training's step, which moves on: every instruction has its own place, and all of them move alike. Draws are made in scratch.
"""

import numpy as np

from ..._jit import instruction, worker
from .._views import view_at
from ..augmentation.affine import affine_images
from ..augmentation.blur import blur_images
from ..augmentation.colour import brightness_images, contrast_images, saturation_images
from ..augmentation.draws import mixing_draws, uniforms
from ..augmentation.erase import cutout_images, erase_images
from ..augmentation.mixing import cutmix_images, mixup_rows, one_hot
from ..augmentation.noise import gaussian_noise
from ..augmentation.shift import crop_images, flip_images
from ..gather import gather_rows
from ..program import FIRST, ROWS
from ..random import random_bits
from ._views import matrix, vector

STEPS = 2**32  # counted modulo this, as dropout's
_draw = uniforms.serial  # a few numbers a row
_draw_mixing = mixing_draws.serial


@worker
def _images(context, row, place):
    return view_at(context.work, place, (context.state[ROWS], row[1], row[2], row[3]))


@worker
def _planes(context, row, place):
    return view_at(context.work, place, (context.state[ROWS], row[1], row[2] * row[3]))


@worker
def _step(context, row):
    """The present step, moving on."""
    step = context.state[row[8]]
    context.state[row[8]] = (step + 1) % STEPS
    return step


@worker
def _draws(context, row, columns):
    """A table of draws, (m, columns), in scratch."""
    m = context.state[ROWS]
    _draw(np.uint64(row[6]), _step(context, row), row[7], vector(context.scratch, 0, m * columns))
    return view_at(context.scratch, 0, (m, columns))


@instruction
def flip(build):
    """vertical (0 or 1). reals: p."""
    images = build(flip_images)

    def run(row, reals, context):
        draws = _draws(context, row, 1)
        images(_images(context, row, row[4]), draws, reals[0], row[9] != 0, _images(context, row, row[5]))

    return run


@instruction
def crop(build):
    """The padding."""
    images = build(crop_images)

    def run(row, reals, context):
        draws = _draws(context, row, 2)
        images(_images(context, row, row[4]), draws, row[9], _images(context, row, row[5]))

    return run


@instruction
def affine(build):
    """reals: angles from and to, greatest shifts right and down, scales from and to."""
    images = build(affine_images)

    def run(row, reals, context):
        draws = _draws(context, row, 4)
        images(
            _images(context, row, row[4]), draws, reals[0], reals[1], reals[2], reals[3], reals[4], reals[5],
            _images(context, row, row[5]),
        )  # fmt: skip

    return run


@instruction
def cutout(build):
    """The rectangle's height and width. reals: p."""
    images = build(cutout_images)

    def run(row, reals, context):
        draws = _draws(context, row, 3)
        images(_images(context, row, row[4]), draws, reals[0], row[9], row[10], _images(context, row, row[5]))

    return run


@instruction
def erase(build):
    """reals: p, areas from and to, proportions from and to."""
    images = build(erase_images)

    def run(row, reals, context):
        draws = _draws(context, row, 5)
        images(
            _images(context, row, row[4]), draws, reals[0], reals[1], reals[2], reals[3], reals[4],
            _images(context, row, row[5]),
        )  # fmt: skip

    return run


def _colour(kernel, name):
    def make(build):
        images = build(kernel)

        def run(row, reals, context):
            draws = _draws(context, row, 1)
            images(_planes(context, row, row[4]), draws, reals[0], reals[1], reals[2], reals[3], _planes(context, row, row[5]))

        return run

    make.__name__ = name
    make.__doc__ = "reals: factors from and to, values from and to."
    return instruction(make)


brightness = _colour(brightness_images, "brightness")
contrast = _colour(contrast_images, "contrast")
saturation = _colour(saturation_images, "saturation")


@instruction
def blur(build):
    """The radius, ROOM, its size for an image. reals: sigmas from and to."""
    images = build(blur_images)

    def run(row, reals, context):
        draws = _draws(context, row, 1)
        images(
            _images(context, row, row[4]), draws, reals[0], reals[1], row[9],
            matrix(context.work, row[10], context.state[ROWS], row[11]), _images(context, row, row[5]),
        )  # fmt: skip

    return run


@instruction
def noise(build):
    """reals: std."""
    draw, add = build(random_bits), build(gaussian_noise)

    def run(row, reals, context):
        size = context.state[ROWS] * row[1] * row[2] * row[3]
        words = vector(context.scratch.view(np.uint32), 0, size + size % 2)
        draw(np.uint64(row[6]), _step(context, row), row[7], words)
        add(vector(context.work, row[4], size), words, reals[0], vector(context.work, row[5], size))

    return run


@instruction
def label_rows(build):
    """k, T. A row of zeros and a one for each label of the batch."""
    rows = build(one_hot)

    def run(row, reals, context):
        m, first = context.state[ROWS], context.state[FIRST]
        rows(vector(context.labels, first, m), matrix(context.work, row[2], m, row[1]))

    return run


@instruction
def target_rows(build):
    """k, T. The batch's rows of targets."""
    gather = build(gather_rows)

    def run(row, reals, context):
        k, m, first = row[1], context.state[ROWS], context.state[FIRST]
        targets = matrix(context.targets, 0, context.targets.size // k, k)
        gather(targets, vector(context.order, first, m), 1.0, matrix(context.work, row[2], m, k))

    return run


@instruction
def mixup(build):
    """by row (0 or 1), k, T, the place of mixed targets. reals: alpha."""
    mix = build(mixup_rows)

    def run(row, reals, context):
        m, n, k, work = context.state[ROWS], row[1] * row[2] * row[3], row[10], context.work
        draws = _draws(context, row, 3)
        shares, partners = vector(context.scratch, 3 * m, m), vector(context.scratch.view(np.int64), 4 * m, m)
        _draw_mixing(draws, reals[0], row[9] != 0, shares, partners)
        mix(matrix(work, row[4], m, n), partners, shares, matrix(work, row[5], m, n))
        mix(matrix(work, row[11], m, k), partners, shares, matrix(work, row[12], m, k))

    return run


@instruction
def cutmix(build):
    """by row (0 or 1), k, T, the place of mixed targets. reals: alpha."""
    images, mix = build(cutmix_images), build(mixup_rows)

    def run(row, reals, context):
        m, k, work = context.state[ROWS], row[10], context.work
        draws = _draws(context, row, 5)
        shares, partners = vector(context.scratch, 5 * m, m), vector(context.scratch.view(np.int64), 6 * m, m)
        _draw_mixing(draws, reals[0], row[9] != 0, shares, partners)
        images(_images(context, row, row[4]), draws, row[9] != 0, partners, shares, _images(context, row, row[5]))
        mix(matrix(work, row[11], m, k), partners, shares, matrix(work, row[12], m, k))

    return run
