"""A memory that is a window over the newest part of the stream."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.memory.sample_buffer import SampleBuffer, Samples
from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class SlidingMemory(SampleBuffer):
    """Keeps what arrives, in order; once it is over capacity, a callback drops the oldest or empties it  [TFDSViT].

    Args:
        capacity: number of samples C above which it is full.
        sample_shape: shape of one sample.
        batch_size: most samples of an arriving batch.
        held_back: number of newest samples that training is not given, until `release`; by the time the memory is
            first full, they are samples of the stream that the model has not seen.
        **kwargs: as for `SampleBuffer`.
    """

    def __init__(
        self, capacity: int, sample_shape: Sequence[int], batch_size: int, held_back: int = 0, **kwargs: Any
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if held_back < 0 or 2 * held_back > capacity:
            # Before there are more than so many samples, training has to take the oldest of them.
            raise ValueError(f"held_back must lie in 0..capacity/2={capacity // 2}, got {held_back}.")
        super().__init__(capacity, sample_shape, spare_rows=batch_size, **kwargs)
        self.batch_size, self.held_back = batch_size, held_back
        self.num_seen = self.add_weight(name="num_seen", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.num_held_back = self.add_weight(name="num_held_back", shape=(), dtype="int32", trainable=False,
                                             initializer=keras.initializers.Constant(held_back))  # fmt: skip

    @property
    def is_full(self) -> bool:
        """Whether there are more samples than `capacity`, so that some have to go before the next batch."""
        return len(self) > self.capacity

    def observe(self, images: Tensor, labels: Tensor) -> None:
        """Takes in an arriving batch; works inside a graph.

        Args:
            images: tensor of shape `(batch, *sample_shape)`.
            labels: int tensor of shape `(batch,)`, -1 where there are none.
        """
        num_new = tf.shape(images)[0]
        tf.debugging.assert_less_equal(
            self.count.value + num_new,
            self.num_rows,
            "A sliding memory is over capacity; train with a callback that makes room, such as EnergyExpansion.",
        )
        positions = self.num_seen + tf.range(tf.cast(num_new, tf.int64))
        self.append(Samples(images, labels, positions))
        self.num_seen.assign(self.num_seen + tf.cast(num_new, tf.int64))

    def gather(self) -> Samples:
        """Returns what training may see as `Samples` of tensors, oldest first; works inside a graph."""
        count, held_back = self.count.value, self.num_held_back.value
        num_given = tf.where(count > held_back, count - held_back, count)
        return Samples(*(column[:num_given] for column in self.in_use()))

    def newest(self, num_samples: int, skip: int = 0) -> Samples:
        """Returns a copy of the newest samples, oldest first.

        Args:
            num_samples: how many.
            skip: number of samples newer than these.

        Raises:
            ValueError: if the memory holds fewer.
        """
        if num_samples + skip > len(self):
            raise ValueError(f"{self.name} holds {len(self)} samples, {num_samples} + {skip} are wanted.")
        stop = len(self) - skip
        return self.read().take(slice(stop - num_samples, stop))

    def drop_oldest(self, num_samples: int) -> None:
        """Forgets the oldest samples."""
        self.pop(np.arange(min(num_samples, len(self))))

    def release(self) -> None:
        """Gives training all samples from now on."""
        self.num_held_back.assign(0)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        store["num_seen"], store["num_held_back"] = self.num_seen.numpy(), self.num_held_back.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        self.num_seen.assign(store["num_seen"][()])
        self.num_held_back.assign(store["num_held_back"][()])

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "batch_size": self.batch_size, "held_back": self.held_back}
        del config["spare_rows"]
        return config
