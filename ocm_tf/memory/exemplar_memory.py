"""A few samples of each class seen, which may have been changed."""

import keras
import numpy as np

from ocm_tf.memory.sample_buffer import SampleBuffer, Samples


@keras.saving.register_keras_serializable(package="ocm_tf")
class ExemplarMemory(SampleBuffer):
    """Holds exemplars with their labels and ranks, which take the place of a stream's positions.

    Pixels are on the scale 0 to 255, also as floats, in which a change of less than a grey level is kept.

    Args:
        capacity: most exemplars.
        sample_shape: shape of an image.
        sample_dtype: `"float32"`, or `"uint8"`, which rounds to the nearest value and takes a quarter of the room.
        **kwargs: as for `keras.layers.Layer`.
    """

    def store(self, samples: Samples) -> None:
        """Replaces all exemplars.

        Args:
            samples: `Samples` whose positions are ranks, images uint8 or float.

        Raises:
            ValueError: if they do not fit.
        """
        # Departs from the paper: its code neither clips nor rounds but cuts off, so that untouched images darken.
        images = quantised(samples.images) if self.sample_dtype == "uint8" else samples.images.astype(np.float32)
        if len(samples.labels) > self.capacity:
            raise ValueError(f"{self.name} has room for {self.capacity} exemplars, got {len(samples.labels)}.")
        self.clear()
        self.add(Samples(images, samples.labels.astype(np.int64), samples.positions.astype(np.int64)))


def quantised(images: np.ndarray) -> np.ndarray:
    """Rounds float images to the nearest of the values 0 to 255; uint8 images stay as they are.

    Args:
        images: array on the scale 0 to 255.

    Returns:
        uint8 array of the same shape.
    """
    return images if images.dtype == np.uint8 else np.clip(np.rint(images), 0, 255).astype(np.uint8)


def trimmed(samples: Samples, quota: int) -> Samples:
    """Returns the exemplars of the lowest ranks, at most `quota` of each class.

    Args:
        samples: `Samples` whose positions are ranks.
        quota: exemplars of a class.
    """
    return samples.take(np.flatnonzero(samples.positions < quota))
