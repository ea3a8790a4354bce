"""A Gaussian with correlated dimensions for each class."""

from typing import Any

import keras
import numpy as np
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from ocm_tf.memory.latent_generator import VARIANCE_FLOOR, LatentGenerator, class_statistics

COVARIANCES = ("full", "shrunk", "tied")


@keras.saving.register_keras_serializable(package="ocm_tf")
class ClassConditionalGaussian(LatentGenerator):
    """Models the latents of each class by one Gaussian with a whole covariance matrix.

    It keeps the lower triangle of each Cholesky factor: C * (d + d * (d + 1) / 2 + 1) * 4 bytes for latents of d
    values, and 8 for each label; `"tied"` keeps one factor for all classes. Meant for d up to 512.

    Args:
        covariance: `"full"`, the empirical one of each class; `"shrunk"`, that one drawn towards a multiple of the unit
            matrix as Ledoit and Wolf (2004) do; or `"tied"`, the empirical one within classes, the same for all.
        **kwargs: as for `LatentGenerator`.
    """

    array_names = ("shares", "means", "factors", "labels")

    def __init__(self, covariance: str = "full", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance must be one of {COVARIANCES}, got {covariance!r}.")
        self.covariance = covariance

    def _fit(self, latents, labels, rng):
        self.labels, shares, means = class_statistics(latents, labels)
        residuals = latents - means[np.searchsorted(self.labels, labels)]
        groups = [residuals] if self.covariance == "tied" else [residuals[labels == label] for label in self.labels]
        self.factors = np.stack([self._factor(group) for group in groups]).astype(np.float32)
        self.shares, self.means = shares.astype(np.float32), means.astype(np.float32)

    def _factor(self, residuals):
        if len(residuals) == 1:  # scikit-learn would warn
            matrix = np.zeros((residuals.shape[1],) * 2)
        else:
            estimator = LedoitWolf if self.covariance == "shrunk" else EmpiricalCovariance
            matrix = estimator(assume_centered=True, store_precision=False).fit(residuals).covariance_
        # Few samples span few dimensions; rounding may then leave eigenvalues a little below zero.
        ridge = VARIANCE_FLOOR + 1e-12 * np.trace(matrix)
        factor = np.linalg.cholesky(matrix + ridge * np.eye(len(matrix)))
        return factor[np.tril_indices(len(matrix))]

    def _draw(self, counts, rng):
        latent_dim = self.means.shape[1]
        triangle = np.tril_indices(latent_dim)
        latents = np.repeat(self.means, counts, axis=0)
        ends = np.cumsum(counts)
        for index, (count, end) in enumerate(zip(counts, ends, strict=True)):
            factor = np.zeros((latent_dim, latent_dim), np.float32)
            factor[triangle] = self.factors[index % len(self.factors)]
            latents[end - count : end] += rng.standard_normal((count, latent_dim), dtype=np.float32) @ factor.T
        return latents, np.repeat(self.labels, counts)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "covariance": self.covariance}
