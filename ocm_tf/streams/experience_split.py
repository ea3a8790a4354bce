"""Images and labels of one part of an experience, made when they are asked for."""

import math
import weakref
from collections.abc import Callable

import numpy as np

from ocm_tf.data import Split
from ocm_tf.free_memory import require_memory
from ocm_tf.types import ArrayLike


class ExperienceSplit:
    """Chooses images of a larger array and changes them, but only when asked for them.

    `images` is made anew unless someone still holds it, so that experiences which share the images of one data set
    take no more room than the one in use.

    Args:
        images: uint8 array of shape `(m, height, width, channels)`; it may be memory-mapped and is never copied whole
            if `rows` choose from it.
        labels: int array of shape `(m,)`.
        rows: int array of shape `(n,)`, the images chosen, in their order; None chooses all.
        transform: function of a uint8 array `(n, height, width, channels)` that returns one of the same shape; None
            leaves the images as they are.

    Attributes:
        labels: int64 array of shape `(n,)`.

    Raises:
        ValueError: if the images are not uint8 of rank 4, no image is chosen, or the parts do not fit together.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: ArrayLike,
        rows: ArrayLike | None = None,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        labels = np.asarray(labels)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(
                f"images must be uint8 of shape (n, height, width, channels), got {images.dtype} of {images.shape}."
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(f"labels must have shape {images.shape[:1]}, got {labels.shape}.")
        if rows is not None:
            rows = np.asarray(rows, np.int64)
            if rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(images)):
                raise ValueError(f"rows must be a list of numbers from 0 to {len(images) - 1}, got {rows}.")
        self._source, self._rows, self._transform = images, rows, transform
        self.labels = labels.astype(np.int64) if rows is None else labels[rows].astype(np.int64)
        if len(self.labels) == 0:
            raise ValueError("rows must choose at least one image, got none.")
        self._made: weakref.ref[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`, known without making the images."""
        return self._source.shape[1:]

    @property
    def images(self) -> np.ndarray:
        """uint8 array of shape `(n, height, width, channels)`, the same one as long as it is held anywhere.

        Raises:
            UserError: if they take more memory than is free.
        """
        images = None if self._made is None else self._made()
        if images is None:
            images = self._make()
            self._made = weakref.ref(images)
        return images

    def _make(self):
        if self._rows is not None or self._transform is not None:
            num_bytes = math.prod(self.image_shape)
            arithmetic = f"an experience of {len(self):,} images x {num_bytes:,} bytes"
            require_memory(len(self) * num_bytes, arithmetic)
        images = self._source if self._rows is None else self._source[self._rows]
        if self._transform is None:
            return images
        expected = images.shape
        images = self._transform(images)
        if images.shape != expected or images.dtype != np.uint8:
            raise ValueError(
                f"transform must return uint8 of shape {expected}, returned {images.dtype} of {images.shape}."
            )
        return images

    def load(self) -> Split:
        """Makes the images and keeps them.

        Returns:
            A `Split`, which holds its images for good.
        """
        return Split(np.asarray(self.images), self.labels)
