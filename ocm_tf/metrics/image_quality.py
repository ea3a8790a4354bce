"""How near images are to the ones they reconstruct, one number an image.

Images are float tensors of shape `(batch, height, width, channels)` with values in [0, 1].
"""

import tensorflow as tf
from keras import ops

from ocm_tf.types import Tensor

# The window of Wang et al. 2004: 11 pixels wide, a Gaussian of standard deviation 1.5.
_WINDOW = 11
# 100 dB: an exact copy would have no finite value.
_LEAST_SQUARE = 1e-10


def mse(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Computes the mean squared error over the pixels and channels of each image.

    Args:
        images: float tensor of shape `(batch, height, width, channels)`, values in [0, 1].
        reconstructions: float tensor of the same shape.

    Returns:
        Float tensor of shape `(batch,)`.

    Raises:
        ValueError: if the shapes are not of that form.
    """
    images, reconstructions = _checked(images, reconstructions)
    return ops.mean(ops.square(images - reconstructions), axis=(1, 2, 3))


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Computes the peak signal-to-noise ratio of each image, in decibels, at most 100.

    psnr = -10 * log10(mse)

    Args:
        images, reconstructions: as for `mse`.

    Returns:
        Float tensor of shape `(batch,)`.

    Raises:
        ValueError: as `mse`.
    """
    return -10.0 * ops.log10(ops.maximum(mse(images, reconstructions), _LEAST_SQUARE))


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Computes the structural similarity of each image, the mean over windows and channels  [Wang et al. 2004].

    Images below 11 pixels have a window of their own size, or one less if that is even.

    Args:
        images, reconstructions: as for `mse`.

    Returns:
        Float tensor of shape `(batch,)`, at most 1.

    Raises:
        ValueError: as `mse`.
    """
    images, reconstructions = _checked(images, reconstructions)
    smallest = min(images.shape[1:3])
    window = min(_WINDOW, smallest - (smallest + 1) % 2)
    return tf.image.ssim(images, reconstructions, max_val=1.0, filter_size=window)


def _checked(images, reconstructions):
    images = ops.convert_to_tensor(images, "float32")
    reconstructions = ops.convert_to_tensor(reconstructions, "float32")
    if len(images.shape) != 4 or images.shape != reconstructions.shape:
        raise ValueError(
            f"images and reconstructions must have one shape (batch, height, width, channels), got {images.shape} "
            f"and {reconstructions.shape}."
        )
    return images, reconstructions
