"""What models take for images: uint8, or float in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.types import Array, Tensor


def checked_images(images: Array, image_shape: Sequence[int]) -> np.ndarray:
    """Returns images as an array after checking shape and range.

    Raises:
        ValueError: if the shape is not `(n, *image_shape)` or a float image is not finite and within [0, 1].
    """
    images = np.asarray(images)
    if images.shape[1:] != image_shape or images.ndim != len(image_shape) + 1:
        raise ValueError(f"images must have shape (n, {', '.join(map(str, image_shape))}), got {images.shape}.")
    if images.dtype != np.uint8 and len(images) and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("images must be uint8, or float without NaN and within [0, 1].")
    return images


def grey_values(images: Tensor) -> Tensor:
    """Returns images as float32 in [0, 1]: uint8 is divided by 255, floats are taken as they are."""
    images = ops.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        return ops.cast(images, "float32") / 255.0
    return ops.cast(images, "float32")
