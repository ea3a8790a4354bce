"""Checks the experiences of CORe50 on a tiny one of the real layout."""

import numpy as np
import pytest

from ocm_tf.data.core50 import CATEGORIES, read_core50_files
from ocm_tf.data.storage import find_stored, read_dataset, read_index, write_dataset
from ocm_tf.errors import UserError
from ocm_tf.streams import core50_experiences
from tests.core50_files import image_contents, list_contents, make_entry
from tests.data.data_files import write_folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The tiny CORe50 and its index, stored and read."""
    folder = write_folder(tmp_path_factory.mktemp("files"), {**image_contents(), **list_contents()})
    data_dir, entry = tmp_path_factory.mktemp("data"), make_entry()
    path = write_dataset(read_core50_files(folder, entry), entry, data_dir, "path")
    return read_dataset(entry, find_stored(entry, data_dir)[0], path), read_index(path)


def identities(split):
    """Returns session, object and frame of each image, which its first pixel tells."""
    return split.images[:, 0, 0].astype(int)


@pytest.mark.parametrize(("run", "sessions"), [(0, [2, 1]), (1, [1, 2])])
def test_new_instances_are_sessions_in_the_order_of_the_run(stored, run, sessions):
    experiences = core50_experiences(*stored, "NI", run)
    assert [experience.name for experience in experiences] == [f"NI/run{run}/batch0", f"NI/run{run}/batch1"]
    for experience, session in zip(experiences, sessions, strict=True):
        found = identities(experience.train)
        assert len(experience.train) == 12
        assert (found[:, 0] == session).all()
        np.testing.assert_array_equal(experience.train.labels, found[:, 1] - 1)
    assert experiences[0].class_names == stored[0].spec.class_names


def test_new_classes_keep_the_numbers_of_their_objects(stored):
    first, second = core50_experiences(*stored, "NC")
    assert set(first.train.labels) == {5, 0}
    assert set(second.train.labels) == {2, 1, 4, 3}
    for experience in (first, second):
        np.testing.assert_array_equal(experience.train.labels, identities(experience.train)[:, 1] - 1)
    # In the order of the list, not of the disk.
    assert identities(first.train)[0].tolist() == [1, 6, 0]


def test_categories_hold_five_objects_each(stored):
    for experience in core50_experiences(*stored, "NC", level="category"):
        assert experience.class_names == CATEGORIES
        for part in (experience.train, experience.test):
            np.testing.assert_array_equal(part.labels, (identities(part)[:, 1] - 1) // 5)
    assert set(experience.test.labels) == {0, 1}


def test_the_test_set_is_shared_and_of_other_sessions(stored):
    experiences = core50_experiences(*stored, "NI")
    assert experiences[0].test is experiences[1].test
    assert len(experiences[0].test) == 12
    assert set(identities(experiences[0].test)[:, 0]) == {3}
    assert all(3 not in identities(experience.train)[:, 0] for experience in experiences)
    reduced = core50_experiences(*stored, "NI", reduced_test=True)[0].test
    assert identities(reduced).tolist() == [[3, 1, 0]]


def test_what_is_not_there_is_told(stored):
    with pytest.raises(ValueError, match=r"scenario must be one of NI, NC, NIC, NICv2-79, .* got 'ni'"):
        core50_experiences(*stored, "ni")
    with pytest.raises(ValueError, match="level must be one of object, category, got 'class'"):
        core50_experiences(*stored, level="class")
    with pytest.raises(UserError, match=r"without the file lists of NI/run2 \(there are NC/run0, NI/run0, NI/run1\)"):
        core50_experiences(*stored, run=2)
    with pytest.raises(UserError, match="without the file lists of NICv2-391/run0"):
        core50_experiences(*stored, "NICv2-391")
