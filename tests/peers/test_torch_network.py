"""Whole networks: from the same weights and batches fastnn and torch take the same training path, to 1e-10 in float64."""

import numpy as np
import pytest

import fastnn as fnn

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]

STEPS = 50
FEATURES, HIDDEN, OUTPUTS = 11, 17, 5
BATCH_SIZES = (31, 24, 13)
ACTIVATIONS = {
    "ReLU": fnn.ReLU,
    "LeakyReLU": lambda: fnn.LeakyReLU(0.2),
    "Sigmoid": fnn.Sigmoid,
    "Tanh": fnn.Tanh,
    "SELU": fnn.SELU,
    "ELU": lambda: fnn.ELU(0.6),
    "GELU": fnn.GELU,
    "GELU, tanh": lambda: fnn.GELU("tanh"),
    "SiLU": fnn.SiLU,
    "Softplus": lambda: fnn.Softplus(1.5, 4.0),
    "Softmax": fnn.Softmax,
}
OPTIMIZERS = {
    "SGD": {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "RMSprop": {"lr": 2e-3, "momentum": 0.5, "centered": True, "eps": 1e-6},
    "Adam": {"lr": 5e-3, "amsgrad": True, "weight_decay": 1e-3, "eps": 1e-6},
}
LOSSES = {
    "CrossEntropyLoss": {"label_smoothing": 0.1},
    "MSELoss": {},
}


@pytest.fixture
def make_model(randomise, rng):
    """A float64 model of some layers, with random biases, batch normalisation and running statistics."""

    def make(*layers, **settings):
        model = fnn.Sequential(*layers, seed=3, **{"dtype": np.float64, **settings})
        randomise(model, rng)
        return model

    return make


@pytest.fixture
def train_like_torch(torch_twin, torch_state, agree, rng):
    """Train a model and its twin by hand on the same batches and compare everything on the way."""

    def train(model, loss, optimizer, batches, *, ignore=(), tolerance=1e-10):
        twin, (loss_name, loss_options), (rule, options) = torch_twin(model), loss, optimizer
        ours, theirs = getattr(fnn, loss_name)(**loss_options), getattr(torch.nn, loss_name)(**loss_options)
        optimizer = getattr(fnn, rule)(**options).bind(model)
        peer = getattr(torch.optim, rule)(twin.parameters(), **options)
        for step, (x, y) in enumerate(batches):
            value = ours.forward(model.forward(x), y)
            dx = model.backward(ours.backward())
            optimizer.step()

            tensor = torch.from_numpy(x.copy()).requires_grad_()
            expected = theirs(twin(tensor), torch.from_numpy(y))
            peer.zero_grad()
            expected.backward()
            peer.step()

            agree(value, expected.item(), tolerance, f"loss of step {step}")
            agree(dx, tensor.grad, tolerance, f"gradient of the input in step {step}")
        compare_states(model, twin, torch_state, agree, ignore=ignore, tolerance=tolerance)
        x = np.concatenate([x for x, _ in batches])
        with torch.no_grad():
            outputs = twin.eval()(torch.from_numpy(x))
        agree(model.eval()(x), outputs, tolerance, "output in eval mode")
        agree(model.train().predict(x, batch_size=17), outputs, tolerance, "prediction in batches")
        return twin

    return train


def compare_states(model, twin, torch_state, agree, *, ignore=(), tolerance=1e-10):
    ours, theirs = model.state_dict(), torch_state(twin)
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - set(ignore):
        agree(ours[name], theirs[name], tolerance, name)


def batches_for(loss, rng, *, steps=STEPS, features=FEATURES, outputs=OUTPUTS, sizes=BATCH_SIZES, dtype=np.float64):
    """Batches of changing sizes, with targets that can be learnt; a few inputs far from the others."""
    truth = rng.standard_normal((features, outputs))
    batches = []
    for step in range(steps):
        x = rng.standard_normal((sizes[step % len(sizes)], features)) * 2.0 + 0.5
        x[0] *= 5.0
        signal = x @ truth
        if loss == "CrossEntropyLoss":
            y = signal.argmax(axis=1)
        elif loss == "probabilities":
            y = rng.dirichlet(np.full(outputs, 0.5), len(x)).astype(dtype)
        else:
            y = np.tanh(signal).astype(dtype)
        batches.append((x.astype(dtype), y))
    return batches


# by hand


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_trains_as_in_torch(activation, loss, rule, make_model, train_like_torch, rng):
    layer = ACTIVATIONS[activation]
    model = make_model(
        fnn.Linear(FEATURES, HIDDEN, bias=False),
        fnn.BatchNorm1d(HIDDEN),
        layer(),
        fnn.Linear(HIDDEN, 13),
        layer(),
        fnn.Linear(13, OUTPUTS),
    )
    train_like_torch(model, (loss, LOSSES[loss]), (rule, OPTIMIZERS[rule]), batches_for(loss, rng))


@pytest.mark.parametrize(("loss", "rule"), [("CrossEntropyLoss", "SGD"), ("MSELoss", "RMSprop"), ("MSELoss", "Adam")])
def test_a_network_that_ends_in_log_softmax_trains_as_in_torch(loss, rule, make_model, train_like_torch, rng):
    """In the middle of a network it magnifies a rounding error to 1e-9 in 50 steps, torch's against torch's too."""
    model = make_model(fnn.Flatten(), fnn.Linear(FEATURES, HIDDEN), fnn.GELU(), fnn.Linear(HIDDEN, OUTPUTS), fnn.LogSoftmax())
    train_like_torch(model, (loss, LOSSES[loss]), (rule, OPTIMIZERS[rule]), batches_for(loss, rng))


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_row_norms_and_residual_blocks_train_as_in_torch(rule, make_model, train_like_torch, rng):
    model = make_model(
        fnn.LayerNorm(FEATURES, 1e-3), fnn.Linear(FEATURES, HIDDEN), fnn.RMSNorm(HIDDEN),
        fnn.Residual(fnn.Linear(HIDDEN, 7), fnn.Tanh(), fnn.Residual(fnn.LayerNorm(7, bias=False)), fnn.Linear(7, HIDDEN)),
        fnn.LayerNorm(HIDDEN, elementwise_affine=False), fnn.GELU(), fnn.Linear(HIDDEN, OUTPUTS),
    )  # fmt: skip
    loss = "CrossEntropyLoss"
    train_like_torch(model, (loss, LOSSES[loss]), (rule, OPTIMIZERS[rule]), batches_for(loss, rng))


def test_spectral_norm_is_torchs(rng, agree):
    weight, x, dy = rng.standard_normal((6, 4)), rng.standard_normal((9, 6)), rng.standard_normal((9, 4))
    ours = fnn.spectral_norm(fnn.Linear(6, 4, dtype=np.float64))
    ours.layer.weight, ours.layer.bias = weight, np.zeros(4)
    theirs = torch.nn.Linear(6, 4, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(weight.T))
        theirs.bias.zero_()
    theirs = torch.nn.utils.parametrizations.spectral_norm(theirs)
    state = theirs.parametrizations.weight[0]
    ours.buffers["v"][...], ours.buffers["u"][...] = state._u.numpy(), state._v.numpy()
    for _ in range(3):
        y, inputs = ours(x), torch.from_numpy(x).requires_grad_()
        peer = theirs(inputs)
        agree(y, peer)
        theirs.zero_grad()
        peer.backward(torch.from_numpy(dy))
        agree(ours.backward(dy), inputs.grad)
        agree(ours.layer.gradients["weight"], theirs.parametrizations.weight.original.grad.T)
        agree(ours.layer.gradients["bias"], theirs.bias.grad)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_bias_before_batch_normalisation_is_the_only_thing_that_rounding_decides(rule, make_model, train_like_torch, rng):
    """Its gradient is exactly zero, and what is computed of it is noise, so that it is left out."""
    model = make_model(fnn.Linear(FEATURES, HIDDEN), fnn.BatchNorm1d(HIDDEN), fnn.ReLU(), fnn.Linear(HIDDEN, OUTPUTS))
    options = OPTIMIZERS[rule] | {"weight_decay": 0.0}
    batches = batches_for("CrossEntropyLoss", rng)
    train_like_torch(model, ("CrossEntropyLoss", {}), (rule, options), batches, ignore=["0.bias", "1.running_mean"])


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize(
    "batchnorm",
    [{"momentum": None}, {"affine": False}, {"momentum": None, "affine": False}, {"momentum": 0.6, "eps": 1e-2}],
    ids=str,
)
def test_every_form_of_batch_normalisation_trains_as_in_torch(batchnorm, rule, make_model, train_like_torch, rng):
    model = make_model(
        fnn.BatchNorm1d(FEATURES, **batchnorm),
        fnn.Linear(FEATURES, HIDDEN),
        fnn.Tanh(),
        fnn.BatchNorm1d(HIDDEN, **batchnorm),
        fnn.ReLU(),
        fnn.Linear(HIDDEN, OUTPUTS, bias=False),
        fnn.BatchNorm1d(OUTPUTS, **batchnorm),
    )
    train_like_torch(model, ("MSELoss", {}), (rule, OPTIMIZERS[rule]), batches_for("MSELoss", rng))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_probability_targets_train_as_in_torch(smoothing, make_model, train_like_torch, rng):
    model = make_model(fnn.Linear(FEATURES, HIDDEN), fnn.SELU(), fnn.Linear(HIDDEN, OUTPUTS))
    loss = ("CrossEntropyLoss", {"label_smoothing": smoothing})
    train_like_torch(model, loss, ("SGD", OPTIMIZERS["SGD"]), batches_for("probabilities", rng))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_sum_over_a_batch_trains_as_in_torch(loss, make_model, train_like_torch, rng):
    model = make_model(fnn.Linear(FEATURES, HIDDEN), fnn.Tanh(), fnn.Linear(HIDDEN, OUTPUTS))
    settings = LOSSES[loss] | {"reduction": "sum"}
    train_like_torch(model, (loss, settings), ("SGD", {"lr": 1e-3}), batches_for(loss, rng))


def test_a_network_inside_a_network_trains_as_in_torch(make_model, train_like_torch, rng):
    inner = fnn.Sequential(fnn.BatchNorm1d(HIDDEN), fnn.Tanh(), fnn.Linear(HIDDEN, 7), dtype=np.float64, seed=1)
    model = make_model(fnn.Linear(FEATURES, HIDDEN, bias=False), inner, fnn.Sigmoid(), fnn.Linear(7, OUTPUTS))
    batches = batches_for("CrossEntropyLoss", rng)
    train_like_torch(model, ("CrossEntropyLoss", {}), ("Adam", OPTIMIZERS["Adam"]), batches)


def test_a_network_large_enough_for_parallel_kernels_trains_as_in_torch(make_model, train_like_torch, rng):
    model = make_model(
        fnn.Linear(101, 257, bias=False), fnn.BatchNorm1d(257), fnn.ReLU(), fnn.Linear(257, 131), fnn.Tanh(), fnn.Linear(131, 11)
    )
    batches = batches_for("CrossEntropyLoss", rng, features=101, outputs=11, sizes=(331, 97))
    train_like_torch(model, ("CrossEntropyLoss", {"label_smoothing": 0.1}), ("SGD", OPTIMIZERS["SGD"]), batches)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_training_stays_near_torchs(loss, make_model, train_like_torch, rng):
    layers = fnn.Linear(FEATURES, HIDDEN, bias=False), fnn.BatchNorm1d(HIDDEN), fnn.Tanh(), fnn.Linear(HIDDEN, OUTPUTS)
    model = make_model(*layers, dtype=np.float32)
    batches = batches_for(loss, rng, dtype=np.float32)
    train_like_torch(model, (loss, LOSSES[loss]), ("SGD", OPTIMIZERS["SGD"]), batches, tolerance=2e-4)


def test_backward_in_eval_mode_agrees_with_torch(make_model, torch_twin, agree, rng):
    model = make_model(fnn.Linear(FEATURES, HIDDEN), fnn.BatchNorm1d(HIDDEN), fnn.SELU(), fnn.Linear(HIDDEN, OUTPUTS)).eval()
    twin = torch_twin(model)
    x, dy = rng.standard_normal((23, FEATURES)), rng.standard_normal((23, OUTPUTS))
    tensor = torch.from_numpy(x).requires_grad_()
    outputs = twin(tensor)
    outputs.backward(torch.from_numpy(dy))
    agree(model.forward(x), outputs)
    agree(model.backward(dy), tensor.grad)
    ours = {prefix + name: g for prefix, layer in model.named_layers() for name, g in layer.gradients.items()}
    theirs = {name: w.grad.T if w.ndim == 2 else w.grad for name, w in twin.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, g in ours.items():
        agree(g, theirs[name], what=name)


# through the trainer

ROWS, BATCH, EPOCHS = 75, 16, 10  # 5 batches an epoch, the last of 11 rows


def penalised(twin):
    return [w for w in twin.parameters() if w.ndim == 2]


def squares(twin):
    return sum((w**2).sum() for w in penalised(twin))


def magnitudes(twin):
    return sum(w.abs().sum() for w in penalised(twin))


PENALTIES = {
    "none": (None, lambda twin, rows: torch.zeros((), dtype=torch.float64)),
    "L2": (fnn.L2(0.03), lambda twin, rows: 0.03 / 2 * squares(twin)),
    "L2 without half": (fnn.L2(0.03, half=False), lambda twin, rows: 0.03 * squares(twin)),
    "L2 by rows": (fnn.L2(0.5, scale="rows"), lambda twin, rows: 0.5 / 2 / rows * squares(twin)),
    "L1": (fnn.L1(0.01), lambda twin, rows: 0.01 * magnitudes(twin)),
    "ElasticNet": (fnn.ElasticNet(0.01, 0.02), lambda twin, rows: 0.01 * magnitudes(twin) + 0.02 * squares(twin)),
    "ElasticNet with half": (
        fnn.ElasticNet(0.01, 0.02, half=True, scale="rows"),
        lambda twin, rows: (0.01 * magnitudes(twin) + 0.01 * squares(twin)) / rows,
    ),
}


def torch_loop(twin, loss, optimizer, x, y, penalty, clip_norm=None):
    """The curves of a training loop as one writes it with torch, without shuffling."""
    curves = {"loss": [], "penalty": []}
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(EPOCHS):
        total = penalties = 0.0
        for first in range(0, len(x), BATCH):
            inputs, targets = x[first : first + BATCH], y[first : first + BATCH]
            rows = len(inputs)
            data_loss, extra = loss(twin(inputs), targets), penalty(twin, rows)
            optimizer.zero_grad()
            (data_loss + extra).backward()
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
            optimizer.step()
            share = 1 / rows if loss.reduction == "sum" else 1  # curves show the objective a row
            total += (data_loss.item() + extra.item()) * share * rows
            penalties += extra.item() * share * rows
        curves["loss"].append(total / len(x))
        curves["penalty"].append(penalties / len(x))
    return curves


@pytest.fixture
def fit_like_torch(torch_twin, torch_state, agree, rng):
    """Fit a model with a Trainer and its twin with a loop, and compare curves, parameters and running statistics."""

    def fit(model, loss, optimizer, penalty="none", clip_norm=None):
        twin, (loss_name, loss_options), (rule, options) = torch_twin(model), loss, optimizer
        regularizer, torch_penalty = PENALTIES[penalty]
        (x, y), (x_val, y_val) = batches_for(loss_name, rng, steps=2, sizes=(ROWS, 37))
        trainer = fnn.Trainer(
            model,
            loss=getattr(fnn, loss_name)(**loss_options),
            optimizer=getattr(fnn, rule)(**options),
            regularizer=regularizer,
            clip_norm=clip_norm,
        )
        validation = (x_val, y_val)
        history = trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, validation_data=validation, progress=False)
        peer_loss = getattr(torch.nn, loss_name)(**loss_options)
        peer = getattr(torch.optim, rule)(twin.parameters(), **options)
        curves = torch_loop(twin, peer_loss, peer, x, y, torch_penalty, clip_norm)

        agree(history["loss"], curves["loss"], what="loss")
        if regularizer is not None:
            agree(history["penalty"], curves["penalty"], what="penalty")
        compare_states(model, twin, torch_state, agree)
        with torch.no_grad():
            outputs = twin.eval()(torch.from_numpy(x_val))
            val_loss = peer_loss(outputs, torch.from_numpy(y_val)).item()
        if peer_loss.reduction == "sum":
            val_loss /= len(x_val)
        agree(history["val_loss"][-1], val_loss, what="validation loss")
        agree(trainer.evaluate(x_val, y_val, batch_size=7)["loss"], val_loss, what="evaluated loss")
        agree(trainer.predict(x_val), outputs, what="prediction")
        return trainer, outputs, (x_val, y_val)

    return fit


@pytest.fixture
def small_model(make_model):
    return make_model(
        fnn.Linear(FEATURES, HIDDEN, bias=False), fnn.BatchNorm1d(HIDDEN), fnn.LeakyReLU(), fnn.Linear(HIDDEN, OUTPUTS)
    )


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_fit_follows_a_torch_loop_with_an_l2_penalty_in_the_loss(loss, rule, small_model, fit_like_torch):
    fit_like_torch(small_model, (loss, LOSSES[loss]), (rule, OPTIMIZERS[rule]), "L2")


@pytest.mark.parametrize("penalty", [name for name in PENALTIES if name != "L2"])
def test_fit_follows_a_torch_loop_with_every_penalty(penalty, small_model, fit_like_torch):
    fit_like_torch(small_model, ("CrossEntropyLoss", {}), ("SGD", OPTIMIZERS["SGD"]), penalty)


@pytest.mark.parametrize("loss", LOSSES)
def test_fit_on_the_sum_over_a_batch_follows_a_torch_loop(loss, small_model, fit_like_torch):
    fit_like_torch(small_model, (loss, {"reduction": "sum"}), ("SGD", {"lr": 1e-3, "momentum": 0.5}), "L2")


@pytest.mark.parametrize("clip_norm", [0.05, 0.5, 100.0])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_fit_with_clip_norm_follows_a_torch_loop_that_clips(rule, clip_norm, small_model, fit_like_torch):
    fit_like_torch(small_model, ("CrossEntropyLoss", {}), (rule, OPTIMIZERS[rule]), "L2", clip_norm)


def test_clip_norm_bounds_the_first_step_of_sgd(small_model, rng):
    """The clipping tests above do clip: without it the first step is longer."""
    x, y = batches_for("CrossEntropyLoss", rng, steps=1)[0]
    lengths = []
    for clip_norm in (None, 0.05):
        model = small_model.astype(np.float64)
        start = model.flat_parameters.copy()
        trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.SGD(lr=1.0), clip_norm=clip_norm)
        trainer.fit(x, y, batch_size=len(x), shuffle=False, progress=False)
        lengths.append(np.linalg.norm(model.flat_parameters - start))
    assert lengths[0] > 0.1
    assert lengths[1] == pytest.approx(0.05, rel=1e-4)


def test_accuracy_and_probabilities_are_those_of_torchs_outputs(small_model, fit_like_torch, agree):
    trainer, outputs, (x, y) = fit_like_torch(small_model, ("CrossEntropyLoss", {}), ("Adam", {"lr": 0.01}))
    assert trainer.evaluate(x, y)["accuracy"] == (outputs.argmax(dim=1).numpy() == y).mean()
    agree(trainer.predict_proba(x), torch.softmax(outputs, dim=1))
    np.testing.assert_array_equal(trainer.predict_labels(x), outputs.argmax(dim=1).numpy())


def test_scaled_integer_images_train_as_their_scaled_floats_in_torch(make_model, torch_twin, torch_state, agree, rng):
    model = make_model(fnn.Linear(FEATURES, HIDDEN), fnn.ReLU(), fnn.Linear(HIDDEN, OUTPUTS), input_scale=1 / 255)
    twin = torch_twin(model)
    x, y = rng.integers(0, 256, (ROWS, FEATURES), np.uint8), rng.integers(0, OUTPUTS, ROWS)
    trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.SGD(**OPTIMIZERS["SGD"]))
    trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, progress=False)
    peer = torch.optim.SGD(twin.parameters(), **OPTIMIZERS["SGD"])
    torch_loop(twin, torch.nn.CrossEntropyLoss(), peer, x / 255.0, y, PENALTIES["none"][1])
    compare_states(model, twin, torch_state, agree)


# names


STACKS = {
    "plain": lambda: (fnn.Linear(3, 4), fnn.ReLU(), fnn.Linear(4, 2)),
    "without bias, with dropout": lambda: (
        fnn.Linear(3, 4, bias=False),
        fnn.BatchNorm1d(4),
        fnn.Tanh(),
        fnn.Dropout(0.3),
        fnn.Linear(4, 2),
    ),
    "forms of batch normalisation": lambda: (
        fnn.BatchNorm1d(3, affine=False),
        fnn.Linear(3, 4),
        fnn.SELU(),
        fnn.BatchNorm1d(4, momentum=None),
    ),
    "nested": lambda: (
        fnn.Linear(3, 4),
        fnn.Sequential(fnn.BatchNorm1d(4), fnn.Sequential(fnn.Linear(4, 2), fnn.Sigmoid())),
        fnn.LeakyReLU(0.3),
        fnn.Linear(2, 2),
    ),
}


@pytest.mark.parametrize("stack", STACKS)
def test_the_state_dict_has_torchs_key_names_in_torchs_order(stack, torch_twin, torch_state):
    model = fnn.Sequential(*STACKS[stack](), seed=0)
    ours, theirs = model.state_dict(), torch_twin(model).state_dict()
    assert list(ours) == list(theirs)
    # a Linear's weight is torch's transposed
    assert {name: array.shape for name, array in ours.items()} == {name: tuple(w.shape[::-1]) for name, w in theirs.items()}


@pytest.mark.parametrize("stack", STACKS)
def test_a_model_with_torchs_state_gives_torchs_outputs(stack, torch_twin, torch_state, agree, rng):
    model = fnn.Sequential(*STACKS[stack](), seed=0, dtype=np.float64).eval()
    twin = torch_twin(model)
    for tensor in twin.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tensor.shape)))
    model.load_state_dict(torch_state(twin))
    x = rng.standard_normal((7, 3))
    agree(model(x), twin(torch.from_numpy(x)), 1e-13)
