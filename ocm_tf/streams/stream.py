"""A task-free stream: batches of images, read once, with nothing said about phases and their boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ocm_tf.types import ArrayLike

if TYPE_CHECKING:
    import tensorflow as tf


class StreamTruth(NamedTuple):
    """What an evaluation may know of a stream and a model may not.

    Attributes:
        labels: int array of shape `(n,)`, in the order of the stream.
        phase_starts: int array, the position at which each phase begins; the first is 0.
        class_names: tuple of str.
        domain_names: tuple of str, the data sets that the stream is made of.
        class_domains: int array of shape `(num_classes,)`, the domain of each class.
    """

    labels: np.ndarray
    phase_starts: np.ndarray
    class_names: tuple
    domain_names: tuple
    class_domains: np.ndarray

    @property
    def domain_starts(self) -> np.ndarray:
        """Positions at which a domain begins, an int array; only 0 where domains are mixed."""
        domains, starts = self.class_domains[self.labels], self.phase_starts
        return starts[(starts == 0) | (domains[starts] != domains[starts - 1])]


class Stream:
    """Images in the order in which they arrive.

    `batches` yields images alone, or with their labels for a classifier. Phases and their boundaries stay in `truth`,
    for evaluation and figures; so do the labels otherwise.

    Args:
        images: uint8 array of shape `(m, height, width, channels)`, in any order.
        labels: int array of shape `(m,)`.
        phase_starts: positions at which a phase (a class, a task, a domain) begins.
        class_names: names of the labels.
        name: how results call the stream.
        order: int array of shape `(n,)`, the index of each arriving image, which may come more than once; None takes
            the images as they are. Images are copied batch by batch, so that a stream of many passes takes little room.
        domain_names: names of the data sets it is made of; by default there is one domain, named as the stream.
        class_domains: the domain of each class.

    Attributes:
        truth: `StreamTruth`, for evaluation only.

    Raises:
        ValueError: if the images are not uint8 of rank 4, or the parts do not fit together.
    """

    def __init__(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        phase_starts: ArrayLike,
        class_names: Sequence[str],
        name: str,
        order: ArrayLike | None = None,
        domain_names: Sequence[str] | None = None,
        class_domains: ArrayLike | None = None,
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(
                f"images must be uint8 of shape (n, height, width, channels), got {images.dtype} of {images.shape}."
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(f"labels must have shape {images.shape[:1]}, got {labels.shape}.")
        order = np.arange(len(images)) if order is None else np.asarray(order)
        starts = np.asarray(phase_starts)
        if len(starts) == 0 or starts[0] != 0 or (np.diff(starts) <= 0).any() or starts[-1] >= len(order):
            raise ValueError(f"phase_starts must rise from 0 to below {len(order)}, got {starts.tolist()}.")
        domain_names = (name,) if domain_names is None else tuple(domain_names)
        class_domains = np.zeros(len(class_names), np.int64) if class_domains is None else np.asarray(class_domains)
        if len(class_domains) != len(class_names) or not np.isin(class_domains, np.arange(len(domain_names))).all():
            raise ValueError(
                f"class_domains must give one of {len(domain_names)} domains for each of {len(class_names)} classes, "
                f"got {class_domains.tolist()}."
            )
        self._images, self._order, self.name = images, order, name
        self.truth = StreamTruth(labels[order], starts, tuple(class_names), domain_names, class_domains)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self._images.shape[1:]

    def images_at(self, positions: np.ndarray | slice) -> np.ndarray:
        """Returns the images that arrive at the given positions, a uint8 array."""
        return self._images[self._order[positions]]

    def num_batches(self, batch_size: int, drop_remainder: bool = True) -> int:
        """Returns the number of batches of the single pass."""
        return len(self) // batch_size if drop_remainder else -(-len(self) // batch_size)

    def batches(
        self, batch_size: int, start: int = 0, drop_remainder: bool = True, labelled: bool = False
    ) -> tf.data.Dataset:
        """Returns the stream as a `tf.data.Dataset` of image batches, to be read once by `fit(..., epochs=1)`.

        Args:
            batch_size: images in a batch.
            start: number of batches to leave out, for a run that goes on where it stopped.
            drop_remainder: whether the images after the last whole batch are left out, as in the authors' code.
            labelled: whether each batch comes as `(images, labels)`, for a model that learns to classify.

        Returns:
            Dataset of uint8 tensors of shape `(batch_size, height, width, channels)`, in pairs with int64 tensors of
            shape `(batch_size,)` if labelled; no task, no boundary.

        Raises:
            ValueError: if no batch would remain.
        """
        import tensorflow as tf

        total = self.num_batches(batch_size, drop_remainder)
        if not 0 <= start < total:
            raise ValueError(f"start must lie in 0..{total - 1} for {total} batches of {batch_size}, got {start}.")
        first, images = start * batch_size, tf.constant(self._images)

        def batched(values):
            return tf.data.Dataset.from_tensor_slices(values[first:]).batch(batch_size, drop_remainder=drop_remainder)

        batches = batched(self._order).map(lambda order: tf.gather(images, order))
        if labelled:
            batches = tf.data.Dataset.zip(batches, batched(self.truth.labels.astype(np.int64)))
        return batches.prefetch(2)
