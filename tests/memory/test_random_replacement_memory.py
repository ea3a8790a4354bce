"""Checks the single memory with random replacement."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import RandomReplacementMemory, SampleBuffer
from tests.tiny import assert_aligned, assert_equal_samples, make_samples

SHAPE = (1, 1, 1)


def make(capacity, seed=0):
    """Makes a memory and its `observe` as a compiled function of a batch number."""
    memory = RandomReplacementMemory(SampleBuffer(capacity, SHAPE), seed)
    observe = tf.function(memory.observe)

    def observe_batch(batch, batch_size=4):
        samples = make_samples(range(batch * batch_size, (batch + 1) * batch_size))
        observe(tf.constant(samples.images), tf.constant(samples.labels))

    return memory, observe_batch


def run(capacity, num_batches, seed=0):
    """Observes batches and returns the positions held after each."""
    memory, observe_batch = make(capacity, seed)
    held = []
    for batch in range(num_batches):
        observe_batch(batch)
        assert_aligned(memory.gather())
        held.append(memory.long_term.read().positions.tolist())
    return held


@pytest.mark.parametrize("capacity", [4, 10, 12])
def test_keeps_to_its_capacity_and_holds_the_newest_batch(capacity):
    held = run(capacity, 8)
    for batch, positions in enumerate(held):
        assert len(positions) == len(set(positions)) == min(4 * (batch + 1), capacity)
        assert positions[-4:] == list(range(4 * batch, 4 * batch + 4))
    for before, after in itertools.pairwise(held):
        assert set(after[:-4]) <= set(before)


def test_nothing_is_lost_before_it_is_full():
    assert sorted(run(12, 3)[-1]) == list(range(12))


def test_every_older_sample_is_as_likely_to_go():
    memory, observe_batch = make(8)
    kept, repeats = np.zeros(8), 120
    for _ in range(repeats):
        memory.long_term.clear()
        memory.num_seen.assign(0)
        for batch in range(3):
            observe_batch(batch)
        # Of the first eight samples four stay when the third batch comes.
        kept[memory.long_term.read().positions[:4]] += 1
    assert kept.sum() == 4 * repeats
    assert np.abs(kept - repeats / 2).max() < 4 * np.sqrt(repeats / 4)


def test_the_seed_decides_what_stays():
    assert run(10, 6, seed=1) == run(10, 6, seed=1) != run(10, 6, seed=2)


def test_configuration_comes_back():
    memory = RandomReplacementMemory(SampleBuffer(6, SHAPE), seed=7, name="random")
    copy = RandomReplacementMemory.from_config(memory.get_config())
    assert copy.get_config() == memory.get_config()
    assert (copy.seed, copy.long_term.capacity, copy.short_term) == (7, 6, None)
    for each in (memory, copy):
        for start in (0, 4, 8):
            samples = make_samples(range(start, start + 4))
            each.observe(samples.images, samples.labels)
    assert_equal_samples(copy.long_term.read(), memory.long_term.read())
