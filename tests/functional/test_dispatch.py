"""Which build runs, and that threads, forks and slow layers do no harm. What can kill a process runs in one of its own."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

import fastnn as fnn
from fastnn import functional as F
from fastnn.functional import _dispatch


class Recorder:
    """Stands for a kernel, and notes which build is called."""

    def __init__(self):
        self.calls = []

    def serial(self, *args):
        self.calls.append("serial")

    def parallel(self, *args):
        self.calls.append("parallel")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_work_alone_picks_the_build(threads):
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("needs two threads")
    F.relu(np.ones(1_000_000))  # so that the threading layer is known
    fnn.set_num_threads(threads)
    recorder = Recorder()
    _dispatch.run(recorder, _dispatch.PARALLEL_FROM_NS - 1)
    _dispatch.run(recorder, _dispatch.PARALLEL_FROM_NS)
    assert recorder.calls == ["serial", "parallel"]


def test_threads_are_set_and_refused():
    fnn.set_num_threads(1)
    assert fnn.get_num_threads() == 1
    for bad in (0, -1, numba.config.NUMBA_NUM_THREADS + 1):
        with pytest.raises(ValueError, match="^n: expected an integer from 1 to"):
            fnn.set_num_threads(bad)
    with pytest.raises(TypeError, match="^n: expected an integer"):
        fnn.set_num_threads(1.5)
    assert fnn.get_num_threads() == 1


def test_the_threading_layer_has_a_name_after_a_launch():
    F.relu(np.ones(1_000_000))
    assert fnn.threading_layer() in ("omp", "tbb", "workqueue")


def python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
    return done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_can_go_on_computing():
    python(
        """
import os
import numpy as np
from fastnn import functional as F
x = np.linspace(-1, 1, 2_000_000)
expected = F.tanh(x)
child = os.fork()
if child == 0:
    same = np.array_equal(F.tanh(x), expected)
    os._exit(0 if same else 3)
assert os.waitpid(child, 0)[1] == 0
assert np.array_equal(F.tanh(x), expected)
"""
    )


CONCURRENT = """
import threading
import numpy as np
import fastnn as fnn
from fastnn import functional as F
x = np.linspace(-1, 1, 500_000)
expected = np.tanh(x)
wrong = []
def work():
    for _ in range(20):
        if not np.allclose(F.tanh(x), expected):
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(6)]
for t in threads: t.start()
for t in threads: t.join()
assert not wrong
print(fnn.threading_layer())
"""


def test_python_threads_may_compute_at_once():
    python(CONCURRENT)


def test_python_threads_may_compute_at_once_on_the_slow_layer_which_warns_once():
    done = python(CONCURRENT, NUMBA_THREADING_LAYER="workqueue")
    assert done.stdout.strip() == "workqueue"
    assert done.stderr.count("RuntimeWarning: fastnn runs on Numba's workqueue") == 1


FIT = """
import numpy as np
import fastnn as fnn
x, y = np.ones((512, 300), np.float32), np.arange(512) % 10
def fit():
    model = fnn.Sequential(fnn.Linear(300, 200), fnn.ReLU(), fnn.Linear(200, 10), seed=0)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(), compiled=True)
    trainer.fit(x, y, epochs=3, batch_size=256)
    return model.flat_parameters.tobytes()
expected = fit()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_can_train_by_a_compiled_program():
    python(
        FIT
        + """
import os
child = os.fork()
if child == 0:
    os._exit(0 if fit() == expected else 3)
assert os.waitpid(child, 0)[1] == 0
"""
    )


def test_python_threads_may_train_at_once_on_the_slow_layer():
    script = """
import threading
ends = []
threads = [threading.Thread(target=lambda: ends.append(fit())) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
assert ends == 4 * [expected]
"""
    python(FIT + script, NUMBA_THREADING_LAYER="workqueue")
