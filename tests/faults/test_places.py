"""Checks runs and preparations on full disks, in places that may not be written to, and in places in use."""

import os
import random
import signal
import sys
import time

import keras
import numpy as np
import pytest

from ocm_tf.data import Dataset, DatasetSpec, Split, is_prepared, load
from ocm_tf.data.catalogue import find_entry
from ocm_tf.data.storage import write_dataset
from ocm_tf.data.unfinished import PREFIX
from ocm_tf.errors import UserError
from ocm_tf.files import write_atomically
from tests.killed_runs import RUNS, assert_same_run, finish, newest_change, start, wait_until

RUN = RUNS["ocm, dynamic"]


def assert_refused(status, errors, pattern):
    """Checks that a process ended with one line that the user can act on."""
    assert status == 2, errors
    assert errors.count("\n") == 1 and errors.startswith("error: "), errors
    with pytest.raises(UserError, match=pattern):
        raise UserError(errors)


# Full disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("disk full", "saving a model on a file system of 256 KB")
def test_a_model_that_does_not_fit_leaves_the_older_file(small_disk):
    disk, _ = small_disk
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    write_atomically(disk / "model.keras", model.save)
    before = (disk / "model.keras").read_bytes()
    larger = keras.Sequential([keras.Input((400,)), keras.layers.Dense(400)])
    with pytest.raises(UserError, match=r"cannot write .*model\.keras: No space left on device"):
        write_atomically(disk / "model.keras", larger.save)
    assert (disk / "model.keras").read_bytes() == before and len(list(disk.iterdir())) == 1


@pytest.mark.fault("disk full", "preparing a data set on a file system of 256 KB")
def test_a_data_set_that_does_not_fit_leaves_nothing(small_disk):
    disk, resize = small_disk
    with pytest.raises(UserError, match=r"cannot store mnist in .*(No space left on device|ENOSPC)"):
        write_dataset(make_mnist(800), find_entry("mnist"), disk, "path")
    assert list(disk.iterdir()) == [] and not is_prepared("mnist", disk)
    resize("64m")
    write_dataset(make_mnist(800), find_entry("mnist"), disk, "path")
    assert len(load("mnist", disk).train) == 800


@pytest.mark.slow
@pytest.mark.fault("disk full", "a run on a file system of 256 KB, resumed with more room")
def test_a_run_that_fills_the_disk_goes_on_once_there_is_room(small_disk, straight):
    disk, resize = small_disk
    output = disk / "run"
    status, errors = finish(RUN.command(output, "--checkpoint-seconds", "0"))
    assert_refused(status, errors, r"cannot write .*: No space left on device")
    assert (output / "config.json").exists() and not (output / "results.json").exists()
    resize("64m")
    status, errors = finish(RUN.command(output, "--resume"))
    assert status == 0, errors
    assert_same_run(output, straight(RUN))


# Places that may not be written to ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.fault("read-only output directory", "no right to write to it or above it", times=2)
def test_a_place_that_may_not_be_written_to_is_named(tmp_path, as_user):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for output in (closed, closed / "new"):
        status, errors = finish(as_user(RUN.command(output)))
        assert_refused(status, errors, r"cannot write .*closed.*: Permission denied")
    assert list(closed.iterdir()) == []


LOAD = """
import sys
from ocm_tf.data import load
from tests.faults.test_places import make_mnist
expected, found = make_mnist(40).train, load("mnist", sys.argv[1]).train
assert sorted(map(bytes, found.images)) == sorted(map(bytes, expected.images))
"""


@pytest.mark.slow
@pytest.mark.fault(
    "read-only data directory", "no right to write to it: a data set in it is read, none is added", times=2
)
def test_a_data_directory_that_may_not_be_written_to_is_read(tmp_path, as_user):
    directory = tmp_path / "data"
    write_dataset(make_mnist(40), find_entry("mnist"), directory, "path")
    folders = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    files = newest_change(directory / "mnist" / "3.0.1")
    for folder in folders:
        folder.chmod(0o500)
    status, errors = finish(as_user([sys.executable, "-c", LOAD, str(directory)]))
    assert status == 0, errors
    assert newest_change(directory / "mnist" / "3.0.1") == files
    command = [sys.executable, "-c", PREPARE, str(directory), "fashion_mnist"]
    status, errors = finish(as_user(command))
    assert status == 1 and "UserError: cannot store fashion_mnist in" in errors.splitlines()[-1], errors
    assert "Permission denied" in errors.splitlines()[-1]


# Preparations that are killed -----------------------------------------------------------------------------------------

PREPARE = """
import pathlib, sys
from ocm_tf.data.catalogue import find_entry
from ocm_tf.data.storage import write_dataset
from tests.faults.test_places import make_mnist
write_dataset(make_mnist(4000), find_entry(sys.argv[2]), pathlib.Path(sys.argv[1]), "path")
"""


def make_mnist(num_images):
    """Makes a data set in the shape of MNIST."""
    entry = find_entry("mnist")
    images = np.random.default_rng(0).integers(0, 256, (num_images, *entry.image_shape), dtype=np.uint8)
    split = Split(images, np.arange(num_images) % 10)
    return Dataset(split, split, DatasetSpec("mnist", entry.image_shape, entry.class_names, "a test", "none", ""))


@pytest.mark.slow
@pytest.mark.fault("preparation of a data set killed", "SIGKILL at random moments, then again", times=3)
def test_a_preparation_that_was_killed_works_the_next_time(tmp_path):
    command, rng = [sys.executable, "-c", PREPARE, str(tmp_path), "mnist"], random.Random()
    for _ in range(3):
        process = start(command)
        before = set(tmp_path.glob(f"{PREFIX}*"))
        wait_until(lambda before=before: set(tmp_path.glob(f"{PREFIX}*")) - before, process)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        assert not is_prepared("mnist", tmp_path)
    assert finish(command)[0] == 0
    assert len(load("mnist", tmp_path).train) == 4000


# Places in use --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.fault(
    "two runs in one directory", "the second started amid the first, then again after SIGKILL of the first"
)
def test_a_run_keeps_a_second_one_out_until_it_ends(tmp_path, straight):
    output = tmp_path / "run"
    first = start(RUN.command(output, "--checkpoint-seconds", "0"))
    wait_until((output / "checkpoint" / "state.npz").exists, first)
    os.kill(first.pid, signal.SIGSTOP)  # so that it is at work for as long as the other needs
    try:
        assert_refused(*finish(RUN.command(output, "--resume")), rf"run is in use by process {first.pid} on ")
        assert_refused(*finish(RUN.command(output, "--overwrite")), rf"run is in use by process {first.pid} on ")
    finally:
        first.kill()
        first.communicate()
    status, errors = finish(RUN.command(output, "--resume"))
    assert status == 0, errors
    assert_same_run(output, straight(RUN))
