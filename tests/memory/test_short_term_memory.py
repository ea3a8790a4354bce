"""Checks when the short-term memory is full and that it starts anew afterwards."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import Samples, ShortTermMemory
from tests.tiny import assert_aligned, assert_equal_samples, make_samples

SHAPE = (1, 1, 1)


def sizes_and_flags(memory, num_batches, batch_size):
    """Appends batches in a graph; returns how many samples are held and whether it is full after each."""
    append = tf.function(memory.append)
    seen = []
    for batch in range(num_batches):
        append(Samples(*map(tf.constant, make_samples(range(batch * batch_size, (batch + 1) * batch_size)))))
        seen.append((len(memory), memory.is_full))
    return seen


@pytest.mark.parametrize(
    ("trigger", "capacity", "expected"),
    [
        ("ge", 8, [(4, False), (8, True), (4, False), (8, True), (4, False)]),
        ("gt", 8, [(4, False), (8, False), (12, True), (4, False), (8, False)]),
        # Where the capacity is no multiple of the batch both mean the same.
        ("ge", 7, [(4, False), (8, True), (4, False), (8, True), (4, False)]),
        ("gt", 7, [(4, False), (8, True), (4, False), (8, True), (4, False)]),
        ("ge", 4, [(4, True), (4, True), (4, True), (4, True), (4, True)]),
    ],
)
def test_is_full_at_or_above_its_capacity_and_then_starts_anew(trigger, capacity, expected):
    assert sizes_and_flags(ShortTermMemory(capacity, SHAPE, 4, trigger), 5, 4) == expected


def test_holds_the_newest_samples_in_order():
    memory = ShortTermMemory(8, SHAPE, 4, "gt")
    sizes_and_flags(memory, 5, 4)
    assert_equal_samples(memory.read(), make_samples(range(12, 20)))


def test_taking_samples_out_does_not_end_the_round():
    memory = ShortTermMemory(8, SHAPE, 4)
    sizes_and_flags(memory, 2, 4)
    popped = memory.pop(np.array([6, 1]))
    assert popped.positions.tolist() == [6, 1]
    assert memory.read().positions.tolist() == [0, 2, 3, 4, 5, 7]
    assert memory.is_full
    assert_aligned(memory.read())
    # What is left is discarded with the next batch.
    memory.append(Samples(*map(tf.constant, make_samples(range(8, 12)))))
    assert memory.read().positions.tolist() == [8, 9, 10, 11] and not memory.is_full


def test_clear_ends_the_round():
    memory = ShortTermMemory(8, SHAPE, 4)
    sizes_and_flags(memory, 2, 4)
    memory.clear()
    assert len(memory) == 0 and not memory.is_full


def test_popping_from_a_memory_that_is_not_full_leaves_it_so():
    memory = ShortTermMemory(8, SHAPE, 4)
    sizes_and_flags(memory, 1, 4)
    memory.pop(np.array([0]))
    assert not memory.is_full


def test_configuration_comes_back():
    memory = ShortTermMemory(9, SHAPE, 5, "gt", sample_dtype="float32", name="newest")
    copy = ShortTermMemory.from_config(memory.get_config())
    assert copy.get_config() == memory.get_config()
    assert copy.num_rows == memory.num_rows == 14
    assert (copy.trigger, copy.batch_size, copy.images.dtype) == ("gt", 5, "float32")


@pytest.mark.parametrize("num_batches", [1, 2])
def test_a_file_keeps_the_full_flag(num_batches):
    memory, copy = ShortTermMemory(8, SHAPE, 4), ShortTermMemory(8, SHAPE, 4)
    sizes_and_flags(memory, num_batches, 4)
    store = {}
    memory.save_own_variables(store)
    store["full"] = np.array(store["full"])
    copy.load_own_variables(store)
    assert copy.is_full is memory.is_full is (num_batches == 2)
    assert_equal_samples(copy.read(), memory.read())


@pytest.mark.parametrize("batch_size", [0, 9])
def test_a_batch_must_fit(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must lie in 1..capacity=8, got {batch_size}"):
        ShortTermMemory(8, SHAPE, batch_size)


def test_an_unknown_trigger_is_refused():
    with pytest.raises(ValueError, match="trigger must be 'ge' or 'gt', got 'eq'"):
        ShortTermMemory(8, SHAPE, 4, "eq")
