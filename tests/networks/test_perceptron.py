"""Checks the perceptron: sizes, where it is cut, seeds."""

import numpy as np

from ocm_tf.networks import perceptron, split_at


def test_layers_are_dense_and_cut_behind_the_first():
    model = perceptron(3, (8, 8, 1), units=(7, 5), seed=1)
    assert model.count_params() == 64 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    backbone, head = split_at(model, "dense1")
    latents = backbone(images)
    assert latents.shape == (4, 7) and np.min(latents) >= 0
    np.testing.assert_allclose(head(latents), model(images), rtol=1e-6)
    kernel, bias = model.get_layer("dense1").get_weights()
    first_by_hand = np.maximum(images.reshape(4, -1) / 255 @ kernel + bias, 0)
    np.testing.assert_allclose(latents, first_by_hand, atol=1e-5)
    assert np.abs(kernel).max() <= 1 / 8


def test_the_seed_decides_the_start():
    weights = [perceptron(3, (8, 8, 1), (4,), seed).get_weights()[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
