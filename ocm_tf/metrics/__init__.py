"""Measures of what a model has learned: likelihood bounds, distances of samples and quality of reconstructions."""

from ocm_tf.metrics.bounds import (
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_weighted_bound,
    sampled_kl,
)
from ocm_tf.metrics.classifier_features import ClassifierFeatures
from ocm_tf.metrics.frechet import frechet_distance
from ocm_tf.metrics.image_quality import mse, psnr, ssim
from ocm_tf.metrics.inception_features import InceptionFeatures
from ocm_tf.metrics.inception_score import inception_score

__all__ = [
    "ClassifierFeatures",
    "InceptionFeatures",
    "bernoulli_log_likelihood",
    "elbo",
    "frechet_distance",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "inception_score",
    "mse",
    "psnr",
    "sampled_kl",
    "ssim",
]
