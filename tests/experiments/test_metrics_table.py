"""Checks the table of numbers, and that it can go back to an earlier length."""

import math

import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.metrics_table import MetricsTable, read_metrics


def write(path, num_steps):
    table = MetricsTable(path)
    for step in range(1, num_steps + 1):
        table.append(step, "train", None, {"loss": 1 / step, "size": np.int64(step)})
    table.close()
    return path.read_bytes()


def test_appends_in_long_format(tmp_path):
    table = MetricsTable(tmp_path / "m.csv")
    table.append(1, "train", None, {"loss": 0.1, "size": 3})
    table.append(np.int64(2), "test", 4, {"nll": np.float32("nan")})
    assert table.position == 3
    table.close()
    assert (tmp_path / "m.csv").read_text() == (
        "step,stage,experience,metric,value\n1,train,,loss,0.1\n1,train,,size,3.0\n2,test,4,nll,nan\n"
    )


def test_reads_columns(tmp_path):
    table = MetricsTable(tmp_path / "m.csv")
    table.append(1, "train", None, {"loss": 1 / 3})
    table.append(2, "test", 4, {"nll": math.nan})
    table.close()
    columns = read_metrics(tmp_path / "m.csv")
    assert {name: column.tolist() for name, column in columns.items() if name != "value"} == {
        "step": [1, 2],
        "stage": ["train", "test"],
        "experience": [-1, 4],
        "metric": ["loss", "nll"],
    }
    np.testing.assert_array_equal(columns["value"], [1 / 3, math.nan])


def test_reads_an_empty_table(tmp_path):
    table = MetricsTable(tmp_path / "m.csv")
    table.flush()
    columns = read_metrics(tmp_path / "m.csv")
    assert all(len(column) == 0 for column in columns.values()) and columns["step"].dtype == np.int64


@pytest.mark.parametrize("kept", [0, 1, 4, 9])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_goes_back_to_an_earlier_length(tmp_path, kept, cut):
    path = tmp_path / "m.csv"
    whole = write(path, 5)
    path.write_bytes(whole[: len(whole) - cut])
    lines = whole.splitlines(keepends=True)
    table = MetricsTable(path)
    table.rewind(kept)
    assert path.read_bytes() == b"".join(lines[: kept + 1])
    table.append(9, "test", 0, {"nll": 1})
    table.flush()
    assert path.read_bytes() == b"".join(lines[: kept + 1]) + b"9,test,0,nll,1.0\n"
    assert table.position == kept + 1


def test_begins_anew_unless_told_to_keep_rows(tmp_path):
    whole = write(tmp_path / "m.csv", 5)
    table = MetricsTable(tmp_path / "m.csv")
    table.close()
    assert (tmp_path / "m.csv").read_bytes() == whole
    assert write(tmp_path / "m.csv", 1).count(b"\n") == 3


def test_a_table_shorter_than_the_checkpoint_is_refused(tmp_path):
    path = tmp_path / "m.csv"
    whole = write(path, 2)
    for content, message in (
        (whole[:-1], "holds 3 rows, but the checkpoint counts 4"),
        (b"a,b\n1,2\n", "no table of metrics"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            MetricsTable(path).rewind(4)
        assert path.read_bytes() == content
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        MetricsTable(path).rewind(4)


@pytest.mark.parametrize("name", ["a,b", "a\nb", 'a"b'])
def test_refuses_names_that_would_break_a_row(tmp_path, name):
    with pytest.raises(ValueError, match="comma"):
        MetricsTable(tmp_path / "m.csv").append(1, "train", None, {name: 1})
    with pytest.raises(ValueError, match="comma"):
        MetricsTable(tmp_path / "m.csv").append(1, name, None, {"a": 1})


def test_a_full_disk_is_the_users_to_mend():
    table = MetricsTable("/dev/full")
    table.append(1, "train", None, {"loss": 1})
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device"):
        table.flush()
    with pytest.raises(UserError, match="No space left"):
        table.close()


@pytest.mark.parametrize("content", ["", "a,b\n", "step,stage,experience,metric,value\n1,train,,loss\n"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(UserError, match="no table of metrics"):
        read_metrics(tmp_path / "m.csv")
    with pytest.raises(UserError, match="missing"):
        read_metrics(tmp_path / "none.csv")


def test_a_table_whose_last_number_may_be_cut_off_is_refused(tmp_path):
    whole = write(tmp_path / "m.csv", 3)
    (tmp_path / "m.csv").write_bytes(whole[:-2])
    with pytest.raises(UserError, match="its last line is cut off"):
        read_metrics(tmp_path / "m.csv")
