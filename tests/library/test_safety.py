"""What once went wrong quietly: shared memory, copies, NaN that spreads, state after a refusal."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F


def test_an_output_that_is_no_plain_array_is_refused():
    room = np.zeros((64, 4))
    with pytest.raises(TypeError, match="^out: expected a NumPy array"):
        F.relu(np.ones((4, 4)), out=room[:4].view(np.matrix))
    assert not room.any()


X, W = np.arange(9.0).reshape(3, 3), np.eye(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.linear(X, W, out=X),
        lambda: F.linear(X, W, out=W),
        lambda: F.linear_backward(X, W, W, out=(X, None, None)),
        lambda: F.linear_backward(X, W, X.copy(), out=(None, W, None)),
        lambda: F.gather(X, np.array([2, 1, 0]), dtype=np.float64, out=X),
    ],
)
def test_outputs_must_not_share_memory_with_inputs_where_the_kernel_cannot_take_it(call):
    before = X.copy(), W.copy()
    with pytest.raises(ValueError, match=r"^out.*shares no memory"):
        call()
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(W, before[1])


def test_nan_in_one_row_stays_there_in_the_backward_of_batch_norm_in_use(rng):
    x, dy = rng.standard_normal((2, 7, 3))
    dy[2, 1] = np.nan
    stats = np.empty((3, 3))
    F.batch_norm(x, None, None, np.zeros(3), np.ones(3), stats=stats)
    dx = F.batch_norm_backward(dy, x, None, stats, training=False).dx
    assert np.argwhere(np.isnan(dx)).tolist() == [[2, 1]]


def model():
    return fnn.Sequential(fnn.Linear(4, 3), fnn.ReLU(), fnn.Linear(3, 2), seed=0)


def test_a_shallow_copy_leaves_the_original_alone(rng):
    original = model()
    other = copy.copy(original)
    optimizer = fnn.SGD(lr=1.0).bind(original)
    original.flat_gradients[:] = 1.0
    before = other.flat_parameters.copy()
    optimizer.step()
    assert np.shares_memory(original[0].weight, original.flat_parameters)
    np.testing.assert_array_equal(other.flat_parameters, before)
    assert not np.array_equal(original.flat_parameters, before)


def test_a_deep_copy_of_a_models_layer_may_go_into_another_model():
    original = model()
    with pytest.raises(ValueError, match=r"layers\[0\]: expected a layer that is in no other model"):
        fnn.Sequential(original[0])
    other = fnn.Sequential(copy.deepcopy(original[0]), seed=1)
    np.testing.assert_array_equal(other[0].weight, original[0].weight)
    with pytest.raises(ValueError, match="in no other model"):
        fnn.Sequential(copy.deepcopy(original)[0])


def test_an_optimizer_of_a_model_that_went_into_another_says_so():
    inner = model()
    optimizer = fnn.Adam().bind(inner)
    fnn.Sequential(inner, fnn.Linear(2, 2))
    with pytest.raises(ValueError, match="call bind again"):
        optimizer.step()


@pytest.mark.parametrize("rule", [fnn.Adam, fnn.RMSprop, fnn.Adagrad, fnn.Adadelta, fnn.AdamW, fnn.NAdam, fnn.RAdam])
def test_an_eps_that_vanishes_in_float32_is_refused(rule):
    with pytest.raises(ValueError, match="^eps: expected"):
        rule(eps=1e-50)


def test_an_optimizer_state_that_does_not_fit_changes_nothing():
    optimizer = fnn.SGD(lr=0.5, momentum=0.9).bind([np.ones(4)], [np.ones(4)])
    optimizer.step()
    state, before = fnn.SGD(lr=5.0, momentum=0.9).bind([np.ones((2, 2))], [np.ones((2, 2))]).state_dict(), optimizer.state_dict()
    state["state"][0]["velocity"] = np.ones((2, 2))
    with pytest.raises(ValueError, match="^state: expected"):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert (after["settings"], after["steps"]) == (before["settings"], before["steps"])
    np.testing.assert_array_equal(after["state"][0]["velocity"], before["state"][0]["velocity"])


@pytest.mark.parametrize("call", [
    lambda: fnn.Linear(3, 2)(np.empty((0, 3))), lambda: fnn.ReLU()(np.empty((0, 3))), lambda: F.relu([]),
    lambda: F.linear(np.empty((0, 3)), np.ones((3, 2))), lambda: F.dropout([]), lambda: F.softmax(np.empty((0, 3))),
    lambda: F.batch_norm(np.empty((0, 3)), training=True),
])  # fmt: skip
def test_empty_arrays_are_refused(call):
    with pytest.raises(ValueError, match="^x: expected at least one element"):
        call()


def test_foreign_byte_order_keeps_its_precision():
    y = F.relu(np.array([1.0 + 2.0**-40], ">f8"))
    assert y.dtype == np.float64
    assert y[0] == 1.0 + 2.0**-40


def test_a_monitor_of_validation_without_validation_data_is_refused_before_training():
    trainer = fnn.Trainer(model(), fnn.CrossEntropyLoss(), fnn.Adam())
    before = trainer.model.flat_parameters.copy()
    with pytest.raises(ValueError, match="^monitor: expected one of"):
        trainer.fit(np.ones((4, 4)), np.zeros(4, int), callbacks=[fnn.EarlyStopping()])
    np.testing.assert_array_equal(trainer.model.flat_parameters, before)
    assert trainer.epochs_done == 0


def test_layers_inside_a_layer_are_found(rng):
    class Branch(fnn.Layer):
        def __init__(self):
            super().__init__()
            self.inner = fnn.Linear(4, 4, seed=0)

        def forward(self, x):
            return x + self.inner.forward(x)

        def backward(self, dy):
            return dy + self.inner.backward(dy)

    net = fnn.Sequential(Branch(), fnn.Linear(4, 2), seed=0)
    assert list(net.state_dict()) == ["0.inner.weight", "0.inner.bias", "1.weight", "1.bias"]
    assert np.shares_memory(net[0].inner.weight, net.flat_parameters)
    assert fnn.gradcheck(net, rng.standard_normal((3, 4))).verdict == "excellent"


def test_a_layer_of_ones_own_may_change_the_width(rng):
    class Half(fnn.Layer):
        def forward(self, x):
            return x[:, ::2].copy()

        def backward(self, dy):
            dx = np.zeros((len(dy), 10), dy.dtype)
            dx[:, ::2] = dy
            return dx

    net = fnn.Sequential(Half(), fnn.Linear(5, 2), seed=0)
    assert net(rng.standard_normal((3, 10))).shape == (3, 2)


def test_gradcheck_says_when_nothing_was_checked():
    report = fnn.gradcheck(fnn.ReLU(), np.zeros((1, 4)))
    assert report.verdict == "unchecked"


def test_gradcheck_of_unreduced_losses_counts_the_penalty_once(rng):
    net = fnn.Sequential(fnn.Linear(4, 2), seed=0)
    x, y = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    report = fnn.gradcheck(net, x, y, loss=fnn.MSELoss(reduction="none"), regularizer=fnn.L2(0.1))
    assert report.verdict == "excellent"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_forked_after_the_users_own_parallel_numba_code_goes_on():
    script = """
import os, numba, numpy as np
from fastnn import functional as F
@numba.njit(parallel=True)
def own(x):
    for i in numba.prange(x.size):
        x[i] += 1
own(np.zeros(1000))
child = os.fork()
if child == 0:
    os._exit(0 if F.relu(np.ones(2_000_000)).all() else 3)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("loss", "y"), [(fnn.CrossEntropyLoss(), [0, 3, 1]), (fnn.MSELoss(), np.ones((3, 2)))])
def test_targets_are_checked_against_the_outputs_of_a_model_that_takes_any_width(loss, y):
    trainer = fnn.Trainer(fnn.Sequential(fnn.Tanh(), seed=0), loss, fnn.SGD())
    for use in (trainer.fit, trainer.evaluate):
        with pytest.raises(ValueError, match="^y: expected"):
            use(np.ones((3, 3)), y)
