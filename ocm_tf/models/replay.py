"""Replay of images."""

import keras
import numpy as np

from ocm_tf.models.continual_classifier import MEMORY
from ocm_tf.models.replay_classifier import ReplayClassifier


@keras.saving.register_keras_serializable(package="ocm_tf")
class Replay(ReplayClassifier):
    """Trains all weights on each experience and on images of earlier ones, equally many of each  [Avalanche].

    It keeps M * (bytes of an image + 8) bytes. The authors' runs had M = 200, a default never changed.

    Args: as for `ReplayClassifier`.
    """

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.buffer.add_balanced(images, labels, self.experience_index, self.rng(MEMORY))
