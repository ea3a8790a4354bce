"""A sample buffer that stores pixels in fewer bits, so that more samples fit in the same bytes."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ocm_tf.memory.sample_buffer import SampleBuffer
from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class PackedSampleBuffer(SampleBuffer):
    """Stores grey values in 1, 2 or 4 bits a pixel, several pixels to a byte.

    A value between two levels is rounded to one of them at random, such that its mean stays what it was. A model of
    Bernoulli pixels is trained on binary draws of the grey values: one from a value so rounded has the distribution of
    one from the value itself. What is lost is that a stored image is never drawn from the exact value again.

    Args:
        capacity: number of rows.
        sample_shape: shape of one sample, of uint8 values.
        bits: bits a pixel, 1, 2 or 4.
        seed: seed of the rounding.
        **kwargs: as for `SampleBuffer`.

    Raises:
        ValueError: for another number of bits.
        UserError: if it takes more memory than is free.
    """

    def __init__(
        self, capacity: int, sample_shape: Sequence[int], bits: int = 1, seed: int | None = None, **kwargs: Any
    ) -> None:
        if bits not in (1, 2, 4):
            raise ValueError(f"bits must be 1, 2 or 4, got {bits}.")
        self.bits, self.seed, self._num_pixels = bits, seed, math.prod(sample_shape)
        super().__init__(capacity, sample_shape, **kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (-(-self._num_pixels // (8 // self.bits)),)

    def pack(self, images: Tensor) -> Tensor:
        levels = 2**self.bits - 1
        scaled = tf.cast(tf.reshape(images, [-1, self._num_pixels]), tf.int32) * levels
        uniform = keras.random.uniform(tf.shape(scaled), seed=self.seed_generator)
        above = 255.0 * uniform < tf.cast(scaled % 255, tf.float32)
        values = scaled // 255 + tf.cast(above, tf.int32)
        values = tf.pad(values, [[0, 0], [0, self.stored_shape[0] * (8 // self.bits) - self._num_pixels]])
        shifted = tf.bitwise.left_shift(tf.reshape(values, [-1, *self.stored_shape, 8 // self.bits]), self._shifts())
        return tf.cast(tf.reduce_sum(shifted, axis=-1), self.sample_dtype)

    def unpack(self, stored: Tensor) -> Tensor:
        levels = 2**self.bits - 1
        shifted = tf.bitwise.right_shift(tf.cast(stored, tf.int32)[..., None], self._shifts())
        values = tf.reshape(tf.bitwise.bitwise_and(shifted, levels) * (255 // levels), [tf.shape(stored)[0], -1])
        return tf.cast(tf.reshape(values[:, : self._num_pixels], [-1, *self.sample_shape]), self.sample_dtype)

    def _shifts(self):
        return tf.range(0, 8, self.bits, tf.int32)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bits": self.bits, "seed": self.seed}
