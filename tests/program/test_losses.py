"""Losses and weights of rows in compiled programs and layer by layer: the same training, and what weights mean."""

import pickle

import numpy as np
import pytest
from program.test_program import CLASSES, FEATURES, ROWS, compare, stack, train

import fastnn as fnn
from fastnn.lowering.losses import lower_loss
from fastnn.program import Table

WEIGHTS = [1.0, 2.0, 0.5, 3.0, 0.0]
LOSSES = {
    "weights of classes": (lambda **o: fnn.CrossEntropyLoss(WEIGHTS, **o), "labels"),
    "ignored labels": (lambda **o: fnn.CrossEntropyLoss(ignore_index=-100, **o), "ignored"),
    "an ignored class": (lambda **o: fnn.CrossEntropyLoss(ignore_index=2, **o), "labels"),
    "both, smoothed": (
        lambda **o: fnn.CrossEntropyLoss([1.0, 2.0, 0.5, 3.0, 0.1], ignore_index=-100, label_smoothing=0.1, **o),
        "ignored",
    ),
    "probabilities": (lambda **o: fnn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1, **o), "soft"),
    "plain labels": (fnn.CrossEntropyLoss, "labels"),
    "plain probabilities": (fnn.CrossEntropyLoss, "soft"),
    "NLL": (fnn.NLLLoss, "labels"),
    "NLL, weights, ignored": (lambda **o: fnn.NLLLoss(WEIGHTS, ignore_index=-100, **o), "ignored"),
    "MSE": (fnn.MSELoss, "real"),
    "L1": (fnn.L1Loss, "real"),
    "Huber": (lambda **o: fnn.HuberLoss(delta=0.7, **o), "real"),
    "Poisson": (lambda **o: fnn.PoissonNLLLoss(full=True, **o), "counts"),
    "logistic": (fnn.BCEWithLogitsLoss, "bits"),
    "logistic, weights": (lambda **o: fnn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 0.5, 3.0, 1.5], **o), "shares"),
}


def data(rng, rows=ROWS):
    labels = rng.integers(0, CLASSES, rows)
    targets = {
        "labels": labels,
        "ignored": np.where(rng.random(rows) < 0.3, -100, labels),
        "soft": rng.dirichlet(np.ones(CLASSES), rows),
        "real": rng.standard_normal((rows, CLASSES)),
        "counts": rng.poisson(2.0, (rows, CLASSES)),
        "bits": rng.integers(0, 2, (rows, CLASSES)),
        "shares": rng.random((rows, CLASSES)),
    }
    return rng.standard_normal((rows, FEATURES)), targets


def plain(**options):
    """A network without batch statistics, in which rows do not see one another."""
    return fnn.Sequential(fnn.Linear(FEATURES, 7), fnn.Tanh(), fnn.Linear(7, CLASSES), seed=1, dtype=np.float64, **options)


def fit(make_loss, x, y, compiled, sample_weight=None, *, reduction="mean", **options):
    rule = fnn.SGD(lr=0.02 if reduction == "mean" else 2e-4)
    trainer = fnn.Trainer(plain(), make_loss(reduction=reduction), rule, compiled=compiled, **options)
    history = trainer.fit(x, y, epochs=6, batch_size=1000, shuffle=False, sample_weight=sample_weight, validation_data=(x, y))
    return trainer, history


def same(one, other, tolerance=1e-12):
    np.testing.assert_allclose(one[0].model.flat_parameters, other[0].model.flat_parameters, rtol=tolerance, atol=tolerance)
    assert one[1].names == other[1].names
    for name in ("loss", "accuracy", "penalty"):
        if name in one[1]:
            np.testing.assert_allclose(one[1][name], other[1][name], rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_both_roads_agree_over_fifty_steps(rng, loss, weighted, reduction):
    (x, targets), (make_loss, kind) = data(rng), LOSSES[loss]
    weights = rng.integers(0, 4, ROWS) * 0.5 if weighted else None
    validation = (x[:60], targets[kind][:60], *(() if weights is None else (weights[:60],)))
    options = {"fit": {"sample_weight": weights, "validation_data": validation}, "regularizer": fnn.L2(0.01)}
    roads = [
        train(stack(), make_loss(reduction=reduction), fnn.Adam(lr=1e-3), x, targets[kind], compiled, **options)
        for compiled in (True, False)
    ]
    compare(*roads, 1e-11)
    results = [trainer.evaluate(x, targets[kind], 50, sample_weight=weights) for trainer, _ in roads]
    assert results[0] == pytest.approx(results[1], rel=1e-10)


@pytest.mark.parametrize("kind", ["labels", "soft", "real", "bits"])
def test_roads_agree_to_rounding_in_float32(rng, kind):
    x, targets = data(rng)
    losses = {"labels": fnn.CrossEntropyLoss(WEIGHTS), "soft": fnn.CrossEntropyLoss(WEIGHTS), "real": fnn.HuberLoss(),
              "bits": fnn.BCEWithLogitsLoss(pos_weight=2.0)}  # fmt: skip
    x, weights = x.astype(np.float32), rng.uniform(0.0, 2.0, ROWS)
    roads = [
        train(stack(np.float32), losses[kind], fnn.SGD(lr=1e-2), x, targets[kind], compiled, fit={"sample_weight": weights})
        for compiled in (True, False)
    ]
    compare(*roads, 1e-5)


def test_large_batches_run_in_parallel_and_agree(rng):
    x, targets = data(rng, 3001)
    weights = rng.uniform(0.0, 2.0, len(x))
    for make_loss, kind in LOSSES.values():
        roads = [
            train(plain(), make_loss(), fnn.SGD(lr=1e-2), x, targets[kind], compiled, epochs=2,
                  fit={"batch_size": 1500, "sample_weight": weights})
            for compiled in (True, False)
        ]  # fmt: skip
        compare(*roads, 1e-12)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_integer_weights_are_repeated_rows_and_zeros_missing_ones(rng, loss, reduction, compiled):
    (x, targets), (make_loss, kind) = data(rng, 40), LOSSES[loss]
    times, y = rng.integers(0, 4, len(x)), targets[kind]
    weighted = fit(make_loss, x, y, compiled, times, reduction=reduction, regularizer=fnn.L2(0.01))
    repeated = fit(make_loss, x.repeat(times, 0), y.repeat(times, 0), compiled, reduction=reduction, regularizer=fnn.L2(0.01))
    same(weighted, repeated, 1e-9)
    results = weighted[0].evaluate(x, y, 7, sample_weight=times), repeated[0].evaluate(x.repeat(times, 0), y.repeat(times, 0))
    assert results[0] == pytest.approx(results[1], rel=1e-9)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_an_epoch_is_the_mean_over_all_its_weights_however_it_is_cut(rng, loss, compiled):
    (x, targets), (make_loss, kind) = data(rng), LOSSES[loss]
    weights, y = rng.uniform(0.0, 5.0, ROWS), targets[kind]
    trainer = fnn.Trainer(plain(), make_loss(), fnn.SGD(lr=0.0), compiled=compiled)
    history = trainer.fit(x, y, batch_size=13, sample_weight=weights, validation_data=(x, y, weights))
    divisor = trainer.loss.divisors(np.asarray(y), weights)[0]
    losses = make_loss(reduction="none").forward(trainer.predict(x), y, weights)
    expected = losses.sum() / losses[0].size / divisor
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected, rtol=1e-12)
    if "accuracy" in history:
        scores = trainer.loss.scores(trainer.predict(x), np.asarray(y), weights)["accuracy"]
        expected = scores / trainer.loss.divisors(np.asarray(y), weights)[1]
        np.testing.assert_allclose([history["accuracy"], history["val_accuracy"]], expected, rtol=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_weight_zero_changes_nothing(rng, loss, compiled):
    (x, targets), (make_loss, kind) = data(rng, 12), LOSSES[loss]
    x[:4] = 1e300  # whatever is in it
    weights, y = np.repeat([0.0, 1.0, 0.0], 4), targets[kind]
    ends = []
    for rows, these in ((slice(None), weights), (slice(4, 8), None)):
        trainer = fnn.Trainer(plain(), make_loss(), fnn.SGD(lr=0.1), compiled=compiled)
        history = trainer.fit(x[rows], y[rows], batch_size=4, shuffle=False, sample_weight=these)
        ends.append((trainer, history))
    same(*ends)


class Own:
    """A user's loss without weights."""

    def forward(self, prediction, targets):
        self.difference = prediction - targets
        return float(np.mean(self.difference**2))

    def backward(self):
        return 2.0 * self.difference / self.difference.size


class OwnWeighted(Own):
    def forward(self, prediction, targets, sample_weight=None):
        self.weights = np.ones(len(targets)) if sample_weight is None else sample_weight
        self.difference = prediction - targets
        return float((self.weights @ self.difference**2).mean() / self.weights.sum())

    def backward(self):
        return 2.0 * self.weights[:, None] * self.difference / self.weights.sum() / self.difference.shape[1]


def test_a_users_loss_gets_weights_if_it_takes_them(rng):
    x, targets = data(rng)
    weights = rng.integers(0, 4, ROWS)
    with pytest.raises(ValueError, match="^sample_weight: expected None with a loss whose forward takes no sample_weight"):
        fnn.Trainer(plain(), Own(), fnn.SGD()).fit(x, targets["real"], sample_weight=weights)
    roads = []
    for loss in (OwnWeighted(), fnn.MSELoss()):
        trainer = fnn.Trainer(plain(), loss, fnn.SGD(lr=0.01))
        roads.append((trainer, trainer.fit(x, targets["real"], epochs=3, sample_weight=weights)))
    same(*roads)


def test_plain_losses_keep_their_own_instructions():
    for loss, labelled, name in (
        (fnn.CrossEntropyLoss(label_smoothing=0.1), True, "cross_entropy"),
        (fnn.CrossEntropyLoss(), False, "soft_cross_entropy"),
        (fnn.MSELoss(), False, "squared_error"),
    ):
        table = Table(plain(), 8)
        lower_loss(table, loss, CLASSES, 0, -1, labelled)
        assert [row[0].__name__ for row in table.rows] == [name]


def test_labels_of_which_none_counts_are_refused(rng):
    x, _ = data(rng)
    trainer = fnn.Trainer(plain(), fnn.CrossEntropyLoss(ignore_index=-1), fnn.SGD())
    with pytest.raises(ValueError, match="^y: expected at least one row with a label that counts"):
        trainer.fit(x, np.full(ROWS, -1))
    with pytest.raises(ValueError, match="^y: expected labels from 0 to 4"):
        trainer.fit(x, np.full(ROWS, -2))
    with pytest.raises(ValueError, match="^class_weight: expected 5 numbers"):
        fnn.Trainer(plain(), fnn.CrossEntropyLoss([1.0, 2.0]), fnn.SGD()).fit(x, np.zeros(ROWS, int))


def test_two_classes_by_one_logit_and_many_labels(rng):
    x = rng.standard_normal((200, 3))
    y = (x @ [1.0, -2.0, 0.5] > 0.0).astype(int)
    both = np.stack([y, x[:, 0] > 0.0], axis=1)
    for targets, k in ((y, 1), (y == 1, 1), (both, 2)):
        model = fnn.Sequential(fnn.Linear(3, k), seed=0)
        trainer = fnn.Trainer(model, fnn.BCEWithLogitsLoss(), fnn.Adam(lr=0.1))
        history = trainer.fit(x, targets, epochs=60, validation_data=(x, targets))
        assert trainer.road == "compiled program"
        assert history["accuracy"][-1] > 0.97
        assert history["val_accuracy"][-1] == trainer.evaluate(x, targets)["accuracy"]
        found = trainer.predict_labels(x)
        assert found.shape == targets.shape
        np.testing.assert_allclose(np.mean(found == targets), trainer.evaluate(x, targets)["accuracy"], rtol=1e-6)
        probabilities = trainer.predict_proba(x)
        assert probabilities.shape == (200, k)
        np.testing.assert_array_equal((probabilities > 0.5).reshape(found.shape), found == 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_rebuilt_by_its_repr_and_by_pickle(rng, loss):
    (_, targets), (make_loss, kind) = data(rng), LOSSES[loss]
    loss = make_loss(reduction="sum")
    prediction, weights = rng.standard_normal((ROWS, CLASSES)), rng.random(ROWS)
    value = loss.forward(prediction, targets[kind], weights)
    for other in (eval(repr(loss), vars(fnn)), pickle.loads(pickle.dumps(loss))):
        assert repr(other) == repr(loss)
        assert other.forward(prediction, targets[kind], weights) == value


def test_monitoring_the_accuracy_of_other_losses_is_known_beforehand(rng):
    x, targets = data(rng)
    for loss, kind in ((fnn.NLLLoss(), "labels"), (fnn.BCEWithLogitsLoss(), "bits")):
        trainer = fnn.Trainer(plain(), loss, fnn.SGD())
        stopper = fnn.EarlyStopping("val_accuracy")
        trainer.fit(x, targets[kind], epochs=2, callbacks=[stopper], validation_data=(x, targets[kind]))
        assert stopper.best is not None


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_roads_agree_on_batches_whose_labels_weigh_nothing(rng, reduction):
    x, targets = data(rng, 12)
    y = np.where(np.arange(12) < 4, CLASSES - 1, targets["labels"] % (CLASSES - 1))
    roads = [
        train(plain(), fnn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1, reduction=reduction), fnn.SGD(lr=1e-2), x, y, compiled,
              fit={"batch_size": 4, "shuffle": False, "validation_data": (x, y)})
        for compiled in (True, False)
    ]  # fmt: skip
    compare(*roads, 1e-12)
