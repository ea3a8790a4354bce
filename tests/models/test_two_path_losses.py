"""Checks DEMC's losses against values worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.metrics import gaussian_kl
from ocm_tf.models.two_path_losses import critic_loss, generator_loss, gradient_penalty, vae_loss


def test_error_is_a_sum_over_pixels_and_a_mean_over_images():
    images = np.zeros((2, 2, 3, 1), np.float32)
    reconstructions = np.stack([np.full((2, 3, 1), 0.5), np.full((2, 3, 1), 1.0)]).astype(np.float32)
    # (6 * 0.25 + 6 * 1) / 2, and the divergences (1 + 3) / 2 by 0.1
    assert float(vae_loss(images, reconstructions, np.array([1.0, 3.0], np.float32))) == pytest.approx(3.75 + 0.2)
    doubled = [np.concatenate([part, part], axis=1) for part in (images, reconstructions)]
    assert float(vae_loss(*doubled, np.zeros(2, np.float32))) == pytest.approx(7.5)


def test_divergence_of_the_prior_itself_is_zero():
    np.testing.assert_allclose(gaussian_kl(np.zeros((2, 3)), np.ones((2, 3))), 0)


def test_generator_and_critic_want_opposite_scores():
    generated = np.array([[1.0], [3.0]], np.float32)
    assert float(generator_loss(generated, 5.0)) == 3.0
    assert float(generator_loss(generated, 5.0, adversarial_weight=0.5)) == 4.0
    assert float(critic_loss(np.array([[0.5]], np.float32), generated, 0.25)) == pytest.approx(2 - 0.5 + 2.5)


@pytest.mark.parametrize("norm", [1.0, 3.0])
def test_penalty_of_a_linear_critic_is_its_excess_slope_squared(norm):
    weight = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    weight = tf.constant(norm * weight / np.linalg.norm(weight))
    images, generated = np.random.default_rng(1).random((2, 5, 4, 3, 2)).astype(np.float32)
    mix = np.random.default_rng(2).random((5, 1, 1, 1)).astype(np.float32)

    def critic(inputs):
        return tf.reduce_sum(inputs * weight, axis=(1, 2, 3))

    assert float(gradient_penalty(critic, images, generated, mix)) == pytest.approx((norm - 1) ** 2, abs=1e-5)
    # Over the rows alone there is a norm for each of the columns and channels.
    norms = np.linalg.norm(weight, axis=0)
    by_rows = gradient_penalty(critic, images, generated, mix, axes=(1,))
    assert float(by_rows) == pytest.approx(np.mean((norms - 1) ** 2), rel=1e-4)


def test_penalty_is_taken_between_images_and_samples_and_is_finite_where_the_critic_is_flat():
    images, generated = np.zeros((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), 2.0, np.float32)

    def square(inputs):
        return tf.reduce_sum(inputs**2, axis=(1, 2, 3))

    # At 0.25 * 0 + 0.75 * 2 the slope of x**2 is 3.
    assert float(gradient_penalty(square, images, generated, 0.25)) == pytest.approx(4.0)
    factor = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(lambda inputs: factor * square(inputs), images, generated, 0.25)
    assert float(penalty) == pytest.approx(1.0, abs=1e-5) and np.isfinite(tape.gradient(penalty, factor))
