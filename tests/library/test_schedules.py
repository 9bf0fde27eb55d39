"""Schedules in training: the rate of each step on both roads, from one fit to the next. Values: tests/peers."""

import math
import pickle

import numpy as np
import pytest
from library.helpers import FEATURES, Explode, blobs, small_model, small_trainer, weights_of

import fastnn as fnn

X, Y = blobs()
STEPS = 3  # an epoch, in batches of 20


def fit(trainer, epochs=4, **kwargs):
    return trainer.fit(X, Y, epochs=epochs, batch_size=20, **kwargs)


def half(t):
    return 0.5**t


SCHEDULES = {
    "steps": lambda: fnn.CosineAnnealingLR(11, per="step"),
    "epochs": lambda: fnn.StepLR(2, 0.3),
    "a function": lambda: fnn.LambdaLR(half, per="step"),
    "one cycle": lambda: fnn.OneCycleLR(0.05, 12),
    "warm-up": lambda: fnn.Warmup(4, fnn.OneCycleLR(0.05, 8)),
    "sequence": lambda: fnn.SequentialLR([fnn.LinearLR(per="step"), fnn.OneCycleLR(0.05, 9)], [5]),
    "plateau": lambda: fnn.ReduceLROnPlateau(patience=0, factor=0.5, threshold=10.0, monitor="loss"),
}


CYCLED = {
    "SGD": lambda: fnn.SGD(momentum=0.5, nesterov=True),
    "SGDW": lambda: fnn.SGDW(momentum=0.5, weight_decay=0.1),
    "RMSprop": lambda: fnn.RMSprop(momentum=0.5, centered=True),
    "Adam": lambda: fnn.Adam(amsgrad=True),
    "AdamW": lambda: fnn.AdamW(weight_decay=0.1),
    "NAdam": lambda: fnn.NAdam(momentum_decay=0.1),
    "RAdam": lambda: fnn.RAdam(betas=(0.9, 0.9), weight_decay=0.1, decoupled_weight_decay=True),
    "Lion": lambda: fnn.Lion(weight_decay=0.1),
}


class Rates(fnn.Callback):
    """Keeps the rule's settings after each step."""

    def __init__(self):
        self.lrs, self.betas = [], []

    def on_batch_end(self, trainer, step, logs):
        self.lrs.append(trainer.optimizer.lr)
        self.betas.append(trainer.optimizer.betas)


@pytest.mark.parametrize("name", SCHEDULES)
def test_both_roads_have_the_same_rates_and_go_the_same_way(name):
    ends = []
    for compiled in (True, False):
        trainer, rates = small_trainer(small_model(dtype=np.float64), schedule=SCHEDULES[name](), compiled=compiled), Rates()
        history = fit(trainer, callbacks=[rates])
        ends.append((rates.lrs, rates.betas, history["lr"].tolist(), trainer.model.flat_parameters, history["loss"]))
    assert ends[0][:3] == ends[1][:3]
    np.testing.assert_allclose(ends[0][3], ends[1][3], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ends[0][4], ends[1][4], rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_slices_of_many_steps_take_the_same_rates_as_single_steps(name):
    ends = []
    for callbacks in ([], [Rates()]):
        trainer = small_trainer(schedule=SCHEDULES[name]())
        history = fit(trainer, callbacks=callbacks)
        ends.append((weights_of(trainer), history["lr"].tolist()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("compiled", [True, False])
def test_a_second_fit_and_a_pickled_trainer_go_on_to_the_same_bits(name, compiled):
    whole, parts = (small_trainer(schedule=SCHEDULES[name](), compiled=compiled) for _ in range(2))
    rates = fit(whole, 4)["lr"].tolist()
    first = fit(parts, 1)["lr"].tolist()
    parts = pickle.loads(pickle.dumps(parts))
    assert first + fit(parts, 3)["lr"].tolist() == rates
    assert weights_of(whole) == weights_of(parts)


def test_the_history_has_the_rate_of_the_epochs_last_step():
    assert fit(small_trainer(schedule=fnn.StepLR(1, 0.5)))["lr"].tolist() == [0.01, 0.005, 0.0025, 0.00125]
    schedule, rates = fnn.LambdaLR(half, per="step"), Rates()
    history = fit(small_trainer(schedule=schedule), callbacks=[rates])
    assert rates.lrs == [0.01 * half(t) for t in range(4 * STEPS)]
    assert history["lr"].tolist() == rates.lrs[STEPS - 1 :: STEPS]


def test_steps_of_different_rates_are_those_of_plain_descent_by_hand():
    model, twin = (fnn.Sequential(fnn.Linear(FEATURES, 3), seed=0, dtype=np.float64) for _ in range(2))
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.5), schedule=fnn.ExponentialLR(0.7, per="step"))
    fit(trainer, 2, shuffle=False)
    loss, step = fnn.CrossEntropyLoss(), 0
    for _ in range(2):
        for first in (0, 20, 40):
            loss.forward(twin.forward(X[first : first + 20]), Y[first : first + 20])
            twin.backward(loss.backward())
            twin.flat_parameters -= 0.5 * 0.7**step * twin.flat_gradients
            step += 1
    np.testing.assert_allclose(model.flat_parameters, twin.flat_parameters, rtol=1e-12, atol=1e-14)


def test_a_schedule_by_epochs_may_be_overruled_by_a_callback():
    class Set(fnn.Callback):
        def on_epoch_begin(self, trainer, epoch):
            trainer.optimizer.lr = 0.125

    assert fit(small_trainer(schedule=fnn.StepLR(1)), 2, callbacks=[Set()])["lr"].tolist() == [0.125, 0.125]


def test_one_cycle_moves_the_first_beta_and_leaves_the_second():
    rates = Rates()
    fit(small_trainer(schedule=fnn.OneCycleLR(0.05, 12)), callbacks=[rates])
    expected = fnn.OneCycleLR(0.05, 12).momenta(np.arange(12))
    assert rates.betas == [(float(beta), 0.999) for beta in expected]
    assert (expected[0], expected[-1]) == (0.95, 0.95)


@pytest.mark.parametrize("optimizer", CYCLED.values(), ids=CYCLED.keys())
def test_every_rule_with_momentum_goes_the_same_way_on_both_roads_while_it_is_cycled(optimizer):
    ends = []
    for compiled in (True, False):
        trainer = small_trainer(
            small_model(dtype=np.float64), optimizer(), schedule=fnn.OneCycleLR(0.05, 12), clip_norm=0.5, compiled=compiled
        )
        fit(trainer)
        ends.append([trainer.model.flat_parameters, *trainer.optimizer.state_arrays()])
        settings = trainer.optimizer.settings
        assert settings["betas"][0] == 0.95 if "betas" in settings else settings["momentum"] == 0.95
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_a_rule_without_momentum_cannot_have_it_cycled():
    cycle = fnn.OneCycleLR(0.05, 12)
    with pytest.raises(ValueError, match="^schedule: expected an optimiser with momentum or betas for OneCycleLR"):
        small_trainer(optimizer=fnn.SGD(), schedule=cycle)
    fit(small_trainer(optimizer=fnn.SGD(momentum=0.5), schedule=cycle))
    fit(small_trainer(optimizer=fnn.SGD(), schedule=fnn.OneCycleLR(0.05, 12, cycle_momentum=False)))


def test_a_fit_longer_than_its_schedule_is_refused_before_it_begins():
    trainer = small_trainer(schedule=fnn.OneCycleLR(0.05, 12))
    before = weights_of(trainer)
    with pytest.raises(ValueError, match="^schedule: expected one of at least 15 steps.*which has 12"):
        fit(trainer, 5)
    assert weights_of(trainer) == before
    fit(trainer, 3)
    with pytest.raises(ValueError, match="^schedule: expected one of at least 15 steps"):
        fit(trainer, 2)
    with pytest.raises(ValueError, match="^schedule: expected one of at least 3 epochs.*which has 2"):
        fit(small_trainer(schedule=fnn.SequentialLR([fnn.StepLR(1), fnn.OneCycleLR(0.1, 1, per="epoch")], [1])), 3)


def test_a_plateau_lowers_the_rate_for_what_follows():
    class Flat(fnn.MSELoss):
        def scores(self, prediction, targets):
            return {"flat": float(len(prediction))}

    schedule = fnn.ReduceLROnPlateau("max", factor=0.5, patience=1, monitor="val_flat")
    trainer = fnn.Trainer(small_model(), Flat(), fnn.Adam(lr=0.01), schedule=schedule)
    targets = np.zeros((len(X), 3))
    history = trainer.fit(X, targets, epochs=6, validation_data=(X, targets))
    assert history["lr"].tolist() == [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025]


def test_a_plateau_of_what_no_epoch_logs_is_refused():
    trainer = small_trainer(schedule=fnn.ReduceLROnPlateau())
    with pytest.raises(ValueError, match="^monitor: expected one of .*without validation_data, got 'val_loss'"):
        fit(trainer)
    fit(trainer, validation_data=(X, Y))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("per", ["step", "epoch"])
def test_a_rate_that_cannot_be_is_refused(value, per):
    trainer = small_trainer(schedule=fnn.LambdaLR(lambda t: value, per=per))
    before = weights_of(trainer)
    with pytest.raises(ValueError, match="^schedule: expected finite rates of at least 0"):
        fit(trainer)
    assert weights_of(trainer) == before


def test_after_a_loss_that_is_not_finite_the_schedule_goes_on_from_the_last_whole_epoch():
    rates = Rates()
    trainer = fnn.Trainer(
        fnn.Sequential(Explode(at=4), fnn.Linear(FEATURES, 3), seed=0),
        fnn.CrossEntropyLoss(),
        fnn.Adam(lr=0.01),
        schedule=fnn.ExponentialLR(0.5, per="step"),
    )
    with pytest.raises(fnn.NonFiniteLossError, match="epoch 2, step 2"):
        fit(trainer)
    fit(trainer, 1, callbacks=[rates])
    assert rates.lrs == [0.01 * 0.5**t for t in (3, 4, 5)]


def test_a_warm_up_loses_no_step_and_ends_at_the_schedules_start():
    schedule = fnn.Warmup(3, fnn.ExponentialLR(0.5, per="step"))
    np.testing.assert_allclose([schedule.lr(t, 8.0) for t in range(6)], [2.0, 4.0, 6.0, 8.0, 4.0, 2.0])
    assert [fnn.Warmup(1).lr(t) for t in range(3)] == [0.5, 1.0, 1.0]
    assert (schedule.per, fnn.Warmup(2, fnn.StepLR(1)).per, fnn.Warmup(1).per) == ("step", "epoch", "step")


def test_a_schedule_of_ones_own():
    class Roots(fnn.Schedule):
        def lrs(self, t, base_lr):
            return base_lr / np.sqrt(t + 1.0)

    history = fit(small_trainer(schedule=Roots("epoch")))
    np.testing.assert_allclose(history["lr"], 0.01 / np.sqrt([1, 2, 3, 4]))


def test_a_schedule_prints_as_it_was_made():
    names = vars(fnn)
    for schedule in (
        fnn.CosineAnnealingLR(7, eta_min=0.1, per="step"), fnn.OneCycleLR(0.1, epochs=2, steps_per_epoch=5, three_phase=True),
        fnn.Warmup(3, fnn.StepLR(2)), fnn.SequentialLR([fnn.ConstantLR(), fnn.MultiStepLR([2, 4])], [5]),
        fnn.ReduceLROnPlateau(patience=3, monitor="loss"),
    ):  # fmt: skip
        again = eval(repr(schedule), dict(names))
        assert repr(again) == repr(schedule)
        assert [again.lr(t, 0.3) for t in range(9)] == [schedule.lr(t, 0.3) for t in range(9)]
    assert "schedule=StepLR(step_size=2)" in repr(small_trainer(schedule=fnn.StepLR(2)))


ERRORS = [
    (lambda: fnn.StepLR(0), "step_size", ValueError), (lambda: fnn.StepLR(2.0), "step_size", TypeError),
    (lambda: fnn.StepLR(1, -1.0), "gamma", ValueError), (lambda: fnn.StepLR(1, per="batch"), "per", ValueError),
    (lambda: fnn.MultiStepLR(3), "milestones", TypeError), (lambda: fnn.MultiStepLR([1, -2]), r"milestones\[1\]", ValueError),
    (lambda: fnn.ExponentialLR("1"), "gamma", TypeError), (lambda: fnn.ConstantLR(2.0), "factor", ValueError),
    (lambda: fnn.LinearLR(0.0), "start_factor", ValueError), (lambda: fnn.LinearLR(total_iters=0), "total_iters", ValueError),
    (lambda: fnn.PolynomialLR(power=-1.0), "power", ValueError), (lambda: fnn.CosineAnnealingLR(0), "T_max", ValueError),
    (lambda: fnn.CosineAnnealingWarmRestarts(5, 1.5), "T_mult", TypeError),
    (lambda: fnn.OneCycleLR(0.1), "total_steps", ValueError),
    (lambda: fnn.OneCycleLR(0.1, 9, pct_start=2.0), "pct_start", ValueError),
    (lambda: fnn.OneCycleLR(0.1, 9, anneal_strategy="exp"), "anneal_strategy", ValueError),
    (lambda: fnn.LambdaLR(0.5), "lr_lambda", TypeError), (lambda: fnn.SequentialLR([], []), "schedulers", TypeError),
    (lambda: fnn.SequentialLR([fnn.StepLR(1), 3], [2]), r"schedulers\[1\]", TypeError),
    (lambda: fnn.SequentialLR([fnn.StepLR(1), fnn.StepLR(1, per="step")], [2]), r"schedulers\[1\]", ValueError),
    (lambda: fnn.SequentialLR([fnn.StepLR(1), fnn.StepLR(1)], [2, 3]), "milestones", ValueError),
    (lambda: fnn.Warmup(3, fnn.ReduceLROnPlateau()), "then", TypeError), (lambda: fnn.Warmup(-1), "steps", ValueError),
    (lambda: fnn.ReduceLROnPlateau("auto"), "mode", ValueError),
    (lambda: fnn.ReduceLROnPlateau(factor=1.0), "factor", ValueError),
    (lambda: fnn.ReduceLROnPlateau(monitor=3), "monitor", TypeError), (lambda: fnn.StepLR(1).lr(-1), "t", ValueError),
    (lambda: small_trainer(schedule=0.1), "schedule", TypeError),
]  # fmt: skip


@pytest.mark.parametrize(("make", "argument", "error"), ERRORS)
def test_bad_arguments_are_refused_by_name(make, argument, error):
    with pytest.raises(error, match=rf"^{argument}: expected"):
        make()


def test_a_sequence_does_not_run_a_schedule_past_its_end():
    first = fnn.OneCycleLR(0.1, 5)
    with pytest.raises(ValueError, match=r"^milestones\[0\]: expected at most 5, where schedulers\[0\] ends, got 10"):
        fnn.SequentialLR([first, fnn.StepLR(10, per="step")], [10])
