"""What all generators of latents have in common."""

import abc
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.memory.class_counts import class_counts
from ocm_tf.types import ArrayLike, Arrays

VARIANCE_FLOOR = 1e-6  # absolute, so that a constant feature has a finite likelihood  [GLR code]


class LatentGenerator(abc.ABC):
    """A model of labelled latents that stands in for them: it is fitted once and keeps none of them.

    Args:
        multinomial: whether the numbers of samples of the classes are drawn; otherwise they are exact.
        clip_nonneg: whether negative values become zero, as latents behind a ReLU or its pooling have none.
    """

    # Names of the arrays that are the generator's state, attributes of float32, and of int64 for the labels.
    array_names: tuple[str, ...] = ()
    labels: np.ndarray
    shares: np.ndarray

    def __init__(self, multinomial: bool = False, clip_nonneg: bool = False) -> None:
        self.multinomial, self.clip_nonneg = multinomial, clip_nonneg

    def fit(self, latents: ArrayLike, labels: ArrayLike, seed: int | np.random.Generator | None = None) -> Self:
        """Fits the generator to latents in place of all it held before.

        Args:
            latents: float array of shape `(n, latent_dim)`.
            labels: int array of shape `(n,)`; any set of numbers.
            seed: seed of what is random in fitting, or a `numpy.random.Generator`.

        Returns:
            the generator itself.

        Raises:
            ValueError: if the shapes do not fit or there is no sample.
            DivergedError: if a latent is not finite.
        """
        latents, labels = np.asarray(latents), np.asarray(labels, np.int64)
        if latents.ndim != 2 or labels.shape != latents.shape[:1] or len(labels) == 0:
            raise ValueError(
                f"latents and labels must have shapes (n, latent_dim) and (n,) with n > 0, got {latents.shape} and "
                f"{labels.shape}."
            )
        if not np.isfinite(latents).all():
            raise DivergedError("a latent is NaN or infinite: the model has diverged; lower the learning rate")
        self._fit(latents, labels, np.random.default_rng(seed))
        return self

    def sample(
        self, num: int, proportions: str | ArrayLike = "empirical", seed: int | np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws labelled latents, sorted by class.

        Args:
            num: number of samples.
            proportions: `"empirical"`, the shares of the classes when fitted; `"uniform"`; or a float array, one share
                for each of `classes`.
            seed: seed, or a `numpy.random.Generator`.

        Returns:
            latents: float32 array of shape `(num, latent_dim)`.
            labels: int64 array of shape `(num,)`.

        Raises:
            ValueError: if the generator is not fitted or `proportions` do not fit its classes.
        """
        if not self.is_fitted:
            raise ValueError(f"{type(self).__name__} must be fitted before it is sampled.")
        rng = np.random.default_rng(seed)
        counts = class_counts(num, self._shares(proportions), self.multinomial, rng)
        latents, labels = self._draw(counts, rng)
        latents = np.maximum(latents, 0) if self.clip_nonneg else latents
        return latents.astype(np.float32, copy=False), labels

    def _shares(self, proportions):
        if isinstance(proportions, str):
            if proportions not in ("empirical", "uniform"):
                raise ValueError(f"proportions must be 'empirical', 'uniform' or numbers, got {proportions!r}.")
            return self.class_shares if proportions == "empirical" else np.ones(len(self.classes))
        if np.shape(proportions) != (len(self.classes),):
            raise ValueError(f"proportions must be one for each of {len(self.classes)} classes, got {proportions}.")
        return proportions

    @property
    def is_fitted(self) -> bool:
        """Whether there is something to sample from."""
        return all(hasattr(self, name) for name in self.array_names)

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays that the generator keeps."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> Arrays:
        """Returns the fitted state, `{name: array}`; empty before `fit`."""
        return {name: getattr(self, name) for name in self.array_names} if self.is_fitted else {}

    def set_arrays(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Takes up the state of `arrays` of a generator of the same configuration.

        Raises:
            ValueError: if an array is missing or is not the generator's.
        """
        if set(arrays) != set(self.array_names):
            raise ValueError(f"{type(self).__name__} has arrays {self.array_names}, got {tuple(arrays)}.")
        for name in self.array_names:
            setattr(self, name, np.asarray(arrays[name]))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"multinomial": self.multinomial, "clip_nonneg": self.clip_nonneg}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes an unfitted generator from `get_config`."""
        return cls(**config)

    @property
    def classes(self) -> np.ndarray:
        """Int array of the labels that it emits, in order; here its array `labels` has one entry a class."""
        return self.labels

    @property
    def class_shares(self) -> np.ndarray:
        """Float array of each class's share of what it was fitted to; here its array `shares`."""
        return self.shares

    @abc.abstractmethod
    def _fit(self, latents: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
        """Sets the arrays."""

    @abc.abstractmethod
    def _draw(self, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws `counts[c]` latents of each class; returns them with their labels."""


def class_statistics(latents: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the classes, their shares and their means.

    Returns:
        classes: int64 array of shape `(num_classes,)`, sorted.
        shares: float64 array of the same shape, adding up to 1.
        means: float64 array of shape `(num_classes, latent_dim)`.
    """
    classes, counts = np.unique(labels, return_counts=True)
    means = np.stack([latents[labels == label].mean(axis=0, dtype=np.float64) for label in classes])
    return classes, counts / len(labels), means
