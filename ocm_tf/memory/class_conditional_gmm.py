"""A mixture of diagonal Gaussians for each class."""

from typing import Any

import keras
import numpy as np
from sklearn.cluster import KMeans

from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture
from ocm_tf.memory.latent_generator import VARIANCE_FLOOR, LatentGenerator


@keras.saving.register_keras_serializable(package="ocm_tf")
class ClassConditionalGMM(LatentGenerator):
    """Models the latents of each class by `num_components` diagonal Gaussians.

    One component is the closed form: mean and variance of the class, the variance at least 1e-6. More start from
    k-means and are fitted by `fit_gaussian_mixture`; a class of fewer samples gets as many components as it has.

    It keeps a row `(weight, mean, variance, label)` for each component, C * k * (2 * latent_dim + 1) * 4 bytes and 8
    for each label; weights add up to 1 over all classes, so they hold the shares of the classes too.

    Args:
        num_components: components of a class.
        **kwargs: as for `LatentGenerator`.
    """

    array_names = ("weights", "means", "variances", "labels")

    def __init__(self, num_components: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_components < 1:
            raise ValueError(f"num_components must be at least 1, got {num_components}.")
        self.num_components = num_components

    @property
    def classes(self) -> np.ndarray:
        return np.unique(self.labels)

    @property
    def class_shares(self) -> np.ndarray:
        return np.array([self.weights[self.labels == label].sum(dtype=np.float64) for label in self.classes])

    def _fit(self, latents, labels, rng):
        parts = []
        for label in np.unique(labels):
            members = latents[labels == label]
            weights, means, variances = self._fit_class(members, rng)
            parts.append((weights * (len(members) / len(labels)), means, variances, np.full(len(weights), label)))
        self._keep(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _fit_class(self, members, rng):
        num_components = min(self.num_components, len(members))
        if num_components == 1:
            mean, variance = members.mean(axis=0, dtype=np.float64), members.var(axis=0, dtype=np.float64)
            return np.ones(1), mean[None], np.maximum(variance, VARIANCE_FLOOR)[None]
        clusters = KMeans(num_components, n_init=1, random_state=int(rng.integers(2**31))).fit_predict(members)
        groups = [members[clusters == cluster] for cluster in np.unique(clusters)]
        weights = np.array([len(group) for group in groups]) / len(members)
        means = np.stack([group.mean(axis=0, dtype=np.float64) for group in groups])
        variances = np.stack([group.var(axis=0, dtype=np.float64) for group in groups]) + VARIANCE_FLOOR
        return fit_gaussian_mixture(members, weights, means, variances)[:3]

    def _keep(self, weights, means, variances, labels):
        self.weights, self.means, self.variances = (
            np.asarray(array, np.float32) for array in (weights, means, variances)
        )
        self.labels = np.asarray(labels, np.int64)

    def _draw(self, counts, rng):
        components = np.concatenate(
            [self._components_of(label, count, rng) for label, count in zip(self.classes, counts, strict=True)]
        )
        noise = rng.standard_normal((len(components), self.means.shape[1]), dtype=np.float32)
        return self.means[components] + np.sqrt(self.variances[components]) * noise, self.labels[components]

    def _components_of(self, label, count, rng):
        (rows,) = np.nonzero(self.labels == label)
        shares = self.weights[rows].astype(np.float64)
        return np.repeat(rows, rng.multinomial(count, shares / shares.sum()))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_components": self.num_components}
