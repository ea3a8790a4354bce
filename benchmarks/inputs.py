"""The images that benchmarks run on."""

import numpy as np

from ocm_tf import data


def load_images(count):
    """Returns the first training images of MNIST if it is prepared, else random ones of the same shape.

    Args:
        count: number of images.

    Returns:
        `(images, source)`: uint8 array of shape `(count, 28, 28, 1)` and what they are.
    """
    if data.is_prepared("mnist"):
        return data.load("mnist").train.images[:count], "MNIST"
    return 255 * np.random.default_rng(0).integers(2, size=(count, 28, 28, 1), dtype=np.uint8), "random binary images"


def binary(images, rng):
    """Returns a Bernoulli draw of grey values in [0, 1], a float32 array."""
    return (rng.random(images.shape, np.float32) < images).astype(np.float32)
