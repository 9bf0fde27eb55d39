"""Which steps are made with all threads and which with one: a plan without a clock."""

import numba
import numpy as np
import pytest

import fastnn as fnn
from fastnn.functional import _dispatch
from fastnn.program import Crew, Program


def seconds(plan, together, alone):
    return [together if with_all else alone for _, _, with_all in plan]


def test_slices_of_few_steps_are_not_cut():
    crew = Crew()
    assert [crew.plan(0, 15) for _ in range(30)] == [[(0, 15, True)]] * 30


def test_trials_come_at_once_and_then_now_and_then():
    crew, plans = Crew(), []
    for _ in range(23):
        plans.append(crew.plan(100, 420))
        crew.note(seconds(plans[-1], 1.0, 2.0))
    trials = [i for i, plan in enumerate(plans) if len(plan) == 2]
    assert trials == [0, 1, 2, 12, 22]
    assert plans[0] == [(100, 120, False), (120, 420, True)]
    assert all(plan == [(100, 420, True)] for i, plan in enumerate(plans) if i not in trials)


def test_a_trial_is_of_some_steps_at_least():
    assert Crew().plan(0, 16) == [(0, 4, False), (4, 16, True)]


def test_the_faster_way_is_taken_and_left_again():
    crew = Crew()
    for _ in range(3):
        crew.note(seconds(crew.plan(0, 160), 2.0, 1.0))
    assert not crew.together
    for _ in range(25):
        crew.note(seconds(crew.plan(0, 160), 1.0, 2.0))
    assert crew.together


def test_a_little_faster_is_not_enough():
    crew = Crew()
    for _ in range(40):
        crew.note(seconds(crew.plan(0, 160), 1.0, 0.95))
    assert crew.together


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads to choose from")
def test_every_step_is_made_once_and_the_bits_are_those_of_any_plan(monkeypatch):
    x = np.random.default_rng(0).normal(size=(1280, 100)).astype(np.float32)
    y = np.arange(1280) % 10

    def trained():
        layers = fnn.Linear(100, 400), fnn.BatchNorm1d(400), fnn.ReLU(), fnn.Dropout(0.2), fnn.Linear(400, 10)
        trainer = fnn.Trainer(fnn.Sequential(*layers, seed=0), fnn.CrossEntropyLoss(), fnn.Adam())
        trainer.fit(x, y, epochs=4, batch_size=64, progress=False)
        return trainer.model.flat_parameters.tobytes(), trainer.optimizer.steps

    plans = []

    def plan_all_ways(self, begin, end):
        middle = (begin + end) // 2
        plan = [(begin, middle, False), (middle, end, True)] if middle > begin else [(begin, end, True)]
        plans.append(plan)
        return plan

    expected = trained()
    before = fnn.get_num_threads()
    monkeypatch.setattr(Crew, "plan", plan_all_ways)
    monkeypatch.setattr(Program, "slices", lambda self, one_by_one=False: iter([(0, 7), (7, self.steps)]))
    assert trained() == expected
    assert any(len(plan) == 2 for plan in plans)
    assert fnn.get_num_threads() == before
    assert expected[1] == 80


def test_one_thread_is_for_a_while_only():
    before = fnn.get_num_threads()

    def fail():
        with _dispatch.one_thread():
            assert fnn.get_num_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert fnn.get_num_threads() == before
