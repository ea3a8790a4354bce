"""Checks streams of several domains: what follows what, and that their classes stay apart."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.streams import Stream, domain_sequence


def make_stream(labels, name, starts=(0,), num_classes=3, value=0, shape=(2, 2, 1)):
    """Makes a stream whose images tell its value and their place in it."""
    images = np.zeros((len(labels), *shape), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = value, np.arange(len(labels))
    return Stream(images, np.asarray(labels, np.int64), list(starts), "abcdefghij"[:num_classes], name)


def test_one_domain_follows_the_other_and_labels_count_on():
    first = make_stream([0, 0, 2], "one", (0, 2), value=1)
    second = make_stream([1, 0], "two", (0, 1), num_classes=2, value=2)
    third = make_stream([0], "three", num_classes=1, value=3)
    stream = domain_sequence([first, second, third], "all")
    assert stream.images_at(slice(None))[:, 0, 0, 0].tolist() == [1, 1, 1, 2, 2, 3]
    assert stream.images_at(slice(None))[:, 0, 1, 0].tolist() == [0, 1, 2, 0, 1, 0]
    truth = stream.truth
    assert truth.labels.tolist() == [0, 0, 2, 4, 3, 5]
    assert truth.phase_starts.tolist() == [0, 2, 3, 4, 5]
    assert truth.class_names == ("one a", "one b", "one c", "two a", "two b", "three a")
    assert truth.domain_names == ("one", "two", "three")
    assert truth.class_domains.tolist() == [0, 0, 0, 1, 1, 2]
    assert truth.domain_starts.tolist() == [0, 3, 5]
    assert stream.name == "all" and stream.images_at([0]).dtype == np.uint8


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=4))
def test_nothing_is_lost_and_every_image_keeps_its_domain_and_class(parts):
    streams = [make_stream(labels, f"domain {number}", value=number) for number, labels in enumerate(parts)]
    truth = domain_sequence(streams, "all").truth
    domains = truth.class_domains[truth.labels]
    assert domains.tolist() == [number for number, labels in enumerate(parts) for _ in labels]
    assert (truth.labels - 3 * domains).tolist() == [label for labels in parts for label in labels]
    lengths = [len(labels) for labels in parts]
    assert truth.domain_starts.tolist() == np.cumsum([0, *lengths[:-1]]).tolist()


def test_batches_cross_from_domain_to_domain_and_tell_nothing_of_it():
    streams = [make_stream([0] * 5, "one", value=1), make_stream([0] * 5, "two", value=2)]
    batches = domain_sequence(streams, "all").batches(4)
    assert isinstance(batches.element_spec, tf.TensorSpec) and batches.element_spec.dtype == tf.uint8
    assert [batch[:, 0, 0, 0].tolist() for batch in batches.as_numpy_iterator()] == [[1, 1, 1, 1], [1, 2, 2, 2]]


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([], r"must have names that differ from each other, got \(\)"),
        ([make_stream([0], "one"), make_stream([0], "one")], r"must have names that differ .* got \('one', 'one'\)"),
        (
            [make_stream([0], "one"), make_stream([0], "two", shape=(3, 2, 1))],
            r"images of one shape, got {'one': \(2, 2, 1\), 'two': \(3, 2, 1\)}",
        ),
    ],
)
def test_streams_that_cannot_be_joined_are_refused(streams, message):
    with pytest.raises(ValueError, match=message):
        domain_sequence(streams, "all")
