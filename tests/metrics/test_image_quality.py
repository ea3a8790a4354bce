"""Checks measures of reconstructions against values worked by hand and scikit-image."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.metrics import mse, psnr, ssim


def pair_of(seed, shape):
    rng = np.random.default_rng(seed)
    images = rng.random(shape).astype(np.float32)
    return images, np.clip(images + rng.normal(0, 0.2, shape), 0, 1).astype(np.float32)


def test_known_errors_have_known_values():
    images = np.zeros((3, 8, 8, 3), np.float32)
    reconstructions = images.copy()
    reconstructions[1] = 0.1
    reconstructions[2, :4, :, :] = 1.0
    np.testing.assert_allclose(mse(images, reconstructions), [0, 0.01, 0.5], rtol=1e-6)
    np.testing.assert_allclose(psnr(images, reconstructions), [100, 20, 3.0103], rtol=1e-5)
    # Constant images differ in the means alone: (2 m n + c) / (m**2 + n**2 + c) with c = 0.01**2.
    np.testing.assert_allclose(ssim(images, reconstructions)[:2], [1, 1e-4 / (0.01 + 1e-4)], rtol=1e-4)


@given(st.integers(0, 1000), st.sampled_from([(32, 32, 3), (28, 28, 1), (11, 14, 1)]))
def test_the_measures_are_those_of_scikit_image(seed, shape):
    images, reconstructions = pair_of(seed, (2, *shape))
    for index, pair in enumerate(zip(images, reconstructions, strict=True)):
        expected = skimage.metrics.peak_signal_noise_ratio(*pair, data_range=1)
        np.testing.assert_allclose(psnr(images, reconstructions)[index], expected, rtol=1e-5)
        similarity = skimage.metrics.structural_similarity(
            *pair, channel_axis=-1, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        np.testing.assert_allclose(ssim(images, reconstructions)[index], similarity, atol=1e-4)


@given(st.integers(0, 1000))
def test_small_images_have_a_smaller_window(seed):
    images, reconstructions = pair_of(seed, (2, 8, 8, 1))
    values = ssim(images, reconstructions).numpy()

    def mean(array):
        # Seven pixels wide, and only where all of them are inside: 2x2 windows.
        return scipy.ndimage.gaussian_filter(array, 1.5, radius=3)[3:-3, 3:-3]

    for value, x, y in zip(values, images[..., 0].astype(float), reconstructions[..., 0].astype(float), strict=True):
        covariance = mean(x * y) - mean(x) * mean(y)
        variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
        contrast = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        luminance = (2 * mean(x) * mean(y) + 0.01**2) / (mean(x) ** 2 + mean(y) ** 2 + 0.01**2)
        assert value == pytest.approx((luminance * contrast).mean(), abs=1e-4)


@given(st.integers(0, 1000), st.integers(1, 20))
def test_similarity_is_one_on_itself_for_images_of_any_size(seed, side):
    images, _ = pair_of(seed, (2, side, side, 1))
    np.testing.assert_allclose(ssim(images, images), 1, atol=1e-5)


def test_each_image_is_measured_alone():
    images, reconstructions = pair_of(0, (5, 16, 16, 3))
    for measure in (mse, psnr, ssim):
        together = measure(images, reconstructions).numpy()
        assert together.shape == (5,)
        alone = [measure(images[i : i + 1], reconstructions[i : i + 1]).numpy()[0] for i in range(5)]
        np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_the_measures_work_in_a_graph_of_any_batch():
    images, reconstructions = pair_of(0, (5, 16, 16, 3))
    for measure in (mse, psnr, ssim):
        traced = tf.function(measure, input_signature=[tf.TensorSpec([None, 16, 16, 3])] * 2)
        np.testing.assert_allclose(traced(images, reconstructions), measure(images, reconstructions), rtol=1e-5)


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 8, 8, 1), (2, 8, 8)])
def test_images_of_other_shapes_are_refused(measure, shape):
    with pytest.raises(ValueError, match=r"must have one shape \(batch, height, width, channels\), got"):
        measure(np.zeros((2, 8, 8, 1)), np.zeros(shape))
