"""Checks the memory that is a window over the newest samples."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ocm_tf.memory import SlidingMemory
from tests import tiny

SHAPE = (1, 1, 1)


def observe(memory, positions):
    samples = tiny.make_samples(positions)
    memory.observe(tf.constant(samples.images), tf.constant(samples.labels))


@settings(max_examples=15)
@given(
    capacity=st.integers(4, 12),
    batch_size=st.integers(1, 5),
    num_dropped=st.integers(1, 8),
    num_batches=st.integers(1, 12),
)
def test_it_holds_the_newest_samples_and_stays_in_bounds(capacity, batch_size, num_dropped, num_batches):
    memory = SlidingMemory(capacity, SHAPE, batch_size)
    expected = []
    for batch in range(num_batches):
        arriving = range(batch * batch_size, (batch + 1) * batch_size)
        observe(memory, arriving)
        expected.extend(arriving)
        assert len(memory) <= capacity + batch_size
        assert memory.is_full == (len(expected) > capacity)
        if memory.is_full:
            dropped = max(num_dropped, len(memory) - capacity)
            memory.drop_oldest(dropped)
            expected = expected[dropped:]
        assert len(memory) <= capacity
        held = memory.read()
        assert held.positions.tolist() == expected
        tiny.assert_aligned(held)


def test_training_is_not_given_what_is_held_back_until_it_is_released():
    memory = SlidingMemory(8, SHAPE, 2, held_back=3)
    given_positions = []
    for batch in range(5):
        observe(memory, [2 * batch, 2 * batch + 1])
        given_positions.append(memory.gather().positions.numpy().tolist())
    # Before there are more than three, training takes what there is.
    assert given_positions == [[0, 1], [0], [0, 1, 2], [0, 1, 2, 3, 4], list(range(7))]
    assert memory.is_full
    unseen = memory.newest(3).positions.tolist()
    assert unseen == [7, 8, 9]
    assert not set(unseen) & {position for positions in given_positions for position in positions}
    memory.release()
    assert memory.gather().positions.numpy().tolist() == list(range(10))


def test_blocks_are_counted_from_the_newest():
    memory = SlidingMemory(8, SHAPE, 8)
    observe(memory, range(8))
    assert memory.newest(3).positions.tolist() == [5, 6, 7]
    assert memory.newest(3, skip=3).positions.tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match=r"holds 8 samples, 6 \+ 3 are wanted"):
        memory.newest(6, skip=3)


def test_positions_go_on_when_it_has_been_emptied():
    memory = SlidingMemory(4, SHAPE, 2)
    observe(memory, [0, 1])
    memory.clear()
    observe(memory, [2, 3])
    assert memory.read().positions.tolist() == [2, 3]


def test_a_batch_that_does_not_fit_is_refused_with_advice():
    memory = SlidingMemory(3, SHAPE, 2)
    observe(memory, [0, 1])
    observe(memory, [2, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="such as EnergyExpansion"):
        observe(memory, [4, 5])


def test_a_file_keeps_samples_count_and_what_is_held_back():
    memory = SlidingMemory(8, SHAPE, 3, held_back=4)
    observe(memory, [0, 1, 2])
    memory.drop_oldest(1)
    memory.release()
    store = {}
    memory.save_own_variables(store)
    copy = SlidingMemory.from_config(memory.get_config())
    copy.load_own_variables(store)
    assert (copy.capacity, copy.batch_size, copy.held_back, copy.num_rows) == (8, 3, 4, 11)
    tiny.assert_equal_samples(copy.gather(), memory.read())
    observe(copy, [3])
    assert copy.read().positions.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"held_back": -1}, r"held_back must lie in 0..capacity/2=4, got -1"),
        ({"held_back": 5}, r"held_back must lie in 0..capacity/2=4, got 5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SlidingMemory(**{"capacity": 8, "sample_shape": SHAPE, "batch_size": 2, **arguments})
