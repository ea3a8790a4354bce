"""Checks the memory of frozen clusters: room, order, what is dropped, and the way through a configuration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocm_tf.memory import EvolvingMemory
from tests.tiny import assert_aligned, assert_equal_samples, make_samples


def make(max_clusters=3, cluster_size=4):
    return EvolvingMemory(max_clusters, cluster_size, (1, 1, 1))


def cluster(number):
    return make_samples(np.arange(4 * number, 4 * number + 4))


def test_clusters_stand_one_behind_the_other():
    memory = make()
    for number in (5, 2):
        memory.add_cluster(cluster(number), step=10 * number)
    assert (memory.num_clusters, len(memory), memory.num_bytes) == (2, 8, 8)
    assert memory.creation_steps().tolist() == [50, 20]
    clusters = memory.clusters()
    assert clusters.images.shape == (2, 4, 1, 1, 1)
    assert_equal_samples(clusters.take(1), cluster(2))
    assert_equal_samples(memory.in_use(), memory.read())
    assert_equal_samples(memory.rows([6, 1]), memory.read().take([6, 1]))
    assert_aligned(memory.read())


@settings(max_examples=10)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=9))
def test_kept_clusters_never_change_and_dropped_ones_are_counted(choices):
    memory, kept, dropped = make(), [], 0
    for number, index in enumerate(choices):
        if memory.num_clusters == 3:
            index %= 3
            memory.drop(index)
            del kept[index]
            dropped += 4
        memory.add_cluster(cluster(number), number)
        kept.append(number)
    assert memory.num_clusters == len(kept) <= 3 and int(memory.num_discarded.numpy()) == dropped
    assert memory.creation_steps().tolist() == kept
    for index, number in enumerate(kept):
        assert_equal_samples(memory.clusters().take(index), cluster(number))


def test_refusals():
    memory = make(max_clusters=1)
    with pytest.raises(ValueError, match="clusters of 4, got 3 samples"):
        memory.add_cluster(cluster(0).take(slice(3)), 1)
    memory.add_cluster(cluster(0), 1)
    with pytest.raises(ValueError, match="holds 1 clusters already"):
        memory.add_cluster(cluster(1), 2)
    with pytest.raises(IndexError, match="holds 1 clusters, got index 1"):
        memory.drop(1)
    with pytest.raises(ValueError, match="must be at least 1, got 0, 4"):
        make(max_clusters=0)
    assert_equal_samples(memory.read(), cluster(0))


def test_the_configuration_makes_the_same_memory():
    memory = EvolvingMemory(2, 3, (1, 1, 1), "float32")
    copy = EvolvingMemory.from_config(memory.get_config())
    assert copy.get_config() == memory.get_config() and copy.samples.num_rows == 6
