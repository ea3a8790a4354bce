"""Checks that TensorBoard and Weights & Biases are told what metrics.csv gets, each row once, also after a resume."""

import contextlib
import dataclasses
import io
import struct
import sys
import time

import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import RunDirectory, ocm, ocm_config, parse_arguments, read_metrics, setting
from ocm_tf.experiments.settings import Arguments
from ocm_tf.experiments.tracking import group_of, tracker_classes

SHORT = ["train_per_class=12", "test_per_class=2", "epochs_per_batch=1", "hidden_units=6", "latent_dim=2"]
SHORT += ["eval_samples=2", "expansion_samples=2", "expansion_threshold=1.5", "short_term_capacity=32"]


@dataclasses.dataclass(frozen=True)
class Settings:
    dataset: str = setting("digits", "name of the dataset")


def parse(path, *argv) -> Arguments:
    texts = {"script": "ocm", "description": "", "costs": {"small": "nothing"}}
    return parse_arguments(["--output", str(path), *argv], presets={"small": Settings()}, **texts)


def open_run(path, *argv):
    return RunDirectory(path).open(parse(path, *argv), data_source="none")


def scalars_in(directory):
    """Returns `{(tag, step): list of values}` of event files."""
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    events = event_accumulator.EventAccumulator(str(directory), {"tensors": 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        for event in events.Tensors(tag):
            found.setdefault((tag, event.step), []).append(make_ndarray(event.tensor_proto).item())
    return found


def records_in(log):
    """Yields the records of a LevelDB log, whose parts never cross the bounds of 32 KiB blocks."""
    position, record = 7, b""
    while position + 7 <= len(log):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
        length, kind = struct.unpack("<HB", log[position + 4 : position + 7])
        record += log[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def history_in(directory):
    """Returns `{(name, step): list of values}` of the one offline run in a directory."""
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    found, records, deadline = {}, [], time.monotonic() + 60
    # The process that writes it ends a moment after `finish`.
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline
        records = [Record.FromString(data) for data in records_in(path.read_bytes())]
    for record in records:
        items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        for name in items:
            group = name.rpartition("/")[0]
            if group and not name.endswith("/step"):
                found.setdefault((name, int(items[f"{group}/step"])), []).append(float(items[name]))
    return found


READERS = {"tensorboard": scalars_in, "wandb": history_in}


def rows_of(path):
    """Returns `{(tag, step): list of values}` of a table of metrics."""
    table, found = read_metrics(path), {}
    for step, stage, experience, metric, value in zip(*table.values(), strict=True):
        group = group_of(stage, None if experience < 0 else experience)
        found.setdefault((f"{group}/{metric}", step), []).append(value)
    return found


def assert_same_numbers(found, expected):
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        # TensorBoard keeps 32 bits.
        np.testing.assert_allclose(found[key], values, rtol=1e-6, err_msg=str(key))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Returns the directory of a tracked OCM run and what it showed of its progress."""
    pytest.importorskip("tensorboard")
    pytest.importorskip("wandb")
    path = tmp_path_factory.mktemp("run")
    texts = {"script": "ocm_split_mnist", "description": "", "costs": ocm_config.COSTS}
    flags = ["--preset", "tiny", "--output", str(path / "run"), "--set", *SHORT]
    flags += ["--track", "tensorboard", "--track", "wandb"]
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        ocm.run(parse_arguments(flags, presets=ocm_config.PRESETS, **texts), say=lambda line: None)
    return path / "run", shown.getvalue()


def test_the_progress_tells_the_same_as_the_last_row(tracked):
    path, shown = tracked
    table, last = read_metrics(path / "metrics.csv"), shown.splitlines()[-1]
    loss, bound = (table["value"][table["metric"] == name][-1] for name in ("loss", "bound"))
    assert f"loss {loss:.4g}  NLL {-bound:.4g}  N " in last and "  STM " in last and "  LTM " in last
    assert last.endswith("ETA 0:00:00")


@pytest.mark.parametrize("name", READERS)
def test_a_run_tells_what_its_table_holds(tracked, name):
    path, _ = tracked
    expected = rows_of(path / "metrics.csv")
    tags = {tag for tag, _ in expected}
    assert {"train/loss", "train/num_components", "train/long_term_size", "round/bound", "evaluate/nll"} <= tags
    assert_same_numbers(READERS[name](path / name), expected)


@pytest.mark.parametrize("name", READERS)
def test_a_resumed_run_goes_on_without_doubled_steps(tmp_path, name):
    pytest.importorskip(name)
    with open_run(tmp_path / "run", "--track", name) as run:
        for step in range(1, 5):
            run.metrics.append(step, "train", None, {"loss": step / 2, "size": step})
        run.metrics.append(4, "test", 1, {"accuracy": np.nan})
        state = run.get_state()
        # A run killed here has told more than its checkpoint knows.
        run.metrics.append(5, "train", None, {"loss": -1.0})
        run.metrics.append(6, "train", None, {"loss": -2.0})
    with open_run(tmp_path / "run", "--resume", "--track", name) as run:
        # As a checkpoint is restored twice.
        run.set_state(state)
        run.set_state(state)
        run.metrics.append(5, "train", None, {"loss": 2.5})
        run.metrics.append(6, "round", None, {})
    found = READERS[name](tmp_path / "run" / name)
    assert_same_numbers(found, rows_of(tmp_path / "run" / "metrics.csv"))
    assert found["train/loss", 5] == [2.5] and ("train/loss", 6) not in found
    assert ("test/experience_1/accuracy", 4) in found


@pytest.mark.parametrize("name", READERS)
def test_an_overwritten_run_forgets_its_log(tmp_path, name):
    pytest.importorskip(name)
    with open_run(tmp_path, "--track", name) as run:
        run.metrics.append(1, "train", None, {"loss": 1.0})
    with open_run(tmp_path, "--overwrite"):
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", READERS)
def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf'--track {name} needs .*: pip install -e "\.\[{name}\]"'):
        open_run(tmp_path / "run", "--track", name)
    assert not (tmp_path / "run").exists()


def test_each_tracker_is_made_once(tmp_path):
    pytest.importorskip("tensorboard")
    assert parse(tmp_path).track == [] and tracker_classes([]) == {}
    arguments = parse(tmp_path, "--track", "tensorboard", "--track", "tensorboard")
    assert list(tracker_classes(arguments.track)) == ["tensorboard"]
