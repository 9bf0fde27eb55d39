"""`fastnn predict`, with the preparation that training saved."""

import csv
import sys

import numpy as np
import pytest
from cli.helpers import QUICK, animals, changed, column, held_out, houses, reordered, without, write

import fastnn as fnn


def accuracy(predicted, table, target="kind"):
    header, rows = table
    truth = [row[header.index(target)] for row in rows]
    return sum(a == b for a, b in zip(predicted, truth, strict=True)) / len(truth)


def train_animals(report, *options):
    write("animals.csv", animals())
    return report("train", "animals.csv", "--target", "kind", *QUICK, *options)


def test_raw_rows_without_the_target_get_the_accuracy_that_training_reported(report, command):
    result = train_animals(report)
    assert result["classes"] == ["cat", "hen", "trout"]
    assert result["test"]["accuracy"] > 0.9
    table = held_out(animals())
    write("new.csv", without(table, "kind"))
    code, out, err = command("predict", "out/animals/model.npz", "new.csv")
    assert (code, err) == (0, "")
    assert accuracy(column(out), table) == pytest.approx(result["test"]["accuracy"], abs=1e-12)


def test_with_the_target_the_accuracy_is_said(report, command):
    result = train_animals(report)
    table = held_out(animals())
    write("new.csv", table)
    _, out, err = command("predict", "out/animals", "new.csv")
    assert f"against 'kind': accuracy {result['test']['accuracy']:.4f}" in err
    assert out.startswith("prediction\n")
    scored = report("predict", "out/animals", "new.csv")
    assert scored["scores"] == result["test"]
    assert scored["predictions"] == column(out)


def test_columns_are_found_by_name(report, command):
    train_animals(report)
    table = animals(40, seed=1)
    write("new.csv", table)
    write("other.csv", reordered(table, [3, 4, 0, 2, 1]), delimiter=";", encoding="utf-8-sig")
    predictions = [command("predict", "out/animals", name)[1] for name in ("new.csv", "other.csv")]
    assert predictions[0] == predictions[1]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter, report):
    write("animals.csv", animals(), delimiter=delimiter)
    first = report("train", "animals.csv", "--target", "kind", *QUICK)
    assert first["features"] == 2 + 3 + 3
    write("animals.csv", animals(), delimiter=":")
    second = report("train", "animals.csv", "--target", "kind", "--delimiter", ":", *QUICK)
    assert second["last"]["loss"] == first["last"]["loss"]


def test_probabilities_have_a_column_a_class(report, command, tmp_path):
    train_animals(report)
    write("new.csv", animals(20, seed=1))
    code, out, _ = command("predict", "out/animals", "new.csv", "--proba", "--out", "answers.csv")
    assert (code, out) == (0, "")
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert list(rows[0]) == ["prediction", "cat", "hen", "trout"]
    for row in rows:
        values = {name: float(row[name]) for name in ("cat", "hen", "trout")}
        assert sum(values.values()) == pytest.approx(1.0, abs=1e-4)
        assert row["prediction"] == max(values, key=values.get)
    result = report("predict", "out/animals", "new.csv", "--proba")
    assert np.shape(result["probabilities"]) == (20, 3)
    assert report("predict", "out/animals", "new.csv", "--out", "again.csv")["file"] == "again.csv"


def test_numbers_are_predicted_in_the_original_unit(report, command):
    write("houses.csv", houses())
    result = report("train", "houses.csv", "--target", "price", "--hidden", "", "--epochs", 60, "--lr", 0.01, "--quiet")
    header, rows = held_out(houses())
    write("new.csv", (header, rows))
    _, out, err = command("predict", "out/houses", "new.csv")
    predicted, truth = np.array(column(out), float), np.array([row[2] for row in rows], float)
    assert np.sqrt(np.mean((predicted - truth) ** 2)) == pytest.approx(result["test"]["rmse"], rel=1e-6)
    assert f"rmse {result['test']['rmse']:.5g}" in err


def test_a_model_of_arrays_predicts_for_npz_and_npy(report, command):
    images, labels = fnn.datasets.load_digits()
    result = report("train", "digits", "--epochs", 5, "--quiet")
    (_, _), (x, y) = fnn.datasets.split(images, labels, 0.2, 0)
    np.savez("digits.npz", x=x, y=y)
    np.savez("renamed.npz", images=x, labels=y)
    np.save("digits.npy", x.astype(np.float64))
    _, out, err = command("predict", "out/digits", "digits.npz")
    assert f"against 'y': accuracy {result['test']['accuracy']:.4f}" in err
    code, same, err = command("predict", "out/digits", "digits.npy")
    assert (code, same, err) == (0, out, "")
    assert command("predict", "out/digits", "renamed.npz", "--x-name", "images", "--y-name", "labels")[1] == out


# missing values and unknown categories


@pytest.mark.parametrize("mark", ["", "NA", "nan", "NULL", "?", " "])
def test_missing_values_are_refused_with_column_count_and_line(mark, refused):
    table = changed(changed(animals(), 16, "weight", mark), 90, "weight", mark)
    write("animals.csv", table)
    error = refused("train", "animals.csv", "--target", "kind")
    assert "column 'weight': expected a value in every row, got 2 without, the first in line 18" in error
    assert "--missing fill" in error


def test_missing_values_are_filled_if_told_to_and_so_in_prediction(report, command):
    table = animals()
    for row in range(0, 300, 7):
        table = changed(changed(table, row, "weight", ""), row + 1, "habitat", "?")
    write("animals.csv", table)
    result = report("train", "animals.csv", "--target", "kind", "--missing", "fill", *QUICK)
    assert result["features"] == 2 + 3 + 4, "missing is a habitat of its own"
    assert result["test"]["accuracy"] > 0.8
    columns = fnn.load_extra("out/animals/model.npz")["preparation"]["features"]["columns"]
    mean = next(column["mean"] for column in columns if column["name"] == "weight")
    rows = animals(20, seed=1)
    write("gaps.csv", changed(rows, 3, "weight", "NaN"))
    write("means.csv", changed(rows, 3, "weight", repr(mean)))
    answers = [command("predict", "out/animals", name, "--proba") for name in ("gaps.csv", "means.csv")]
    assert answers[0] == answers[1]
    write("gaps.csv", changed(changed(rows, 3, "habitat", "NaN"), 4, "colour", "null"))
    assert command("predict", "out/animals", "gaps.csv")[0] == 0, "a colour was never missing in training"


def test_a_model_that_does_not_fill_refuses_missing_values(report, refused):
    train_animals(report)
    write("new.csv", changed(animals(20), 3, "habitat", ""))
    assert "column 'habitat': expected a value in every row, got 1 without, the first in line 5" in refused(
        "predict", "out/animals", "new.csv"
    )


def test_rows_without_a_target_are_refused_in_training_and_not_scored_in_prediction(report, command, refused):
    write("gaps.csv", changed(animals(), 7, "kind", "?"))
    assert "target 'kind': expected a value in every row, got 1 without, the first in line 9" in refused(
        "train", "gaps.csv", "--target", "kind", "--missing", "fill"
    )
    train_animals(report)
    assert "in the 299 of 300 rows that have it" in command("predict", "out/animals", "gaps.csv")[2]
    header, rows = animals(5)
    write("gaps.csv", (header, [[*row[:-1], ""] for row in rows]))
    assert command("predict", "out/animals", "gaps.csv")[2] == ""


def test_unknown_categories_are_refused_unless_told_otherwise(report, command, refused):
    train_animals(report)
    write("new.csv", changed(animals(20), 3, "habitat", "moon"))
    assert "column 'habitat': expected a category that training saw, got 'moon' in line 5" in refused(
        "predict", "out/animals", "new.csv"
    )
    code, out, _ = command("predict", "out/animals", "new.csv", "--unknown", "ignore")
    assert code == 0
    assert len(column(out)) == 20


def test_a_class_that_training_did_not_see_counts_as_wrong(report, command):
    train_animals(report)
    header, rows = animals(10)
    write("new.csv", (header, [[*row[:-1], "dog"] for row in rows]))
    code, _, err = command("predict", "out/animals", "new.csv")
    assert code == 0
    assert "accuracy 0.0000" in err
    assert "10 rows have a class that training did not see, e.g. 'dog'" in err


# what is refused


def test_columns_that_are_missing_are_named(report, refused):
    train_animals(report)
    write("new.csv", without(animals(5), "colour", "legs"))
    assert "columns: expected 'legs', 'colour', got 'weight', 'habitat', 'kind'" in refused("predict", "out/animals", "new.csv")


def test_text_among_numbers_is_named(report, refused):
    train_animals(report)
    write("new.csv", changed(animals(5), 2, "weight", "heavy"))
    assert "column 'weight': expected finite numbers, got 'heavy' in line 4" in refused("predict", "out/animals", "new.csv")


def test_data_of_another_kind_is_refused(report, refused):
    train_animals(report)
    np.savez("data.npz", x=np.ones((2, 3)))
    assert "expected a CSV file" in refused("predict", "out/animals", "data.npz")
    report("train", "digits", "--epochs", 1, "--quiet")
    assert "expected an .npz or .npy file" in refused("predict", "out/digits", "animals.csv")
    assert "x: expected 64 columns, as in training, got 3" in refused("predict", "out/digits", "data.npz")


def test_probabilities_of_numbers_are_refused(report, refused):
    write("houses.csv", houses())
    report("train", "houses.csv", "--target", "price", *QUICK)
    assert "--proba: expected a model of classes" in refused("predict", "out/houses", "houses.csv", "--proba")


def test_a_model_of_other_origin_is_refused(refused, tmp_path):
    fnn.save_model("model.npz", fnn.Sequential(fnn.Linear(2, 1), seed=0), extra={"preparation": "none"})
    write("new.csv", animals(5))
    assert "expected a model of `fastnn train`" in refused("predict", "model.npz", "new.csv")
    (tmp_path / "model.npz").write_bytes(b"PK\3\4")
    assert "expected a whole model file of fastnn" in refused("predict", "model.npz", "new.csv")
    assert "nowhere.npz: No such file" in refused("predict", "nowhere.npz", "new.csv")


def test_a_reader_that_leaves_early_is_no_error(report, command, monkeypatch):
    train_animals(report)

    class Closed:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def fileno(self):
            return 99  # a descriptor that may be replaced

    monkeypatch.setattr(sys, "stdout", Closed())
    code, _, err = command("predict", "out/animals", "animals.csv")
    assert code == 1
    assert "Traceback" not in err
