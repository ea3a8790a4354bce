"""A single memory that replaces samples at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import keras
import tensorflow as tf

from ocm_tf.memory.sample_buffer import Samples
from ocm_tf.types import Tensor

if TYPE_CHECKING:
    from ocm_tf.memory.sample_buffer import SampleBuffer


@keras.saving.register_keras_serializable(package="ocm_tf")
class RandomReplacementMemory(keras.layers.Layer):
    """Keeps each arriving batch; once full, as many randomly chosen older samples make room (VAE-ELBO-Random).

    Args:
        long_term: the `SampleBuffer` that holds everything.
        seed: seed of the random choice.
        **kwargs: as for `keras.layers.Layer`.
    """

    short_term = None

    def __init__(self, long_term: SampleBuffer, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.long_term, self.seed = long_term, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.num_seen = self.add_weight(name="num_seen", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.built = True

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.long_term.sample_shape

    def observe(self, images: Tensor, labels: Tensor) -> None:
        """Takes in an arriving batch; works inside a graph.

        Args:
            images: tensor of shape `(batch, *sample_shape)`, no more than the capacity.
            labels: int tensor of shape `(batch,)`, -1 where there are none.
        """
        buffer, num_new = self.long_term, tf.shape(images, out_type=tf.int64)[0]
        held = buffer.in_use()
        num_kept = tf.minimum(buffer.count, buffer.capacity - tf.cast(num_new, tf.int32))
        kept = keras.random.shuffle(tf.range(buffer.count), seed=self.seed_generator)[:num_kept]
        batch = Samples(images, labels, self.num_seen + tf.range(num_new))
        buffer.count.assign(0)
        buffer.append(Samples(*(tf.gather(column, kept) for column in held)))
        buffer.append(batch)
        self.num_seen.assign(self.num_seen + num_new)

    def gather(self) -> Samples:
        """Returns all samples in memory as `Samples` of tensors; works inside a graph."""
        return self.long_term.in_use()

    def get_config(self) -> dict[str, Any]:
        long_term = keras.saving.serialize_keras_object(self.long_term)
        return {**super().get_config(), "long_term": long_term, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "long_term": keras.saving.deserialize_keras_object(config["long_term"])})
