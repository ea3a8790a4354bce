"""Short-term and long-term memory side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import keras
import tensorflow as tf

from ocm_tf.memory.sample_buffer import SampleBuffer, Samples
from ocm_tf.types import Tensor

if TYPE_CHECKING:
    from ocm_tf.memory.evolving_memory import EvolvingMemory


@keras.saving.register_keras_serializable(package="ocm_tf")
class CooperativeMemory(keras.layers.Layer):
    """Pairs a short-term memory with a long-term one; the model trains on their union  [OCM, Algorithm 2].

    Which samples move from one to the other is decided by a callback, so that any rule serves any model.

    Args:
        short_term: a `ShortTermMemory`.
        long_term: a `SampleBuffer`, or None to train on the short-term memory alone.
        seed_long_term: whether an empty long-term memory takes a copy of the arriving batch, which also gives the
            kernel rule something to compare with.
        seed_duplicate: whether the very first batch is put in the short-term memory twice. The authors' code does so,
            and the published sizes of the long-term memory follow from it.
        replay_limit: most long-term samples that training sees after an arriving batch, drawn at random for each; None
            takes all. It keeps the share of the short-term memory and the computation where much is stored.
        seed: seed of that draw.
        **kwargs: as for `keras.layers.Layer`.
    """

    def __init__(
        self,
        short_term: SampleBuffer,
        long_term: SampleBuffer | EvolvingMemory | None = None,
        seed_long_term: bool = True,
        seed_duplicate: bool = False,
        replay_limit: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if replay_limit is not None and replay_limit < 1:
            raise ValueError(f"replay_limit must be at least 1, got {replay_limit}.")
        self.replay_limit, self.seed = replay_limit, seed
        self.seed_generator = None if replay_limit is None else keras.random.SeedGenerator(seed)
        self.short_term, self.long_term = short_term, long_term
        self.seed_long_term, self.seed_duplicate = seed_long_term, seed_duplicate
        self.num_seen = self.add_weight(name="num_seen", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.built = True

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.short_term.sample_shape

    def observe(self, images: Tensor, labels: Tensor) -> None:
        """Takes in an arriving batch; works inside a graph.

        Args:
            images: tensor of shape `(batch, *sample_shape)`.
            labels: int tensor of shape `(batch,)`, -1 where there are none.
        """
        num_new = tf.shape(images, out_type=tf.int64)[0]
        batch = Samples(images, labels, self.num_seen + tf.range(num_new))
        if self.seed_duplicate:
            tf.cond(self.num_seen.value == 0, lambda: _run(self.short_term.append, batch), _nothing)
        self.short_term.append(batch)
        # Departs from the paper: its long-term memory starts empty, and a mean similarity to nothing has no value. The
        # authors' code seeds it with the arriving batch, at the start and after each expansion.
        if self.long_term is not None and self.seed_long_term:
            tf.cond(self.long_term.count.value == 0, lambda: _run(self.long_term.append, batch), _nothing)
        self.num_seen.assign(self.num_seen + num_new)

    def gather(self) -> Samples:
        """Returns what is trained on as `Samples` of tensors, short-term first; works inside a graph.

        It is all in memory, or with a `replay_limit` the short-term memory and a random part of the other.
        """
        held = self.short_term.in_use()
        if self.long_term is None:
            return held
        return Samples(*(tf.concat(pair, axis=0) for pair in zip(held, self._replayed(), strict=True)))

    def _replayed(self):
        if self.replay_limit is None:
            return self.long_term.in_use()
        order = keras.random.shuffle(tf.range(self.long_term.count), seed=self.seed_generator)
        return self.long_term.rows(order[: self.replay_limit])

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "short_term": serialize(self.short_term),
            "long_term": None if self.long_term is None else serialize(self.long_term),
            "seed_long_term": self.seed_long_term,
            "seed_duplicate": self.seed_duplicate,
            "replay_limit": self.replay_limit,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("short_term", "long_term")
            if config[name] is not None
        }
        return cls(**{**config, **parts})


def _run(function, *arguments):
    # The two branches of a tf.cond must return alike, and `append` returns nothing.
    function(*arguments)
    return tf.constant(0)


def _nothing():
    return tf.constant(0)
