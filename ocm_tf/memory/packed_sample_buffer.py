"""A sample buffer that stores pixels in fewer bits, so that more samples fit in the same bytes."""

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.memory.sample_buffer import SampleBuffer


@keras.saving.register_keras_serializable(package="ocm_tf")
class PackedSampleBuffer(SampleBuffer):
    """Stores grey values in 1, 2 or 4 bits a pixel, several pixels to a byte.

    A value between two levels is rounded to one of them at random, such that its mean stays what it was:

        stored = floor(value * levels / 255 + uniform),  levels = 2**bits - 1

    For a model of Bernoulli pixels, which sees only binary draws of the grey values, a first draw from a stored value
    has then the very distribution of one from the original.

    Args:
        capacity: number of rows.
        sample_shape: shape of one sample, of uint8 values.
        bits: bits a pixel, 1, 2 or 4.
        seed: seed of the rounding.
        **kwargs: as for `SampleBuffer`.
    """

    def __init__(self, capacity, sample_shape, bits=2, seed=None, **kwargs):
        if bits not in (1, 2, 4):
            raise ValueError(f"bits must be 1, 2 or 4, got {bits}.")
        self._num_pixels, self._per_byte = int(np.prod(sample_shape)), 8 // bits
        self.bits, self.seed = bits, seed
        super().__init__(capacity, sample_shape, **kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def stored_shape(self):
        return (-(-self._num_pixels // self._per_byte),)

    def _shifts(self):
        return tf.range(0, 8, self.bits, tf.int32)

    def pack(self, images):
        levels = 2**self.bits - 1
        scaled = tf.cast(tf.reshape(images, [-1, self._num_pixels]), tf.float32) * (levels / 255)
        # Whole levels, such as values packed before, must stay: 85 * 3 / 255 comes out a little above or below 1.
        whole = tf.round(scaled)
        scaled = tf.where(tf.abs(scaled - whole) < 1e-4, whole, scaled)
        uniform = keras.random.uniform(tf.shape(scaled), seed=self.seed_generator)
        values = tf.cast(tf.floor(scaled + uniform), tf.int32)
        values = tf.pad(values, [[0, 0], [0, self.stored_shape[0] * self._per_byte - self._num_pixels]])
        shifted = tf.bitwise.left_shift(tf.reshape(values, [-1, *self.stored_shape, self._per_byte]), self._shifts())
        return tf.cast(tf.reduce_sum(shifted, axis=-1), tf.uint8)

    def unpack(self, stored):
        levels = 2**self.bits - 1
        shifted = tf.bitwise.right_shift(tf.cast(stored, tf.int32)[..., None], self._shifts())
        values = tf.reshape(tf.bitwise.bitwise_and(shifted, levels) * (255 // levels), [tf.shape(stored)[0], -1])
        return tf.cast(tf.reshape(values[:, : self._num_pixels], [-1, *self.sample_shape]), tf.uint8)

    def get_config(self):
        return {**super().get_config(), "bits": self.bits, "seed": self.seed}
