"""Extremes of every loss, bound and rule: the answer is finite, or a clear error."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf import memory, metrics
from ocm_tf.callbacks.expansion import expansion_due
from ocm_tf.errors import DivergedError
from ocm_tf.memory.cluster_rules import calibrated_threshold
from ocm_tf.models.incremental_losses import (
    cosine_match_loss,
    cross_entropy,
    distillation_loss,
    less_forget_loss,
    less_forget_weight,
    margin_ranking_loss,
)
from ocm_tf.models.two_path_losses import critic_loss, generator_loss, gradient_penalty, vae_loss
from ocm_tf.networks import GaussianEncoder, cosine_similarities, gate_weights
from tests import tiny

LARGE = 1e4
FLOATS = (0.0, 1.0, -1.0, 1e-30, 1e-8, LARGE, -LARGE)
IMAGES = {"black": 0.0, "white": 1.0, "grey": 0.5}


def with_gradient(function, *inputs):
    """Returns the values of a function and the gradients of their sum, all as one flat array."""
    variables = [tf.Variable(np.asarray(value, np.float32)) for value in inputs]
    with tf.GradientTape() as tape:
        values = function(*variables)
        total = tf.reduce_sum(values)
    gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(total, variables) if gradient is not None]
    assert gradients
    return np.concatenate([np.ravel(value) for value in (values, *gradients)])


# Bounds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grey", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("logit", FLOATS)
def test_likelihoods_of_uniform_images(grey, logit):
    images = tf.fill((2, 784), grey)
    logits = np.full((2, 3, 784), logit)
    values = with_gradient(lambda logits: metrics.bernoulli_log_likelihood(images, logits), logits)
    assert np.isfinite(values).all()
    expected = 784 * (grey * logit - np.logaddexp(0.0, logit))
    np.testing.assert_allclose(values[:6], expected, rtol=1e-4, atol=1e-3)
    assert np.isfinite(with_gradient(lambda means: metrics.gaussian_log_likelihood(images, means), logits)).all()


@pytest.mark.parametrize("std", [1e-6, 1e-30, 1.0, 1e6])
@pytest.mark.parametrize("mean", [0.0, LARGE])
def test_divergences_of_narrow_and_wide_posteriors(std, mean):
    means, stds = np.full((2, 3), mean), np.full((2, 3), std)
    assert np.isfinite(with_gradient(metrics.gaussian_kl, means, stds)).all()
    kl = float(metrics.gaussian_kl(tf.constant(means, tf.float32), tf.constant(stds, tf.float32))[0])
    np.testing.assert_allclose(kl, 1.5 * (std**2 + mean**2 - 1 - 2 * np.log(std)), rtol=1e-4)
    noise = np.ones((2, 4, 3))
    latents = means[:, None] + stds[:, None] * noise
    sampled = with_gradient(
        lambda latents, stds: metrics.sampled_kl(latents, noise.astype(np.float32), stds), latents, stds
    )
    assert np.isfinite(sampled).all()


@pytest.mark.parametrize("inputs", [0.0, 255.0, -LARGE], ids=str)
def test_the_encoders_deviation_stays_above_zero_where_its_exponent_underflows(inputs):
    encoder = GaussianEncoder(2)
    encoder.build((None, 4))
    encoder.std_head.kernel.assign(tf.ones_like(encoder.std_head.kernel) * (1.0 if inputs <= 0 else -1.0))
    _, std = encoder(tf.fill((2, 4), inputs))
    assert (np.asarray(std) > 0).all()
    assert np.isfinite(metrics.gaussian_kl(tf.zeros((2, 2)), std)).all()


@pytest.mark.parametrize("num_samples", [1, 10_000])
@pytest.mark.parametrize("scale", [0.0, 1.0, LARGE])
def test_bounds_of_one_and_of_ten_thousand_draws(num_samples, scale):
    weights = scale * np.random.default_rng(0).normal(size=(num_samples, 2))
    values = with_gradient(metrics.importance_weighted_bound, weights)
    assert np.isfinite(values).all()
    # The largest weight less the log of K and the largest weight enclose it.
    largest = weights.max(axis=0)
    slack = 1e-3 * max(scale, 1)
    assert (values[:2] <= largest + slack).all() and (values[:2] >= largest - np.log(num_samples) - slack).all()
    assert np.isfinite(with_gradient(metrics.elbo, weights)).all()


@pytest.mark.slow
@pytest.mark.parametrize("num_samples", [1, 10_000])
def test_a_models_bound_of_extreme_images_under_thirty_components(num_samples):
    model = tiny.make_mixture(max_components=30)
    for _ in range(29):
        model.grow()
    images = np.stack([np.full(tiny.IMAGE_SHAPE, value, np.float32) for value in IMAGES.values()])
    bounds = model.component_bounds(images, num_samples)
    assert bounds.shape == (3, 30) and np.isfinite(bounds).all() and (bounds <= 0).all()
    assert set(model.route(images, 2)) <= set(range(30))
    with pytest.raises(ValueError, match="holds 29 copies already"):
        model.grow()


# Losses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logit", FLOATS)
@pytest.mark.parametrize(("num_old", "num_seen"), [(0, 1), (1, 2), (2, 4), (3, 4)])
def test_losses_of_incremental_classifiers(logit, num_old, num_seen):
    logits, teacher = np.full((3, 4), logit), np.full((3, 4), -logit)
    labels = np.array([0, 0, num_seen - 1])
    cosines, other = np.clip(logits, -1, 1), np.clip(teacher, -1, 1)
    losses = {
        "cross-entropy": with_gradient(lambda values: cross_entropy(labels, values, num_seen), logits),
        "distillation": with_gradient(lambda *pair: distillation_loss(*pair, num_old), logits, teacher),
        "less-forget": with_gradient(less_forget_loss, logits, teacher),
        "cosine match": with_gradient(lambda *pair: cosine_match_loss(*pair, num_old), cosines, other),
        "margin": with_gradient(lambda values: margin_ranking_loss(values, labels, num_old, num_seen), cosines),
    }
    for name, values in losses.items():
        assert np.isfinite(values).all() and values[0] >= -1e-3, name
    assert np.isfinite(less_forget_weight(5.0, num_old, num_seen))


@pytest.mark.parametrize("score", FLOATS)
def test_losses_of_the_critic_where_it_is_flat_or_steep(score):
    images, generated = tf.zeros((2, 4, 4, 1)), tf.ones((2, 4, 4, 1))
    for slope in (0.0, 1e-20, 1.0, LARGE):
        with tf.GradientTape() as tape:
            weight = tf.Variable(slope)
            penalty = gradient_penalty(lambda inputs: weight * tf.reduce_sum(inputs, (1, 2, 3)), images, generated, 0.5)  # noqa: B023
        assert np.isfinite(penalty) and np.isfinite(tape.gradient(penalty, weight))
    scores = np.full((2, 1), score)
    assert np.isfinite(with_gradient(lambda *pair: critic_loss(*pair, penalty), scores, -scores)).all()
    assert np.isfinite(with_gradient(lambda scores: generator_loss(scores, penalty), scores)).all()
    kls = np.array([0.0, LARGE])
    assert np.isfinite(
        with_gradient(lambda outputs: vae_loss(images, outputs, kls), np.full((2, 4, 4, 1), score))
    ).all()


@pytest.mark.parametrize("logit", FLOATS)
@pytest.mark.parametrize("num_in_use", [1, 3])
def test_gates_and_cosines(logit, num_in_use):
    weights = with_gradient(lambda logits: gate_weights(logits, num_in_use, 1e-2), np.array([logit, -logit, 0.0]))
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[:3].sum(), 1, rtol=1e-5)
    assert np.isfinite(with_gradient(cosine_similarities, np.full((2, 3), logit), np.zeros((4, 3)))).all()


# Rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", memory.KERNELS)
@pytest.mark.parametrize("value", FLOATS)
@pytest.mark.parametrize("alpha", [1e-3, 10.0, LARGE])
def test_scores_of_extreme_features_and_of_one_sample_in_memory(kernel, value, alpha):
    short_term, long_term = np.full((3, 2), value), np.full((1, 2), -value)
    scores = memory.kernel_scores(short_term, long_term, kernel, alpha)
    assert np.isfinite(scores).all() and (np.abs(scores) <= 1 + 1e-12).all()
    assert len(memory.select_samples(scores, "similar", -2.0)) == 3


@pytest.mark.parametrize("std", [1e-12, 1.0, 1e12])
def test_distances_of_clusters(std):
    means = np.array([[-LARGE, 0.0], [LARGE, 0.0], [0.0, 0.0]])
    stds = np.full((3, 2), std)
    distances = memory.gaussian_distance(means[:, None], stds[:, None], means[None], stds[None])
    assert np.isfinite(distances).all() and (np.diag(distances) == 0).all()
    assert memory.dropped_cluster(means, stds) in range(3)
    assert memory.dropped_cluster(means[:2], stds[:2]) in range(2)
    assert memory.dropped_cluster(np.zeros((30, 2)), np.ones((30, 2))) in range(30)
    threshold = calibrated_threshold(means[[0, 0]], stds[[0, 0]], 1, np.random.default_rng(0))
    assert threshold == 0


def test_rules_of_one_sample_and_of_one_class():
    one = np.ones((1, 3))
    np.testing.assert_array_equal(memory.herding_order(one, 5), [0])
    np.testing.assert_array_equal(memory.herding_order(np.zeros((3, 2)), 2), [0, 1])
    assert memory.exemplar_quota(1, total=1) == 1
    np.testing.assert_array_equal(memory.experience_quotas("inverse_age", 7, 1), [7])
    np.testing.assert_array_equal(memory.nearest_class_mean(one, one), [0])
    for selection in memory.CLUSTER_SELECTIONS:
        chosen = memory.select_for_cluster(np.ones(1), one, 1, selection, np.random.default_rng(0))
        np.testing.assert_array_equal(chosen, [0])


@pytest.mark.parametrize(
    "generator",
    [
        memory.ClassMean(),
        *(memory.ClassConditionalGaussian(covariance) for covariance in ("full", "shrunk", "tied")),
        memory.ClassConditionalGMM(1),
        memory.ClassConditionalGMM(30),
        memory.ComponentLabelledGMM(),
    ],
    ids=lambda generator: f"{type(generator).__name__} {generator.get_config()}",
)
@pytest.mark.filterwarnings("ignore:Number of distinct clusters:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("value", [0.0, 1e-8, LARGE])
def test_generators_of_constant_latents_one_sample_and_one_class(generator, value):
    for num in (1, 40):
        latents, labels = np.full((num, 3), value), np.full(num, 7)
        samples, drawn = generator.fit(latents, labels, seed=0).sample(5, seed=1)
        assert np.isfinite(samples).all() and (drawn == 7).all()
        np.testing.assert_allclose(samples, value, atol=1e-2 * max(value, 1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_called_divergence(bad):
    with pytest.raises(DivergedError, match="diverged"):
        expansion_due(bad, 0.0, 1.0)
    with pytest.raises(DivergedError, match="diverged"):
        memory.select_for_cluster(np.array([1.0, bad]), np.zeros((2, 2)), 1)
    with pytest.raises(DivergedError, match="diverged"):
        memory.ClassMean().fit(np.array([[1.0, bad]]), np.array([0]))
    with pytest.raises(DivergedError, match="diverged"):
        memory.select_samples(np.array([1.0, np.nan]))


# Measures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grey", IMAGES.values(), ids=IMAGES)
def test_image_measures_of_uniform_images(grey):
    images, black = np.full((2, 16, 16, 1), grey, np.float32), np.zeros((2, 16, 16, 1), np.float32)
    assert np.isfinite(metrics.mse(images, black)).all() and np.isfinite(metrics.ssim(images, black)).all()
    # Of equal images the ratio of signal to noise has no bound.
    assert (np.isfinite(metrics.psnr(images, black)) | (grey == 0)).all()
    np.testing.assert_allclose(metrics.ssim(images, images), 1, rtol=1e-5)


def test_distances_of_constant_features_and_scores_of_one_class():
    constant, shifted = np.zeros((4, 3)), np.full((4, 3), LARGE)
    np.testing.assert_allclose(metrics.frechet_distance(constant, shifted), 3 * LARGE**2, rtol=1e-6)
    np.testing.assert_allclose(metrics.frechet_distance(constant, constant), 0, atol=1e-6)
    assert metrics.average_accuracy(np.array([[1.0]])) == 1
