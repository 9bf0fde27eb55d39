"""`fastnn train`: what it learns, prints and leaves."""

import json
import math
import signal
import sys

import numpy as np
import pytest
from cli.helpers import QUICK, animals, changed, curves, held_out, houses, write
from matplotlib.image import imread

import fastnn as fnn
from fastnn.cli import main
from fastnn.cli import train as train_module


def test_digits_with_nothing_else_said(command, tmp_path):
    code, out, err = command("train", "digits")
    assert code == 0
    assert "Linear(64, 256, bias=False)" in out
    assert "epoch 20/20" in err
    assert "accuracy" in out.splitlines()[-2]
    folder = tmp_path / "out" / "digits"
    assert sorted(file.name for file in folder.iterdir()) == ["curves.png", "history.json", "model.npz"]
    assert imread(folder / "curves.png").std() > 0.0
    history = curves(folder / "history.json")
    assert len(history) == 20
    assert history["val_accuracy"][-1] > 0.95


def test_json_stands_alone_on_stdout(command, tmp_path):
    code, out, err = command("train", "digits", "--epochs", 2, "--json")
    assert code == 0
    result = json.loads(out)
    assert "parameters of float32" in err
    assert result["status"] == "done"
    assert result["task"] == "classification"
    assert result["rows"] == {"training": 1294, "validation": 144, "test": 359}
    assert result["epochs"] == 2
    assert result["classes"] == [str(digit) for digit in range(10)]
    assert result["last"]["loss"] > 0.0
    assert 0.8 < result["test"]["accuracy"] <= 1.0
    assert set(result["files"]) == {"model.npz", "history.json", "curves.png"}
    assert fnn.load_model(tmp_path / result["files"]["model.npz"]).parameter_count == result["parameters"]


def test_quiet_prints_the_result_alone(command):
    code, out, err = command("train", "digits", "--epochs", 1, "--quiet")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["1", "test:", "wrote"]


def test_options_become_the_model_and_are_saved_with_it(report):
    report(
        "train", "digits", "--hidden", "32, 16", "--activation", "selu", "--no-batchnorm", "--dropout", 0.25, "--optimizer",
        "rmsprop", "--lr", 0.002, "--momentum", 0.5, "--l2", 1e-4, "--label-smoothing", 0.1, "--clip-norm", 1, "--epochs", 3,
        "--batch-size", 50, "--early-stopping", 2, "--seed", 11, "--threads", 1, "--out", "there/it is",
    )  # fmt: skip
    model = fnn.load_model("there/it is/model.npz")
    assert repr(model) == (
        "Sequential(Linear(64, 32), SELU(), Dropout(0.25), Linear(32, 16), SELU(), Dropout(0.25), Linear(16, 10), seed=11, "
        "input_scale=0.0625)"
    )
    extra = fnn.load_extra("there/it is/model.npz")
    assert extra["settings"]["momentum"] == 0.5
    assert extra["settings"]["batch_size"] == 50
    assert extra["versions"]["fastnn"] == fnn.__version__
    assert extra["preparation"]["target"]["classes"] == [str(digit) for digit in range(10)]
    history = curves("there/it is/history.json")
    assert "penalty" in history


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_linear_model_by_every_optimiser(optimizer, report):
    result = report("train", "digits", "--hidden", "", "--optimizer", optimizer, "--lr", 0.01, "--quiet")
    assert result["parameters"] == 650
    assert result["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "selu"])
def test_every_activation(activation, report):
    assert report("train", "digits", "--activation", activation, "--epochs", 5, "--quiet")["test"]["accuracy"] > 0.9


def test_the_same_bits_on_one_and_two_threads(command):
    for threads in (1, 2):
        command("train", "digits", "--hidden", "512", "--batch-size", 256, "--dropout", 0.2, "--epochs", 2, "--threads", threads,
                "--out", threads, "--quiet")  # fmt: skip
    models = [fnn.load_model(f"{threads}/model.npz").state_dict() for threads in (1, 2)]
    assert all(models[0][name].tobytes() == models[1][name].tobytes() for name in models[0])
    histories = [curves(f"{threads}/history.json") for threads in (1, 2)]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_array_equal(histories[0][name], histories[1][name])


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ((), [0.04, 0.03, 0.02, 0.01]),
        (("--schedule", "constant"), [0.04, 0.04, 0.04, 0.04]),
        (("--schedule", "cosine"), [0.02 * (1.0 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]),
    ],
)
def test_the_learning_rate_falls_in_a_straight_line_unless_told_otherwise(schedule, rates, command):
    command("train", "digits", "--lr", 0.04, "--epochs", 4, "--quiet", *schedule)
    np.testing.assert_allclose(curves("out/digits/history.json")["lr"], rates)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_one_cycle_goes_up_and_down(optimizer, command):
    command("train", "digits", "--optimizer", optimizer, "--epochs", 10, "--quiet", "--schedule", "onecycle", "--lr", 0.01)
    rates = curves("out/digits/history.json")["lr"]
    assert 0.0099 < max(rates) <= 0.01
    assert rates[0] < rates[1] < rates[2]
    assert rates[-1] < 1e-6


def test_early_stopping_ends_a_run_and_keeps_the_best(report):
    result = report("train", "digits", "--lr", 0.03, "--epochs", 200, "--early-stopping", 2, "--quiet")
    assert result["epochs"] < 200


def test_without_tests_and_validation(report):
    result = report("train", "digits", "--validation", 0, "--test", 0, "--epochs", 1, "--quiet")
    assert result["rows"] == {"training": 1797, "validation": 0, "test": 0}
    assert result["test"] is None
    assert "val_loss" not in result["last"]


@pytest.mark.parametrize(("rows", "size"), [(10, 16), (1599, 16), (1600, 32), (3199, 32), (3200, 64), (60_000, 64)])
def test_little_data_gets_small_batches(rows, size):
    assert train_module._batch_size(rows) == size


def test_regression_is_reported_in_the_original_unit(report):
    write("houses.csv", houses())
    result = report("train", "houses.csv", "--target", "price", "--hidden", "", "--epochs", 60, "--lr", 0.01, "--quiet")
    assert result["task"] == "regression"
    assert 1_000.0 < result["test"]["rmse"] < 3_000.0, "the noise is 2,000"
    assert result["test"]["r2"] > 0.99
    assert result["last"]["loss"] < 0.1, "standardised inside"


@pytest.mark.parametrize(("task", "outputs"), [("auto", 3), ("classification", 3), ("regression", 1)])
def test_integers_of_few_values_are_classes_unless_told_otherwise(task, outputs, report):
    header, rows = animals(60)
    write("animals.csv", (header, rows))
    report("train", "animals.csv", "--target", "legs", "--task", task, *QUICK)
    assert fnn.load_model("out/animals/model.npz").out_features == outputs


# arrays


def points(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows)
    return rng.normal(1e4, 1.0, (rows, 4)) + 3.0 * np.eye(4)[y], y


def test_arrays_are_standardised(report):
    x, y = points()
    np.savez("points.npz", x=x, y=y)
    result = report("train", "points.npz", *QUICK)
    assert result["classes"] == ["0", "1", "2"]
    assert result["test"]["accuracy"] > 0.8


def test_arrays_with_other_names_and_tests_of_their_own(report):
    (x, y), (x_test, y_test) = points(), points(50, seed=1)
    names = np.array(["a", "c", "b"])
    np.savez("points.npz", inputs=x, kind=names[y], inputs_test=x_test, kind_test=names[y_test])
    result = report("train", "points.npz", "--x-name", "inputs", "--y-name", "kind", *QUICK)
    assert result["rows"] == {"training": 180, "validation": 20, "test": 50}
    assert result["classes"] == ["a", "b", "c"]
    assert result["test"]["accuracy"] > 0.8


def test_images_stay_bytes_and_are_scaled_by_the_network(report):
    images, labels = fnn.datasets.load_digits()
    np.savez("images.npz", x=(images * 15).reshape(-1, 8, 8), y=labels)
    assert report("train", "images.npz", *QUICK)["test"]["accuracy"] > 0.9
    model = fnn.load_model("out/images/model.npz")
    assert (model.in_features, model.input_scale) == (64, 1 / 255)


def test_missing_numbers_in_arrays_are_filled_if_told_to(refused, report):
    x, y = points()
    x[17, 2] = np.nan
    np.savez("points.npz", x=x, y=y)
    assert "got nan in row 17, column 2" in refused("train", "points.npz")
    assert report("train", "points.npz", "--missing", "fill", *QUICK)["test"]["accuracy"] > 0.8


# what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (("train",), "the following arguments are required: DATA"),
        (("train", "mnist"), "mnist: expected digits, fashion-mnist or a file, got no such file"),
        (("train", "digits", "--epoch", 3), "unrecognized arguments: --epoch 3"),
        (("train", "digits", "--epochs", 0), "--epochs: expected an integer of at least 1, got '0'"),
        (("train", "digits", "--hidden", "8,,8"), "--hidden: expected sizes of layers such as 512,256, got '8,,8'"),
        (("train", "digits", "--activation", "gelu"), "--activation: invalid choice: 'gelu'"),
        (("train", "digits", "--dropout", 1), "--dropout: expected a number from 0 to below 1, got '1'"),
        (("train", "digits", "--lr", "nan"), "--lr: expected a number above 0, got 'nan'"),
        (("train", "digits", "--l2", -1), "--l2: expected a number of at least 0, got '-1'"),
        (("train", "digits", "--seed", -1), "--seed: expected an integer from 0 to 2**64 - 1, got '-1'"),
        (("train", "digits", "--momentum", 0.9), "--momentum: expected for sgd or rmsprop, got it for adam"),
        (("train", "digits", "--threads", 100_000), "n: expected an integer from 1 to"),
        (("train", "digits", "--target", "y"), "--target: expected only for CSV files"),
        (("train", "digits", "--data-dir", "."), "--data-dir: expected only for fashion-mnist"),
        (("train", "digits", "--test", 0.9999), "--test: expected 0, or a fraction with rows on both sides of 1797"),
        (("train", "digits", "--early-stopping", 2, "--validation", 0), "--early-stopping: expected validation rows"),
        (
            ("train", "digits", "--task", "regression", "--label-smoothing", 0.1),
            "--label-smoothing: expected none for regression",
        ),
        (("train", "digits", "--batch-size", 1), "--batch-size: expected batches of at least 2 rows"),
        (("train", "digits", "--delimiter", ";;"), "--delimiter: expected one character, or tab"),
        (("train", "fashion-mnist", "--data-dir", "nowhere"), "cannot be read"),
        (("train", "digits", "--out", __file__), "--out: expected a folder"),
        (("train", "digits", "--out", f"{__file__}/below"), "--out: expected a folder"),
    ],
)
def test_bad_options_are_refused_in_one_line(arguments, message, refused):
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones((9, 2))}, "--x-name: expected one of the arrays, 'a', got none named 'x'"),
        ({"x": np.ones((9, 2))}, "--y-name: expected one of the arrays, 'x', got none named 'y'"),
        ({"x": np.ones((9, 2)), "y": np.ones((9, 2))}, "y: expected 9 numbers or texts, got shape (9, 2)"),
        ({"x": np.ones((9, 2)), "y": np.arange(8)}, "y: expected 9 numbers or texts, got shape (8,)"),
        ({"x": np.ones(9), "y": np.arange(9)}, "x: expected rows of real numbers, got shape (9,)"),
        ({"x": np.full((9, 2), "a"), "y": np.arange(9)}, "x: expected rows of real numbers"),
        ({"x": np.full((9, 2), np.inf), "y": np.arange(9)}, "x: expected finite values, got inf in row 0, column 0"),
        ({"x": np.ones((9, 2)), "y": np.zeros(9, int)}, "target 'y': expected at least two classes, got only '0'"),
        ({"x": np.ones((9, 2)), "y": np.full(9, 0.5)}, "target 'y': expected different numbers, got 0.5"),
        (
            {"x": np.ones((9, 2)), "y": np.full(9, np.nan)},
            "target 'y': expected a value in every row, got 9 without, the first in row 0",
        ),
        ({"x": np.ones((9, 2)), "y": np.arange(9) % 2, "x_test": np.ones((3, 2))}, "--y-name: .* none named 'y_test'"),
        (
            {"x": np.ones((9, 2)), "y": np.arange(9) % 2, "x_test": np.ones((3, 2)), "y_test": [0, 1, 7]},
            "y_test: expected classes that y has, got '7'",
        ),
        (
            {"x": np.ones((9, 2)), "y": np.arange(9) % 2, "x_test": np.ones((3, 3)), "y_test": [0, 1, 1]},
            "x: expected 2 columns, as in training, got 3",
        ),
        ({"x": np.array([[object()]]), "y": [1]}, "expected a NumPy file without pickled objects"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message, command, refused):
    np.savez("data.npz", **arrays)
    error = refused("train", "data.npz")
    assert all(part in error for part in message.split(".*"))


def test_a_file_that_is_no_numpy_file_is_refused_as_such(tmp_path, refused):
    (tmp_path / "data.npz").write_bytes(b"\x80\x04K\x01.")
    assert "data.npz: expected an .npz or .npy file, got something else" in refused("train", "data.npz")
    (tmp_path / "data.npz").write_bytes(b"PK\3\4")
    assert "data.npz: expected a NumPy file" in refused("train", "data.npz")


def test_a_test_fraction_for_data_with_tests_of_their_own_is_refused(refused):
    x, y = points()
    np.savez("points.npz", x=x, y=y, x_test=x, y_test=y)
    assert "--test: expected none" in refused("train", "points.npz", "--test", 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--target: expected one of the columns of animals.csv, 'weight', 'legs', 'colour', 'habitat', 'kind', got none"),
        (("--target", "sort"), "--target: expected one of the columns 'weight', .*, got 'sort'"),
        (("--target", "kind", "--drop", "legs, arms"), "--drop: expected one of the columns .*, got 'arms'"),
        (("--target", "kind", "--drop", "kind"), "--drop: expected one of the columns .*, got 'kind'"),
        (("--target", "kind", "--categorical", "arms"), "--categorical: expected one of the columns .*, got 'arms'"),
        (("--target", "kind", "--drop", "weight,legs,colour,habitat"), "--drop: expected at least one column to stay"),
        (("--target", "kind", "--task", "regression"), "target 'kind': expected finite numbers for regression, got "),
        (("--target", "kind", "--delimiter", ";"), "--target: expected one of the columns 'weight,legs,colour"),
    ],
)
def test_columns_that_do_not_fit_are_refused(options, message, refused):
    write("animals.csv", animals(40))
    error = refused("train", "animals.csv", *options)
    assert all(part in error for part in message.split(".*"))


def test_columns_can_be_left_out_and_codes_can_be_categories(report):
    write("animals.csv", animals())
    assert report("train", "animals.csv", "--target", "kind", "--drop", "colour,habitat", *QUICK)["features"] == 2
    assert report("train", "animals.csv", "--target", "kind", "--categorical", "legs", *QUICK)["features"] == 1 + 3 + 3 + 3


def test_a_category_of_held_out_rows_alone_is_said_and_counts_as_none(command):
    table = animals()
    _, held = held_out(table)
    write("animals.csv", changed(table, table[1].index(held[0]), "habitat", "moon"))
    code, out, _ = command("train", "animals.csv", "--target", "kind", "--epochs", 1)
    assert code == 0
    assert "1 rows held out have a category that no training row has" in out


def test_a_last_batch_of_one_row_is_no_matter(report):
    write("animals.csv", animals(129))
    options = "--validation", 0, "--test", 0, "--batch-size", 64
    assert report("train", "animals.csv", "--target", "kind", *options, *QUICK)["rows"]["training"] == 129


# what goes wrong on the way


def test_a_loss_that_is_not_finite_fails_and_leaves_the_last_good_model(command):
    write("houses.csv", houses(60))
    code, out, err = command(
        "train", "houses.csv", "--target", "price", "--optimizer", "sgd", "--lr", 1e30, "--no-batchnorm", "--json", "--quiet"
    )
    result = json.loads(out)
    assert code == 1
    assert result["status"] == "failed"
    assert "NaN or infinite" in err
    assert err.count("\n") <= 4
    assert np.isfinite(fnn.load_model("out/houses/model.npz").flat_parameters).all()
    assert curves("out/houses/history.json").names == list(result["last"])


def test_without_matplotlib_there_are_no_curves_and_the_way_to_get_them(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = command("train", "digits", "--epochs", 1, "--quiet")
    assert code == 0
    assert 'pip install "fastnn[plot]"' in err
    assert "history.json" in out
    assert "curves.png" not in out


def test_without_tqdm_a_terminal_gets_lines(command, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = command("train", "digits", "--epochs", 2)
    assert code == 0
    assert "epoch 2/2  loss" in err


def test_on_a_terminal_there_is_a_bar(command, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, _, err = command("train", "digits", "--epochs", 2)
    assert code == 0
    assert "epoch 2/2: 100%" in err


# Ctrl-C; with true processes in test_process.py


def interrupt_after(epochs, monkeypatch, number=signal.SIGINT):
    former = train_module._Lines.on_epoch_end

    def on_epoch_end(self, trainer, epoch, logs):
        former(self, trainer, epoch, logs)
        if epoch + 1 == epochs:
            signal.raise_signal(number)

    monkeypatch.setattr(train_module._Lines, "on_epoch_end", on_epoch_end)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_everything(number, expected, command, monkeypatch):
    interrupt_after(3, monkeypatch, number)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    code, out, err = command("train", "digits", "--json")
    result = json.loads(out)
    assert code == expected
    assert result["status"] == "interrupted"
    assert "interrupted in epoch 4" in err
    assert (result["epochs"], result["test"]) == (3, None)
    assert set(result["files"]) == {"model.npz", "history.json", "curves.png"}
    assert len(curves("out/digits/history.json")) == 3
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert command("predict", "out/digits", write_digits())[0] == 0


def write_digits():
    images, labels = fnn.datasets.load_digits()
    np.savez("digits.npz", x=images, y=labels)
    return "digits.npz"


def test_interrupted_with_early_stopping_the_best_weights_stay(command, monkeypatch):
    interrupt_after(3, monkeypatch)
    assert command("train", "digits", "--early-stopping", 5, "--schedule", "constant")[0] == 130
    history = curves("out/digits/history.json")
    interrupt_after(99, monkeypatch)
    best = int(history["val_loss"].argmin()) + 1
    command("train", "digits", "--early-stopping", 5, "--schedule", "constant", "--epochs", best, "--out", "short")
    models = fnn.load_model("out/digits/model.npz"), fnn.load_model("short/model.npz")
    assert models[0].flat_parameters.tobytes() == models[1].flat_parameters.tobytes()


def test_a_second_ctrl_c_while_saving_changes_nothing(command, monkeypatch):
    def save(*arguments):
        signal.raise_signal(signal.SIGINT)
        fnn.save_model(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(train_module, "save_model", save)
    interrupt_after(1, monkeypatch)
    assert command("train", "digits")[0] == 130
    assert fnn.load_model("out/digits/model.npz").in_features == 64
    assert len(curves("out/digits/history.json")) == 1


def test_a_first_ctrl_c_while_saving_lets_it_finish(command, monkeypatch):
    def save(*arguments):
        signal.raise_signal(signal.SIGINT)
        fnn.save_model(*arguments)

    monkeypatch.setattr(train_module, "save_model", save)
    assert command("train", "digits", "--epochs", 1)[0] == 130
    assert fnn.load_model("out/digits/model.npz").in_features == 64


def test_a_ctrl_c_that_gets_lost_ends_the_run_at_the_next_batch(command, monkeypatch):
    class Lossy(train_module._Interruption):
        def _note(self, number, frame):
            self.signal = number

    monkeypatch.setattr(train_module, "_Interruption", Lossy)
    interrupt_after(2, monkeypatch)
    assert command("train", "digits")[0] == 130
    assert len(curves("out/digits/history.json")) == 2


def test_ctrl_c_elsewhere_ends_quietly(command, monkeypatch):
    monkeypatch.setattr(train_module, "read_training", lambda options: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background is started to ignore it
    try:
        assert command("train", "digits") == (130, "", "fastnn: interrupted\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_disk_that_takes_no_more_is_a_failure_not_a_refusal(command, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train_module, "save_model", full)
    code, _, err = command("train", "digits", "--epochs", 1, "--quiet")
    assert code == 1
    assert "cannot be written" in err


def test_help_lists_the_defaults(capsys):
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"], ["info", "--help"], ["warmup", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    out = capsys.readouterr().out
    for option in ("--label-smoothing", "--early-stopping", "--proba", "--dtype"):
        assert option in out
