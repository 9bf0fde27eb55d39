"""fit, evaluate and predict on good data: what is learned, what is reported, what is left alone."""

import warnings

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, Record, blobs, dropout_steps, small_model, small_trainer, weights_of

import fastnn as fnn
from fastnn import functional as F

X, Y = blobs()


def plain_model(seed=0, **settings):
    """Without dropout and batch normalisation: the same in both modes."""
    return fnn.Sequential(fnn.Linear(FEATURES, 6), fnn.Tanh(), fnn.Linear(6, CLASSES), seed=seed, **settings)


def still(model, loss=None, **settings):
    """A trainer that changes no weight."""
    return fnn.Trainer(model, loss or fnn.CrossEntropyLoss(), fnn.SGD(lr=0.0), **settings)


def fitted(x=X, y=Y, model=None, loss=None, optimizer=None, epochs=2, batch_size=16, settings=None, **kwargs):
    trainer = fnn.Trainer(
        model or small_model(), loss or fnn.CrossEntropyLoss(), optimizer or fnn.Adam(lr=0.01), **(settings or {})
    )
    trainer.fit(x, y, epochs=epochs, batch_size=batch_size, **kwargs)
    return trainer


# learning


def test_digits_are_learned_in_a_few_epochs():
    (x, y), (x_test, y_test) = fnn.datasets.split(*fnn.datasets.load_digits(), fraction=0.25)
    model = fnn.Sequential(
        fnn.Linear(64, 64), fnn.BatchNorm1d(64), fnn.ReLU(), fnn.Dropout(0.1), fnn.Linear(64, 10), seed=0, input_scale=1 / 16
    )
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=3e-3))
    history = trainer.fit(x, y, epochs=12, batch_size=32, validation_data=(x_test, y_test))
    assert trainer.evaluate(x_test, y_test)["accuracy"] > 0.95
    assert history["val_accuracy"][-1] > 0.95
    assert history["loss"][-1] < 0.2 * history["loss"][0]


@pytest.mark.parametrize(
    "optimizer",
    [fnn.SGD(lr=0.1), fnn.SGD(lr=0.05, momentum=0.9, nesterov=True), fnn.RMSprop(lr=0.01), fnn.Adam(lr=0.02, amsgrad=True)],
    ids=lambda o: type(o).__name__,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_optimizer_lowers_the_loss(optimizer, dtype):
    twin = type(optimizer)(**optimizer.settings)
    trainer = fitted(model=small_model(dtype=dtype), optimizer=twin, epochs=15)
    assert trainer.history["loss"][-1] < 0.7 * trainer.history["loss"][0]


def test_fit_takes_the_same_path_as_the_loop_by_hand():
    trainer = fitted(shuffle=False, epochs=3)
    model, loss = small_model(), fnn.CrossEntropyLoss()
    optimizer = fnn.Adam(lr=0.01).bind(model)
    for _ in range(3):
        for first in range(0, len(X), 16):
            loss.forward(model.forward(X[first : first + 16]), Y[first : first + 16])
            model.backward(loss.backward())
            optimizer.step()
    assert model.flat_parameters.tobytes() == trainer.model.flat_parameters.tobytes()
    assert model.flat_buffers.tobytes() == trainer.model.flat_buffers.tobytes()
    assert dropout_steps(model) == dropout_steps(trainer.model)


# losses and targets


def line(rows=40):
    x = np.random.default_rng(5).normal(size=(rows, 3))
    return x, x @ np.array([1.0, -2.0, 0.5]) + 3.0


def test_a_line_is_fitted_with_targets_of_one_dimension():
    x, y = line()
    trainer = fitted(x, y, fnn.Sequential(fnn.Linear(3, 1), seed=0), fnn.MSELoss(), fnn.SGD(lr=0.1), epochs=40, batch_size=8)
    assert trainer.evaluate(x, y)["loss"] < 1e-8
    np.testing.assert_allclose(trainer.model[0].weight.ravel(), [1.0, -2.0, 0.5], atol=1e-4)
    np.testing.assert_allclose(trainer.model[0].bias, [3.0], atol=1e-4)


def test_targets_of_one_dimension_are_a_column():
    x, y = line()
    flat, column = (
        fitted(x, targets, fnn.Sequential(fnn.Linear(3, 1), seed=0), fnn.MSELoss(), validation_data=(x, targets))
        for targets in (y, y[:, None])
    )
    assert weights_of(flat) == weights_of(column)
    assert np.array_equal(flat.history["val_loss"], column.history["val_loss"])


def test_one_hot_targets_train_as_labels_do():
    labels = fitted(model=plain_model(), epochs=4)
    one_hot = fitted(y=np.eye(CLASSES)[Y], model=plain_model(), epochs=4)
    np.testing.assert_allclose(one_hot.model.flat_parameters, labels.model.flat_parameters, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one_hot.history["loss"], labels.history["loss"], rtol=1e-5)
    assert np.array_equal(one_hot.history["accuracy"], labels.history["accuracy"])
    assert one_hot.evaluate(X, np.eye(CLASSES)[Y])["loss"] == pytest.approx(labels.evaluate(X, Y)["loss"], rel=1e-5)


def test_soft_targets_pull_the_probabilities_towards_them():
    soft = np.tile([0.6, 0.3, 0.1], (len(X), 1))
    trainer = fitted(y=soft, model=plain_model(), optimizer=fnn.Adam(lr=0.05), epochs=60)
    np.testing.assert_allclose(trainer.predict_proba(X), soft, atol=0.1)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_may_be_integers_of_any_kind(dtype):
    assert weights_of(fitted(y=Y.astype(dtype))) == weights_of(fitted())
    assert weights_of(fitted(y=Y.tolist())) == weights_of(fitted())


def test_the_sum_of_the_loss_takes_the_steps_of_the_mean_times_the_rows():
    mean = fitted(model=plain_model(), optimizer=fnn.SGD(lr=0.2), batch_size=len(X), epochs=5)
    loss = fnn.CrossEntropyLoss(reduction="sum")
    total = fitted(model=plain_model(), loss=loss, optimizer=fnn.SGD(lr=0.2 / len(X)), batch_size=len(X), epochs=5)
    np.testing.assert_allclose(total.model.flat_parameters, mean.model.flat_parameters, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(total.history["loss"], mean.history["loss"], rtol=1e-5)
    assert total.evaluate(X, Y)["loss"] == pytest.approx(mean.evaluate(X, Y)["loss"], rel=1e-5)


class OwnSquares:
    """A loss of a user's: nothing but forward and backward."""

    def forward(self, prediction, targets):
        self.difference = prediction - targets
        return (self.difference**2).mean()

    def backward(self):
        return 2.0 * self.difference / self.difference.size


def test_a_loss_of_ones_own_needs_forward_and_backward_alone():
    y = np.eye(CLASSES, dtype=np.float32)[Y]
    own = fitted(y=y, model=plain_model(), loss=OwnSquares(), validation_data=(X, y), epochs=4)
    ours = fitted(y=y, model=plain_model(), loss=fnn.MSELoss(), validation_data=(X, y), epochs=4)
    np.testing.assert_allclose(own.model.flat_parameters, ours.model.flat_parameters, rtol=1e-4, atol=1e-6)
    assert own.history.names == ["loss", "val_loss", "lr", "seconds"]
    assert own.evaluate(X, y) == {"loss": pytest.approx(ours.evaluate(X, y)["loss"], rel=1e-5)}


def test_a_loss_of_ones_own_gets_the_rows_of_its_batch():
    seen = []

    class Spy(OwnSquares):
        def forward(self, prediction, targets):
            seen.append((prediction.shape, targets.tolist()))
            return super().forward(prediction, np.eye(CLASSES)[targets])

    fitted(loss=Spy(), model=plain_model(), shuffle=False, batch_size=20, epochs=1)
    assert seen == [((20, 3), Y[:20].tolist()), ((20, 3), Y[20:40].tolist()), ((7, 3), Y[40:].tolist())]


# batches


def orders(epochs=3, **kwargs):
    """The rows in the order in which training saw them, a list an epoch."""
    seen = []

    class Spy(OwnSquares):
        def forward(self, prediction, targets):
            seen.extend(targets.tolist())
            return super().forward(prediction, 0.0)

    fitted(y=np.arange(len(X)), loss=Spy(), model=plain_model(), epochs=epochs, **kwargs)
    return [seen[i : i + len(seen) // epochs] for i in range(0, len(seen), len(seen) // epochs)]


def test_shuffling_gives_each_epoch_its_own_order_of_all_rows():
    first, second, third = orders()
    assert sorted(first) == sorted(second) == sorted(third) == list(range(len(X)))
    assert len({tuple(first), tuple(second), tuple(third), tuple(range(len(X)))}) == 4


def test_shuffling_follows_the_seed_of_the_model():
    assert orders() == orders()


def test_without_shuffling_rows_keep_their_order():
    assert orders(shuffle=False) == [list(range(len(X)))] * 3


def test_drop_last_leaves_out_what_does_not_fill_a_batch():
    assert [len(order) for order in orders(batch_size=10, drop_last=True)] == [40] * 3
    assert [len(order) for order in orders(batch_size=10, drop_last=False)] == [47] * 3
    assert [len(order) for order in orders(batch_size=100, drop_last=True)] == [47] * 3, "the only batch stays"


def test_a_last_batch_of_one_row_is_left_out_with_one_warning_if_the_model_normalises_by_batch():
    record = Record()
    with pytest.warns(UserWarning, match="the last batch has 1 row") as caught:
        fitted(batch_size=23, epochs=3, callbacks=[record])
    assert len(caught) == 1
    assert caught[0].filename == __file__, "it points at the caller of fit"
    assert [call for call in record.calls if call[0] == "batch end"] == [("batch end", 0), ("batch end", 1)] * 3


def test_the_row_left_out_has_no_part_in_training():
    with pytest.warns(UserWarning, match="left out"):
        trainer = fitted(batch_size=23, shuffle=False)
    assert weights_of(trainer) == weights_of(fitted(X[:46], Y[:46], batch_size=23, shuffle=False))


def test_a_last_batch_of_one_row_is_used_if_the_model_does_not_normalise_by_batch():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [len(order) for order in orders(batch_size=23)] == [47] * 3


def test_dropping_the_last_row_on_request_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(batch_size=23, drop_last=True)


# what is reported


def test_the_loss_and_accuracy_of_an_epoch_are_means_over_its_rows():
    trainer = still(plain_model())
    history = trainer.fit(X, Y, epochs=2, batch_size=10, validation_data=(X[:9], Y[:9]))
    logits = trainer.model.predict(X)
    np.testing.assert_allclose(history["loss"], F.cross_entropy(logits, Y), rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], (logits.argmax(axis=1) == Y).mean(), rtol=1e-12)
    np.testing.assert_allclose(history["val_loss"], F.cross_entropy(logits[:9], Y[:9]), rtol=1e-5)
    np.testing.assert_allclose(history["val_accuracy"], (logits[:9].argmax(axis=1) == Y[:9]).mean(), rtol=1e-12)


def test_a_history_names_what_there_is():
    history = fitted(settings={"regularizer": fnn.L2(0.1)}, validation_data=(X, Y)).history
    assert history.names == ["loss", "penalty", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert len(history) == 2
    assert history["lr"].tolist() == [0.01, 0.01]
    assert (history["seconds"] > 0.0).all()


def test_validation_is_evaluation_after_the_epoch():
    trainer = fitted(validation_data=(X[:13], Y[:13]))
    assert trainer.history.last()["val_loss"] == pytest.approx(trainer.evaluate(X[:13], Y[:13])["loss"], rel=1e-6)


def test_validation_does_not_change_what_is_trained():
    assert weights_of(fitted(validation_data=(X[:13], Y[:13]))) == weights_of(fitted())


def test_callbacks_do_not_change_what_is_trained():
    assert weights_of(fitted(callbacks=[Record()])) == weights_of(fitted())


@pytest.mark.parametrize("scale", ["none", "rows"])
def test_the_penalty_is_shown_apart_and_in_the_loss_and_not_in_the_validation_loss(scale):
    model = plain_model()
    trainer = still(model, regularizer=fnn.L2(0.3, scale=scale))
    history = trainer.fit(X[:40], Y[:40], batch_size=10, validation_data=(X, Y))
    penalty = 0.15 * sum(float((layer.weight.astype(np.float64) ** 2).sum()) for layer in (model[0], model[2]))
    penalty /= 10 if scale == "rows" else 1
    assert history["penalty"][0] == pytest.approx(penalty, rel=1e-6)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(X[:40], Y[:40])["loss"] + penalty, rel=1e-6)
    assert history["val_loss"][0] == pytest.approx(F.cross_entropy(model.predict(X), Y), rel=1e-6)


def test_the_penalty_pulls_on_the_weights_and_not_on_the_biases():
    free, pulled = (
        fitted(model=plain_model(), optimizer=fnn.SGD(lr=0.1), epochs=1, batch_size=len(X), settings=settings)
        for settings in ({}, {"regularizer": fnn.L2(0.5)})
    )
    start = plain_model()
    for i in (0, 2):
        np.testing.assert_allclose(pulled.model[i].weight, free.model[i].weight - 0.05 * start[i].weight, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(pulled.model[i].bias, free.model[i].bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clip_norm", [1e-3, 0.1])
def test_clipping_bounds_the_step(clip_norm):
    start = plain_model()
    trainer = fitted(
        model=plain_model(), optimizer=fnn.SGD(lr=1.0), epochs=1, batch_size=len(X), settings={"clip_norm": clip_norm}
    )
    step = np.linalg.norm(trainer.model.flat_parameters.astype(np.float64) - start.flat_parameters)
    assert step == pytest.approx(clip_norm, rel=1e-3)


def test_clipping_that_does_not_bite_changes_nothing():
    assert weights_of(fitted(settings={"clip_norm": 1e6})) == weights_of(fitted())


def test_clipping_counts_the_penalty():
    settings = {"clip_norm": 0.01, "regularizer": fnn.L2(100.0)}
    start, trainer = (
        plain_model(),
        fitted(model=plain_model(), optimizer=fnn.SGD(lr=1.0), epochs=1, batch_size=47, settings=settings),
    )
    step = np.linalg.norm(trainer.model.flat_parameters.astype(np.float64) - start.flat_parameters)
    assert step == pytest.approx(0.01, rel=1e-3)


# evaluate and predict


@pytest.mark.parametrize("batch_size", [1, 2, 13, 46, 47, 1000])
def test_evaluate_does_not_depend_on_the_batch_size(batch_size):
    trainer = fitted()
    whole, parts = trainer.evaluate(X, Y), trainer.evaluate(X, Y, batch_size)
    assert whole.keys() == parts.keys() == {"loss", "accuracy"}
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert parts["accuracy"] == whole["accuracy"]


def test_evaluate_is_the_loss_of_the_predictions():
    trainer = fitted(settings={"regularizer": fnn.L2(1.0)})
    logits = trainer.predict(X)
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(F.cross_entropy(logits, Y), rel=1e-6)
    assert trainer.evaluate(X, Y)["accuracy"] == pytest.approx((logits.argmax(axis=1) == Y).mean())


def test_evaluate_and_predict_leave_everything_as_it_was():
    trainer = fitted()
    trainer.model.train()
    trainer.model[1].eval()
    before, modes, steps = weights_of(trainer), [layer.training for layer in trainer.model.walk()], dropout_steps(trainer.model)
    history = trainer.history
    for use in (
        lambda: trainer.evaluate(X, Y, 10),
        lambda: trainer.predict(X, 10),
        lambda: trainer.predict_proba(X),
        lambda: trainer.predict_labels(X),
    ):
        use()
        assert weights_of(trainer) == before
        assert [layer.training for layer in trainer.model.walk()] == modes
        assert dropout_steps(trainer.model) == steps
        assert trainer.history is history


def test_fit_returns_to_training_mode_after_validation():
    class Modes(fnn.Callback):
        seen = ()

        def on_batch_end(self, trainer, step, logs):
            self.seen = (*self.seen, *(layer.training for layer in trainer.model.walk()))

    modes, model = Modes(), small_model().eval()
    fitted(model=model, validation_data=(X, Y), callbacks=[modes])
    assert set(modes.seen) == {True}


def test_probabilities_are_those_of_the_softmax():
    trainer = fitted()
    p = trainer.predict_proba(X, 10)
    assert p.shape == (len(X), CLASSES)
    assert (p >= 0.0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
    e = np.exp(trainer.predict(X).astype(np.float64))
    np.testing.assert_allclose(p, e / e.sum(axis=1, keepdims=True), rtol=1e-5)


def test_labels_are_the_most_probable():
    trainer = fitted()
    labels = trainer.predict_labels(X)
    assert labels.dtype == np.int64
    assert np.array_equal(labels, trainer.predict_proba(X).argmax(axis=1))
    assert np.array_equal(labels, trainer.predict(X).argmax(axis=1))


def test_a_loss_without_a_link_gives_no_probabilities():
    x, y = line()
    trainer = fitted(x, y, fnn.Sequential(fnn.Linear(3, 1)), fnn.MSELoss())
    for use in (trainer.predict_proba, trainer.predict_labels):
        with pytest.raises(ValueError, match=r"^loss: expected one with .*MSELoss"):
            use(x)


def test_the_printed_trainer_says_what_it_was_made_of():
    text = repr(small_trainer(regularizer=fnn.L1(0.5), clip_norm=2.0))
    for part in ("Trainer(Sequential(Linear(5, 7)", "CrossEntropyLoss(", "Adam(lr=0.01", "regularizer=L1(0.5", "clip_norm=2.0"):
        assert part in text
