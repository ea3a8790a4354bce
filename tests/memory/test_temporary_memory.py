"""Checks the memory of recent samples: capacity, what stays, counts, and the way through a file."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ocm_tf.memory import CooperativeMemory, TemporaryMemory, kept_rows
from tests.tiny import assert_aligned, assert_equal_samples, make_samples

SHAPE = (1, 1, 1)


def make(capacity=8, batch_size=4, policy="recent_random", seed=0):
    return CooperativeMemory(TemporaryMemory(capacity, SHAPE, batch_size, policy, seed))


def feed(memory, num_batches, observe=None):
    for batch in range(num_batches):
        samples = make_samples(np.arange(4 * batch, 4 * batch + 4))
        (observe or memory.observe)(tf.constant(samples.images), tf.constant(samples.labels))
    return memory.short_term


@settings(max_examples=15)
@given(st.sampled_from(["recent_random", "reservoir", "fifo"]), st.integers(1, 9), st.integers(0, 3))
def test_nothing_is_lost_uncounted_and_the_newest_batch_is_there(policy, num_batches, seed):
    memory = feed(make(policy=policy, seed=seed), num_batches)
    held = memory.read()
    assert_aligned(held)
    assert len(set(held.positions.tolist())) == len(memory)
    assert held.positions[-4:].tolist() == list(range(4 * num_batches - 4, 4 * num_batches))
    assert memory.is_full == (num_batches > 2) and len(memory) == min(4 * num_batches, 12)
    assert len(memory) + int(memory.num_discarded.numpy()) == 4 * num_batches
    memory.trim()
    assert len(memory) == min(4 * num_batches, 8) and not memory.is_full
    assert len(memory) + int(memory.num_discarded.numpy()) == 4 * num_batches
    assert_aligned(memory.read())


def test_fifo_keeps_the_newest():
    memory = feed(make(policy="fifo"), 5)
    memory.trim()
    assert_equal_samples(memory.read(), make_samples(range(12, 20)))


def held_often(policy, num_batches=6, repeats=60):
    counts, memory = np.zeros(4 * num_batches), make(policy=policy)
    temporary, observe = memory.short_term, tf.function(memory.observe, autograph=False)
    for _ in range(repeats):
        temporary.clear()
        memory.num_seen.assign(0)
        feed(memory, num_batches, observe)
        temporary.trim()
        counts[temporary.read().positions] += 1
    assert observe.experimental_get_tracing_count() == 1
    return counts.reshape(num_batches, -1).sum(axis=1)


def test_a_reservoir_is_a_uniform_sample_of_all_offered():
    counts = held_often("reservoir")
    expected = 60 * 8 / 6
    # Each sample is held with probability 1/3.
    assert counts.sum() == 60 * 8 and np.abs(counts - expected).max() < 4 * np.sqrt(60 * 4 * 2 / 9)


def test_older_samples_grow_rarer_with_recent_random():
    counts = held_often("recent_random")
    # 8 of 12 stay at each of the cuts behind the batches 3 to 6; the first three batches see all four of them.
    expected = 60 * 4 * (2 / 3) ** np.array([4, 4, 4, 3, 2, 1])
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(60 * 4 / 4)
    assert counts[0] < counts[3] < counts[4] < counts[5]


def test_restart_counts_anew_and_pop_does_not():
    memory = feed(make(policy="reservoir"), 3)
    popped = memory.pop([1, 11])
    assert (len(popped.positions), len(memory)) == (2, 10)
    assert {name: int(value.numpy()) for name, value in memory.counters.items()} == {
        "num_offered": 12, "num_newest": 3, "num_discarded": 0,
    }  # fmt: skip
    kept = memory.read().take([8, 9])
    memory.restart([8, 9], num_moved=5)
    assert_equal_samples(memory.read(), kept)
    assert {name: int(value.numpy()) for name, value in memory.counters.items()} == {
        "num_offered": 2, "num_newest": 2, "num_discarded": 3,
    }  # fmt: skip


def test_what_a_file_stores_brings_back_samples_and_counts():
    layer = feed(make(policy="reservoir", seed=5), 4)
    copy = TemporaryMemory.from_config(layer.get_config())
    store = {}
    layer.save_own_variables(store)
    copy.load_own_variables({name: np.asarray(value) for name, value in store.items()})
    assert_equal_samples(copy.read(), layer.read())
    for name, counter in layer.counters.items():
        assert int(copy.counters[name].numpy()) == int(counter.numpy())
    assert (copy.policy, copy.capacity, copy.batch_size, copy.seed) == ("reservoir", 8, 4, 5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"batch_size must lie in 1..capacity=8, got 9"):
        TemporaryMemory(8, SHAPE, 9)
    with pytest.raises(ValueError, match="policy must be one of"):
        TemporaryMemory(8, SHAPE, 4, "lifo")
    with pytest.raises(ValueError, match="policy must be one of"):
        kept_rows("lifo", 9, 8, 9, None)
