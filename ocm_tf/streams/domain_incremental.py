"""Experiences in which the classes stay and the look of the images changes: permuted and rotated.

Both rearrange pixels, and both do so before any resizing. Every experience has all images, training and test alike.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ocm_tf.streams.experience import Experience
from ocm_tf.streams.experience_split import ExperienceSplit
from ocm_tf.streams.orders import evenly_spaced

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset

# A pixel of the result that comes from none of the image.
_OUTSIDE = -1
# The seed of the released runs of Generative Latent Replay.
_RELEASED_SEED = 43769


def permuted_experiences(
    dataset: Dataset,
    num_experiences: int = 5,
    seed: int = _RELEASED_SEED,
    num_train: int | None = None,
    num_test: int | None = None,
) -> list[Experience]:
    """Shuffles the pixels of all images, in each experience in a way of its own, the first one included.

    Source: Permuted MNIST of Avalanche, which Generative Latent Replay (Armstrong et al. 2022) uses.

    Args:
        dataset: `Dataset`; its images may be of any size and are shared by the experiences.
        num_experiences: number of experiences.
        seed: seed of the permutations.
        num_train: training images of every experience, the same ones, at equal distances in the order of the data
            set; None takes all.
        num_test: test images of every experience, likewise.

    Returns:
        List of `Experience`.

    Raises:
        ValueError: if there is to be no experience or no image.
    """
    height, width, _ = dataset.spec.image_shape
    permutations = pixel_permutations(height * width, num_experiences, seed)
    names = [f"permutation {index}" for index in range(num_experiences)]
    return _rearranged_experiences(dataset, names, permutations, num_train, num_test)


def rotated_experiences(
    dataset: Dataset, num_experiences: int = 5, num_train: int | None = None, num_test: int | None = None
) -> list[Experience]:
    """Turns all images counter-clockwise, in each experience by another angle, from 0 in equal steps to below 360.

    Source: Rotated MNIST of Generative Latent Replay (Armstrong et al. 2022).

    Args:
        dataset, num_experiences, num_train, num_test: as for `permuted_experiences`.

    Returns:
        List of `Experience`.

    Raises:
        ValueError: if there is to be no experience or no image.
    """
    height, width, _ = dataset.spec.image_shape
    angles = rotation_angles(num_experiences)
    pixels = [rotated_pixels(height, width, angle) for angle in angles]
    return _rearranged_experiences(dataset, [f"rotation {angle:g}" for angle in angles], pixels, num_train, num_test)


def _rearranged_experiences(dataset, names, pixels, num_train, num_test):
    splits = []
    for argument, split, number in (("num_train", dataset.train, num_train), ("num_test", dataset.test, num_test)):
        if number is not None and not 1 <= number <= len(split.labels):
            raise ValueError(f"{argument} must lie in 1..{len(split.labels)}, got {number}.")
        splits.append(evenly_spaced(split, number))
    experiences = []
    for index, (name, each) in enumerate(zip(names, pixels, strict=True)):
        change = functools.partial(rearranged, pixels=each)
        train, test = (ExperienceSplit(split.images, split.labels, transform=change) for split in splits)
        experiences.append(Experience(index, name, train, test, dataset.spec.class_names))
    return experiences


def pixel_permutations(num_pixels: int, num_permutations: int, seed: int) -> np.ndarray:
    """Draws permutations one after the other from NumPy's legacy generator, whose draws never change.

    Args:
        num_pixels: length of a permutation.
        num_permutations: number of permutations, at least 1.
        seed: seed of the generator.

    Returns:
        Int array of shape `(num_permutations, num_pixels)`.

    Raises:
        ValueError: if `num_permutations` is below 1.
    """
    _check_number(num_permutations)
    generator = np.random.RandomState(seed)
    return np.stack([generator.permutation(num_pixels) for _ in range(num_permutations)])


def rotation_angles(num_angles: int) -> np.ndarray:
    """Divides the full circle.

    angles = linspace(0, 360, num_angles + 1)[:-1]

    Args:
        num_angles: number of angles, at least 1.

    Returns:
        Float array of shape `(num_angles,)`, degrees.

    Raises:
        ValueError: if `num_angles` is below 1.

    Example:
        >>> rotation_angles(4)
        array([  0.,  90., 180., 270.])
    """
    _check_number(num_angles)
    return np.linspace(0, 360, num_angles, endpoint=False)


def _check_number(num_experiences):
    if num_experiences < 1:
        raise ValueError(f"num_experiences must be at least 1, got {num_experiences}.")


def rotated_pixels(height: int, width: int, angle: float) -> np.ndarray:
    """Computes which pixel each pixel of a rotated image shows: the nearest one, on a canvas of the same size.

    Args:
        height, width: size of the image.
        angle: degrees, counter-clockwise.

    Returns:
        Int array of shape `(height * width,)`: flat index of a pixel, or -1 where nothing of the image comes to lie.
    """
    pixels = np.arange(height * width).reshape(height, width)
    # "grid-constant" counts half a pixel beyond the outermost centres as part of the image, as Pillow does too.
    return ndimage.rotate(pixels, angle, reshape=False, order=0, mode="grid-constant", cval=_OUTSIDE).ravel()


def rearranged(images: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Moves the pixels of images.

    rearranged[n, p] = images[n, pixels[p]], or 0 where pixels[p] = -1

    Args:
        images: uint8 array of shape `(num_images, height, width, channels)`.
        pixels: int array of shape `(height * width,)`, flat indices of pixels or -1.

    Returns:
        Uint8 array of the shape of `images`.
    """
    # An index of -1 takes the last pixel, which is then overwritten.
    moved = np.take(images.reshape(len(images), -1, images.shape[-1]), pixels, axis=1)
    moved[:, pixels == _OUTSIDE] = 0
    return moved.reshape(images.shape)
