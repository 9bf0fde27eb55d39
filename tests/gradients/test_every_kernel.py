"""Every forward and backward that fastnn has, against two-sided differences in float64: below 1e-7."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F

ACTIVATIONS = ["relu", "leaky_relu", "sigmoid", "tanh", "selu"]
LAYERS = {
    "Linear": lambda: fnn.Linear(5, 7, seed=1),
    "Linear without bias": lambda: fnn.Linear(5, 3, bias=False, seed=1),
    "BatchNorm1d": lambda: fnn.BatchNorm1d(5),
    "BatchNorm1d without affine": lambda: fnn.BatchNorm1d(5, affine=False),
    "BatchNorm1d, cumulative": lambda: fnn.BatchNorm1d(5, momentum=None),
    "Dropout": lambda: fnn.Dropout(0.4, seed=3),
    "ReLU": fnn.ReLU,
    "LeakyReLU": lambda: fnn.LeakyReLU(0.2),
    "Sigmoid": fnn.Sigmoid,
    "Tanh": fnn.Tanh,
    "SELU": fnn.SELU,
    "ELU": lambda: fnn.ELU(0.7),
    "GELU": fnn.GELU,
    "GELU, tanh": lambda: fnn.GELU("tanh"),
    "SiLU": fnn.SiLU,
    "Softplus": fnn.Softplus,
    "Softplus with settings": lambda: fnn.Softplus(2.0, 1.0),
    "Softmax": fnn.Softmax,
    "LogSoftmax": fnn.LogSoftmax,
    "Flatten": fnn.Flatten,
    "LayerNorm": lambda: fnn.LayerNorm(5),
    "LayerNorm without bias": lambda: fnn.LayerNorm(5, bias=False),
    "LayerNorm without affine": lambda: fnn.LayerNorm(5, elementwise_affine=False),
    "RMSNorm": lambda: fnn.RMSNorm(5),
    "Residual": lambda: fnn.Residual(fnn.Linear(5, 3, seed=1), fnn.Tanh(), fnn.Linear(3, 5, seed=2)),
}


def check(*args, **options):
    report = fnn.gradcheck(*args, **options)
    assert report.difference < 1e-7, f"\n{report}"
    return report


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(rng, name, mode):
    layer = LAYERS[name]()
    layer.train(mode == "train")
    assert check(layer, rng.standard_normal((6, 5))).kinks == 0


class FusedLinear(fnn.Layer):
    """A user's layer over functional.linear with its activation, so that the fused forward and backward are checked."""

    def __init__(self, activation):
        super().__init__()
        self.kind = activation
        rng = np.random.default_rng(3)
        self.add_parameter("weight", rng.standard_normal((5, 4)), regularized=True)
        self.add_parameter("bias", rng.standard_normal(4))

    def forward(self, x):
        self.x = x
        self.y = F.linear(x, self.weight, self.bias, self.kind, negative_slope=0.2)
        return self.y

    def backward(self, dy):
        out = (None, self.gradients["weight"], self.gradients["bias"])
        return F.linear_backward(dy, self.x, self.weight, activation=self.kind, y=self.y, negative_slope=0.2, out=out).dx


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_with_activation(rng, activation):
    check(FusedLinear(activation), rng.standard_normal((6, 5)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy(rng, soft, reduction, smoothing):
    targets = rng.dirichlet(np.ones(4), 6) if soft else rng.integers(0, 4, 6)
    loss = fnn.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction)
    check(loss, rng.standard_normal((6, 4)), targets)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_squared_error(rng, reduction):
    check(fnn.MSELoss(reduction=reduction), rng.standard_normal((6, 4)), rng.standard_normal((6, 4)))


@pytest.mark.parametrize("sample_weight", [None, np.array([1.0, 0.0, 2.5, 0.5, 1.0, 3.0])], ids=["alike", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["labels", "smoothed labels", "probabilities", "nll", "l1", "mse", "huber", "poisson",
                                  "poisson of rates", "logistic"])  # fmt: skip
def test_losses_with_weights(rng, name, reduction, sample_weight):
    z, labels, classes = rng.standard_normal((6, 4)), np.array([0, -1, 2, 3, 1, 1]), [0.5, 2.0, 1.0, 0.0]
    real, counts = rng.standard_normal((6, 4)), rng.poisson(2.0, (6, 4)).astype(float)
    loss, x, targets = {
        "labels": lambda: (fnn.CrossEntropyLoss(classes, ignore_index=-1, reduction=reduction), z, labels),
        "smoothed labels": lambda: (
            fnn.CrossEntropyLoss(classes, ignore_index=-1, label_smoothing=0.2, reduction=reduction), z, labels,
        ),
        "probabilities": lambda: (
            fnn.CrossEntropyLoss(classes, label_smoothing=0.2, reduction=reduction), z, rng.dirichlet(np.ones(4), 6)
        ),
        "nll": lambda: (fnn.NLLLoss(classes, ignore_index=-1, reduction=reduction), z, labels),
        "l1": lambda: (fnn.L1Loss(reduction=reduction), z, real),
        "mse": lambda: (fnn.MSELoss(reduction=reduction), z, real),
        "huber": lambda: (fnn.HuberLoss(delta=0.7, reduction=reduction), z, real),
        "poisson": lambda: (fnn.PoissonNLLLoss(full=True, reduction=reduction), z, counts),
        "poisson of rates": lambda: (fnn.PoissonNLLLoss(False, reduction=reduction), np.exp(z), counts),
        "logistic": lambda: (fnn.BCEWithLogitsLoss(pos_weight=[1, 2, 3, 0.5], reduction=reduction), z, rng.random((6, 4))),
    }[name]()  # fmt: skip
    check(loss, x, targets, sample_weight=sample_weight)


@pytest.mark.parametrize("regularizer", [None, fnn.L1(0.01), fnn.L2(0.1), fnn.L2(0.1, half=False, scale="rows"),
                                         fnn.ElasticNet(0.01, 0.02)])  # fmt: skip
@pytest.mark.parametrize("activation", [
    fnn.ReLU, fnn.LeakyReLU, fnn.Sigmoid, fnn.Tanh, fnn.SELU, fnn.ELU, fnn.GELU, fnn.SiLU, fnn.Softplus, fnn.LogSoftmax,
])  # fmt: skip
def test_whole_model_with_batch_normalisation_and_dropout_live(rng, activation, regularizer):
    model = fnn.Sequential(
        fnn.Linear(5, 9), fnn.BatchNorm1d(9), activation(), fnn.Dropout(0.3), fnn.Linear(9, 4), seed=2, dtype=np.float64
    )
    loss = fnn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum")
    report = check(model, rng.standard_normal((8, 5)), rng.integers(0, 4, 8), loss=loss, regularizer=regularizer)
    assert report["0.bias"].difference == 0.0  # right before batch normalisation: exactly zero


@pytest.mark.parametrize("columns", [2, 5, 33, 70])
@pytest.mark.parametrize("layer", [fnn.Softmax, fnn.LogSoftmax])
def test_softmax_of_few_columns_and_of_many(rng, layer, columns):
    check(layer(), rng.standard_normal((3, columns)))


def test_images_get_gradients_of_their_own_shape(rng):
    model = fnn.Sequential(fnn.Flatten(), fnn.Linear(24, 5), fnn.GELU(), fnn.Linear(5, 4), seed=0, input_scale=0.5)
    report = check(model, rng.standard_normal((6, 2, 3, 4)))
    assert len(report["x"].worst) == 4


def test_parallel_builds_too(rng):
    """Sizes at which every kernel of the step runs in parallel; a few random numbers of each array are checked."""
    model = fnn.Sequential(fnn.Linear(150, 260), fnn.BatchNorm1d(260), fnn.Tanh(), fnn.Dropout(0.3), fnn.Linear(260, 40), seed=2)
    loss = fnn.CrossEntropyLoss(reduction="sum")
    x, y = rng.standard_normal((400, 150)), rng.integers(0, 40, 400)
    check(model, x, y, loss=loss, max_checks=5, epsilon=3e-5, regularizer=fnn.L2(0.1))


def test_input_scale_is_part_of_the_gradient(rng):
    model = fnn.Sequential(fnn.Linear(5, 3), fnn.Tanh(), seed=0, input_scale=0.25)
    check(model, rng.standard_normal((4, 5)))
