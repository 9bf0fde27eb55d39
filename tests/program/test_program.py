"""The compiled program: the same training as layer by layer, on one interpreter for every architecture."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import fastnn as fnn

ROWS, FEATURES, CLASSES = 203, 13, 5


def stack(dtype=np.float64, **options):
    return fnn.Sequential(
        fnn.Linear(FEATURES, 17, bias=False), fnn.BatchNorm1d(17), fnn.ReLU(), fnn.Dropout(0.2),
        fnn.Linear(17, 11), fnn.LeakyReLU(0.1), fnn.BatchNorm1d(11, affine=False, momentum=None), fnn.SELU(),
        fnn.Sequential(fnn.Linear(11, 9), fnn.Tanh(), fnn.Dropout(0.1), seed=1), fnn.Sigmoid(),
        fnn.Linear(9, CLASSES),
        seed=3,
        dtype=dtype,
        **options,
    )  # fmt: skip


LOSSES = {
    "labels": (lambda: fnn.CrossEntropyLoss(label_smoothing=0.1), "labels"),
    "labels, sum": (lambda: fnn.CrossEntropyLoss(reduction="sum"), "labels"),
    "probabilities": (fnn.CrossEntropyLoss, "soft"),
    "squared error": (fnn.MSELoss, "real"),
    "squared error, sum": (lambda: fnn.MSELoss(reduction="sum"), "real"),
}
RULES = {
    "SGD": lambda: fnn.SGD(lr=1e-3),
    "Nesterov": lambda: fnn.SGD(lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "dampened": lambda: fnn.SGD(lr=1e-3, momentum=0.9, dampening=0.5),
    "RMSprop": lambda: fnn.RMSprop(lr=1e-3, momentum=0.5, centered=True),
    "RMSprop inside": lambda: fnn.RMSprop(lr=1e-3, eps_inside_sqrt=True),
    "Adam": lambda: fnn.Adam(lr=1e-3, weight_decay=1e-3),
    "AMSGrad": lambda: fnn.Adam(lr=1e-3, amsgrad=True, eps_inside_sqrt=True),
    "Adam uncorrected": lambda: fnn.Adam(lr=1e-3, bias_correction=False),
    "AdamW": lambda: fnn.AdamW(lr=1e-3, weight_decay=0.1),
    "SGDW": lambda: fnn.SGDW(lr=1e-3, momentum=0.9, weight_decay=0.1),
    "Adagrad": lambda: fnn.Adagrad(lr=1e-3, lr_decay=0.1, initial_accumulator_value=0.1),
    "Adadelta": lambda: fnn.Adadelta(lr=0.1, weight_decay=1e-3),
    "NAdam": lambda: fnn.NAdam(lr=1e-3, weight_decay=1e-3, decoupled_weight_decay=True),
    "RAdam": lambda: fnn.RAdam(lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-3),
    "Lion": lambda: fnn.Lion(lr=1e-4, weight_decay=0.1),
}


def other_stack(dtype=np.float64):
    """The layers that `stack` has not."""
    return fnn.Sequential(
        fnn.Flatten(), fnn.Linear(FEATURES, 17), fnn.ELU(0.7), fnn.Linear(17, 40), fnn.Softmax(), fnn.Dropout(0.1),
        fnn.Linear(40, 11), fnn.GELU(), fnn.Linear(11, 12), fnn.GELU("tanh"), fnn.BatchNorm1d(12), fnn.SiLU(), fnn.Flatten(),
        fnn.Linear(12, 9), fnn.LayerNorm(9), fnn.Softplus(2.0, 1.0), fnn.Residual(fnn.RMSNorm(9), fnn.Linear(9, 9)),
        fnn.Linear(9, CLASSES), fnn.LogSoftmax(), seed=3, dtype=dtype,
    )  # fmt: skip


def data(rng, dtype=np.float64):
    x = rng.standard_normal((ROWS, FEATURES)).astype(dtype)
    targets = {
        "labels": rng.integers(0, CLASSES, ROWS),
        "soft": rng.dirichlet(np.ones(CLASSES), ROWS),
        "real": rng.standard_normal((ROWS, CLASSES)),
    }
    return x, targets


def train(model, loss, rule, x, y, compiled, epochs=7, **options):
    """7 epochs of 7 batches: 49 steps."""
    fit = {"epochs": epochs, "batch_size": 32} | options.pop("fit", {})
    trainer = fnn.Trainer(model, loss, rule, compiled=compiled, **options)
    history = trainer.fit(x, y, **fit)
    assert trainer.road.startswith("compiled program" if compiled else "layer by layer")
    return trainer, history


def compare(one, other, tolerance):
    assert one[1].names == other[1].names
    for name in one[1].names:
        if name != "seconds":
            np.testing.assert_allclose(one[1][name], other[1][name], rtol=tolerance, atol=tolerance, err_msg=name)
    for buffer in ("flat_parameters", "flat_buffers"):
        np.testing.assert_allclose(getattr(one[0].model, buffer), getattr(other[0].model, buffer), rtol=tolerance, atol=tolerance)
    assert [layer.step for layer in one[0].model.walk() if isinstance(layer, fnn.Dropout)] == [
        layer.step for layer in other[0].model.walk() if isinstance(layer, fnn.Dropout)
    ]
    assert one[0].optimizer.steps == other[0].optimizer.steps


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_both_roads_agree_over_fifty_steps(rng, loss, rule):
    x, targets = data(rng)
    make_loss, kind = LOSSES[loss]
    roads = [train(stack(), make_loss(), RULES[rule](), x, targets[kind], compiled) for compiled in (True, False)]
    compare(*roads, 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_both_roads_agree_on_every_other_layer(rng, dtype):
    x, targets = data(rng, dtype)
    roads = [
        train(other_stack(dtype), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], compiled)
        for compiled in (True, False)
    ]
    compare(*roads, 1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_log_softmax_and_its_loss_are_cross_entropy(rng, compiled):
    x, targets = data(rng)
    ends = []
    for end, loss in (([fnn.LogSoftmax()], fnn.NLLLoss()), ([], fnn.CrossEntropyLoss())):
        model = fnn.Sequential(fnn.Linear(FEATURES, 9), fnn.GELU(), fnn.Linear(9, CLASSES), *end, seed=0, dtype=np.float64)
        trainer, history = train(model, loss, fnn.Adam(), x, targets["labels"], compiled)
        ends.append((model.flat_parameters, history["loss"], trainer.predict_proba(x)))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_settings_of_layers_changed_between_epochs_are_followed(rng):
    class Change(fnn.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            layers = trainer.model
            layers[2].alpha, layers[7].approximate, layers[14].beta, layers[14].threshold = 0.2, "tanh", 3.0, 0.5

    x, targets = data(rng)
    roads = [
        train(other_stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], c, fit={"callbacks": [Change()]})
        for c in (True, False)
    ]
    compare(*roads, 1e-12)


@pytest.mark.filterwarnings("ignore:the last batch has 1 row")
@pytest.mark.parametrize("options", [
    {"clip_norm": 0.1}, {"regularizer": fnn.L2(0.01)}, {"regularizer": fnn.L1(0.01, scale="rows"), "clip_norm": 1.0},
    {"regularizer": fnn.ElasticNet(0.01, 0.02)}, {"fit": {"shuffle": False, "drop_last": True}},
    {"fit": {"batch_size": 500}}, {"fit": {"batch_size": 101}},
])  # fmt: skip
def test_both_roads_agree_with_every_option(rng, options):
    x, targets = data(rng)
    roads = [
        train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], compiled, **options)
        for compiled in (True, False)
    ]
    compare(*roads, 1e-12)


def test_both_roads_agree_to_rounding_in_float32_on_scaled_bytes(rng):
    x = rng.integers(0, 256, (ROWS, FEATURES), dtype=np.uint8)
    y = rng.integers(0, CLASSES, ROWS)
    roads = [
        train(stack(np.float32, input_scale=1 / 255), fnn.CrossEntropyLoss(), fnn.Adam(), x, y, compiled)
        for compiled in (True, False)
    ]
    compare(*roads, 1e-5)


def test_large_layers_agree_where_instructions_run_in_parallel(rng):
    x, y = rng.standard_normal((1000, 200)), rng.integers(0, 10, 1000)
    roads = []
    for compiled in (True, False):
        model = fnn.Sequential(
            fnn.Linear(200, 300), fnn.BatchNorm1d(300), fnn.Tanh(), fnn.Dropout(0.3), fnn.Linear(300, 10),
            seed=0, dtype=np.float64,
        )  # fmt: skip
        roads.append(train(model, fnn.CrossEntropyLoss(), fnn.Adam(), x, y, compiled, epochs=2, fit={"batch_size": 256}))
    compare(*roads, 1e-12)


def test_evaluation_agrees(rng):
    x, targets = data(rng)
    for make_loss, kind in LOSSES.values():
        results = []
        for compiled in (True, False):
            trainer, _ = train(stack(), make_loss(), fnn.Adam(), x, targets[kind], compiled, epochs=2)
            results.append(trainer.evaluate(x, targets[kind], batch_size=50))
        assert results[0] == pytest.approx(results[1], rel=1e-12)


@pytest.mark.skipif(os.environ.get("NUMBA_NUM_THREADS") == "1", reason="needs two threads")
def test_the_same_bits_on_any_number_of_threads(rng):
    x, y = rng.standard_normal((600, 200)).astype(np.float32), rng.integers(0, 10, 600)
    ends = []
    for threads in (1, 2):
        fnn.set_num_threads(threads)
        model = fnn.Sequential(fnn.Linear(200, 300), fnn.BatchNorm1d(300), fnn.ReLU(), fnn.Linear(300, 10), seed=0)
        train(model, fnn.CrossEntropyLoss(), fnn.Adam(), x, y, True, epochs=1, fit={"batch_size": 200})
        ends.append(model.flat_parameters.tobytes())
    assert ends[0] == ends[1]


class Mine(fnn.ReLU):
    """A layer of a user's own."""


class MyLoss:
    def forward(self, prediction, targets):
        self.difference = prediction - targets
        return float(np.mean(self.difference**2))

    def backward(self):
        return 2.0 * self.difference / self.difference.size


def test_what_has_no_instruction_runs_layer_by_layer_and_says_why(rng):
    x, targets = data(rng)
    for model, loss, why in (
        (fnn.Sequential(fnn.Linear(FEATURES, CLASSES), Mine(), seed=0), fnn.MSELoss(), r"Mine\(\) has no instruction"),
        (fnn.Sequential(fnn.Linear(FEATURES, CLASSES), seed=0), MyLoss(), "MyLoss .* has no instruction"),
    ):
        trainer = fnn.Trainer(model, loss, fnn.SGD())
        trainer.fit(x, targets["real"])
        assert trainer.road.startswith("layer by layer: ")
        with pytest.raises(ValueError, match=rf"^compiled: expected .*{why}"):
            fnn.Trainer(model, loss, fnn.SGD(), compiled=True).fit(x, targets["real"])


def test_a_memmap_that_is_to_be_checked_runs_layer_by_layer(rng, tmp_path):
    x, targets = data(rng, np.float32)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    trainer = fnn.Trainer(stack(np.float32), fnn.CrossEntropyLoss(), fnn.Adam())
    trainer.fit(mapped, targets["labels"], batch_size=32)
    assert "memmap" in trainer.road
    trainer.fit(mapped, targets["labels"], batch_size=32, check_finite=False)
    assert trainer.road == "compiled program"


def test_a_second_architecture_compiles_nothing(rng, monkeypatch):
    x, targets = data(rng)
    train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], True, epochs=1)
    compiled = []
    original = Dispatcher.compile
    monkeypatch.setattr(Dispatcher, "compile", lambda self, sig: compiled.append(self) or original(self, sig))
    monkeypatch.setattr(Dispatcher, "_compile_for_args", lambda self, *a, **k: compiled.append(self))
    other = fnn.Sequential(
        fnn.Linear(FEATURES, 7), fnn.Tanh(), fnn.Linear(7, 23), fnn.BatchNorm1d(23), fnn.Sigmoid(), fnn.Dropout(0.5),
        fnn.Linear(23, 6), fnn.ReLU(), fnn.Linear(6, CLASSES), seed=5, dtype=np.float64,
    )  # fmt: skip
    train(other, fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], True, epochs=1)
    assert compiled == []


def test_a_non_finite_loss_stops_the_program_at_its_step(rng):
    x, targets = data(rng)
    y = targets["real"].copy()
    y[40] = 1e200  # squared, beyond float64's range
    errors = []
    for compiled in (True, False):
        model = stack()
        before = model.flat_parameters.copy(), model.flat_buffers.copy()
        trainer = fnn.Trainer(model, fnn.MSELoss(), fnn.Adam(), compiled=compiled)
        with pytest.raises(fnn.NonFiniteLossError, match=r"the loss became (inf|NaN or infinite) in epoch 1, step 2") as info:
            trainer.fit(x, y, batch_size=32, shuffle=False)
        errors.append((info.value.epoch, info.value.step))
        np.testing.assert_array_equal(model.flat_parameters, before[0])
        np.testing.assert_array_equal(model.flat_buffers, before[1])
    assert errors == [(1, 2), (1, 2)]


def test_settings_changed_between_epochs_are_followed(rng):
    class Halve(fnn.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            trainer.optimizer.lr *= 0.5
            trainer.model[3].p = 0.1 * (epoch + 1)

    x, targets = data(rng)
    roads = [
        train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], compiled, fit={"callbacks": [Halve()]})
        for compiled in (True, False)
    ]
    compare(*roads, 1e-12)


def test_a_callback_for_every_batch_gets_every_batch(rng):
    class Steps(fnn.Callback):
        def __init__(self):
            self.seen = []

        def on_batch_end(self, trainer, step, logs):
            self.seen.append(step)

    x, targets = data(rng)
    steps = Steps()
    train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], True, epochs=2, fit={"callbacks": [steps]})
    assert steps.seen == 2 * list(range(7))


def test_training_goes_on_from_road_to_road_and_from_pickle(rng):
    x, targets = data(rng)
    whole, _ = train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], True, epochs=4)
    parts, _ = train(stack(), fnn.CrossEntropyLoss(), fnn.Adam(), x, targets["labels"], False, epochs=1)
    parts.compiled = True
    parts.fit(x, targets["labels"], epochs=2, batch_size=32)
    parts = pickle.loads(pickle.dumps(parts))
    parts.fit(x, targets["labels"], epochs=1, batch_size=32)
    np.testing.assert_allclose(parts.model.flat_parameters, whole.model.flat_parameters, rtol=1e-12, atol=1e-12)


SCRIPT = """
import numpy as np, fastnn as fnn
x = np.random.default_rng(0).standard_normal((600, 200)).astype(np.float32)
y = np.arange(600) % 10
model = fnn.Sequential(fnn.Linear(200, 300), fnn.BatchNorm1d(300), fnn.ReLU(), fnn.Dropout(0.2), fnn.Linear(300, 10), seed=0)
trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), compiled=True)
print(trainer.fit(x, y, epochs=1, batch_size=200)["loss"][0])
"""


def test_a_new_process_runs_the_program_from_the_cache_before_anything_else_has_started_threads():
    losses = {subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(losses) == 1
