"""When a new cluster is frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.memory.cluster_rules import (
    CLUSTER_SELECTIONS,
    MOMENTS,
    REDUCTIONS,
    calibrated_threshold,
    dropped_cluster,
    gaussian_distance,
    latent_moments,
    select_for_cluster,
)
from ocm_tf.types import Logs

if TYPE_CHECKING:
    from ocm_tf.memory.evolving_memory import EvolvingMemory
    from ocm_tf.memory.temporary_memory import TemporaryMemory

QUERIES = ("candidate", "batch", "temporary")
CALIBRATIONS = ("auto", "adaptive")


class NoveltyCheck(NamedTuple):
    """What one check saw and did.

    Attributes:
        batch: number of stream batches seen, counting this one.
        distances: float array, the query's distance from each cluster held before; empty for the first cluster.
        distance: float, the reduced distance that was compared; NaN for the first cluster.
        threshold: float that it was compared with; NaN for the first cluster.
        expanded: whether a cluster was made.
    """

    batch: int
    distances: np.ndarray
    distance: float
    threshold: float
    expanded: bool


class ClusterExpansion(keras.callbacks.Callback):
    """Freezes samples of the temporary memory as a new cluster when they are far from all clusters  [DEMC].

    Each time the temporary memory exceeds its capacity, the latent Gaussian of a query is compared with that of each
    cluster (Eq. 8); above the threshold, or where there is no cluster yet, a selection (Eq. 11) becomes a cluster and
    the temporary memory starts anew. Otherwise it is cut back to its capacity.

    The model has `posterior(images)` and `reconstruct(images, sample, seed)` and a memory of a `TemporaryMemory` and an
    `EvolvingMemory` as `short_term` and `long_term`. A full evolving memory drops, of the two clusters nearest to each
    other, the one nearer to the rest.

    Args:
        threshold: distance in nats per latent dimension above which a query is novel; or `"auto"`, twice the 95th
            percentile of the distances between random blocks of the samples from which the first cluster is made; or
            `"adaptive"`, the same of the samples at hand in each check. Distances grow a hundredfold while the encoder
            learns, so that a threshold of the first cluster is soon exceeded by anything.
        query: what must be far: `"candidate"`, the samples that would be frozen; `"batch"`, the newest batch, as in the
            authors' code; or `"temporary"`, all of the temporary memory.
        reduce: `"min"`, far from every cluster, or `"max"`, from any, as in the authors' code.
        symmetric: whether both directions of the divergence are averaged; the authors' code has that of the cluster
            from the query alone.
        statistics: `"refreshed"`, the clusters' Gaussians under the present encoder, or `"stale"`, those of their
            creation, as in the authors' code.
        moments: `"mean"` or `"aggregate"`, see `latent_moments`.
        selection: one of `CLUSTER_SELECTIONS`.
        keep_new: whether what the selection leaves of the newest batch stays in the temporary memory.
        sample_errors: whether errors are those of one drawn latent, as in the authors' code, instead of the mean.
        seed: seed of random selections, draws and blocks.
    """

    def __init__(
        self,
        threshold: float | str = "adaptive",
        query: str = "candidate",
        reduce: str = "min",
        symmetric: bool = True,
        statistics: str = "refreshed",
        moments: str = "mean",
        selection: str = "lowest_error",
        keep_new: bool = True,
        sample_errors: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("query", query, QUERIES),
            ("reduce", reduce, tuple(REDUCTIONS)),
            ("statistics", statistics, ("refreshed", "stale")),
            ("moments", moments, MOMENTS),
            ("selection", selection, CLUSTER_SELECTIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if isinstance(threshold, str) and threshold not in CALIBRATIONS:
            raise ValueError(f"threshold must be a number or one of {CALIBRATIONS}, got {threshold!r}.")
        self.threshold, self.query, self.reduce, self.symmetric = threshold, query, reduce, symmetric
        self.statistics, self.moments, self.selection = statistics, moments, selection
        self.keep_new, self.sample_errors = keep_new, sample_errors
        self.rng = np.random.default_rng(seed)
        self.num_batches = 0
        self.calibrated: float | None = None
        self.stored: list[tuple[list[float], list[float]]] = []  # (mean, std) of each cluster at its creation
        self.last_check: NoveltyCheck | None = None

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        # Departs from the paper: in its code the check stands between the arrival of a batch and the training on it, so
        # that nothing is trained right after an expansion. Here a batch is always trained on first.
        self.num_batches += 1
        self.last_check = None
        temporary, evolving = self.model.memory.short_term, self.model.memory.long_term
        if not temporary.is_full:
            return
        held = temporary.read()
        posterior = self.finite_posterior(held.images)
        rows = self.select(held.images, posterior)
        if self.threshold == "adaptive" or self.calibrated is None:
            self.calibrated = self.calibrate(posterior, evolving.cluster_size)
        if evolving.num_clusters == 0:
            check = NoveltyCheck(self.num_batches, np.zeros(0), np.nan, np.nan, True)
        else:
            query = self.query_moments(temporary, posterior, rows)
            distances = gaussian_distance(*self.cluster_moments(evolving), *query, self.symmetric)
            distance = float(REDUCTIONS[self.reduce](distances))
            due = distance > self.calibrated
            check = NoveltyCheck(self.num_batches, distances, distance, self.calibrated, due)
        if check.expanded:
            self.expand(temporary, evolving, rows, posterior)
        temporary.trim()
        self.last_check = check

    def calibrate(self, posterior: tuple[np.ndarray, np.ndarray], block_size: int) -> float:
        """Returns the threshold for samples of a posterior, a float."""
        if self.threshold not in CALIBRATIONS:
            return float(self.threshold)
        return calibrated_threshold(*posterior, block_size, self.rng, self.moments)

    def finite_posterior(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns `(z_mean, z_std)` of images, float arrays.

        Raises:
            DivergedError: if one is not finite.
        """
        posterior = self.model.posterior(images)
        if not all(np.isfinite(part).all() for part in posterior):
            raise DivergedError("a latent is not finite: the model has diverged; lower the learning rates")
        return posterior

    def select(self, images: np.ndarray, posterior: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Returns the rows of the temporary memory that would become a cluster, an int array."""
        seed = int(self.rng.integers(2**31))
        reconstructions = self.model.reconstruct(images, sample=self.sample_errors, seed=seed)
        errors = np.square(reconstructions - images / np.float32(255)).sum(axis=(1, 2, 3))
        num_selected = self.model.memory.long_term.cluster_size
        return select_for_cluster(errors, posterior[0], num_selected, self.selection, self.rng)

    def query_moments(
        self, temporary: TemporaryMemory, posterior: tuple[np.ndarray, np.ndarray], rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the latent Gaussian of the query, `(mean, std)` of shape `(latent_dim,)` each."""
        if self.query == "batch":
            rows = self.newest_rows(temporary)
        elif self.query == "temporary":
            rows = np.arange(len(temporary))
        means, stds = posterior
        return latent_moments(means[rows], stds[rows], self.moments)

    def cluster_moments(self, evolving: EvolvingMemory) -> tuple[np.ndarray, np.ndarray]:
        """Returns the latent Gaussians of the clusters, `(mean, std)` of shape `(num_clusters, latent_dim)` each."""
        if self.statistics == "stale":
            stored = np.array(self.stored)
            return stored[:, 0], stored[:, 1]
        means, stds = self.finite_posterior(evolving.read().images)
        shape = (evolving.num_clusters, evolving.cluster_size, -1)
        return latent_moments(means.reshape(shape), stds.reshape(shape), self.moments)

    def expand(
        self,
        temporary: TemporaryMemory,
        evolving: EvolvingMemory,
        rows: np.ndarray,
        posterior: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Freezes rows of the temporary memory as a cluster and discards the others, or all but the newest."""
        if evolving.num_clusters == evolving.max_clusters:
            index = dropped_cluster(*self.cluster_moments(evolving))
            evolving.drop(index)
            del self.stored[index]
        mean, std = latent_moments(posterior[0][rows], posterior[1][rows], self.moments)
        self.stored.append((mean.tolist(), std.tolist()))
        # Departs from the paper: its code discards the batch at hand with all others.
        newest = np.setdiff1d(self.newest_rows(temporary), rows) if self.keep_new else np.zeros(0, np.int64)
        evolving.add_cluster(temporary.read().take(rows), self.num_batches)
        temporary.restart(newest, num_moved=len(rows))

    @staticmethod
    def newest_rows(temporary: TemporaryMemory) -> np.ndarray:
        """Returns the rows of the batch that came last, an int array."""
        return np.arange(len(temporary) - int(temporary.num_newest.numpy()), len(temporary))

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        names = ("num_batches", "calibrated", "stored")
        return {**{name: getattr(self, name) for name in names}, "rng": self.rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        self.num_batches, self.calibrated = state["num_batches"], state["calibrated"]
        self.stored = [tuple(moments) for moments in state["stored"]]
        self.rng.bit_generator.state = state["rng"]
