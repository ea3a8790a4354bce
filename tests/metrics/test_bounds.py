"""Checks the bounds against values worked by hand, closed forms and other libraries."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocm_tf.metrics import (
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_weighted_bound,
    sampled_kl,
)

LOG_WEIGHTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 4)),
    elements=st.floats(-500, 50, width=32),
)


def test_bounds_of_two_known_weights():
    log_weights = np.array([0.0, np.log(3.0)], np.float32)
    np.testing.assert_allclose(elbo(log_weights), 0.5493, atol=5e-5)
    np.testing.assert_allclose(importance_weighted_bound(log_weights), np.log(2.0), rtol=1e-6)


@given(LOG_WEIGHTS)
def test_importance_weighted_bound_is_never_below_the_elbo_of_the_same_draws(log_weights):
    difference = importance_weighted_bound(log_weights).numpy() - elbo(log_weights).numpy()
    # Nothing but the rounding of float32 may be missing.
    assert (difference >= -1e-6 * (1 + np.abs(log_weights).max())).all()
    one_draw = log_weights[:1]
    np.testing.assert_allclose(importance_weighted_bound(one_draw), elbo(one_draw), rtol=1e-6, atol=1e-6)


@given(LOG_WEIGHTS)
def test_bounds_reduce_the_axis_of_the_samples(log_weights):
    for bound in (elbo, importance_weighted_bound):
        by_rows, by_columns = bound(log_weights, axis=0), bound(np.ascontiguousarray(log_weights.T), axis=1)
        assert by_rows.shape == log_weights.shape[1:]
        np.testing.assert_allclose(by_rows, by_columns, rtol=1e-5, atol=1e-5)


def test_importance_weighted_bound_survives_weights_that_underflow():
    log_weights = np.full((50, 3), -2000.0, np.float32)
    np.testing.assert_allclose(importance_weighted_bound(log_weights), -2000.0)


def test_importance_weighted_bound_knows_the_number_of_draws_inside_a_graph():
    bound = tf.function(
        lambda log_weights: importance_weighted_bound(log_weights, axis=1),
        input_signature=[tf.TensorSpec([None, None])],
    )
    for num_samples in (1, 4):
        np.testing.assert_allclose(bound(tf.zeros([2, num_samples])), 0.0, atol=1e-6)


def test_gaussian_kl_of_known_posteriors():
    z_mean = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], np.float32)
    z_std = np.array([[1.0, 1.0], [1.0, 1.0], [np.e, 1.0]], np.float32)
    np.testing.assert_allclose(gaussian_kl(z_mean, z_std), [0.0, 12.5, 0.5 * (np.e**2 - 3)], atol=1e-6)


def test_gaussian_kl_is_the_mean_of_its_estimate_by_draws():
    rng = np.random.default_rng(0)
    num_samples = 100_000
    z_mean = rng.normal(size=(3, 5)).astype(np.float32)
    z_std = np.exp(rng.normal(size=(3, 5)) / 2).astype(np.float32)
    noise = rng.normal(size=(3, num_samples, 5)).astype(np.float32)
    kls = sampled_kl(z_mean[:, None] + z_std[:, None] * noise, noise, z_std).numpy()
    errors = kls.std(axis=1) / np.sqrt(num_samples)
    assert (np.abs(kls.mean(axis=1) - gaussian_kl(z_mean, z_std)) < 4 * errors).all()


def test_sampled_kl_is_the_difference_of_two_log_densities():
    rng = np.random.default_rng(1)
    z_mean, z_std = rng.normal(size=(2, 3)), np.exp(rng.normal(size=(2, 3)))
    noise = rng.normal(size=(2, 4, 3))
    latents = z_mean[:, None] + z_std[:, None] * noise
    posterior = scipy.stats.norm.logpdf(latents, z_mean[:, None], z_std[:, None]).sum(axis=-1)
    prior = scipy.stats.norm.logpdf(latents).sum(axis=-1)
    np.testing.assert_allclose(sampled_kl(latents, noise, z_std), posterior - prior, rtol=1e-6)


def test_gaussian_kl_refuses_two_shapes():
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(2, 4\)"):
        gaussian_kl(np.zeros((2, 3)), np.ones((2, 4)))


@pytest.mark.parametrize("std", [np.sqrt(0.5), 0.1, 3.0])
def test_gaussian_log_likelihood_agrees_with_scipy(std):
    rng = np.random.default_rng(2)
    images, means = rng.random((3, 20)), rng.normal(size=(3, 4, 20))
    expected = scipy.stats.norm.logpdf(images[:, None], means, std).sum(axis=-1)
    np.testing.assert_allclose(gaussian_log_likelihood(images, means, std), expected, rtol=1e-6)


def test_gaussian_log_likelihood_is_by_default_minus_the_squared_error_and_a_constant():
    images, means = np.array([[1.0, 0.0]]), np.array([[[0.0, 2.0]]])
    np.testing.assert_allclose(gaussian_log_likelihood(images, means), [[-5.0 - np.log(np.pi)]], rtol=1e-6)


def bernoulli_case(num_pixels, scale, binary):
    rng = np.random.default_rng(num_pixels)
    images = rng.random((4, num_pixels)).astype(np.float32)
    if binary:
        images = np.rint(images)
    logits = rng.normal(size=(4, 3, num_pixels)).astype(np.float32) * scale
    # The very large ones are all there is to see at this scale.
    return images, np.where(logits > 0, scale, -scale).astype(np.float32) if scale == 1e4 else logits


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("num_pixels", [1, 7, 64, 127, 784, 3072])
def test_bernoulli_log_likelihood_equals_the_plain_formula_with_its_gradient(num_pixels, scale, binary):
    images, logits = bernoulli_case(num_pixels, scale, binary)
    exact = logits.astype(np.float64)
    plain = (images[:, None] * exact - np.logaddexp(0.0, exact)).sum(axis=-1)
    variable, upstream = tf.Variable(logits), np.arange(1.0, 13.0, dtype=np.float32).reshape(4, 3)
    with tf.GradientTape() as tape:
        result = bernoulli_log_likelihood(tf.constant(images), tf.convert_to_tensor(variable))
        total = tf.reduce_sum(upstream * result)
    # float32 keeps seven digits of the sum of all magnitudes.
    magnitude = (np.abs(logits) + np.log(2.0)).sum(axis=-1).max()
    np.testing.assert_allclose(result, plain, rtol=0, atol=1e-5 + 3e-7 * magnitude)
    sigmoids = np.exp(-np.logaddexp(0.0, -exact))
    expected = (images[:, None] - sigmoids) * upstream[:, :, None]
    np.testing.assert_allclose(tape.gradient(total, variable), expected, rtol=1e-5, atol=1e-5)


def test_bernoulli_log_likelihood_of_certain_pixels_is_exactly_zero_or_minus_the_logits():
    logits = np.array([[[1e4, -1e4, 1e4]]], np.float32)
    right, wrong = np.array([[1, 0, 1]], np.float32), np.array([[0, 1, 0]], np.float32)
    assert bernoulli_log_likelihood(right, tf.constant(logits)).numpy() == 0.0
    assert bernoulli_log_likelihood(wrong, tf.constant(logits)).numpy() == -3e4


@pytest.mark.parametrize("num_pixels", [64, 784, 3072])
def test_bernoulli_log_likelihood_of_zero_logits_is_minus_log_two_a_pixel(num_pixels):
    images = np.random.default_rng(0).random((2, num_pixels)).astype(np.float32)
    result = bernoulli_log_likelihood(images, tf.zeros([2, 3, num_pixels]))
    np.testing.assert_allclose(result, -num_pixels * np.log(2.0), rtol=1e-6)


def test_bernoulli_log_likelihood_takes_any_batch_and_number_of_draws_inside_a_graph():
    density = tf.function(
        bernoulli_log_likelihood,
        input_signature=[tf.TensorSpec([None, 10]), tf.TensorSpec([None, None, 10])],
    )
    for batch, num_samples in ((1, 1), (3, 2), (2, 5)):
        result = density(tf.ones([batch, 10]), tf.zeros([batch, num_samples, 10]))
        np.testing.assert_allclose(result, np.full((batch, num_samples), -10 * np.log(2.0)), rtol=1e-6)
