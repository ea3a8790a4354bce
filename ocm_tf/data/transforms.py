"""Fixed changes of all images, which make another visibly different domain of a data set: `NAME:inverted` and so on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ocm_tf.data.area_resize import area_resize
from ocm_tf.data.split import Split

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset

TRANSFORMS = {
    "inverted": ("grey values or colours inverted", lambda images: 255 - images),
    "transposed": ("rows and columns exchanged", lambda images: np.ascontiguousarray(images.swapaxes(1, 2))),
}
"""Each transform by name: what to say of it, and a function of uint8 images `(n, height, width, channels)`."""


def split_transform(name: str) -> tuple[str, str | None]:
    """Separates the transform from the name of a data set.

    Args:
        name: any name of a data set, such as `"digits:inverted"`.

    Returns:
        `(name, transform)`, the transform `None` where the name has none.
    """
    base, _, transform = str(name).rpartition(":")
    # `folder:inverted` is a user's folder of that name.
    if transform in TRANSFORMS and base not in ("", "folder", "npz"):
        return base, transform
    return name, None


def apply_transform(dataset: Dataset, transform: str) -> Dataset:
    """Transforms the images of both splits; the labels stay.

    Args:
        dataset: a `Dataset`.
        transform: a key of `TRANSFORMS`.

    Returns:
        dataset: a `Dataset` named `NAME:TRANSFORM`, with a note on the change.
    """
    description, change = TRANSFORMS[transform]
    return _changed(dataset, change, f"{dataset.spec.name}:{transform}", description)


def shrink(dataset: Dataset, size: int) -> Dataset:
    """Shrinks the images of both splits by averaging over areas.

    Args:
        dataset: a `Dataset` of images of at least `size` by `size` pixels.
        size: new height and width.

    Returns:
        dataset: a `Dataset` of the same name, with a note on the change.

    Raises:
        ValueError: if the images are smaller.
    """
    description = f"shrunk to {size}x{size}"
    return _changed(dataset, lambda images: area_resize(images, size, size), dataset.spec.name, description)


def _changed(dataset, change, name, description):
    train, test = (Split(change(split.images), split.labels) for split in (dataset.train, dataset.test))
    spec = dataclasses.replace(
        dataset.spec,
        name=name,
        image_shape=train.images.shape[1:],
        note="; ".join(filter(None, (dataset.spec.note, description))),
    )
    return dataclasses.replace(dataset, train=train, test=test, spec=spec)
