"""Expectation-maximisation of a mixture of diagonal Gaussians, in matrix products.

scikit-learn's has another start, another rule for its end and other constants than the authors' code; it works on all
rows at once and squares a copy of them. Here a chunk of rows is in hand at a time, in float64.
"""

import numpy as np
from scipy.special import logsumexp

from ocm_tf.memory.latent_generator import VARIANCE_FLOOR
from ocm_tf.types import ArrayLike

_CHUNK_ROWS = 4096
_EPSILON = 1e-6  # in the M-step, keeps an empty component finite  [GLR code]


def log_densities(latents: ArrayLike, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Computes `log(weights[k]) + log N(latents[n]; means[k], diag(variances[k]))`, in nats.

    Args:
        latents: float array of shape `(n, latent_dim)`.
        weights, means, variances: float arrays of shapes `(k,)`, `(k, latent_dim)` and `(k, latent_dim)`.

    Returns:
        float64 array of shape `(n, k)`.
    """
    latents = np.asarray(latents, np.float64)
    return _log_densities(latents, latents**2, weights, means, variances)


def _log_densities(latents, squares, weights, means, variances):
    precisions = 1 / variances
    constants = np.log(weights) - 0.5 * (np.log(2 * np.pi * variances) + means**2 * precisions).sum(axis=1)
    return constants + latents @ (means * precisions).T - 0.5 * (squares @ precisions.T)


def fit_gaussian_mixture(
    latents: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    variances: np.ndarray,
    tolerance: float = 1e-3,
    max_rounds: int = 101,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Fits a mixture of diagonal Gaussians by expectation-maximisation  [GLR code].

    E-step: r = softmax(log_densities)
    M-step: weights = (sum(r) + 1e-6) / n;  means = sum(r * x) / mass
            variances = sum(r * x**2) / mass - means**2 + 1e-6,  mass = max(sum(r), 1e-6)

    It ends when the mean log-likelihood gains less than `tolerance`, or after `max_rounds`. The best parameters are
    kept.

    Args:
        latents: float array of shape `(n, latent_dim)`.
        weights, means, variances: where it starts, shapes as for `log_densities`.
        tolerance: least gain of a round, in nats a sample.
        max_rounds: most rounds.

    Returns:
        weights, means, variances: float64 arrays.
        log_likelihoods: list of the mean log-likelihood of the parameters before each round and at the end.
    """
    parameters = tuple(np.asarray(array, np.float64) for array in (weights, means, variances))
    best = parameters
    log_likelihoods: list[float] = []
    for round_index in range(max_rounds + 1):
        log_likelihood, updated = _one_round(latents, parameters)
        if not log_likelihoods or log_likelihood > max(log_likelihoods):
            best = parameters
        gain = log_likelihood - log_likelihoods[-1] if log_likelihoods else np.inf
        log_likelihoods.append(log_likelihood)
        if gain < tolerance or round_index == max_rounds:
            break
        parameters = updated
    weights, means, variances = best
    return weights, means, variances, log_likelihoods


def _one_round(latents, parameters):
    """Returns the mean log-likelihood of `parameters` and the parameters of the M-step behind it."""
    num_components, latent_dim = parameters[1].shape
    total = 0.0
    mass, (first, second) = np.zeros(num_components), np.zeros((2, num_components, latent_dim))
    for start in range(0, len(latents), _CHUNK_ROWS):
        # In float32 the squares would cancel badly where a variance is small.
        chunk = latents[start : start + _CHUNK_ROWS].astype(np.float64)
        squares = chunk**2
        joint = _log_densities(chunk, squares, *parameters)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        responsibilities = np.exp(joint - evidence)
        total += evidence.sum()
        mass += responsibilities.sum(axis=0)
        first += responsibilities.T @ chunk
        second += responsibilities.T @ squares
    # Departs from the paper: its code adds 1e-6 to the mass, which biases the variance of features far from zero.
    held = np.maximum(mass, _EPSILON)[:, None]
    means = first / held
    # Rounding may leave a constant feature a little below zero.
    variances = np.maximum(second / held - means**2, 0) + VARIANCE_FLOOR
    weights = (mass + _EPSILON) / len(latents)
    return total / len(latents), (weights, means, variances)
