"""What every optimiser promises besides its rule: state that is saved, loaded and pickled, settings, schedules."""

import copy
import pickle

import numpy as np
import pytest
from library.helpers import blobs, small_trainer, weights_of

import fastnn as fnn

X, Y = blobs()
RULES = {
    "SGD": lambda: fnn.SGD(lr=0.05, momentum=0.9, dampening=0.1),
    "SGDW": lambda: fnn.SGDW(lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    "Adagrad": lambda: fnn.Adagrad(lr_decay=0.1, initial_accumulator_value=0.2),
    "RMSprop": lambda: fnn.RMSprop(momentum=0.5, centered=True),
    "Adadelta": lambda: fnn.Adadelta(rho=0.8),
    "Adam": lambda: fnn.Adam(amsgrad=True),
    "AdamW": lambda: fnn.AdamW(amsgrad=True, weight_decay=0.2),
    "NAdam": lambda: fnn.NAdam(momentum_decay=0.1),
    "RAdam": lambda: fnn.RAdam(betas=(0.9, 0.9)),
    "Lion": lambda: fnn.Lion(weight_decay=0.2),
}
each_rule = pytest.mark.parametrize("make", RULES.values(), ids=RULES.keys())
DECOUPLED = {
    "SGDW": lambda decay: fnn.SGDW(lr=0.1, weight_decay=decay),
    "AdamW": lambda decay: fnn.AdamW(lr=0.1, weight_decay=decay),
    "NAdam": lambda decay: fnn.NAdam(lr=0.1, weight_decay=decay, decoupled_weight_decay=True),
    "RAdam": lambda decay: fnn.RAdam(lr=0.1, weight_decay=decay, decoupled_weight_decay=True),
    "Lion": lambda decay: fnn.Lion(lr=0.1, weight_decay=decay),
}


def bound(make, steps, seed=0):
    """An optimiser on two arrays after some steps, the arrays, and their gradients."""
    rng = np.random.default_rng(seed)
    w, g = [[rng.standard_normal(shape) for shape in ((7, 3), (5,))] for _ in range(2)]
    optimizer = make().bind(w, g)
    for _ in range(steps):
        optimizer.step()
    return optimizer, w, g


def test_there_is_a_case_for_every_rule():
    kinds = [getattr(fnn.optim, name) for name in fnn.optim.__all__]
    subclasses = [kind for kind in kinds if isinstance(kind, type) and kind is not fnn.Optimizer]
    assert {kind.__name__ for kind in subclasses} == RULES.keys()
    assert {type(make()) for make in RULES.values()} == set(subclasses)


@each_rule
def test_a_loaded_state_goes_on_to_the_same_bits(make):
    source, w, g = bound(make, 7)
    target, v, h = bound(type(make()), 0, seed=1)  # of other settings
    for setting in ("momentum", "amsgrad", "centered"):  # but with the same arrays
        if hasattr(target, setting):
            setattr(target, setting, getattr(source, setting))
    target.bind(v, h)
    target.load_state_dict(source.state_dict())
    assert target.settings == source.settings
    for array, gradient, same, same_gradient in zip(v, h, w, g, strict=True):
        array[...], gradient[...] = same, same_gradient
    for _ in range(3):
        source.step()
        target.step()
    assert [a.tobytes() for a in v] == [a.tobytes() for a in w]
    assert [a.tobytes() for a in target.state_arrays()] == [a.tobytes() for a in source.state_arrays()]


@each_rule
def test_binding_again_starts_afresh(make):
    optimizer, w, g = bound(make, 5)
    v = bound(make, 3)[1]
    w, _ = bound(make, 0)[1:]
    optimizer.bind(w, g)
    for _ in range(3):
        optimizer.step()
    assert [a.tobytes() for a in w] == [a.tobytes() for a in v]


@each_rule
@pytest.mark.parametrize("compiled", [True, False])
def test_a_pickled_trainer_goes_on_to_the_same_bits(make, compiled):
    whole, parts = (small_trainer(optimizer=make(), compiled=compiled) for _ in range(2))
    whole.fit(X, Y, epochs=4, batch_size=10)
    parts.fit(X, Y, epochs=1, batch_size=10)
    parts = pickle.loads(pickle.dumps(parts))
    parts.fit(X, Y, epochs=1, batch_size=10)
    parts = copy.deepcopy(parts)
    parts.fit(X, Y, epochs=2, batch_size=10)
    assert weights_of(parts) == weights_of(whole)


@each_rule
def test_repr_rebuilds_the_rule(make):
    again = eval(repr(make()), vars(fnn).copy())
    assert type(again) is type(make())
    assert again.settings == make().settings


@each_rule
def test_settings_that_became_impossible_are_refused_before_anything_has_changed(make):
    trainer = small_trainer(optimizer=make())
    trainer.optimizer.lr = -1.0
    before = weights_of(trainer)
    with pytest.raises(ValueError, match="^lr: expected"):
        trainer.fit(X, Y)
    assert weights_of(trainer) == before


@each_rule
def test_schedules_by_steps_set_the_rate_on_both_roads(make):
    ends = []
    for compiled in (True, False):
        model = fnn.Sequential(fnn.Linear(5, 4), fnn.Tanh(), fnn.Linear(4, 3), seed=0, dtype=np.float64)
        rule = make()
        rule.lr = 0.01
        cycle = fnn.OneCycleLR(0.02, 20, cycle_momentum=hasattr(rule, "betas") or getattr(rule, "momentum", 0) > 0)
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), rule, schedule=cycle, compiled=compiled)
        trainer.fit(X, Y, epochs=4, batch_size=10)
        ends.append(model.flat_parameters)
    np.testing.assert_allclose(*ends, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("rule", DECOUPLED)
def test_decoupled_decay_shrinks_weights_whose_gradient_is_zero_by_lr_times_decay(rule):
    w = np.array([2.0, -4.0])
    optimizer = DECOUPLED[rule](0.5).bind([w], [np.zeros(2)])
    optimizer.step()
    optimizer.lr = 0.2
    optimizer.step()
    np.testing.assert_allclose(w, np.array([2.0, -4.0]) * 0.95 * 0.9, rtol=1e-14)


def test_without_momentum_decoupled_decay_is_l2s():
    ends = []
    for rule in (fnn.SGD(lr=0.1, weight_decay=0.3), fnn.SGDW(lr=0.1, weight_decay=0.3)):
        _, w, _ = bound(lambda rule=rule: rule, 6)
        ends.append(np.concatenate([a.ravel() for a in w]))
    np.testing.assert_allclose(*ends, rtol=1e-13)
