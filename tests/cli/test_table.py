"""Reading CSV files, and preparing their columns."""

import numpy as np
import pytest

from fastnn.cli.preparation import Columns, Features, Target
from fastnn.cli.table import Table, read_table


def read(tmp_path, text, delimiter=None, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(path, delimiter)


def table(**columns):
    return Table(columns, list(range(2, 2 + len(next(iter(columns.values()))))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_values_are_text_without_white_space_around(tmp_path, encoding, end):
    text = end.join(['größe, "name, full"', "1,  Ann ", "", '2, "B ""Bo""\nb"', "   ", "3,", ""])
    result = read(tmp_path, text, encoding=encoding)
    assert result.columns == {"größe": ["1", "2", "3"], "name, full": ["Ann", 'B "Bo"\nb', ""]}
    assert result.lines == [2, 4, 7]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_splits_the_header_most(tmp_path, mark):
    result = read(tmp_path, mark.join(["a", '"b,;|c"', "d"]) + "\n" + mark.join("123") + "\n")
    assert list(result.columns) == ["a", "b,;|c", "d"]


def test_one_column_needs_no_delimiter(tmp_path):
    assert read(tmp_path, "a\n1\n2\n").columns == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header and rows, got an empty file"),
        ("\n\n", "expected a header and rows, got an empty file"),
        ("a,b\n", "expected rows after the header, got none"),
        ("a,,c\n1,2,3\n", "expected a name for every column, got none for column 2 of 3"),
        ("a,b,a\n1,2,3\n", "expected different names for the columns, got 'a' twice"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4: expected 2 fields, as in the header, got 3"),
        ('a,b\n"x\ny",2\n1\n', "line 4: expected 2 fields, as in the header, got 1"),
        ('a,b\n"x"y,2\n', "line 2: "),
        ('a,b\n1,"2\n', "line 2: unexpected end of data"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match="table.csv") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected text in UTF-8"):
        read(tmp_path, "größe\n1\n", encoding="latin-1")


# columns


def test_numbers_are_standardised_by_the_training_rows_alone():
    columns = Columns.fit(table(a=["1", " 3", "1e3"]), rows=[0, 1])
    np.testing.assert_array_equal(columns.apply(table(a=["1", "3", "1e3"])).ravel(), [-1.0, 1.0, 998.0])


def test_a_constant_column_is_zero_whatever_comes():
    columns = Columns.fit(table(a=["0.1"] * 10), rows=range(10))
    np.testing.assert_array_equal(columns.apply(table(a=["0.1", "0.2", "1e300"])).ravel(), [0.0, 0.0, 0.0])


def test_text_becomes_one_column_a_category_of_the_training_rows():
    columns = Columns.fit(table(a=["b", "a", "b", "c"]), rows=[0, 1, 2])
    data = table(a=["b", "a", "c"])
    np.testing.assert_array_equal(columns.apply(data, "ignore"), [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="got 'c' in line 4"):
        columns.apply(data)
    assert columns.width == 2


def test_codes_are_categories_if_said_so():
    assert Columns.fit(table(a=["1", "2", "1"]), rows=range(3), categorical=["a"]).width == 2


def test_pythons_own_notation_is_text():
    assert Columns.fit(table(a=["1_0", "1_0", "7"]), rows=range(3)).width == 2


def test_preparations_come_back_from_json():
    data = table(a=["1", "?", "4"], b=["x", "NA", "x"])
    columns = Columns.fit(data, rows=range(3), missing="fill")
    again = Columns.from_dict(columns.to_dict())
    np.testing.assert_array_equal(again.apply(data), columns.apply(data))
    np.testing.assert_array_equal(columns.apply(data)[1], [0.0, 0.0, 1.0])
    x = np.array([[1.0, 5.0], [np.nan, 5.0], [2.0, 5.0]])
    features = Features.fit(x, range(3), "fill")
    again = Features.from_dict(features.to_dict())
    np.testing.assert_array_equal(again.apply(x), [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    target = Target.fit("t", ["2", "10"] * 2, range(4))
    assert Target.from_dict(target.to_dict()).classes == ["2", "10"], "in the order of numbers"


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([str(i % 150) + "x" for i in range(300)], {}, "at most 100 categories that occur again, got 150 in 300"),
        (["p", "q", "r"], {}, "got 3 in 3 training rows ('p' in line 2 is no number); --drop a leaves it out"),
        (["1", "2", "3"], {"categorical": ["a"]}, "got 3 in 3 training rows; --drop a"),
        (["1", "inf", "2"], {}, "column 'a': expected finite numbers, got 'inf' in line 3"),
        (["?", "", "2"], {"missing": "fill", "rows": [0, 1]}, "column 'a': expected values, got none in the training rows"),
        (["1", "2", "3"], {"drop": ["a"]}, "--drop: expected at least one column to stay"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(values, options, message):
    with pytest.raises(ValueError, match="expected") as caught:
        Columns.fit(table(a=values), **{"rows": range(len(values))} | options)
    assert message in str(caught.value)


# the target


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "b"], "auto", ["a", "b"]),
        (["1", "0", "1"], "auto", ["0", "1"]),
        (["10", "9", "-1", "9"], "auto", ["-1", "9", "10"]),
        (["1.0", "0.0", "1.0"], "auto", None),
        ([str(i) for i in range(21)], "auto", None),
        ([str(i) for i in range(21)], "classification", [str(i) for i in range(21)]),
        (["1", "0", "1"], "regression", None),
        (["0.5", "1", "0.5"], "classification", ["0.5", "1"]),
    ],
)
def test_the_task_follows_from_the_target_unless_it_is_said(values, task, classes):
    assert Target.fit("t", values, range(len(values)), task).classes == classes


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["a", "a"], "auto", "expected at least two classes, got only 'a'"),
        (["a", "b", "c"], "auto", "expected classes that occur again, got a different value in every row"),
        (["1", "x", "2"], "regression", "expected finite numbers for regression, got 'x' in row 1"),
        (["1.5", "1.5"], "regression", "expected different numbers, got 1.5 in all training rows"),
        (["1", "NA"], "auto", "expected a value in every row, got 1 without, the first in row 1"),
    ],
)
def test_targets_that_cannot_be_used_are_refused(values, task, message):
    with pytest.raises(ValueError, match="^target 't': expected") as caught:
        Target.fit("t", values, range(len(values)), task)
    assert message in str(caught.value)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_numbers_go_to_the_network_and_back(unit):
    values = [str(v * unit) for v in (1.25, 2.5, -3.75)]
    target = Target.fit("t", values, range(3), "regression")
    outputs = target.encode(values).astype(np.float32)[:, np.newaxis]
    np.testing.assert_allclose(target.decode(outputs), [float(v) for v in values], rtol=1e-6)
    assert target.scores(outputs, target.encode(values))["r2"] == pytest.approx(1.0)
    assert np.isnan(target.scores(outputs[:1], target.encode(values[:1]))["r2"])
