import numpy as np
import pytest
import reference
from twins import adopt, kernels

SHAPES = [(1, 1), (2, 7), (5, 9), (37, 3)]  # a thread a row, some, all of a block; one chunk of rows and several
WITHOUT = ["test_float32_survives_a_large_mean", "test_outputs_may_be_inputs"]  # in place of which are those below
globals().update(adopt("test_layernorm", {"shape": SHAPES, "size": [1, 31, 67]}, WITHOUT))


def run(x, dy, y, dx, centered):
    m, n = x.shape
    gamma, stats = np.ones(n, x.dtype), np.empty((3, m), x.dtype)
    kernels.layernorm_forward(x, gamma, np.zeros(n, x.dtype), 1e-5, centered, stats, y)
    partials = np.empty((kernels.layernorm_chunks(m), 2, n))
    kernels.layernorm_backward(dy, x, gamma, stats, centered, partials, np.empty_like(gamma), np.empty_like(gamma), dx)


def test_a_large_mean_is_normalised_away_in_float32(rng):
    x, dy = (1e4 + rng.standard_normal((5, 67))).astype(np.float32), rng.standard_normal((5, 67)).astype(np.float32)
    y, dx = np.empty_like(x), np.empty_like(x)
    run(x, dy, y, dx, True)
    wide = x.astype(float)
    np.testing.assert_allclose(y, reference.row_norm(wide, 1.0, 0.0, 1e-5, True), atol=1e-5)
    expected, *_ = reference.row_norm_backward(dy.astype(float), wide, np.ones(67), 1e-5, True)
    np.testing.assert_allclose(dx, expected, atol=1e-4)


@pytest.mark.parametrize("centered", [True, False])
def test_outputs_may_be_inputs_at_a_small_size(rng, centered):
    x, dy = rng.standard_normal((2, 5, 9))
    y, dx, gradient = np.empty_like(x), np.empty_like(x), dy.copy()
    run(x, dy, y, dx, centered)
    run(x, gradient, y, gradient, centered)
    np.testing.assert_array_equal(gradient, dx)
    run(x, dy, x, dx, centered)
    np.testing.assert_array_equal(x, y)
