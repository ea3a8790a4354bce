"""Checks the orders of arrival, and that a stream tells the model nothing of tasks and their boundaries."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.streams import (
    Stream,
    as_stored,
    class_sorted,
    evenly_spaced,
    first_per_class,
    hold_out,
    imbalanced,
    label_groups,
    shuffled,
)

NAMES = tuple("abcdefghij")


@dataclasses.dataclass
class Split:
    images: np.ndarray
    labels: np.ndarray


def make_split(labels):
    """Makes images that tell their place in the data set."""
    labels = np.asarray(labels, np.int64)
    places = np.arange(len(labels))
    images = np.stack([places // 256, places % 256], axis=1).astype(np.uint8)
    return Split(images.reshape(-1, 1, 2, 1), labels)


def places(images):
    """Returns the places of images in the data set."""
    images = np.asarray(images).reshape(-1, 2).astype(int)
    return images[:, 0] * 256 + images[:, 1]


def make_stream(num_images):
    split = make_split(np.zeros(num_images))
    return Stream(split.images, split.labels, [0], NAMES, "test")


LABELS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(LABELS)
def test_class_sorted_is_a_stable_sort(labels):
    split = make_split(labels)
    stream = class_sorted(split, NAMES)
    expected = sorted(range(len(labels)), key=lambda place: labels[place])
    assert places(stream.images_at(slice(None))).tolist() == expected
    assert stream.truth.labels.tolist() == sorted(labels)
    starts = stream.truth.phase_starts.tolist()
    assert [stream.truth.labels[start] for start in starts] == sorted(set(labels))
    assert all(start == 0 or stream.truth.labels[start - 1] != stream.truth.labels[start] for start in starts)


@given(LABELS, st.integers(1, 5))
def test_label_groups_come_one_after_the_other_and_lose_nothing(labels, classes_per_phase):
    split = make_split(labels)
    stream = label_groups(split, NAMES, classes_per_phase, seed=3)
    groups = stream.truth.labels // classes_per_phase
    assert (np.diff(groups) >= 0).all()
    assert sorted(places(stream.images_at(slice(None)))) == list(range(len(labels)))
    np.testing.assert_array_equal(split.labels[places(stream.images_at(slice(None)))], stream.truth.labels)
    assert stream.truth.phase_starts.tolist() == [0, *(np.flatnonzero(np.diff(groups)) + 1)]


def test_label_groups_mix_the_classes_of_a_phase_by_the_seed():
    split = make_split(np.repeat(np.arange(10), 30))
    stream, other = label_groups(split, NAMES, seed=0), label_groups(split, NAMES, seed=1)
    assert stream.truth.phase_starts.tolist() == [0, 60, 120, 180, 240]
    for start in range(0, 300, 60):
        phase = stream.truth.labels[start : start + 60]
        assert set(phase.tolist()) == {start // 30, start // 30 + 1}
        # Sorted labels would change once.
        assert np.count_nonzero(np.diff(phase)) > 10
    assert (stream.truth.labels != other.truth.labels).any()
    again = label_groups(split, NAMES, seed=0)
    np.testing.assert_array_equal(again.images_at(slice(None)), stream.images_at(slice(None)))


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_imbalanced_phases_have_their_exact_sizes_and_no_image_twice(dominant, num_dominant, num_other, seed):
    split = make_split(np.random.default_rng(0).permutation(np.arange(60) % 10))
    stream = imbalanced(split, NAMES, 2, dominant, num_dominant, num_other, seed)
    sizes = [num_dominant if phase == dominant else num_other for phase in range(1, 6)]
    assert stream.truth.phase_starts.tolist() == [0, *np.cumsum(sizes)[:-1]]
    np.testing.assert_array_equal(stream.truth.labels // 2, np.repeat(np.arange(5), sizes))
    drawn = places(stream.images_at(slice(None)))
    assert len(set(drawn.tolist())) == len(drawn) == sum(sizes)
    np.testing.assert_array_equal(split.labels[drawn], stream.truth.labels)


def test_imbalanced_phases_are_drawn_from_all_their_images_by_the_seed():
    split = make_split(np.repeat(np.arange(4), 50))
    streams = [imbalanced(split, NAMES, 2, 1, 20, 10, seed) for seed in range(40)]
    drawn = np.concatenate([places(stream.images_at(slice(20))) for stream in streams])
    # 800 draws of 100 images: one never drawn has a chance of 100 * 0.8**40.
    assert len(np.unique(drawn)) > 95
    classes = np.concatenate([stream.truth.labels[:20] for stream in streams])
    assert abs((classes == 0).mean() - 0.5) < 0.08
    again = imbalanced(split, NAMES, 2, 1, 20, 10, 3)
    np.testing.assert_array_equal(again.images_at(slice(None)), streams[3].images_at(slice(None)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 3, 5, 5), r"dominant must name one of the phases 1\.\.2, got 3"),
        ((2, 0, 5, 5), r"dominant must name one of the phases 1\.\.2, got 0"),
        ((2, 2, 21, 5), "21 images wanted of phase 2, which has 20"),
        ((2, 1, 5, 21), "21 images wanted of phase 2, which has 20"),
        ((2, 1, 0, 5), "num_dominant must be at least 1, got 0"),
        ((2, 1, 5, 0), "num_other must be at least 1, got 0"),
        ((0, 1, 5, 5), "classes_per_phase must be at least 1, got 0"),
    ],
)
def test_imbalanced_refuses_what_it_cannot_make(arguments, message):
    with pytest.raises(ValueError, match=message):
        imbalanced(make_split(np.repeat(np.arange(4), 10)), NAMES, *arguments)


def test_shuffled_passes_each_hold_every_image_once_in_another_order():
    split = make_split(np.arange(40) % 10)
    stream = shuffled(split, NAMES, num_images=3 * len(split.labels), seed=0)
    passes = places(stream.images_at(slice(None))).reshape(3, 40)
    assert (np.sort(passes, axis=1) == np.arange(40)).all()
    assert (passes[0] != passes[1]).any() and (passes[1] != passes[2]).any()
    assert stream.truth.phase_starts.tolist() == [0]
    shorter = shuffled(split, NAMES, num_images=95, seed=0)
    np.testing.assert_array_equal(shorter.truth.labels, stream.truth.labels[:95])


def test_orders_refuse_what_they_cannot_make():
    split = make_split([0, 1])
    with pytest.raises(ValueError, match="classes_per_phase must be at least 1, got 0"):
        label_groups(split, NAMES, 0)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        shuffled(split, NAMES, 0)


def test_first_per_class_keeps_the_order_of_the_data_set():
    split = make_split([3, 1, 3, 1, 1, 3, 3])
    kept = first_per_class(split, 2)
    assert places(kept.images).tolist() == [0, 1, 2, 3]
    assert kept.labels.tolist() == [3, 1, 3, 1] and isinstance(kept, Split)
    assert first_per_class(split, None) is split


def test_first_per_class_names_the_size_of_the_smallest_class():
    with pytest.raises(ValueError, match="4 images per class wanted, the smallest class has 3"):
        first_per_class(make_split([3, 1, 3, 1, 1, 3, 3]), 4)


def test_a_tenth_of_each_class_is_held_out():
    # Sorted by ten, so that every tenth image of all would be of one class.
    split = make_split(np.arange(205) % 10)
    kept, held_out = hold_out(split)
    assert np.bincount(held_out.labels).tolist() == [3] * 5 + [2] * 5
    assert sorted([*places(kept.images), *places(held_out.images)]) == list(range(205))
    np.testing.assert_array_equal(held_out.labels, places(held_out.images) % 10)
    assert places(held_out.images)[:10].tolist() == list(range(10))


def test_as_stored_changes_nothing():
    split = make_split([3, 1, 2])
    stream = as_stored(split, NAMES, "stored")
    assert places(stream.images_at(slice(None))).tolist() == [0, 1, 2] and stream.truth.labels.tolist() == [3, 1, 2]
    assert stream.truth.phase_starts.tolist() == [0] and stream.name == "stored"


def test_evenly_spaced_takes_from_every_part():
    split = make_split(np.arange(10))
    kept = evenly_spaced(split, 4)
    assert places(kept.images).tolist() == kept.labels.tolist() == [0, 2, 5, 7]
    assert evenly_spaced(split, None) is evenly_spaced(split, 10) is evenly_spaced(split, 11) is split


def test_a_stream_is_one_domain_unless_told_otherwise():
    split = make_split([0, 1, 0, 1])
    alone = Stream(split.images, split.labels, [0], "ab", "alone").truth
    assert alone.domain_names == ("alone",) and alone.class_domains.tolist() == [0, 0]
    assert alone.domain_starts.tolist() == [0]
    mixed = shuffled(split, "ab", domain_names=["one", "two"], class_domains=[0, 1]).truth
    assert mixed.domain_names == ("one", "two") and mixed.class_domains.tolist() == [0, 1]
    assert mixed.domain_starts.tolist() == [0]


@pytest.mark.parametrize("class_domains", [[0], [0, 2], [0, -1], [0, 0, 1]])
def test_every_class_needs_a_domain(class_domains):
    split = make_split([0, 1])
    with pytest.raises(ValueError, match="class_domains must give one of 2 domains for each of 2 classes"):
        Stream(split.images, split.labels, [0], "ab", "name", None, ["one", "two"], class_domains)


def test_batches_hold_images_and_nothing_else():
    spec = make_stream(10).batches(4).element_spec
    assert isinstance(spec, tf.TensorSpec)
    assert spec.dtype == tf.uint8 and spec.shape.as_list() == [4, 1, 2, 1]


def test_labelled_batches_hold_images_with_their_labels_and_nothing_else():
    stream = label_groups(make_split(np.arange(40) % 10), NAMES)
    batches = stream.batches(4, start=2, labelled=True)
    images, labels = batches.element_spec
    assert images.dtype == tf.uint8 and images.shape.as_list() == [4, 1, 2, 1]
    assert labels.dtype == tf.int64 and labels.shape.as_list() == [4]
    pairs = [(places(images), labels.numpy()) for images, labels in batches]
    assert len(pairs) == 8
    for position, (drawn, labels) in enumerate(pairs, 2):
        np.testing.assert_array_equal(drawn, places(stream.images_at(slice(4 * position, 4 * position + 4))))
        np.testing.assert_array_equal(labels, drawn % 10)


def test_batches_are_the_same_wherever_the_boundaries_lie():
    split = make_split(np.arange(40) % 10)
    streams = [Stream(split.images, split.labels, starts, NAMES, "test") for starts in ([0], [0, 8, 25])]
    for labelled in (False, True):
        first, second = (list(stream.batches(4, labelled=labelled).as_numpy_iterator()) for stream in streams)
        for ours, theirs in zip(first, second, strict=True):
            np.testing.assert_equal(ours, theirs)


@pytest.mark.parametrize(("drop_remainder", "sizes"), [(True, [4, 4]), (False, [4, 4, 2])])
def test_batches_are_one_pass_in_the_order_of_the_stream(drop_remainder, sizes):
    stream = make_stream(10)
    batches = [places(batch) for batch in stream.batches(4, drop_remainder=drop_remainder)]
    assert [len(batch) for batch in batches] == sizes
    assert stream.num_batches(4, drop_remainder) == len(sizes)
    assert np.concatenate(batches).tolist() == list(range(sum(sizes)))


def test_start_leaves_out_the_batches_before_it():
    stream = make_stream(300)
    expected = [places(batch).tolist() for batch in stream.batches(7)]
    for start in (1, 30, 41):
        assert [places(batch).tolist() for batch in stream.batches(7, start)] == expected[start:]


@pytest.mark.parametrize("start", [-1, 2, 5])
def test_a_start_outside_the_stream_is_refused(start):
    with pytest.raises(ValueError, match=rf"start must lie in 0\.\.1 for 2 batches of 4, got {start}"):
        make_stream(10).batches(4, start)


def test_a_stream_shorter_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="0 batches of 11"):
        make_stream(10).batches(11)


def test_knows_its_length_and_image_shape():
    stream = make_stream(10)
    assert len(stream) == 10 and stream.image_shape == (1, 2, 1) and stream.name == "test"
    assert stream.truth.class_names == NAMES


@pytest.mark.parametrize(
    ("images", "labels", "starts", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.float32), [0, 0], [0], "must be uint8 of shape .* got float32"),
        (np.zeros((2, 4, 4), np.uint8), [0, 0], [0], r"must be uint8 of shape .* of \(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0], [0], r"labels must have shape \(2,\), got \(1,\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 0], [], "phase_starts must rise from 0"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 0], [1], "phase_starts must rise from 0"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 0], [0, 0], "phase_starts must rise from 0"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 0], [0, 2], "phase_starts must rise from 0 to below 2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(images, labels, starts, message):
    with pytest.raises(ValueError, match=message):
        Stream(images, labels, starts, NAMES, "test")
