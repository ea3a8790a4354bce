"""A data set in memory: a training split, a test split and what is known about them."""

import dataclasses

import numpy as np

from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.split import Split


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Holds the two splits of a data set and its description.

    Attributes:
        train: the `Split` to learn from.
        test: the `Split` to measure on.
        spec: the `DatasetSpec`.
        allow_empty_classes: whether a split may lack images of a class.

    Raises:
        ValueError: if the images do not have the shape of the spec, a label is beyond its classes, or a
            class has no image in one of the splits (unless allowed).
    """

    train: Split
    test: Split
    spec: DatasetSpec
    allow_empty_classes: bool = False

    def __post_init__(self) -> None:
        for name, split in (("train", self.train), ("test", self.test)):
            if split.images.shape[1:] != self.spec.image_shape:
                raise ValueError(
                    f"{name} images must have shape {self.spec.image_shape}, found {split.images.shape[1:]}"
                )
            if split.labels.max() >= self.spec.num_classes:
                raise ValueError(f"{name} labels must be below {self.spec.num_classes}, found {split.labels.max()}")
            counts = np.bincount(split.labels, minlength=self.spec.num_classes)
            if not self.allow_empty_classes and not counts.all():
                empty = self.spec.class_names[int(np.argmin(counts))]
                raise ValueError(f"class {empty!r} has no image in the {name} split")
