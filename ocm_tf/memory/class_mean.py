"""The least that can stand in for a class: its mean."""

import keras
import numpy as np

from ocm_tf.memory.latent_generator import LatentGenerator, class_statistics


@keras.saving.register_keras_serializable(package="ocm_tf")
class ClassMean(LatentGenerator):
    """Replays the mean latent of each class, always the same: C * (latent_dim + 1) * 4 bytes and 8 for each label.

    Args:
        **kwargs: as for `LatentGenerator`.
    """

    array_names = ("shares", "means", "labels")

    def _fit(self, latents, labels, rng):
        self.labels, shares, means = class_statistics(latents, labels)
        self.shares, self.means = shares.astype(np.float32), means.astype(np.float32)

    def _draw(self, counts, rng):
        return np.repeat(self.means, counts, axis=0), np.repeat(self.labels, counts)
