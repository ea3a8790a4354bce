"""The generator of the authors' code: one mixture whose components are taken for the classes."""

from typing import Any

import keras
import numpy as np

from ocm_tf.memory.class_conditional_gmm import ClassConditionalGMM
from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture
from ocm_tf.memory.latent_generator import class_statistics


@keras.saving.register_keras_serializable(package="ocm_tf")
class ComponentLabelledGMM(ClassConditionalGMM):
    """Fits one mixture to the latents of all classes and labels a sample by the component it came from  [GLR code].

    There are as many components as classes. Labels serve only to start: component k has the mean of the k-th class, a
    variance of 1 and the weight 1 / K. Where components drift from their classes the labels are noisy.

    Args:
        multinomial: whether the numbers of samples of the components are drawn, as the authors do.
        clip_nonneg: as for `LatentGenerator`.
    """

    def __init__(self, multinomial: bool = True, clip_nonneg: bool = False) -> None:
        super().__init__(num_components=1, multinomial=multinomial, clip_nonneg=clip_nonneg)

    def _fit(self, latents, labels, rng):
        classes, _, means = class_statistics(latents, labels)
        weights = np.full(len(classes), 1 / len(classes))
        # Departs from the paper: its code labels by k, which is wrong unless the labels are 0 to K - 1.
        self._keep(*fit_gaussian_mixture(latents, weights, means, np.ones_like(means))[:3], classes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_components"]
        return config
