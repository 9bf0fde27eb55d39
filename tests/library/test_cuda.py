import sys

import pytest

import fastnn as fnn
from fastnn import cuda


@pytest.fixture
def fresh(monkeypatch):
    cuda.reason.cache_clear()
    yield monkeypatch
    cuda.reason.cache_clear()


def pretend(monkeypatch, *packages):
    monkeypatch.setattr(cuda, "_installed", lambda package: package in packages)


def test_without_the_target_it_says_what_to_install(fresh):
    pretend(fresh, "cupy")
    assert not cuda.is_available()
    assert "pip install 'fastnn[cuda]'" in cuda.reason()


def test_without_cupy_it_says_what_to_install(fresh):
    pretend(fresh, "numba_cuda_mlir")
    assert "CuPy" in cuda.reason()
    assert "pip install 'fastnn[cuda]'" in cuda.reason()


def test_without_a_gpu_it_says_so(fresh):
    pretend(fresh, "numba_cuda_mlir", "cupy")
    fresh.setitem(sys.modules, "fastnn_kernels.cuda._target", None)  # importing it fails, as a driver might
    assert not cuda.is_available()
    assert cuda.reason().startswith("no NVIDIA GPU can be used: ")


def test_importing_fastnn_does_not_import_the_cuda_target():
    assert fnn.cuda is cuda
    assert not any(name.startswith("fastnn_kernels.cuda") for name in sys.modules) or cuda.is_available()


def test_moving_a_model_says_what_to_install(fresh):
    pretend(fresh)
    model = fnn.Sequential(fnn.Linear(2, 2))
    with pytest.raises(RuntimeError, match=r"^device: expected 'cpu'.*pip install 'fastnn\[cuda\]'"):
        model.to("cuda")
    assert model.to("cpu") is model
    with pytest.raises(ValueError, match="^device: expected one of 'cpu', 'cuda', got 'tpu'"):
        model.to("tpu")
