"""The schedules give torch's rates, and its momenta, step by step."""

import warnings

import numpy as np
import pytest

import fastnn as fnn

torch = pytest.importorskip("torch")
from torch.optim import lr_scheduler  # noqa: E402

pytestmark = pytest.mark.peer

STEPS, BASE = 100, 0.3

CASES = [
    ("ConstantLR", {}), ("ConstantLR", {"factor": 0.7, "total_iters": 31}),
    ("StepLR", {"step_size": 7}), ("StepLR", {"step_size": 1, "gamma": 0.97}), ("StepLR", {"step_size": 13, "gamma": 1.1}),
    ("MultiStepLR", {"milestones": [3, 50, 99]}), ("MultiStepLR", {"milestones": [40, 10, 10], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.95}), ("ExponentialLR", {"gamma": 1.01}),
    ("LinearLR", {}), ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 80}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.9, "total_iters": 150}),
    ("PolynomialLR", {}), ("PolynomialLR", {"total_iters": 60, "power": 2.0}),
    ("PolynomialLR", {"total_iters": 99, "power": 0.5}),
    ("CosineAnnealingLR", {"T_max": 100}), ("CosineAnnealingLR", {"T_max": 17, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 9}), ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.02}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}), ("CosineAnnealingWarmRestarts", {"T_0": 200}),
    ("LambdaLR", {"lr_lambda": lambda t: 1.0 / (1.0 + t)}),
    *[
        ("OneCycleLR", {
            "max_lr": 0.2, "total_steps": total, "pct_start": pct, "anneal_strategy": strategy, "three_phase": three,
            "div_factor": 10.0, "final_div_factor": 100.0, "base_momentum": 0.8, "max_momentum": 0.9,
        })
        for total, pct in ((101, 0.3), (173, 0.45), (101, 0.0)) for strategy in ("cos", "linear") for three in (False, True)
        if not (pct == 0.0 and three)
    ],
    ("OneCycleLR", {"max_lr": 0.1, "epochs": 11, "steps_per_epoch": 10}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 101, "cycle_momentum": False}),
]  # fmt: skip


def rates(make, steps=STEPS, optimizer=None, metrics=None):
    """torch's rates and momenta, before each step."""
    optimizer = optimizer or torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE, momentum=0.5)
    scheduler = make(optimizer)
    result = []
    for step in range(steps):
        group = optimizer.param_groups[0]
        result.append((float(group["lr"]), group["betas"][0] if "betas" in group else group["momentum"]))
        optimizer.step()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*epoch parameter in `scheduler.step", UserWarning)  # SequentialLR's own
            scheduler.step(*([] if metrics is None else [metrics[step]]))
    return np.array(result).T


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-10 * BASE)


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{o}" for n, o in CASES])
def test_rates_and_momenta_are_torchs(name, options):
    lrs, momenta = rates(lambda optimizer: getattr(lr_scheduler, name)(optimizer, **options))
    schedule, t = getattr(fnn, name)(**options), np.arange(STEPS)
    same(schedule.lrs(t, BASE), lrs)
    same([schedule.lr(int(i), BASE) for i in t], lrs)
    if schedule.momenta(t) is None:
        assert set(momenta) == {0.5}
    else:
        np.testing.assert_allclose(schedule.momenta(t), momenta, rtol=0.0, atol=1e-10)


def test_one_cycle_moves_the_first_beta():
    options = {"max_lr": 0.2, "total_steps": 101}
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    lrs, betas = rates(lambda optimizer: lr_scheduler.OneCycleLR(optimizer, **options), optimizer=adam)
    schedule = fnn.OneCycleLR(**options)
    same(schedule.lrs(np.arange(STEPS), BASE), lrs)
    np.testing.assert_allclose(schedule.momenta(np.arange(STEPS)), betas, rtol=0.0, atol=1e-10)


def test_one_after_another():
    def theirs(optimizer):
        parts = [
            lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 10),
            lr_scheduler.CosineAnnealingLR(optimizer, 50),
            lr_scheduler.StepLR(optimizer, 8, 0.5),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [10, 60])

    parts = [fnn.LinearLR(0.1, 1.0, 10), fnn.CosineAnnealingLR(50), fnn.StepLR(8, 0.5)]
    same(fnn.SequentialLR(parts, [10, 60]).lrs(np.arange(STEPS), BASE), rates(theirs)[0])


@pytest.mark.parametrize("options", [
    {}, {"patience": 2, "factor": 0.5}, {"mode": "max", "patience": 1, "factor": 0.7, "threshold": 0.01},
    {"patience": 0, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.9},
    {"mode": "max", "patience": 1, "threshold": 0.02, "threshold_mode": "abs", "cooldown": 3, "factor": 0.8},
    {"patience": 1, "cooldown": 2, "min_lr": 0.05, "factor": 0.6}, {"patience": 0, "factor": 0.3, "eps": 1e-3},
])  # fmt: skip
def test_plateaus_are_found_as_torch_finds_them(options, rng):
    values = [1.0 / (1 + step % 40) + 0.2 * rng.standard_normal() for step in range(STEPS)]
    values[20] = float("nan")
    theirs = rates(lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, **options), metrics=values)[0]
    schedule, ours = fnn.ReduceLROnPlateau(**options), []
    for step, value in enumerate(values):
        ours.append(schedule.lr(step, BASE))
        schedule.observe({"val_loss": value}, ours[-1])
    same(ours, theirs)


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.usefixtures("one_torch_thread")
def test_training_under_one_cycle_ends_where_torchs_does(rule, compiled, rng, torch_twin, torch_state, agree):
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 3))
    options = {"lr": 0.01, "momentum": 0.9} if rule == "SGD" else {"lr": 0.01, "eps": 1e-4}
    cycle = {"max_lr": 0.05, "total_steps": 60}
    model = fnn.Sequential(fnn.Linear(5, 7), fnn.Tanh(), fnn.Linear(7, 3), seed=0, dtype=np.float64)
    twin = torch_twin(model)
    optimizer = getattr(torch.optim, rule)(twin.parameters(), **options)
    scheduler = lr_scheduler.OneCycleLR(optimizer, **cycle)
    trainer = fnn.Trainer(
        model, fnn.MSELoss(), getattr(fnn, rule)(**options), schedule=fnn.OneCycleLR(**cycle), compiled=compiled
    )
    trainer.fit(x, y, epochs=10, batch_size=10, shuffle=False)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    for step in range(60):
        rows = slice(step % 6 * 10, step % 6 * 10 + 10)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(twin(tx[rows]), ty[rows]).backward()
        optimizer.step()
        if step < 59:
            scheduler.step()
    for name, array in torch_state(twin).items():
        agree(model.state_dict()[name], array, 1e-10, name)
