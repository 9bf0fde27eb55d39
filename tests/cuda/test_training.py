"""A model on the GPU, or in its simulator, beside the same model on the CPU."""

import numpy as np
import pytest
from twins import launches

import fastnn as fnn

ROWS = 20


def model(dtype=np.float64, **options):
    layers = (
        fnn.Linear(4, 5, bias=False),
        fnn.BatchNorm1d(5),
        fnn.ReLU(),
        fnn.Dropout(0.3),
        fnn.Linear(5, 5),
        fnn.Tanh(),
        fnn.Linear(5, 3),
    )
    return fnn.Sequential(*layers, seed=3, dtype=dtype, **options)


def data(rng, rows=ROWS):
    return rng.integers(0, 255, (rows, 4)).astype(np.uint8), rng.integers(0, 3, rows)


def both(make, rng, loss=fnn.CrossEntropyLoss, optimizer=fnn.Adam, targets=None, epochs=2, **options):
    """The same training on either device; the two trainers and their histories."""
    x, y = data(rng)
    y = y if targets is None else targets
    found = []
    for device in ("cpu", "cuda"):
        given = {name: value() if callable(value) else value for name, value in options.items()}
        trainer = fnn.Trainer(make().to(device), loss(), optimizer(), **given)
        before = launches()
        history = trainer.fit(x, y, epochs=epochs, batch_size=8, validation_data=(x[:7], y[:7]), progress=False)
        assert (launches() > before) == (device == "cuda")
        assert trainer.road == ("CUDA program" if device == "cuda" else "compiled program")
        found.append((trainer, history))
    (one, first), (other, second) = found
    for name in first.names:
        if name != "seconds":
            np.testing.assert_allclose(second[name], first[name], rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(other.model.flat_parameters, one.model.flat_parameters, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(other.model.flat_buffers, one.model.flat_buffers, rtol=1e-8, atol=1e-11)
    for mine, theirs in zip(other.optimizer.state_arrays(), one.optimizer.state_arrays(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-11)
    assert other.optimizer.steps == one.optimizer.steps
    return found


def scaled():
    return model(input_scale=1 / 255)


def test_training_is_the_cpus_with_batch_normalisation_and_dropout_live(rng):
    both(scaled, rng)


def test_penalty_clipping_schedule_and_average(rng):
    both(
        scaled, rng, optimizer=lambda: fnn.SGD(lr=0.1, momentum=0.9), regularizer=fnn.ElasticNet(0.01, 0.02), clip_norm=0.3,
        schedule=lambda: fnn.schedules.LinearLR(total_iters=6, per="step"), average=lambda: fnn.EMA(0.8),
    )  # fmt: skip


@pytest.mark.parametrize("rule", [fnn.Adam, lambda: fnn.SGD(lr=0.1, momentum=0.9)])
def test_a_schedule_that_cycles_the_momentum(rng, rule):
    schedule = lambda: fnn.schedules.OneCycleLR(max_lr=0.05, total_steps=6)  # noqa: E731
    (one, _), (other, _) = both(scaled, rng, optimizer=rule, schedule=schedule)
    for name in ("lr", "betas" if hasattr(one.optimizer, "betas") else "momentum"):
        assert getattr(other.optimizer, name) == pytest.approx(getattr(one.optimizer, name))
        assert getattr(other.optimizer, name) != getattr(rule(), name)


@pytest.mark.parametrize("scale", ["none", "rows"])
def test_a_proximal_step_makes_zeros(rng, scale):
    strength = 0.5 if scale == "none" else 4.0
    found = both(
        scaled, rng, optimizer=lambda: fnn.SGD(lr=0.1), regularizer=fnn.L1(strength, proximal=True, scale=scale), epochs=1
    )
    assert (found[1][0].model.flat_parameters == 0.0).any()


def test_clipping_by_value_and_a_bound_on_norms(rng):
    found = both(scaled, rng, clip_value=0.01, clip_norm=0.02, constraint=fnn.MaxNorm(0.5), epochs=1)
    first = found[1][0].model.layers[0].parameters["weight"]
    assert np.isclose(np.linalg.norm(first, axis=0).max(), 0.5)


def test_probabilities_and_label_smoothing(rng):
    both(scaled, rng, loss=lambda: fnn.CrossEntropyLoss(label_smoothing=0.1), targets=rng.dirichlet(np.ones(3), ROWS), epochs=1)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_squared_error(rng, reduction):
    targets = rng.standard_normal((ROWS, 3))
    both(scaled, rng, lambda: fnn.MSELoss(reduction=reduction), lambda: fnn.RMSprop(lr=1e-3), targets, epochs=1)


def small(*last):
    return fnn.Sequential(fnn.Linear(4, 3), *last, seed=1, dtype=np.float64, input_scale=1 / 255)


@pytest.mark.parametrize(
    "loss",
    [
        fnn.L1Loss,
        lambda: fnn.HuberLoss(delta=0.3, reduction="sum"),
        lambda: fnn.PoissonNLLLoss(full=True),
        lambda: fnn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 0.5]),
    ],
)
def test_losses_that_go_element_by_element(rng, loss):
    targets = rng.random((ROWS, 3)) if isinstance(loss(), fnn.BCEWithLogitsLoss) else rng.gamma(2.0, size=(ROWS, 3))
    both(small, rng, loss, targets=targets)


def test_poisson_loss_of_rates(rng):
    both(lambda: small(fnn.Softplus()), rng, lambda: fnn.PoissonNLLLoss(log_input=False), targets=rng.poisson(2.0, (ROWS, 3)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_classes_and_labels_that_are_ignored(rng, reduction):
    labels = rng.integers(-1, 3, ROWS)
    labels[:3] = -1
    both(small, rng, lambda: fnn.CrossEntropyLoss([0.5, 2.0, 1.0], ignore_index=-1, label_smoothing=0.1, reduction=reduction),
         targets=labels, regularizer=fnn.L2(0.01))  # fmt: skip
    both(small, rng, lambda: fnn.NLLLoss([0.5, 2.0, 1.0], ignore_index=-1, reduction=reduction), targets=labels, epochs=1)
    both(small, rng, lambda: fnn.NLLLoss(reduction=reduction), targets=np.abs(labels), epochs=1)


ROW_LOSSES = {
    "labels": (fnn.CrossEntropyLoss, lambda rng: rng.integers(0, 3, ROWS)),
    "weighted labels": (
        lambda **o: fnn.CrossEntropyLoss([0.5, 2.0, 1.0], ignore_index=0, label_smoothing=0.1, **o),
        lambda rng: rng.integers(0, 3, ROWS),
    ),
    "probabilities": (
        lambda **o: fnn.CrossEntropyLoss([0.5, 2.0, 1.0], label_smoothing=0.1, **o), lambda rng: rng.dirichlet(np.ones(3), ROWS)
    ),
    "NLL": (fnn.NLLLoss, lambda rng: rng.integers(0, 3, ROWS)),
    "MSE": (fnn.MSELoss, lambda rng: rng.standard_normal((ROWS, 3))),
    "Huber": (fnn.HuberLoss, lambda rng: rng.standard_normal((ROWS, 3))),
    "logistic": (lambda **o: fnn.BCEWithLogitsLoss(pos_weight=2.0, **o), lambda rng: rng.integers(0, 2, (ROWS, 3))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_weights_of_rows(rng, loss, reduction):
    make, targets = ROW_LOSSES[loss]
    weights = rng.integers(0, 4, ROWS) * 0.5
    weights[:8] = 0.0  # a batch in which nothing counts
    x, y = data(rng)[0].astype(float) / 255, targets(rng)
    x[0] = 1e305  # its row counts nothing, whatever is in it
    found = []
    for device in ("cpu", "cuda"):
        model = fnn.Sequential(fnn.Linear(4, 3), seed=1, dtype=np.float64).to(device)
        trainer = fnn.Trainer(model, make(reduction=reduction), fnn.SGD(lr=0.01), regularizer=fnn.L2(0.01))
        given = {"sample_weight": weights, "validation_data": (x, y, weights), "progress": False}
        history = trainer.fit(x, y, epochs=2, batch_size=8, shuffle=False, **given)
        found.append((history, model.flat_parameters, trainer.evaluate(x, y, 7, sample_weight=weights)))
    (one, first, result), (other, second, again) = found
    np.testing.assert_allclose(second, first, rtol=1e-9)
    assert np.isfinite(first).all()
    assert again == pytest.approx(result, rel=1e-9)
    for name in set(one.names) - {"seconds"}:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("rule", [fnn.AdamW, fnn.NAdam, fnn.RAdam, fnn.Lion, fnn.Adagrad, fnn.Adadelta])
def test_other_rules(rng, rule):
    both(lambda: fnn.Sequential(fnn.Linear(4, 3), seed=1, dtype=np.float64, input_scale=1 / 255), rng, optimizer=rule, epochs=1)


def test_layers_by_themselves(rng):
    both(
        lambda: fnn.Sequential(
            fnn.BatchNorm1d(4, affine=False, momentum=None), fnn.Linear(4, 5, bias=False), fnn.ReLU(), fnn.Dropout(0.2),
            fnn.ReLU(), fnn.Dropout(0.2), fnn.Sequential(fnn.Dropout(0.1), fnn.Linear(5, 3), seed=1), seed=2, dtype=np.float64,
        ),
        rng, epochs=1,
    )  # fmt: skip


def test_normalisation_of_rows(rng):
    both(
        lambda: fnn.Sequential(
            fnn.LayerNorm(4, elementwise_affine=False), fnn.Linear(4, 5), fnn.RMSNorm(5), fnn.LayerNorm(5, bias=False),
            fnn.Tanh(), fnn.Linear(5, 3), fnn.LayerNorm(3), seed=2, dtype=np.float64,
        ),
        rng, epochs=1,
    )  # fmt: skip


def test_softmax_and_branches(rng):
    def make():
        block = fnn.Residual(fnn.Linear(5, 5), fnn.ReLU(), fnn.Dropout(0.2), fnn.Residual(fnn.Softmax()), fnn.BatchNorm1d(5))
        return fnn.Sequential(
            fnn.Residual(fnn.Linear(4, 4), fnn.Tanh()), fnn.Linear(4, 5), block, fnn.Linear(5, 3), fnn.LogSoftmax(), seed=2,
            dtype=np.float64, input_scale=1 / 255,
        )  # fmt: skip

    both(make, rng, fnn.NLLLoss, epochs=1)


def test_smooth_activations(rng):
    both(
        lambda: fnn.Sequential(
            fnn.Linear(4, 5), fnn.GELU(), fnn.Linear(5, 5), fnn.ELU(0.7), fnn.Softplus(2.0, 1.0), fnn.Linear(5, 3), fnn.SiLU(),
            fnn.GELU("tanh"), seed=2, dtype=np.float64, input_scale=1 / 255,
        ),
        rng, epochs=1,
    )  # fmt: skip


def test_a_checkpoint_knows_no_device(rng, tmp_path):
    x, y = data(rng)
    trained = fnn.Trainer(scaled().to("cuda"), fnn.CrossEntropyLoss(), fnn.Adam())
    trained.fit(x, y, batch_size=8, progress=False)
    fnn.save_model(tmp_path / "model.npz", trained.model)
    loaded = fnn.load_model(tmp_path / "model.npz")
    assert loaded.device == "cpu"
    np.testing.assert_array_equal(loaded.predict(x), trained.model.predict(x))
    trained.model.to("cpu")  # and goes on there
    trained.fit(x, y, batch_size=8, progress=False)
    assert trained.road == "compiled program"


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_a_loss_that_is_not_finite_brings_the_last_weights_back(rng):
    x, _ = data(rng)
    trainer = fnn.Trainer(scaled().to("cuda"), fnn.MSELoss(), fnn.SGD(lr=1e200))
    before = trainer.model.flat_parameters.copy()
    with np.errstate(all="ignore"), pytest.raises(fnn.NonFiniteLossError, match="became"):
        trainer.fit(x, rng.standard_normal((ROWS, 3)), epochs=2, batch_size=8, progress=False)
    np.testing.assert_array_equal(trainer.model.flat_parameters, before)


class Doubled(fnn.Layer):
    def forward(self, x):
        return 2.0 * x

    def backward(self, dy):
        return 2.0 * dy


class OfMyOwn(fnn.MSELoss):
    pass


class Slow(fnn.SGD):
    pass


@pytest.mark.parametrize(
    ("layers", "options", "what"),
    [
        ((fnn.Linear(4, 3), Doubled()), {}, "Doubled"),
        ((fnn.spectral_norm(fnn.Linear(4, 3)),), {}, "SpectralNorm"),
        ((fnn.Linear(4, 3),), {"loss": OfMyOwn()}, "OfMyOwn"),
        ((fnn.Linear(4, 3),), {"optimizer": Slow()}, "Slow"),
        ((fnn.Linear(4, 3),), {"augmentation": [fnn.augment.GaussianNoise(0.1)]}, "augmentation has no CUDA kernel"),
    ],
)
def test_a_part_without_a_kernel_is_named(rng, layers, options, what):
    parts = {"loss": fnn.MSELoss(), "optimizer": fnn.Adam()} | options
    trainer = fnn.Trainer(fnn.Sequential(*layers).to("cuda"), **parts)
    before = trainer.model.flat_parameters.copy()
    with pytest.raises(ValueError, match=what):
        trainer.fit(rng.standard_normal((ROWS, 4)), rng.standard_normal((ROWS, 3)), progress=False)
    np.testing.assert_array_equal(trainer.model.flat_parameters, before)
