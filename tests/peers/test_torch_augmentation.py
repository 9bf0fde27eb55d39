"""The affine kernel against torch's grid_sample, the blur against its convolution with mirrored edges."""

import math

import numpy as np
import pytest

from fastnn.functional import augmentation as F
from fastnn_kernels.cpu.augmentation import affine

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]


def test_affine_is_grid_sample_with_zeros(rng, agree):
    x, draws = rng.standard_normal((6, 2, 11, 8)), rng.random((6, 4))
    y = np.empty_like(x)
    affine.affine_images(x, draws, -50.0, 70.0, 0.2, 0.3, 0.6, 1.7, y)
    h, w = x.shape[2:]
    theta = np.empty((6, 2, 3))
    for i in range(6):
        angle, s = math.radians(-50.0 + 120.0 * draws[i, 0]), 0.6 + 1.1 * draws[i, 3]
        back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) / s
        shift = np.array([(2 * draws[i, 1] - 1) * 0.2 * w, (2 * draws[i, 2] - 1) * 0.3 * h])
        half = np.diag([w / 2, h / 2])  # torch's coordinates run from -1 to 1
        theta[i, :, :2] = np.linalg.inv(half) @ back @ half
        theta[i, :, 2] = -np.linalg.inv(half) @ back @ shift
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), x.shape, align_corners=False)
    agree(y, torch.nn.functional.grid_sample(torch.from_numpy(x), grid, padding_mode="zeros", align_corners=False))


def test_blur_is_a_convolution_with_mirrored_edges(rng, agree):
    x = rng.standard_normal((4, 3, 9, 12))
    k = torch.arange(-3, 4, dtype=torch.float64)
    g = torch.exp(-(k**2) / (2 * 1.3**2))
    kernel = torch.outer(g, g) / g.sum() ** 2
    padded = torch.nn.functional.pad(torch.from_numpy(x), (3, 3, 3, 3), mode="reflect")
    theirs = torch.nn.functional.conv2d(padded, kernel.expand(3, 1, 7, 7), groups=3)
    agree(F.blur_images(x, F.Key(0, 0, 0), 1.3, 1.3, 3), theirs)
