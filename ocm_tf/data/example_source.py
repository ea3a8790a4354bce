"""A data set that is written to disk one example at a time."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from ocm_tf.data.dataset_spec import DatasetSpec


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleSource:
    """Describes the examples to store, which need not be in memory together.

    Attributes:
        train: sized iterable of `(key, example)` pairs; an example is a dict with the keys of `features`.
        test: likewise, of the same type.
        spec: the `DatasetSpec`.
        features: dict from name to TFDS feature; "image" and "label" are among them.
        keep_order: whether the order on disk is the order of the examples, whose keys are then their numbers, or the
            one that TFDS makes from the keys.
        index: dict from name to array, kept beside the examples for `load_index`; empty if there is none.
    """

    train: Iterable
    test: Iterable
    spec: DatasetSpec
    features: Mapping
    keep_order: bool = False
    index: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
