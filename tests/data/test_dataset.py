import dataclasses

import numpy as np
import pytest

from ocm_tf.data import Dataset, DatasetSpec, Split

SPEC = DatasetSpec("name", (2, 3, 1), ("a", "b"), "source", "licence")


def make_split(labels, shape=(2, 3, 1)):
    return Split(np.zeros((len(labels), *shape), np.uint8), np.array(labels, np.int64))


def test_holds_what_it_was_given():
    dataset = Dataset(make_split([0, 1, 1]), make_split([1, 0]), SPEC)
    assert (len(dataset.train), len(dataset.test)) == (3, 2)
    assert dataset.spec.num_classes == 2
    assert dataset.spec.note == ""
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.train = dataset.test


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (np.zeros((2, 2, 3, 1), np.float32), np.zeros(2, np.int64), "images must be a uint8 array of rank 4"),
        (np.zeros((2, 2, 3), np.uint8), np.zeros(2, np.int64), "found uint8 of rank 3"),
        ([[1]], np.zeros(2, np.int64), "found list"),
        (np.zeros((2, 2, 3, 1), np.uint8), np.zeros(2, np.int32), "labels must be a int64 array of rank 1"),
        (np.zeros((2, 2, 3, 1), np.uint8), np.zeros(3, np.int64), "2 images but 3 labels"),
        (np.zeros((2, 2, 3, 1), np.uint8), np.array([0, -1]), "must not be negative, found -1"),
        (np.zeros((0, 2, 3, 1), np.uint8), np.zeros(0, np.int64), "must not be empty"),
        (np.full((2, 2, 3, 1), np.nan), np.zeros(2, np.int64), "found float64"),
    ],
)
def test_split_refuses(images, labels, match):
    with pytest.raises(ValueError, match=match):
        Split(images, labels)


def test_dataset_refuses_other_shapes_labels_and_empty_classes():
    with pytest.raises(ValueError, match=r"test images must have shape \(2, 3, 1\), found \(3, 2, 1\)"):
        Dataset(make_split([0, 1]), make_split([0, 1], (3, 2, 1)), SPEC)
    with pytest.raises(ValueError, match="train labels must be below 2, found 2"):
        Dataset(make_split([0, 1, 2]), make_split([0, 1]), SPEC)
    with pytest.raises(ValueError, match="class 'b' has no image in the test split"):
        Dataset(make_split([0, 1]), make_split([0, 0]), SPEC)
    Dataset(make_split([0, 1]), make_split([0, 0]), SPEC, allow_empty_classes=True)


def test_spec_refuses_odd_shapes_and_repeated_names():
    with pytest.raises(ValueError, match="1 or 3 channels"):
        dataclasses.replace(SPEC, image_shape=(2, 3, 4))
    with pytest.raises(ValueError, match="differ"):
        dataclasses.replace(SPEC, class_names=("a", "a"))
    with pytest.raises(ValueError, match="at least one class"):
        dataclasses.replace(SPEC, class_names=())
    assert dataclasses.replace(SPEC, image_shape=[2, 3, 1]) == SPEC
