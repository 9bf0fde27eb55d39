"""What the comparisons with torch share. torch is imported inside, so that the folder can be collected without it."""

import numpy as np
import pytest

import fastnn as fnn


@pytest.fixture(scope="session")
def one_torch_thread():
    """torch keeps to one thread: the other cores are fastnn's, and torch's sums do not depend on the machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def agree():
    """Assert that numbers or arrays are apart by no more than the tolerance, measured by the largest magnitude among them."""
    return _agree


@pytest.fixture(scope="session")
def torch_twin():
    """Make a torch.nn.Sequential of the same layers, numbers and mode as a fastnn one."""
    return _torch_twin


@pytest.fixture(scope="session")
def torch_state():
    """torch's state_dict in fastnn's terms: NumPy arrays by name, a Linear's weight as (in_features, out_features)."""
    return _torch_state


@pytest.fixture(scope="session")
def randomise():
    """Fill the parameters and running statistics of a model with numbers that are neither 0 nor 1."""
    return _randomise


def _agree(ours, theirs, tolerance=1e-10, what=""):
    ours = np.asarray(ours)
    theirs = theirs.detach().numpy() if hasattr(theirs, "detach") else np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, torch's {theirs.shape}"
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=tolerance * np.abs(theirs).max(initial=0.0), err_msg=what)


def _torch_layer(layer):
    from torch import nn

    if isinstance(layer, fnn.Sequential):
        return nn.Sequential(*map(_torch_layer, layer))
    if isinstance(layer, fnn.Linear):
        return nn.Linear(layer.in_features, layer.out_features, bias="bias" in layer.parameters)
    if isinstance(layer, fnn.BatchNorm1d):
        return nn.BatchNorm1d(layer.num_features, eps=layer.eps, momentum=layer.momentum, affine=layer.affine)
    if isinstance(layer, fnn.LeakyReLU):
        return nn.LeakyReLU(layer.negative_slope)
    if isinstance(layer, fnn.ELU):
        return nn.ELU(layer.alpha)
    if isinstance(layer, fnn.GELU):
        return nn.GELU(layer.approximate)
    if isinstance(layer, fnn.Softplus):
        return nn.Softplus(layer.beta, layer.threshold)
    if isinstance(layer, fnn.LayerNorm):
        return nn.LayerNorm(layer.normalized_shape, layer.eps, layer.elementwise_affine, layer.has_bias)
    if isinstance(layer, fnn.RMSNorm):
        return nn.RMSNorm(layer.normalized_shape, layer.eps, layer.elementwise_affine)
    if isinstance(layer, fnn.Residual):
        return _torch_residual([_torch_layer(inner) for inner in layer.layers])
    if isinstance(layer, (fnn.Softmax, fnn.LogSoftmax)):
        return getattr(nn, type(layer).__name__)(dim=1)
    return getattr(nn, type(layer).__name__)()


def _torch_residual(layers):
    from torch import nn

    class TorchResidual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    return TorchResidual(*layers)


def _torch_twin(model):
    import torch

    twin = _torch_layer(model).to(getattr(torch, model.dtype.name))
    twin.load_state_dict({name: torch.from_numpy(_transposed(array)) for name, array in model.state_dict().items()})
    return twin.train(model.training)


def _torch_state(twin):
    return {name: _transposed(tensor.detach().numpy()) for name, tensor in twin.state_dict().items()}


def _transposed(array):
    return array.T.copy() if array.ndim == 2 else array


def _randomise(model, rng):
    for layer in model.walk():
        for name, array in (*layer.parameters.items(), *layer.buffers.items()):
            if isinstance(layer, fnn.BatchNorm1d) and name in ("weight", "running_var"):
                array[...] = rng.uniform(0.5, 1.5, array.shape)
            elif name in ("bias", "running_mean"):
                array[...] = rng.normal(0.0, 0.5, array.shape)
