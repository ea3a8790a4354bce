"""Rules by which DEMC compares, fills and drops clusters: pure functions of latent Gaussians.

Symbols of the paper's method and their names here: mu, sigma of q(z|x) -> means, stds; mu_k, sigma_k of a cluster ->
its moments; d_k -> distances; tau -> threshold; K -> cluster_size.
"""

import numpy as np
from sklearn.cluster import kmeans_plusplus

from ocm_tf.errors import DivergedError
from ocm_tf.types import ArrayLike

REDUCTIONS = {"min": np.min, "max": np.max}
MOMENTS = ("mean", "aggregate")
CLUSTER_SELECTIONS = ("lowest_error", "highest_error", "random", "diverse")
_NULL_SHUFFLES = 20


def latent_moments(means: np.ndarray, stds: np.ndarray, moments: str = "mean") -> tuple[np.ndarray, np.ndarray]:
    """Computes the latent Gaussian that stands for a group of samples  [DEMC, Eq. 8, its statistics].

    `"mean"` averages means and stds; `"aggregate"` takes the std of the mixture, sqrt(mean(stds**2) + var(means)).

    Args:
        means: float array of shape `(..., samples, latent_dim)`.
        stds: float array of the same shape.
        moments: one of `MOMENTS`.

    Returns:
        `(mean, std)`, each of shape `(..., latent_dim)`.

    Raises:
        ValueError: if `moments` is unknown.
    """
    if moments not in MOMENTS:
        raise ValueError(f"moments must be one of {MOMENTS}, got {moments!r}.")
    if moments == "mean":
        return means.mean(axis=-2), stds.mean(axis=-2)
    return means.mean(axis=-2), np.sqrt(np.square(stds).mean(axis=-2) + means.var(axis=-2))


def gaussian_distance(
    mean_a: ArrayLike, std_a: ArrayLike, mean_b: ArrayLike, std_b: ArrayLike, symmetric: bool = True
) -> np.ndarray:
    """Computes the divergence of diagonal Gaussians, in nats per latent dimension  [DEMC, Eq. 8].

    kl(a, b) = mean(log(std_b / std_a) + (std_a**2 + (mean_a - mean_b)**2) / (2 * std_b**2) - 1/2)
    distance = (kl(a, b) + kl(b, a)) / 2, or kl(a, b) if not symmetric, as in the authors' code

    Args:
        mean_a, std_a: float arrays of shape `(..., latent_dim)`.
        mean_b, std_b: float arrays that broadcast against them.
        symmetric: whether both directions are averaged.

    Returns:
        Float array of the broadcast shape without the last axis, never negative.

    Example:
        >>> float(gaussian_distance([0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]))
        0.5
    """
    forward = _gaussian_kl(mean_a, std_a, mean_b, std_b)
    return (forward + _gaussian_kl(mean_b, std_b, mean_a, std_a)) / 2 if symmetric else forward


def _gaussian_kl(mean_a, std_a, mean_b, std_b):
    mean_a, std_a, mean_b, std_b = (np.asarray(value, np.float64) for value in (mean_a, std_a, mean_b, std_b))
    ratio = np.square(std_a / std_b)
    # x - 1 - log(x) and a square: neither is below 0, whatever the rounding.
    per_dimension = (ratio - 1 - np.log(ratio)) / 2 + np.square((mean_a - mean_b) / std_b) / 2
    return np.maximum(per_dimension, 0).mean(axis=-1)


def select_for_cluster(
    errors: ArrayLike,
    features: np.ndarray,
    num_selected: int,
    selection: str = "lowest_error",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Chooses the samples that become a cluster  [DEMC, Eq. 11].

    `"lowest_error"` takes those that the model reconstructs best, as in the authors' code, `"highest_error"` the
    opposite, `"random"` any, `"diverse"` seeds of k-means++ in the latent space.

    Args:
        errors: float array of shape `(n,)`, reconstruction errors.
        features: float array of shape `(n, latent_dim)`, latent means.
        num_selected: number of samples K, at most n.
        selection: one of `CLUSTER_SELECTIONS`.
        rng: `numpy.random.Generator`, for `"random"` and `"diverse"`.

    Returns:
        int array of `num_selected` distinct rows; ties keep the order of arrival.

    Raises:
        ValueError: if `selection` is unknown or there are too few samples.
        DivergedError: if an error is not finite.

    Example:
        >>> select_for_cluster([3.0, 1.0, 2.0], np.zeros((3, 1)), num_selected=2)
        array([1, 2])
    """
    errors = np.asarray(errors)
    if selection not in CLUSTER_SELECTIONS:
        raise ValueError(f"selection must be one of {CLUSTER_SELECTIONS}, got {selection!r}.")
    if not 1 <= num_selected <= len(errors):
        raise ValueError(f"num_selected must lie in 1..{len(errors)}, got {num_selected}.")
    if not np.isfinite(errors).all():
        raise DivergedError("a reconstruction error is not finite: the model has diverged; lower the learning rates")
    if selection == "random":
        return rng.permutation(len(errors))[:num_selected]
    if selection == "diverse":
        _, seeds = kmeans_plusplus(features, num_selected, random_state=int(rng.integers(2**31)))
        # Among fewer distinct points than seeds some come twice; any others take their place.
        distinct = np.unique(seeds)
        others = np.setdiff1d(np.arange(len(errors)), distinct)
        return np.concatenate([distinct, others])[:num_selected]
    order = errors if selection == "lowest_error" else -errors
    return np.argsort(order, kind="stable")[:num_selected]


def dropped_cluster(means: np.ndarray, stds: np.ndarray) -> int:
    """Chooses the cluster that makes room for a new one: of the closest pair the one nearer to all others.

    Args:
        means, stds: float arrays of shape `(clusters, latent_dim)`, the clusters' moments.

    Returns:
        int, the index of the cluster.

    Example:
        >>> dropped_cluster(np.array([[0.0], [0.1], [5.0]]), stds=np.ones((3, 1)))
        1
    """
    distances = gaussian_distance(means[:, None], stds[:, None], means[None], stds[None])
    mean_distances = distances.mean(axis=1)
    np.fill_diagonal(distances, np.inf)
    pair = np.unravel_index(distances.argmin(), distances.shape)
    return int(min(pair, key=lambda index: mean_distances[index]))


def calibrated_threshold(
    means: np.ndarray,
    stds: np.ndarray,
    block_size: int,
    rng: np.random.Generator,
    moments: str = "mean",
    factor: float = 2.0,
    percentile: float = 95.0,
) -> float:
    """Computes an expansion threshold from how far apart random blocks of the same samples are.

    threshold = factor * percentile of the distances between the disjoint blocks of many shuffles

    Args:
        means, stds: float arrays of shape `(n, latent_dim)`, of samples held at one time.
        block_size: samples in a block; there must be enough for two blocks.
        rng: `numpy.random.Generator`.
        moments: as for `latent_moments`.
        factor: how many times the null distance counts as novel.
        percentile: percentile of the null distances.

    Returns:
        float, in nats per latent dimension.

    Raises:
        ValueError: if there are fewer samples than two blocks hold.
    """
    num_blocks = len(means) // block_size
    if num_blocks < 2:
        raise ValueError(f"block_size must be at most {len(means) // 2} for {len(means)} samples, got {block_size}.")
    rows = np.stack([rng.permutation(len(means))[: num_blocks * block_size] for _ in range(_NULL_SHUFFLES)])
    rows = rows.reshape(_NULL_SHUFFLES, num_blocks, block_size)
    block_means, block_stds = latent_moments(means[rows], stds[rows], moments)
    first, second = np.triu_indices(num_blocks, 1)
    distances = gaussian_distance(
        block_means[:, first], block_stds[:, first], block_means[:, second], block_stds[:, second]
    )
    return float(factor * np.percentile(distances, percentile))
