"""Five steps of every variant against the rule written out in NumPy; trajectories against torch are in tests/peers."""

import itertools
import platform
import re

import numpy as np
import pytest
import reference
from numba import njit
from support import DTYPES, Out, every_way

import fastnn as fnn
from fastnn import kernels
from fastnn_kernels._jit import OPTIONS

SIZES = [1, 3, 8191, 20011]
STEPS = 5
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}


def problem(rng, size, dtype):
    gradients = [rng.standard_normal(size).astype(dtype) for _ in range(STEPS)]
    return rng.standard_normal(size).astype(dtype), gradients


def state(size, dtype, used=True):
    return np.zeros(size if used else 0, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("momentum", "dampening", "nesterov"), [(0.0, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True)])
def test_sgd(rng, momentum, dampening, nesterov, decoupled, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, ev = w.astype(float), np.zeros(size)
    v = state(size, dtype, momentum != 0.0)
    for t, g in enumerate(gradients):
        first, scaled = t == 0, 0.5 * g.astype(float)
        w, v = every_way(kernels.sgd_update, g, 0.1, momentum, dampening, nesterov, 0.01, decoupled, 0.5, first, Out(w), Out(v))
        expected, ev = reference.sgd(
            reference.decoupled(expected, lr=0.1, weight_decay=0.01) if decoupled else expected, scaled, ev, lr=0.1,
            momentum=momentum, dampening=dampening, nesterov=nesterov, weight_decay=0.0 if decoupled else 0.01, first=first,
        )  # fmt: skip
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("momentum", "centered", "inside"), list(itertools.product((0.0, 0.9), (False, True), (False, True))))
def test_rmsprop(rng, momentum, centered, inside, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, es, em, ev = w.astype(float), np.zeros(size), np.zeros(size), np.zeros(size)
    square, mean, v = state(size, dtype), state(size, dtype, centered), state(size, dtype, momentum != 0.0)
    eps = 1e-3
    for g in gradients:
        w, square, mean, v = every_way(
            kernels.rmsprop_update, g, 0.01, 0.9, eps if inside else 0.0, 0.0 if inside else eps, momentum, 0.01, 0.5,
            Out(w), Out(square), Out(mean), Out(v),
        )  # fmt: skip
        expected, es, em, ev = reference.rmsprop(
            expected, 0.5 * g.astype(float), es, em, ev, lr=0.01, rho=0.9, eps=eps, inside=inside, momentum=momentum,
            centered=centered, weight_decay=0.01,
        )  # fmt: skip
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_centered_rmsprop_does_not_take_the_root_of_a_negative_variance():
    w, square, mean, empty = np.ones(9, np.float32), *np.zeros((2, 9), np.float32), np.empty(0, np.float32)
    g = np.full(9, 0.3, np.float32)
    for _ in range(200):
        kernels.rmsprop_update(g, 1e-3, 0.5, 0.0, 1e-8, 0.0, 0.0, 1.0, w, square, mean, empty)
    assert not np.isnan(w).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("correct", "amsgrad", "inside"), list(itertools.product((True, False), (True, False), (True, False))))
def test_adam(rng, correct, amsgrad, inside, decoupled, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, em, es, el = w.astype(float), np.zeros(size), np.zeros(size), np.zeros(size)
    m, s, largest = state(size, dtype), state(size, dtype), state(size, dtype, amsgrad)
    eps, betas = 1e-3, (0.8, 0.7)
    for t, g in enumerate(gradients, 1):
        w, m, s, largest = every_way(
            kernels.adam_update, g, t, 0.01, *betas, eps if inside else 0.0, 0.0 if inside else eps, correct, 0.01, decoupled,
            0.5, Out(w), Out(m), Out(s), Out(largest),
        )  # fmt: skip
        expected, em, es, el = reference.adam(
            reference.decoupled(expected, lr=0.01, weight_decay=0.01) if decoupled else expected, 0.5 * g.astype(float),
            em, es, el, t=t, lr=0.01, betas=betas, eps=eps, inside=inside, correct=correct, amsgrad=amsgrad,
            weight_decay=0.0 if decoupled else 0.01,
        )  # fmt: skip
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inside", [False, True])
def test_adagrad(rng, inside, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, et, total, eps = w.astype(float), np.full(size, 0.1), np.full(size, 0.1, dtype), 1e-3
    for t, g in enumerate(gradients, 1):
        w, total = every_way(
            kernels.adagrad_update, g, t, 0.1, 0.05, eps if inside else 0.0, 0.0 if inside else eps, 0.01, 0.5, Out(w), Out(total)
        )
        expected, et = reference.adagrad(
            expected, 0.5 * g.astype(float), et, t=t, lr=0.1, lr_decay=0.05, eps=eps, inside=inside, weight_decay=0.01
        )
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_adadelta(rng, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, es, ec = w.astype(float), np.zeros(size), np.zeros(size)
    square, change = state(size, dtype), state(size, dtype)
    for g in gradients:
        w, square, change = every_way(kernels.adadelta_update, g, 1.0, 0.8, 1e-3, 0.01, 0.5, Out(w), Out(square), Out(change))
        expected, es, ec = reference.adadelta(
            expected, 0.5 * g.astype(float), es, ec, lr=1.0, rho=0.8, eps=1e-3, weight_decay=0.01
        )
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoupled", [False, True])
def test_nadam(rng, decoupled, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, em, es, product = w.astype(float), np.zeros(size), np.zeros(size), 1.0
    m, s, betas = state(size, dtype), state(size, dtype), (0.8, 0.7)
    for t, g in enumerate(gradients, 1):
        now, later = (reference.nadam_momentum(step, betas[0], 0.1) for step in (t, t + 1))
        product *= now
        w, m, s = every_way(
            kernels.nadam_update, g, t, 0.01, *betas, 1e-3, now, later, product, 0.01, decoupled, 0.5, Out(w), Out(m), Out(s)
        )
        expected, em, es = reference.nadam(
            reference.decoupled(expected, lr=0.01, weight_decay=0.01) if decoupled else expected, 0.5 * g.astype(float), em, es,
            t=t, lr=0.01, betas=betas, eps=1e-3, momentum_decay=0.1, weight_decay=0.0 if decoupled else 0.01,
        )  # fmt: skip
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoupled", [False, True])
def test_radam_with_and_without_its_adaptive_rate(rng, decoupled, size, dtype):
    w, gradients = problem(rng, size, dtype)
    expected, em, es = w.astype(float), np.zeros(size), np.zeros(size)
    m, s, betas = state(size, dtype), state(size, dtype), (0.8, 0.9)
    for t, g in enumerate(gradients, 4):  # the rate sets in at step 6
        w, m, s = every_way(kernels.radam_update, g, t, 0.01, *betas, 1e-3, 0.01, decoupled, 0.5, Out(w), Out(m), Out(s))
        expected, em, es = reference.radam(
            reference.decoupled(expected, lr=0.01, weight_decay=0.01) if decoupled else expected, 0.5 * g.astype(float), em, es,
            t=t, lr=0.01, betas=betas, eps=1e-3, weight_decay=0.0 if decoupled else 0.01,
        )  # fmt: skip
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lion(rng, weight_decay, size, dtype):
    w, gradients = problem(rng, size, dtype)
    gradients[0][: size // 3] = 0.0  # sign(0) is 0
    expected, em, m, betas = w.astype(float), np.zeros(size), state(size, dtype), (0.75, 0.5)
    for g in gradients:
        w, m = every_way(kernels.lion_update, g, 0.01, *betas, weight_decay, 0.5, Out(w), Out(m))
        moved = reference.decoupled(expected, lr=0.01, weight_decay=weight_decay)
        expected, em = reference.lion(moved, 0.5 * g.astype(float), em, lr=0.01, betas=betas)
    np.testing.assert_allclose(w, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_lion_passes_nan_on():
    w, m = np.ones(3), np.zeros(3)
    kernels.lion_update(np.array([1.0, np.nan, -1.0]), 0.1, 0.9, 0.99, 0.0, 1.0, w, m)
    np.testing.assert_allclose(w, [0.9, np.nan, 1.1])


RULES = {
    "SGD": fnn.SGD, "SGDW": fnn.SGDW, "Adagrad": fnn.Adagrad, "RMSprop": fnn.RMSprop, "Adadelta": fnn.Adadelta, "Adam": fnn.Adam,
    "AdamW": fnn.AdamW, "NAdam": fnn.NAdam, "RAdam": fnn.RAdam, "Lion": fnn.Lion,
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_nan_stays_where_it_is(rng, rule):
    w, g = rng.standard_normal((2, 101))
    g[7] = np.nan
    optimizer = RULES[rule](lr=0.1).bind([w], [g])
    for _ in range(STEPS):
        optimizer.step()
    assert np.flatnonzero(np.isnan(w)).tolist() == [7]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="knows the names of x86's registers")
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_runs_in_vectors_with_fused_multiply_add(rule, monkeypatch):
    kernel = getattr(kernels, {"SGDW": "sgd", "AdamW": "adam"}.get(rule, rule.lower()) + "_update")
    fresh = njit(**OPTIONS)(kernel.__wrapped__)  # what comes from the cache has no text
    monkeypatch.setattr(kernel, "serial", fresh)
    RULES[rule](lr=0.1).bind([np.ones(8, np.float32)], [np.ones(8, np.float32)]).step()
    assert re.search(r"vfn?madd\d+ps\s.*%[yz]mm", fresh.inspect_asm(fresh.signatures[0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_averages_that_fade_end_at_0_and_not_among_subnormal_numbers(dtype):
    """0.9 times the smallest subnormal number is rounded to itself: it would stay, and be slow to reckon with, for ever."""
    w = np.ones(5, dtype)
    rules = {
        fnn.SGD: {"lr": 0.0, "momentum": 0.5}, fnn.RMSprop: {"alpha": 0.5, "centered": True, "momentum": 0.5},
        fnn.Adam: {"betas": (0.5, 0.5)}, fnn.NAdam: {"betas": (0.5, 0.5)}, fnn.RAdam: {"betas": (0.5, 0.5)},
        fnn.Adadelta: {"rho": 0.5}, fnn.Lion: {"betas": (0.5, 0.5)},
    }  # fmt: skip
    for rule, settings in rules.items():
        gradient = np.full(5, 1e-3, dtype)
        optimizer = rule(**settings).bind([w], [gradient])
        optimizer.step()
        gradient[...] = 0.0
        for _ in range(1100):
            optimizer.step()
        for array in optimizer.state_arrays():
            assert not array.any(), f"{rule.__name__}: {array}"
