"""The images that benchmarks run on."""

from types import SimpleNamespace

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


def make_experience(num_images, seed=0, image_shape=(28, 28, 1), num_classes=10):
    """Makes an experience of noise; what it shows does not matter to the time."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (num_images, *image_shape)).astype(np.uint8)
    return SimpleNamespace(train=SimpleNamespace(images=images, labels=rng.integers(0, num_classes, num_images)))
