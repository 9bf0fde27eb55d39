import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DTYPES, assert_close, every_way, unwritten

from fastnn import kernels

# (m, n_in, n_out): single elements, odd and prime sizes, edges of tiles (8 rows, vectors of 16 columns), of blocks (256 rows, 256
# terms of a sum), and rows of B that are far apart
SHAPES = [
    (1, 1, 1),
    (2, 3, 5),
    (5, 1, 7),
    (7, 13, 31),
    (32, 64, 128),
    (33, 65, 129),
    (37, 61, 10),
    (131, 257, 61),
    (70, 300, 384),
    (257, 259, 263),
    (16, 513, 30),
]
NAMES = {None: kernels.IDENTITY, "relu": kernels.RELU, "leaky_relu": kernels.LEAKY_RELU,
         "sigmoid": kernels.SIGMOID, "tanh": kernels.TANH, "selu": kernels.SELU}  # fmt: skip


def problem(rng, shape, dtype):
    m, n_in, n_out = shape
    x, weight = rng.standard_normal((m, n_in)).astype(dtype), rng.standard_normal((n_in, n_out)).astype(dtype)
    return x, weight, rng.standard_normal(n_out).astype(dtype), rng.standard_normal((m, n_out)).astype(dtype)


def forward(x, weight, bias, kind=kernels.IDENTITY, slope=0.0):
    y = unwritten((x.shape[0], weight.shape[1]), x.dtype)
    return every_way(kernels.linear_forward, x, weight, bias, kind, slope, scratch(2, x.dtype), y)[1]


def scratch(pieces, dtype):
    return unwritten((pieces, kernels.scratch_size()), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_the_product_plus_bias(rng, shape, dtype):
    x, weight, bias, _ = problem(rng, shape, dtype)
    size = np.abs(x).astype(float) @ np.abs(weight).astype(float) + np.abs(bias)
    assert_close(forward(x, weight, bias), reference.linear(x.astype(float), weight, bias), shape[1], size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_without_bias(rng, dtype):
    x, weight, _, _ = problem(rng, (7, 13, 31), dtype)
    size = np.abs(x).astype(float) @ np.abs(weight)
    assert_close(forward(x, weight, np.empty(0, dtype)), x.astype(float) @ weight, 13, size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_forward_applies_the_activation_last(rng, name, dtype):
    x, weight, bias, _ = problem(rng, (35, 67, 131), dtype)
    z = reference.linear(x.astype(float), weight, bias)
    size = np.abs(x).astype(float) @ np.abs(weight) + np.abs(bias)  # slopes are at most SELU's 1.76
    expected = reference.activation(name, z, 0.1)
    assert_close(forward(x, weight, bias, NAMES[name], 0.1), expected, 67, 2.0 * size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_gives_the_three_gradients(rng, shape, dtype):
    x, weight, _, dz = problem(rng, shape, dtype)
    m, _, n_out = shape
    dx, dweight, dbias = reference.linear_backward(dz.astype(float), x.astype(float), weight.astype(float))
    x_size, w_size, dz_size = np.abs(x).astype(float), np.abs(weight).astype(float), np.abs(dz).astype(float)
    _, *got = every_way(
        kernels.linear_backward, dz, x, weight, False, scratch(2, dtype),
        unwritten(weight.shape, dtype), unwritten(n_out, dtype), unwritten(x.shape, dtype),
    )  # fmt: skip
    assert_close(got[0], dweight, m, x_size.T @ dz_size)
    assert_close(got[1], dbias, m, dz_size.sum(axis=0))
    assert_close(got[2], dx, n_out, dz_size @ w_size.T)


def test_gradients_that_nobody_wants_are_left_out(rng):
    x, weight, _, dz = problem(rng, (33, 9, 17), np.float64)
    dweight, nothing = np.full(weight.shape, np.nan), np.empty(0)
    room = np.empty((1, kernels.scratch_size()))
    kernels.linear_backward(dz, x, weight, False, room, dweight, nothing, nothing.reshape(0, 0))
    np.testing.assert_allclose(dweight, x.T @ dz)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3, 70), (131, 257, 61), (300, 70, 10)])
def test_the_bits_do_not_depend_on_how_many_share_the_work(rng, shape, dtype):
    x, weight, bias, dz = problem(rng, shape, dtype)
    results = []
    for pieces in range(1, 8):
        room = np.full((pieces, kernels.scratch_size()), np.nan, dtype)
        outputs = [np.full(size, np.nan, dtype) for size in (dz.shape, weight.shape, bias.shape, x.shape)]
        kernels.linear_forward(x, weight, bias, kernels.SELU, 0.0, room, outputs[0])
        kernels.linear_backward(dz, x, weight, False, room, *outputs[1:])
        results.append([output.tobytes() for output in outputs])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_and_bias_gradients_can_be_added_to(rng, dtype):
    x, weight, bias, dz = problem(rng, (33, 9, 17), dtype)
    dweight, dbias = weight.copy(), bias.copy()
    room = np.empty((1, kernels.scratch_size()), dtype)
    kernels.linear_backward(dz, x, weight, True, room, dweight, dbias, np.empty((0, 0), dtype))
    expected = reference.linear_backward(dz.astype(float), x.astype(float), weight.astype(float))
    np.testing.assert_allclose(dweight, weight + expected[1], rtol=1e-4)
    np.testing.assert_allclose(dbias, bias + expected[2], rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 70), n_in=st.integers(1, 140), n_out=st.integers(1, 270),
    pieces=st.integers(1, 5), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_every_size_is_right(m, n_in, n_out, pieces, seed):
    x, weight, bias, dz = problem(np.random.default_rng(seed), (m, n_in, n_out), np.float64)
    y, dx, dweight = np.full((m, n_out), np.nan), np.full((m, n_in), np.nan), np.full((n_in, n_out), np.nan)
    dbias, room = np.full(n_out, np.nan), np.full((pieces, kernels.scratch_size()), np.nan)
    kernels.linear_forward(x, weight, bias, kernels.IDENTITY, 0.0, room, y)
    kernels.linear_backward(dz, x, weight, False, room, dweight, dbias, dx)
    np.testing.assert_allclose(y, x @ weight + bias, atol=1e-11)
    np.testing.assert_allclose(dx, dz @ weight.T, atol=1e-11)
    np.testing.assert_allclose(dweight, x.T @ dz, atol=1e-11)
    np.testing.assert_allclose(dbias, dz.sum(axis=0), atol=1e-11)


def test_a_row_has_the_same_bits_wherever_it_stands(rng):
    x, weight, bias, _ = problem(rng, (41, 67, 131), np.float32)
    whole = forward(x, weight, bias)
    for rows in (slice(0, 1), slice(3, 8), slice(40, 41)):
        np.testing.assert_array_equal(forward(np.ascontiguousarray(x[rows]), weight, bias), whole[rows])


def test_nan_in_one_row_stays_in_that_row(rng):
    x, weight, bias, _ = problem(rng, (9, 5, 6), np.float32)
    x[4, 2] = np.nan
    assert np.isnan(forward(x, weight, bias)).any(axis=1).tolist() == [False] * 4 + [True] + [False] * 4
