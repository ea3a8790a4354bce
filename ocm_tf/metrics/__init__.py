"""Measures of what a model has learned and kept: bounds, distances of samples, reconstructions, forgetting."""

from ocm_tf.metrics.bounds import (
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_weighted_bound,
    sampled_kl,
)
from ocm_tf.metrics.classifier_features import ClassifierFeatures
from ocm_tf.metrics.continual_metrics import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
)
from ocm_tf.metrics.frechet import frechet_distance
from ocm_tf.metrics.image_quality import mse, psnr, ssim
from ocm_tf.metrics.inception_features import InceptionFeatures
from ocm_tf.metrics.inception_score import inception_score
from ocm_tf.metrics.incremental_metrics import incremental_summary

__all__ = [
    "ClassifierFeatures",
    "InceptionFeatures",
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "bernoulli_log_likelihood",
    "elbo",
    "forgetting",
    "forward_transfer",
    "frechet_distance",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "inception_score",
    "incremental_summary",
    "learning_accuracy",
    "mse",
    "psnr",
    "sampled_kl",
    "ssim",
]
