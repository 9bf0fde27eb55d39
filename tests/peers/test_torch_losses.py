"""Losses with their weights, reductions and options, and their gradients, against torch.nn.functional and autograd in float64."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]

REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
SHAPES = [(1, 1), (1, 4), (13, 7), (509, 11)]
theirs = torch.nn.functional


def tensor(array):
    return None if array is None else torch.from_numpy(np.array(array))


def reduced(losses, weights, reduction, divisor):
    """torch's losses weighted by rows, which its own losses cannot do."""
    losses = losses * tensor(weights).reshape(-1, *[1] * (losses.ndim - 1))
    return losses if reduction == "none" else losses.sum() / (divisor if reduction == "mean" else 1.0)


def value_and_gradient(function, x, dloss):
    x = torch.from_numpy(x.copy()).requires_grad_()
    loss = function(x)
    (loss * torch.from_numpy(np.asarray(dloss))).sum().backward()
    return loss.detach().numpy(), x.grad.numpy()


def compare(agree, ours, backward, layer, function, x, targets, rng, weights=None):
    """The function, its backward, and the layer, with a factor on the loss."""
    loss, _ = value_and_gradient(function, x, 1.0)
    dloss = rng.standard_normal(loss.shape)
    loss, gradient = value_and_gradient(function, x, dloss)
    agree(ours(x), loss)
    agree(backward(x, dloss), gradient)
    agree(layer.forward(x, targets, weights), loss)
    agree(layer.backward(dloss), gradient)


@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("ignore_index", [None, -100, 0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_with_weights_of_classes_and_ignored_labels(
    agree, rng, shape, weighted, ignore_index, smoothing, reduction
):
    m, k = shape
    x, y = rng.normal(0.0, 4.0, shape), rng.integers(0, k, m)
    if ignore_index is not None:
        y[::3] = ignore_index
        if k > 1:
            y[0] = 1  # torch's mean over nothing is NaN
        elif reduction == "mean":
            reduction = "sum"
    weight = rng.uniform(0.1, 2.0, k) if weighted else None
    index = -100 if ignore_index is None else ignore_index
    options = {"class_weight": weight, "ignore_index": ignore_index}
    compare(
        agree,
        lambda x: F.cross_entropy(x, y, smoothing, reduction, **options),
        lambda x, dloss: F.cross_entropy_backward(x, y, smoothing, reduction, dloss=dloss, **options),
        fnn.CrossEntropyLoss(weight, ignore_index=ignore_index, label_smoothing=smoothing, reduction=reduction),
        lambda x: theirs.cross_entropy(
            x, tensor(y), tensor(weight), ignore_index=index, reduction=reduction, label_smoothing=smoothing
        ),
        x, y, rng,
    )  # fmt: skip


@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_probabilities_with_weights_of_classes(agree, rng, smoothing, reduction):
    x, y, weight = rng.normal(0.0, 4.0, (37, 7)), rng.dirichlet(np.ones(7), 37), rng.uniform(0.0, 2.0, 7)
    compare(
        agree,
        lambda x: F.cross_entropy(x, y, smoothing, reduction, class_weight=weight),
        lambda x, dloss: F.cross_entropy_backward(x, y, smoothing, reduction, class_weight=weight, dloss=dloss),
        fnn.CrossEntropyLoss(weight, label_smoothing=smoothing, reduction=reduction),
        lambda x: theirs.cross_entropy(x, tensor(y), tensor(weight), reduction=reduction, label_smoothing=smoothing),
        x, y, rng,
    )  # fmt: skip


@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_cross_entropy_with_weights_of_rows_and_classes(agree, rng, kind, smoothing, reduction):
    x, labels = rng.normal(0.0, 4.0, (37, 7)), rng.integers(0, 7, 37)
    y = labels if kind == "labels" else rng.dirichlet(np.ones(7), 37)
    rows, weight = rng.uniform(0.0, 2.0, 37), rng.uniform(0.0, 2.0, 7)
    rows[::5] = 0.0
    divisor = (rows * weight[labels]).sum() if kind == "labels" else rows.sum()
    options = {"class_weight": weight, "sample_weight": rows}

    def expected(x):
        losses = theirs.cross_entropy(x, tensor(y), tensor(weight), reduction="none", label_smoothing=smoothing)
        return reduced(losses, rows, reduction, divisor)

    compare(
        agree,
        lambda x: F.cross_entropy(x, y, smoothing, reduction, **options),
        lambda x, dloss: F.cross_entropy_backward(x, y, smoothing, reduction, dloss=dloss, **options),
        fnn.CrossEntropyLoss(weight, label_smoothing=smoothing, reduction=reduction),
        expected, x, y, rng, rows,
    )  # fmt: skip


@REDUCTIONS
@pytest.mark.parametrize("ignore_index", [None, -100, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 4), (13, 7), (509, 11)])
def test_negative_log_likelihood(agree, rng, shape, weighted, ignore_index, reduction):
    m, k = shape
    x, y = np.log(rng.dirichlet(np.ones(k), m)), rng.integers(0, k, m)
    if ignore_index is not None:
        y[::3] = ignore_index
        y[0] = 0
    weight = rng.uniform(0.1, 2.0, k) if weighted else None
    options = {"class_weight": weight, "ignore_index": ignore_index}
    index = -100 if ignore_index is None else ignore_index
    compare(
        agree,
        lambda x: F.nll_loss(x, y, reduction, **options),
        lambda x, dloss: F.nll_loss_backward(x, y, reduction, dloss=dloss, **options),
        fnn.NLLLoss(weight, ignore_index=ignore_index, reduction=reduction),
        lambda x: theirs.nll_loss(x, tensor(y), tensor(weight), ignore_index=index, reduction=reduction),
        x, y, rng,
    )  # fmt: skip


POINTWISE = {
    "mse": ("mse_loss", {}, lambda x, t, r: theirs.mse_loss(x, t, reduction=r), fnn.MSELoss),
    "l1": ("l1_loss", {}, lambda x, t, r: theirs.l1_loss(x, t, reduction=r), fnn.L1Loss),
    "huber": ("huber_loss", {}, lambda x, t, r: theirs.huber_loss(x, t, reduction=r), fnn.HuberLoss),
    "narrow huber": (
        "huber_loss", {"delta": 0.3}, lambda x, t, r: theirs.huber_loss(x, t, reduction=r, delta=0.3), fnn.HuberLoss,
    ),
    "poisson": ("poisson_nll_loss", {}, lambda x, t, r: theirs.poisson_nll_loss(x, t, reduction=r), fnn.PoissonNLLLoss),
    "poisson, full": (
        "poisson_nll_loss", {"full": True}, lambda x, t, r: theirs.poisson_nll_loss(x, t, full=True, reduction=r),
        fnn.PoissonNLLLoss,
    ),
    "poisson of rates": (
        "poisson_nll_loss", {"log_input": False, "eps": 1e-3},
        lambda x, t, r: theirs.poisson_nll_loss(x, t, log_input=False, eps=1e-3, reduction=r), fnn.PoissonNLLLoss,
    ),
    "logistic": (
        "binary_cross_entropy_with_logits", {},
        lambda x, t, r: theirs.binary_cross_entropy_with_logits(x, t, reduction=r), fnn.BCEWithLogitsLoss,
    ),
    "logistic, pos_weight": (
        "binary_cross_entropy_with_logits", {"pos_weight": np.linspace(0.0, 3.0, 7)},
        lambda x, t, r: theirs.binary_cross_entropy_with_logits(x, t, reduction=r, pos_weight=tensor(np.linspace(0.0, 3.0, 7))),
        fnn.BCEWithLogitsLoss,
    ),
}  # fmt: skip


@REDUCTIONS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [1, 13, 1201])
@pytest.mark.parametrize("name", POINTWISE)
def test_losses_element_by_element(agree, rng, name, rows, weighted, reduction):
    function, options, expected, layer = POINTWISE[name]
    x = rng.gamma(2.0, size=(rows, 7)) if "rates" in name else rng.normal(0.0, 2.0, (rows, 7))
    t = rng.standard_normal((rows, 7))
    if "poisson" in name:
        t = rng.poisson(3.0, (rows, 7)).astype(float)
    if "logistic" in name:
        t = rng.choice([0.0, 1.0, 0.3], (rows, 7))
    weights = rng.uniform(0.1, 2.0, rows) if weighted else None

    def torchs(x):
        if weights is None:
            return expected(x, tensor(t), reduction)
        return reduced(expected(x, tensor(t), "none"), weights, reduction, 7 * weights.sum())

    forward, backward = getattr(F, function), getattr(F, f"{function}_backward")
    compare(
        agree,
        lambda x: forward(x, t, reduction=reduction, sample_weight=weights, **options),
        lambda x, dloss: backward(x, t, reduction=reduction, sample_weight=weights, dloss=dloss, **options),
        layer(reduction=reduction, **options), torchs, x, t, rng, weights,
    )  # fmt: skip


def test_pos_weight_of_one_number_is_for_all_columns(agree, rng):
    x, t = rng.normal(0.0, 2.0, (13, 3)), rng.integers(0, 2, (13, 3))
    expected = theirs.binary_cross_entropy_with_logits(tensor(x), tensor(t.astype(float)), pos_weight=torch.tensor(2.5))
    agree(F.binary_cross_entropy_with_logits(x, t, pos_weight=2.5), expected.item())


@pytest.mark.parametrize("name", ["labels", "logistic", "huber"])
def test_fit_with_weights_follows_a_torch_loop(agree, torch_twin, torch_state, rng, name):
    """In compiled programs, in batches, with weights of rows: the means are divided by the weights of the batch."""
    model = fnn.Sequential(fnn.Linear(6, 9), fnn.Tanh(), fnn.Linear(9, 4), seed=0, dtype=np.float64)
    twin = torch_twin(model)
    x, rows, weight = rng.standard_normal((96, 6)), rng.uniform(0.1, 2.0, 96), np.array([0.5, 1.0, 2.0, 0.1])
    y = {"labels": rng.integers(0, 4, 96), "logistic": rng.random((96, 4)), "huber": rng.standard_normal((96, 4))}[name]
    loss = {
        "labels": fnn.CrossEntropyLoss(weight, label_smoothing=0.1),
        "logistic": fnn.BCEWithLogitsLoss(pos_weight=weight),
        "huber": fnn.HuberLoss(),
    }[name]
    unreduced = {
        "labels": lambda z, t: theirs.cross_entropy(z, t, tensor(weight), reduction="none", label_smoothing=0.1),
        "logistic": lambda z, t: theirs.binary_cross_entropy_with_logits(z, t, reduction="none", pos_weight=tensor(weight)),
        "huber": lambda z, t: theirs.huber_loss(z, t, reduction="none"),
    }[name]
    trainer = fnn.Trainer(model, loss, fnn.SGD(lr=0.05, momentum=0.9), compiled=True)
    history = trainer.fit(x, y, epochs=4, batch_size=25, shuffle=False, sample_weight=rows)
    peer = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(4):
        total, divisors = 0.0, 0.0
        for first in range(0, 96, 25):
            batch = slice(first, first + 25)
            own = weight[y[batch]] if name == "labels" else 4.0
            divisor = (rows[batch] * own).sum()
            value = reduced(unreduced(twin(tensor(x[batch])), tensor(y[batch])), rows[batch], "mean", divisor)
            peer.zero_grad()
            value.backward()
            peer.step()
            total, divisors = total + value.item() * divisor, divisors + divisor
        agree(history["loss"][epoch], total / divisors)
    for key, array in torch_state(twin).items():
        agree(model.state_dict()[key], array, what=key)
