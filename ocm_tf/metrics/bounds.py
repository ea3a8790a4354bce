"""Likelihood bounds of a VAE and the terms they are made of, all in nats.

Symbols of the paper (OCM, section on bounds) and their names here:
    x -> images, z -> latents, eps -> noise, mu -> z_mean, sigma -> z_std, K -> num_samples,
    log w -> log_weights = log p(x|z) + log p(z) - log q(z|x).

Sums run over pixels and latent dimensions; the mean over the batch is left to the caller.
"""

import math

import tensorflow as tf
from keras import ops

from ocm_tf.types import Tensor

# Products of this many probabilities, each at least one half, stay far above the smallest float32 (2**-126).
_MAX_PRODUCT = 112


def elbo(log_weights: Tensor, axis: int = 0) -> Tensor:
    """Computes the evidence lower bound as the mean of the log importance weights.

    elbo = mean_k(log_weights)  [Kingma and Welling, Eq. 2, estimated with K draws]

    Args:
        log_weights: float tensor with `num_samples` entries along `axis`, in nats.
        axis: the axis of the samples.

    Returns:
        The bound, in nats, of the shape of `log_weights` without `axis`.

    Example:
        >>> round(float(elbo(tf.math.log([1.0, 3.0]))), 4)  # log(3) / 2
        0.5493
    """
    return ops.mean(log_weights, axis=axis)


def importance_weighted_bound(log_weights: Tensor, axis: int = 0) -> Tensor:
    """Computes the importance-weighted bound (IWAE, IWVAE).

    bound = logsumexp_k(log_weights) - log(K)  [Burda, Grosse and Salakhutdinov, Eq. 8]

    Args:
        log_weights: float tensor with `num_samples` entries along `axis`, in nats.
        axis: the axis of the samples.

    Returns:
        The bound, in nats, of the shape of `log_weights` without `axis`; never below `elbo` of the same weights.

    Example:
        >>> round(float(importance_weighted_bound(tf.math.log([1.0, 3.0]))), 4)  # log((1 + 3) / 2)
        0.6931
    """
    num_samples = ops.cast(ops.shape(log_weights)[axis], log_weights.dtype)
    return ops.logsumexp(log_weights, axis=axis) - ops.log(num_samples)


def gaussian_kl(z_mean: Tensor, z_std: Tensor) -> Tensor:
    """Computes the KL divergence of a diagonal Gaussian from the unit Gaussian, in nats.

    kl = 0.5 * sum(z_std**2 + z_mean**2 - 1 - 2 * log(z_std))  [Kingma and Welling, Eq. 10]

    Args:
        z_mean: float tensor of shape `(..., latent_dim)`.
        z_std: float tensor of the same shape, the standard deviation (not the log-variance).

    Returns:
        kl: float tensor of shape `(...)`, never negative.

    Raises:
        ValueError: if the two shapes differ.

    Example:
        >>> float(gaussian_kl(tf.constant([1.0, 0.0]), tf.constant([1.0, 1.0])))
        0.5
    """
    if z_mean.shape != z_std.shape:
        raise ValueError(f"z_mean and z_std must have one shape, got {z_mean.shape} and {z_std.shape}.")
    return 0.5 * ops.sum(ops.square(z_std) + ops.square(z_mean) - 1.0 - 2.0 * ops.log(z_std), axis=-1)


def sampled_kl(latents: Tensor, noise: Tensor, z_std: Tensor) -> Tensor:
    """Computes the one-draw Monte Carlo estimate of the KL divergence, in nats.

    kl = log q(z|x) - log p(z) = sum(0.5 * latents**2 - 0.5 * noise**2 - log(z_std)),
    where latents = z_mean + z_std * noise; the constants of the two Gaussians cancel.

    Args:
        latents: float tensor of shape `(batch, num_samples, latent_dim)`.
        noise: float tensor of the same shape, the standard normal draws behind `latents`.
        z_std: float tensor of shape `(batch, latent_dim)`.

    Returns:
        kl: float tensor of shape `(batch, num_samples)`; its mean over draws tends to `gaussian_kl`.
    """
    squares = 0.5 * ops.sum(ops.square(latents) - ops.square(noise), axis=-1)
    return squares - ops.sum(ops.log(z_std), axis=-1)[:, None]


def gaussian_log_likelihood(images: Tensor, means: Tensor, std: float = 2.0**-0.5) -> Tensor:
    """Computes the log-density of images under a Gaussian of fixed standard deviation, in nats.

    With std = 1/sqrt(2), as in the paper's theory, this is -sum((x - mean)**2) - 0.5 * D * log(pi).

    Args:
        images: float tensor of shape `(batch, num_pixels)`.
        means: float tensor of shape `(batch, num_samples, num_pixels)`.
        std: the standard deviation.

    Returns:
        Float tensor of shape `(batch, num_samples)`, summed over pixels.
    """
    squares = ops.sum(ops.square(images[:, None] - means), axis=-1)
    constant = 0.5 * images.shape[-1] * math.log(2.0 * math.pi * std**2)
    return -0.5 * squares / std**2 - constant


def bernoulli_log_likelihood(images: Tensor, logits: Tensor) -> Tensor:
    """Computes the log-probability of images under independent Bernoulli pixels, in nats.

    log p(x|z) = sum_d(x_d * logit_d - softplus(logit_d))
               = sum_d((x_d - 1/2) * logit_d - |logit_d| / 2) + log(prod_d sigmoid(|logit_d|))

    The second form needs one logarithm for a group of pixels instead of one each, since every factor lies in
    [1/2, 1]; it agrees with the first within float32 rounding and takes half the time of a training step.

    Args:
        images: float tensor of shape `(batch, num_pixels)`, values in [0, 1].
        logits: float tensor of shape `(batch, num_samples, num_pixels)`.

    Returns:
        Float tensor of shape `(batch, num_samples)`, summed over pixels. No gradient flows to `images`.
    """
    num_pixels = logits.shape[-1]
    group = max(size for size in range(1, _MAX_PRODUCT + 1) if num_pixels % size == 0)

    @tf.custom_gradient
    def log_likelihood(logits):
        magnitudes = tf.abs(logits)
        groups = tf.reshape(tf.sigmoid(magnitudes), [*_leading(logits), num_pixels // group, group])
        log_products = tf.reduce_sum(tf.math.log(tf.reduce_prod(groups, axis=-1)), axis=-1)
        linear = tf.squeeze(tf.matmul(logits, (images - 0.5)[:, :, None]), axis=-1)

        def gradient(upstream):
            return (images[:, None] - tf.sigmoid(logits)) * upstream[:, :, None]

        return linear - 0.5 * tf.reduce_sum(magnitudes, axis=-1) + log_products, gradient

    return log_likelihood(logits)


def _leading(tensor):
    return tf.unstack(tf.shape(tensor)[:-1], num=2)
