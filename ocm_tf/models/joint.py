"""Training on everything seen so far, the bound that no continual method should pass."""

from typing import Any

import keras
import numpy as np

from ocm_tf.models.continual_classifier import ContinualClassifier
from ocm_tf.types import Arrays


@keras.saving.register_keras_serializable(package="ocm_tf")
class Joint(ContinualClassifier):
    """Trains all weights on the samples of all experiences so far, every one of which it keeps.

    It keeps the sum over experiences of N * (bytes of an image + 4) bytes.

    Args: as for `ContinualClassifier`.
    """

    def __init__(self, backbone: keras.Model, head: keras.Model, **kwargs: Any) -> None:
        super().__init__(backbone, head, **kwargs)
        self._seen: Arrays = {}

    def begin_experience(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
        if not self._seen:
            return images, labels
        return np.concatenate([self._seen["images"], images]), np.concatenate([self._seen["labels"], labels])

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._seen = {"images": self._inputs, "labels": self._labels}

    def state_arrays(self) -> Arrays:
        return dict(self._seen)

    def set_state_arrays(self, arrays: Arrays) -> None:
        self._seen = dict(arrays)
