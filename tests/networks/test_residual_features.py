"""Checks the cosine head, convolutions with scales, residual features and random crops."""

import keras
import numpy as np
import pytest
from keras import ops

from ocm_tf.networks import (
    RESIDUAL_NETWORKS,
    CosineHead,
    RandomCropFlip,
    ResidualFeatures,
    TransferConv2D,
    cosine_similarities,
)

RNG = np.random.default_rng(0)


def count(variables, *names):
    return sum(int(np.prod(variable.shape)) for variable in variables if variable.name in names)


# The head -------------------------------------------------------------------------------------------------------------


def test_cosines_do_not_depend_on_lengths():
    features, rows = np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[5.0, 0.0], [0.0, -2.0]])
    cosines = cosine_similarities(features, rows)
    np.testing.assert_allclose(cosines, [[1, 0], [np.sqrt(0.5), -np.sqrt(0.5)]], atol=1e-6)
    np.testing.assert_allclose(cosine_similarities(7 * features, 0.1 * rows), cosines, atol=1e-6)


def test_logits_are_cosines_times_a_learnable_scale():
    keras.utils.set_random_seed(0)
    head, features = CosineHead(5, initial_scale=3.0), RNG.normal(size=(20, 8))
    logits = head(features)
    assert np.abs(head.rows).max() <= 1 / np.sqrt(8)
    assert np.abs(logits).max() <= 3 + 1e-5
    np.testing.assert_allclose(logits, 3 * cosine_similarities(features, head.rows), rtol=1e-5)
    assert [weight.name for weight in head.trainable_weights] == ["rows", "scale"]


# Convolutions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (1, 2), (7, 2)])
def test_scales_of_one_make_a_plain_convolution(size, strides):
    keras.utils.set_random_seed(0)
    scaled, plain = (TransferConv2D(4, size, strides, scaled=scaled) for scaled in (True, False))
    images = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    ours = scaled(images)
    assert ours.shape == scaled.compute_output_shape(images.shape)
    plain(images)
    plain.kernel.assign(scaled.kernel)
    np.testing.assert_array_equal(ours, plain(images))
    border = size // 2
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
    np.testing.assert_allclose(ours, ops.conv(padded, scaled.kernel, strides, "valid"), atol=1e-5)
    assert scaled.transfer_scale.shape == (1, 1, 3, 4)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd, got 2"):
        TransferConv2D(4, 2)


# Residual features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "image_shape", "dim", "kernels", "scales"),
    [("resnet32", (32, 32, 3), 64, 463_792, 53_808), ("resnet18", (224, 224, 3), 512, 11_166_912, 1_392_832)],
)
def test_the_networks_of_the_paper_have_their_numbers_of_weights(name, image_shape, dim, kernels, scales):
    layer = ResidualFeatures(**RESIDUAL_NETWORKS[name], weight_transfer=True)
    layer.build((None, *image_shape))
    assert count(layer.weights, "kernel") == kernels
    assert count(layer.weights, "transfer_scale") == scales
    assert layer.compute_output_shape((None, *image_shape)) == (None, dim)
    if name == "resnet32":
        assert count(layer.weights, "gamma", "beta") == 2464


def test_features_may_be_negative_as_the_last_block_has_no_relu():
    keras.utils.set_random_seed(0)
    layer = ResidualFeatures((4, 6), (1, 2), large_stem=True)
    features = layer(RNG.normal(size=(3, 16, 16, 1)))
    assert features.shape == (3, 6)
    assert np.min(features) < 0 < np.max(features)
    assert [block.final_relu for block in layer.residual_blocks] == [True, True, False]


@pytest.mark.parametrize("arguments", [((4,), (1, 2)), ((4, 0), (1, 1)), ((), ())])
def test_a_stage_without_a_number_is_refused(arguments):
    with pytest.raises(ValueError, match="for each stage"):
        ResidualFeatures(*arguments)


# Crops ----------------------------------------------------------------------------------------------------------------


def test_padded_crops_are_shifts_of_each_image():
    image = np.arange(1, 26, dtype=np.float32).reshape(1, 5, 5, 1)
    crops = np.asarray(RandomCropFlip(2, flip=False, seed=1)(image.repeat(300, axis=0)))
    padded = np.pad(image[0], ((2, 2), (2, 2), (0, 0)))
    shifts = {padded[y : y + 5, x : x + 5].tobytes() for y in range(5) for x in range(5)}
    assert {crop.tobytes() for crop in crops} == shifts


def test_every_other_image_is_mirrored():
    images = RNG.random((400, 3, 4, 2)).astype(np.float32)
    flipped = np.asarray(RandomCropFlip(0, seed=2)(images))
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((flipped == images).all(axis=(1, 2, 3)) | mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_resized_crops_are_parts_of_the_image():
    # A ramp stays a ramp when a part of it is enlarged; how steep it is tells the size of the part.
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None], (200, 16, 16, 1))
    crops = np.asarray(RandomCropFlip(None, flip=False, seed=3)(ramp))[:, :, 8, 0]
    steps = np.diff(crops[:, 6:10], axis=1)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(3, axis=1), atol=1e-3)
    assert 0.2 < steps.min() < 0.4 and 0.9 < steps.max() <= 1 + 1e-5
    assert crops.min() >= 0 and crops.max() <= 15


def test_a_negative_padding_is_refused():
    with pytest.raises(ValueError, match="padding must not be negative"):
        RandomCropFlip(-1)
