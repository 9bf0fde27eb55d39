"""The benchmark suite without its peers and without a clock: the work is the same, and the report says what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from bench import floor, machine, report, targets, timing, workloads
from bench.contenders import with_fastnn, with_numpy
from bench.kernel_cases import CASES
from bench.sections import fashion, scaling, steps


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_numpy_and_fastnn_train_alike(name):
    workload = replace(workloads.WORKLOADS[name], dropout=0.0, steps=11)
    if name == "wide":
        workload = replace(workload, sizes=(64, 96, 96, 40))  # the same net, but small
    ours, numpys = with_fastnn.Steps(workload), with_numpy.Steps(workload)
    for step, (own, theirs) in enumerate(zip(ours.losses(11), numpys.losses(11), strict=True)):
        if step in steps.TOLERANCES:
            assert theirs == pytest.approx(own, rel=steps.TOLERANCES[step])
    assert ours.road() == "compiled program"


@pytest.mark.parametrize(("workload", "rows"), [("tabular", 1), ("mnist", 33)])
def test_numpy_and_fastnn_predict_alike(workload, rows):
    ours, numpys = (module.Predict(workloads.WORKLOADS[workload], rows) for module in (with_fastnn, with_numpy))
    np.testing.assert_allclose(numpys.outputs(), ours.outputs(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operation", ["forward", "backward"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_fastnn_multiply_alike(operation, dtype):
    ours, numpys = (module.Product((33, 100, 31), dtype, operation).outputs() for module in (with_fastnn, with_numpy))
    for own, theirs in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(theirs, own, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_kernels_and_their_numpy_twins_agree(name):
    case = CASES[name](8192)
    case.kernel.serial(*case.args)
    case.numpy()
    assert np.any(case.got)
    if case.tolerance is not None:
        error = np.abs(case.got.astype(np.float64) - case.expected)
        assert np.all(error <= case.tolerance * np.maximum(1.0, np.abs(case.expected)))
    assert set(case.passes) <= set(floor._PIECES)


def test_a_step_counts_its_operations_and_parameters():
    tiny = workloads.WORKLOADS["tiny"]
    assert tiny.parameters == 20 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2
    assert tiny.flops == 2 * 32 * (3 * (20 * 64 + 64 * 64 + 64 * 2) - 20 * 64)
    assert workloads.WORKLOADS["mnist"].parameters == with_fastnn.network(workloads.WORKLOADS["mnist"]).parameter_count


def test_adams_mix_is_named_by_what_it_reads_and_writes():
    assert floor.mix_name(floor.ADAM) == "4R3W in place"
    assert floor.mix_name((2, 1, 0)) == "2R1W"
    assert floor.streams(floor.ADAM) == 7


@pytest.mark.parametrize("mix", list(floor._PIECES), ids=floor.mix_name)
def test_the_loops_that_measure_bandwidth_touch_what_they_say(mix):
    arrays = [np.full(40_000, value, np.float32) for value in (3, 5, 7, 11)]
    before = [array.copy() for array in arrays]
    floor.mix_loop(mix, 1)(*arrays)
    changed = sum(np.count_nonzero(array != old) > 30_000 for array, old in zip(arrays, before, strict=True))
    assert changed == mix[1] + mix[2]


def test_the_machine_describes_itself():
    described = machine.describe()
    assert described["cores"] >= 1
    assert described["cpu"]
    assert described["versions"]["numpy"] == np.__version__
    assert 0.0 <= machine.busy(0.1) <= 1.0
    assert set(machine.stamp()) == {"date", "commit", "dirty"}


def test_results_are_named_after_the_machine():
    assert machine.file_name({"cpu": "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "cores": 6}) == "intel-core-i7-9750h-6-cores"


def test_scaling_goes_up_in_powers_of_two_to_all_threads():
    assert scaling.thread_counts(6) == [1, 2, 4, 6]
    assert scaling.thread_counts(16) == [1, 2, 4, 8, 16]


def test_time_to_target_counts_the_epochs_until_it():
    assert fashion._until([(2.0, 0.8), (3.0, 0.89), (4.0, 0.9)]) == (5.0, 2)
    assert fashion._until([(2.0, 0.8)]) is None


def test_durations_and_ratios_read_well():
    assert [timing.seconds(value) for value in (3.217, 0.0154, 8.3e-4, 5e-7)] == ["3.22 s", "15.4 ms", "830 µs", "0.50 µs"]
    assert timing.times(2.345) == "2.35×"
    assert timing.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


# the report, from figures made up for it


def timed(median, ours=1e-3):
    return timing.summary([median]) | {"ratio": timing.summary([median / ours])}


@pytest.fixture
def results():
    note = {
        "date": "2026-01-02 03:04 UTC",
        "commit": "abc1234",
        "dirty": False,
        "checked": True,
        "quick": False,
        "threads": 2,
        "busy": 0.0,
    }
    contenders = {"fastnn": 1e-3, "NumPy": 2e-3, "torch": 5e-3, "torch fused": 4e-3, "JAX loop": 3.2e-3, "JAX scan": 3e-3}
    step = {
        "times": {name: timed(median) | {"first": 0.1} for name, median in contenders.items()},
        "left_out": {"torch.compile": "needs a C++ compiler, which is not here"},
        "losses": {"fastnn": [2.3, 2.2, 1.9], "NumPy": [2.3, 2.2, 1.9]},
        "road": "compiled program", "overheads": {"fit": 1e-3, "epoch": 1e-4}, "steps_a_pass": 64,
        "floor": {"products": 5e-4, "adam": 2e-4, "seconds": 7e-4},
    }  # fmt: skip
    kernel = {"median": 1e-3, "low": 1e-3, "high": 1e-3, "rounds": 3, "bytes_per_second": 4e10}
    row = {
        "name": "ReLU",
        "elements": 1 << 24,
        "operations": 1,
        "memory_bound": True,
        "fastnn": kernel,
        "NumPy": kernel,
        "ratio": 3.5,
    }
    bounded = row | {"size": "out of cache", "fastnn": kernel | {"share": 0.9}, "fastnn, all threads": kernel | {"share": 0.97}}
    product = {
        name: timed(median) | {"flops_per_second": 2e11, "share": 0.5}
        for name, median in contenders.items()
        if name in ("fastnn", "NumPy", "torch")
    }
    measured = {
        "floor": {"2": {"bandwidth": {"2R1W": timing.summary([6e10])}, "peak": {"float32": timing.summary([4e11])}}},
        "steps": dict.fromkeys(workloads.WORKLOADS, step),
        "predict": {"cases": {
            "one row, tabular": {"rows": 1, "times": {"fastnn": timed(9e-6), "torch": timed(2e-5)}},
            "4096 rows, mnist": {"rows": 4096, "times": {"fastnn": timed(1e-3), "torch": timed(2.5e-3), "JAX": timed(1.5e-3)}},
        }, "left_out": {}},
        "products": {"rows": [{"shape": (128, 784, 512), "dtype": "float32", "operation": "forward", "times": product}]},
        "groups": {"rows": [{"rows": 128, "columns": 256, "p": 0.2, "times": {"fastnn": timed(1e-3), "torch": timed(9e-3)}}]},
        "kernels": [row | {"size": "in cache"}, bounded],
        "startup": {name: timing.summary([0.1]) for name in ("import", "first step, cached", "first step ever")},
        "fashion": {"left_out": {"all": "the data is not here"}},
        "scaling": {"left_out": {"all": "needs more than two cores"}},
    }  # fmt: skip
    return {
        "machine": machine.describe() | {"cpu": "Some CPU", "cores": 2},
        "sections": {name: {"found": section, "note": note} for name, section in measured.items()},
    }


def rows_of(results):
    return {row.what: row for row in targets.target_rows(results, report.found)}


def test_targets_are_held_against_the_fastest_peer_that_counts(results):
    rows = rows_of(results)
    assert rows["step, tiny, against the fastest peer"].measured == "2.00× NumPy"
    assert rows["step, mnist, against the fastest peer"].measured == "3.00× JAX"
    assert rows["step, mnist, against the fastest peer"].verdict == "aim"
    assert rows["step, mnist, over the floor"].verdict == "yes"
    assert rows["step, wide, over the floor"].verdict == "no"
    assert rows["`predict` of one row, tabular"].verdict == "yes"
    assert rows["Fashion-MNIST: best test accuracy"].measured == "not measured"


def test_a_target_without_its_section_is_not_measured(results):
    results["sections"] = {"floor": results["sections"]["floor"]}
    assert {row.verdict for row in targets.target_rows(results, report.found)} == {"–"}


def test_page_and_pictures_come_from_the_results(results, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    report.write(results, into=tmp_path)
    page = (tmp_path / report.PAGE).read_text()
    assert "| **fastnn** | 1,000 | 1,000 | 1,000 | 1,000 | 1,000 |" in page
    assert "torch.compile: needs a C++ compiler" in page
    assert "Some CPU, 2 cores, 2 threads" in page
    assert {path.name for path in (tmp_path / "docs").glob("*.png")} == {"bench-steps.png", "bench-roofline.png"}
    assert "| target | must |" in capsys.readouterr().out


@pytest.mark.parametrize(("key", "value"), [("quick", True), ("checked", False), ("busy", 0.5)])
def test_hurried_unchecked_and_disturbed_figures_stay_out_of_the_readme(results, key, value, tmp_path):
    results["sections"]["steps"] = results["sections"]["steps"] | {"note": results["sections"]["steps"]["note"] | {key: value}}
    with pytest.raises(SystemExit, match="steps measured"):
        report.write(results)
    pytest.importorskip("matplotlib")
    report.write(results, into=tmp_path)
    assert "**A draft: steps measured" in (tmp_path / report.PAGE).read_text()


def test_the_readme_has_a_place_for_each_part(results):
    parts = report.summary_parts(results, [])
    text = report.replace_parts((machine.ROOT / report.README).read_text(), parts)
    assert parts["steps"] in text
    assert report.replace_parts(text, parts) == text
    with pytest.raises(ValueError, match="begin steps"):
        report.replace_parts("no place", parts)
