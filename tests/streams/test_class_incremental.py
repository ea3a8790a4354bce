"""Checks the order in which classes come and that each image comes once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.data import Dataset, DatasetSpec, Split, load
from ocm_tf.streams import (
    class_incremental_experiences,
    drawn_class_labels,
    drawn_classes,
    shuffled_class_order,
)

NAMES = tuple("abcdef")


def make_dataset(seed=0):
    """Makes images of six classes that tell their class and their place."""
    rng = np.random.default_rng(seed)

    def split(num_images):
        labels = rng.permutation(np.arange(num_images) % 6)
        images = np.stack([labels, np.arange(num_images)], axis=1).astype(np.uint8)
        return Split(images.reshape(-1, 1, 2, 1), labels)

    return Dataset(split(30), split(12), DatasetSpec("test", (1, 2, 1), NAMES, "a test", "none"))


def test_the_shuffled_order_is_the_one_the_papers_share():
    order = shuffled_class_order(100).tolist()
    assert order[:12] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89]
    assert order[-4:] == [29, 49, 57, 33]
    assert sorted(order) == list(range(100))
    assert shuffled_class_order(100, seed=0).tolist() != order


@given(st.permutations(range(6)), st.sampled_from([1, 2, 3, 6, [3, 1, 2], [4, 2]]))
def test_labels_follow_the_order_and_no_image_is_lost(order, numbers):
    dataset = make_dataset()
    experiences = class_incremental_experiences(dataset, order, numbers)
    expected = [numbers] * (6 // numbers) if isinstance(numbers, int) else numbers
    start, seen = 0, {"train": [], "test": []}
    for index, (experience, number) in enumerate(zip(experiences, expected, strict=True)):
        assert experience.index == index
        assert experience.class_names == tuple(NAMES[label] for label in order)
        for name in seen:
            part = getattr(experience, name)
            images = part.images.reshape(-1, 2)
            assert set(part.labels) == set(range(start, start + number))
            np.testing.assert_array_equal(np.asarray(order)[part.labels], images[:, 0])
            assert (np.diff(images[:, 1].astype(int)) > 0).all()
            seen[name] += images[:, 1].tolist()
        start += number
    assert sorted(seen["train"]) == list(range(30))
    assert sorted(seen["test"]) == list(range(12))


def test_names_tell_the_places_of_the_classes():
    experiences = class_incremental_experiences(make_dataset(), range(6), [4, 1, 1])
    assert [experience.name for experience in experiences] == ["classes 0 to 3", "class 4", "class 5"]


def test_bad_orders_and_numbers_are_refused():
    dataset = make_dataset()
    for order in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 5, 6]):
        with pytest.raises(ValueError, match="each label from 0 to 5 once"):
            class_incremental_experiences(dataset, order, 2)
    for number in (0, 4, -1):
        with pytest.raises(ValueError, match=f"must divide the 6 classes, got {number}"):
            class_incremental_experiences(dataset, range(6), number)
    for numbers in ([3, 2], [6, 0], [7, -1], []):
        with pytest.raises(ValueError, match="positive and add up to 6"):
            class_incremental_experiences(dataset, range(6), numbers)


def test_the_classes_of_imagenet_subset_are_drawn_by_the_legacy_generator():
    drawn = drawn_class_labels()
    assert drawn.tolist() == np.random.RandomState(1993).choice(1000, 100, replace=False).tolist()
    assert len(set(drawn)) == 100
    with pytest.raises(ValueError, match=r"num_drawn must lie in 1\.\.5, got 6"):
        drawn_class_labels(5, 6)


def test_drawn_classes_are_numbered_in_the_order_drawn():
    digits = load("digits")
    subset, drawn = drawn_classes(digits, 3), drawn_class_labels(10, 3)
    assert subset.spec.class_names == tuple(digits.spec.class_names[label] for label in drawn)
    for name in ("train", "test"):
        ours, theirs = getattr(subset, name), getattr(digits, name)
        for place, label in enumerate(drawn):
            np.testing.assert_array_equal(ours.images[ours.labels == place], theirs.images[theirs.labels == label])
