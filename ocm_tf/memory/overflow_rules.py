"""Rules by which an overfull memory is cut back to its capacity: pure functions that work inside a graph."""

import keras
import tensorflow as tf

from ocm_tf.types import Tensor

OVERFLOW_POLICIES = ("recent_random", "reservoir", "fifo")


def kept_rows(
    policy: str, num_held: Tensor, capacity: int, num_offered: Tensor, seed: keras.random.SeedGenerator
) -> Tensor:
    """Chooses which rows of an overfull memory stay; those behind the capacity came since the last cut.

    `"recent_random"` keeps any, so that older samples grow rarer with every cut  [DEMC, authors' code]; `"fifo"` the
    newest; `"reservoir"` lets each row behind the capacity replace one at random with the probability that makes the
    memory a uniform sample of all offered  [DEMC, after Vitter 1985, Algorithm R].

    Args:
        policy: one of `OVERFLOW_POLICIES`.
        num_held: int tensor, rows in use, more than `capacity`.
        capacity: number of rows to keep.
        num_offered: int tensor, samples offered since the memory was empty, among them those held.
        seed: `keras.random.SeedGenerator`.

    Returns:
        int tensor of shape `(capacity,)`, distinct rows.

    Raises:
        ValueError: if the policy is unknown.
    """
    if policy not in OVERFLOW_POLICIES:
        raise ValueError(f"policy must be one of {OVERFLOW_POLICIES}, got {policy!r}.")
    if policy == "fifo":
        return num_held - capacity + tf.range(capacity)
    if policy == "recent_random":
        return tf.sort(keras.random.shuffle(tf.range(num_held), seed=seed)[:capacity])
    newcomers = tf.range(capacity, num_held)
    order = tf.cast(num_offered - num_held + newcomers, tf.float32)
    drawn = tf.cast(keras.random.uniform(tf.shape(newcomers), seed=seed) * (order + 1.0), tf.int32)
    # A slot beyond the capacity is out of the memory; of several newcomers with one slot the last stays.
    slots = tf.where(drawn < capacity, drawn, -1)
    return tf.maximum(tf.range(capacity), tf.math.unsorted_segment_max(newcomers, slots, capacity))
