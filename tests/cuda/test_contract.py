"""What the CUDA kernels promise: the CPU's names, arguments and numbers, its random bits, and that nothing else did the work."""

import inspect

import numpy as np
import pytest
from twins import every_launcher, kernels, launches

from fastnn import kernels as cpu
from fastnn_kernels import cuda

NUMBERS = [name for name in cuda.__all__ if not callable(getattr(cuda, name)) and name != "LANES"]
FUNCTIONS = [name for name in cuda.__all__ if callable(getattr(cuda, name))]
TRAINING = [
    "activation_backward", "activation_forward", "adam_update", "add_arrays", "batchnorm_backward", "batchnorm_forward",
    "batchnorm_inference", "clip_values", "cross_entropy_backward", "cross_entropy_forward", "cross_entropy_gradient",
    "dropout_backward", "dropout_forward", "elu_backward", "elu_forward", "gather_rows", "gelu_backward", "gelu_forward",
    "layernorm_backward", "layernorm_forward", "limit_column_norms", "linear_backward", "linear_forward", "log_softmax_backward",
    "log_softmax_forward", "nadam_update", "nll_loss_gradient", "penalty_update", "pointwise_loss_backward",
    "pointwise_loss_forward", "pointwise_loss_gradient", "random_bits", "relu_dropout_backward", "rmsprop_update", "sgd_update",
    "silu_backward", "silu_forward", "soft_cross_entropy_backward", "soft_cross_entropy_forward", "soft_threshold",
    "softmax_backward", "softmax_forward", "softplus_backward", "softplus_forward", "squared_error_backward",
    "squared_error_forward", "squared_norm", "weighted_cross_entropy_gradient",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_and_arguments_are_the_cpus(name):
    function = getattr(cpu, name)
    expected = inspect.signature(getattr(function, "__wrapped__", function))
    assert list(inspect.signature(getattr(cuda, name)).parameters) == list(expected.parameters)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_the_cpus(name):
    assert getattr(cuda, name) == getattr(cpu, name)


def test_every_kernel_of_the_training_path_is_there():
    assert not set(TRAINING) - set(FUNCTIONS)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("size", [1, 3, 4, 67])
def test_masks_are_the_cpus_to_the_bit(rng, size, p):
    x, seed = rng.standard_normal(size).astype(np.float32), np.uint64(0x0123456789ABCDEF)
    got, expected = np.full_like(x, np.nan), np.full_like(x, np.nan)
    kernels.dropout_forward(x, p, seed, 2**32 - 1, 2**31 + 5, got)
    cpu.dropout_forward(x, p, seed, 2**32 - 1, 2**31 + 5, expected)
    assert got.tobytes() == expected.tobytes()


def test_masks_of_batch_normalisation_are_the_cpus(rng):
    x, n = rng.standard_normal((9, 7)), 7
    outputs = []
    for package in (kernels, cpu):
        y, stats, none = np.empty_like(x), np.empty((3, n)), np.empty(0)
        scratch = np.empty((package.row_chunks(9), 4, n))
        package.batchnorm_forward(
            x, np.ones(n), np.zeros(n), 1e-5, 0.1, True, cpu.RELU, 0.0, 0.4, np.uint64(7), 3, 5, scratch, none, none, stats, y
        )
        outputs.append(y)
    np.testing.assert_allclose(*outputs, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(outputs[0] == 0.0, outputs[1] == 0.0)


def test_the_work_is_done_by_kernels_of_the_device(rng):
    x, y = rng.standard_normal(67), np.full(67, np.nan)
    before = launches()
    kernels.activation_forward(x, cuda.TANH, 0.0, y)
    assert launches() == before + 1
    np.testing.assert_allclose(y, np.tanh(x))
    assert len(every_launcher()) > 30


def test_what_the_sanitizer_goes_over_is_every_kernel():
    from bench.gpu.every_kernel import every_call

    before = {launcher: launcher.launches for launcher in every_launcher()}
    for call in every_call(5, 3, 4):
        call()
    products = {"_tiled_product"}  # cuBLAS's, where there is a GPU
    assert not {launcher.__name__ for launcher, count in before.items() if launcher.launches == count} - products


def test_rows_are_gathered_converted_and_scaled(rng):
    for source in (np.bool_, np.uint8, np.int64, np.float64):
        rows, index = rng.integers(0, 2, (11, 5)).astype(source), rng.integers(0, 11, 13)
        out = np.full((13, 5), np.nan, np.float32)
        kernels.gather_rows(rows, index, 1 / 3, out)
        np.testing.assert_allclose(out, rows[index].astype(float) / 3, rtol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_averages_move(rng, weight):
    values, average = rng.standard_normal((2, 37))
    values[3] = np.nan
    expected = values if weight == 1.0 else average + weight * (values - average)
    kernels.average_update(values, weight, average)
    np.testing.assert_allclose(average, expected, rtol=1e-15)
