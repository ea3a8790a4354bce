"""Measures of what a model has learned: likelihood bounds."""

from ocm_tf.metrics.bounds import (
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_weighted_bound,
    sampled_kl,
)

__all__ = [
    "bernoulli_log_likelihood",
    "elbo",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "sampled_kl",
]
