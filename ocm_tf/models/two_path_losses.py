"""The losses of DEMC: pure functions, reduced by sums over pixels and latents and means over the minibatch.

Symbols of the paper and their names here: x -> images, G(z) -> reconstructions, G(z^) -> generated, D -> critic,
lambda -> kl_weight.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from keras import ops

from ocm_tf.types import Tensor

# Keeps the derivative of the norm finite where the critic is flat.
_MIN_SQUARE = 1e-12


def vae_loss(images: Tensor, reconstructions: Tensor, kls: Tensor, kl_weight: float = 0.1) -> Tensor:
    """Computes L_vae, which is also L_inf, the loss of the second path  [DEMC, Eq. 6].

    loss = mean(sum((reconstructions - images)**2) + kl_weight * kls)

    Args:
        images: float tensor of shape `(batch, height, width, channels)`.
        reconstructions: float tensor of the same shape.
        kls: float tensor of shape `(batch,)`, divergences from the prior in nats.
        kl_weight: weight lambda of the divergence.

    Returns:
        Float scalar tensor.
    """
    return ops.mean(ops.sum(ops.square(reconstructions - images), axis=(1, 2, 3)) + kl_weight * kls)


def generator_loss(generated_scores: Tensor, vae_loss: Tensor, adversarial_weight: float = 1.0) -> Tensor:
    """Computes L_g', the loss of the first path  [DEMC, Eq. 5].

    loss = vae_loss - adversarial_weight * mean(D(generated))

    Args:
        generated_scores: float tensor, the critic's scores of samples.
        vae_loss: float scalar tensor, L_vae of the minibatch.
        adversarial_weight: weight of the scores.

    Returns:
        Float scalar tensor.
    """
    return vae_loss - adversarial_weight * ops.mean(generated_scores)


def critic_loss(
    image_scores: Tensor, generated_scores: Tensor, penalty: Tensor, penalty_weight: float = 10.0
) -> Tensor:
    """Computes L_d, the loss of the critic  [DEMC, Eq. 3].

    loss = mean(D(generated)) - mean(D(images)) + penalty_weight * penalty

    Args:
        image_scores: float tensor, scores of training images.
        generated_scores: float tensor, scores of samples.
        penalty: float scalar tensor, as `gradient_penalty` returns it.
        penalty_weight: its weight.

    Returns:
        Float scalar tensor.
    """
    return ops.mean(generated_scores) - ops.mean(image_scores) + penalty_weight * penalty


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], images: Tensor, generated: Tensor, mix: Tensor, axes: Sequence[int] = (1, 2, 3)
) -> Tensor:
    """Computes how far the critic's slope is from 1 between images and samples  [DEMC, Eq. 3, its penalty].

    penalty = mean((norm(gradient of D at mix * images + (1 - mix) * generated) - 1)**2)

    Args:
        critic: function of a batch of images that scores each by itself.
        images: float tensor of shape `(batch, height, width, channels)`.
        generated: float tensor of the same shape.
        mix: float tensor in [0, 1] that broadcasts against them.
        axes: axes over which the norm is taken; the authors' code has the rows alone, `(1,)`.

    Returns:
        Float scalar tensor.
    """
    between = ops.convert_to_tensor(mix * images + (1.0 - mix) * generated)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = critic(between)
    gradients = tape.gradient(scores, between)
    norms = ops.sqrt(ops.sum(ops.square(gradients), axis=axes) + _MIN_SQUARE)
    return ops.mean(ops.square(norms - 1.0))
