"""CelebA as TFDS stores it, shrunk to 64x64 and labelled by one attribute."""

from typing import Any

import numpy as np

from ocm_tf.data.area_resize import area_resize
from ocm_tf.data.storage import iterate_batches

# Faces are aligned in 218x178; the square in the middle is the customary crop.
CROP = 178
SIZE = 64
# CelebA has attributes, not classes. This one is among the most balanced (42 % of the images) and reliable.
ATTRIBUTE = "Male"


def read_celeb_a(builder: Any) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Reads CelebA in batches, so that the images of full size are never all in memory.

    Args:
        builder: TFDS builder of the prepared `celeb_a`.

    Returns:
        arrays: dict from "train" and "test" to a pair of images (uint8, `(num_images, 64, 64, 3)`) and labels
            (int64, `(num_images,)`, 1 where the attribute "Male" holds). The validation split is left out.
        class_names: `("not Male", "Male")`.
    """
    arrays = {name: _read_split(builder, name) for name in ("train", "test")}
    return arrays, (f"not {ATTRIBUTE}", ATTRIBUTE)


def _read_split(builder, split):
    num_examples = builder.info.splits[split].num_examples
    images = np.empty((num_examples, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(num_examples, np.int64)
    start = 0
    for batch in iterate_batches(builder, split, {"image": True, "attributes": {ATTRIBUTE: True}}):
        stop = start + len(batch["image"])
        images[start:stop] = shrink(batch["image"])
        labels[start:stop] = batch["attributes"][ATTRIBUTE]
        start = stop
    if start != num_examples:
        raise ValueError(f"split {split} has {start} examples instead of {num_examples}")
    return images, labels


def shrink(images: np.ndarray) -> np.ndarray:
    """Crops the 178x178 square in the middle and shrinks it to 64x64 by area averaging.

    Args:
        images: uint8 array of shape `(num_images, height, width, 3)`, both sides at least 178.

    Returns:
        images: uint8 array of shape `(num_images, 64, 64, 3)`.
    """
    top, left = (images.shape[1] - CROP) // 2, (images.shape[2] - CROP) // 2
    return area_resize(images[:, top : top + CROP, left : left + CROP], SIZE, SIZE)
