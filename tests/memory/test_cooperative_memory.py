"""Checks how the pair of memories takes in batches, and what the model sees of it."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import CooperativeMemory, SampleBuffer, ShortTermMemory
from tests.tiny import assert_aligned, assert_equal_samples, make_memory, make_samples

SHAPE = (1, 1, 1)


def observe(memory, num_batches, batch_size=4, start=0):
    for batch in range(start, start + num_batches):
        samples = make_samples(range(batch * batch_size, (batch + 1) * batch_size))
        memory.observe(samples.images, samples.labels)


def test_the_first_batch_seeds_the_long_term_memory():
    memory = make_memory(image_shape=SHAPE)
    observe(memory, 2)
    assert_equal_samples(memory.short_term.read(), make_samples(range(8)))
    assert_equal_samples(memory.long_term.read(), make_samples(range(4)))


def test_an_emptied_long_term_memory_takes_the_next_batch():
    memory = make_memory(image_shape=SHAPE)
    observe(memory, 2)
    memory.long_term.clear()
    observe(memory, 2, start=2)
    assert memory.long_term.read().positions.tolist() == [8, 9, 10, 11]


def test_seeding_can_be_left_out():
    memory = make_memory(image_shape=SHAPE, seed_long_term=False)
    observe(memory, 2)
    assert len(memory.long_term) == 0


def test_the_very_first_batch_alone_is_doubled():
    memory = make_memory(16, image_shape=SHAPE, seed_duplicate=True)
    observe(memory, 3)
    assert memory.short_term.read().positions.tolist() == [0, 1, 2, 3, *range(12)]
    # Only the first batch of all, not the first after the long-term memory was emptied.
    memory.long_term.clear()
    observe(memory, 1, start=3)
    assert memory.short_term.read().positions.tolist() == [12, 13, 14, 15]


def test_the_union_has_the_short_term_samples_first():
    memory = make_memory(image_shape=SHAPE)
    observe(memory, 2)
    held = memory.gather()
    assert_equal_samples(held, make_samples([*range(8), *range(4)]))


def test_without_a_long_term_memory_there_is_the_short_term_one_alone():
    memory = make_memory(long_term_capacity=None, image_shape=SHAPE)
    observe(memory, 2)
    assert_equal_samples(memory.gather(), make_samples(range(8)))


def test_positions_count_on_over_rounds():
    memory = make_memory(image_shape=SHAPE)
    observe(memory, 5)
    assert int(memory.num_seen.numpy()) == 20
    assert memory.short_term.read().positions.tolist() == [16, 17, 18, 19]


def test_a_replay_limit_draws_another_part_of_the_long_term_memory_for_each_batch():
    memory = make_memory(image_shape=SHAPE, seed_long_term=False, replay_limit=5, seed=0)
    observe(memory, 2)
    assert_equal_samples(memory.gather(), make_samples(range(8)))
    memory.long_term.add(make_samples(range(100, 112)))
    gather = tf.function(memory.gather)
    counts = np.zeros(12)
    for _ in range(300):
        held = gather()
        assert_aligned(held)
        np.testing.assert_array_equal(held.positions[:8], range(8))
        replayed = held.positions[8:].numpy() - 100
        assert len(set(replayed)) == 5
        counts[replayed] += 1
    np.testing.assert_allclose(counts / 300, 5 / 12, atol=5 * 0.5 / np.sqrt(300))


def test_a_replay_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="replay_limit must be at least 1, got 0"):
        make_memory(replay_limit=0)


@pytest.mark.parametrize("long_term", [None, SampleBuffer(5, SHAPE, name="kept")])
def test_configuration_comes_back(long_term):
    memory = CooperativeMemory(ShortTermMemory(9, SHAPE, 3, "gt"), long_term, False, True, 4, 7, name="pair")
    copy = CooperativeMemory.from_config(memory.get_config())
    assert copy.get_config() == memory.get_config()
    assert (copy.seed_long_term, copy.seed_duplicate, copy.replay_limit, copy.seed) == (False, True, 4, 7)
    assert copy.short_term.trigger == "gt" and copy.sample_shape == SHAPE
    assert (copy.long_term is None) == (long_term is None)
    assert [weight.shape for weight in copy.weights] == [weight.shape for weight in memory.weights]
    assert not any(np.any(weight) for weight in copy.get_weights())
