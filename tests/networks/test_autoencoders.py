"""Checks the autoencoders whose errors serve as energy."""

import keras
import numpy as np
import pytest

from ocm_tf.networks import MLP, GaussianAutoencoder, GaussianEncoder, LinearAutoencoder

SHAPE = (8, 8, 1)


def make_dense():
    return GaussianAutoencoder(GaussianEncoder(3, (5,)), MLP((5, 64)), 3)


def make_convolutional():
    layers = keras.layers
    features = keras.Sequential([layers.Conv2D(2, 3, strides=2, padding="same"), layers.Flatten()])
    decoder = [layers.Dense(32), layers.Reshape((4, 4, 2)), layers.Conv2DTranspose(1, 3, strides=2, padding="same")]
    return GaussianAutoencoder(GaussianEncoder(3), keras.Sequential(decoder), 3, features)


def make_linear():
    return LinearAutoencoder((7, 6), 4, (5, 5), 3)


@pytest.mark.parametrize("make", [make_dense, make_convolutional, make_linear])
def test_images_are_reconstructed_from_a_drawn_code(make):
    keras.utils.set_random_seed(0)
    autoencoder, rng = make(), np.random.default_rng(1)
    autoencoder.build((None, *SHAPE))
    images = rng.random((4, *SHAPE)).astype(np.float32)
    noise = rng.normal(size=(4, autoencoder.noise_dim)).astype(np.float32)
    outputs, z_mean, z_std = autoencoder(images, noise)
    assert outputs.shape == images.shape
    assert z_mean.shape == z_std.shape == (4, 3)
    assert (np.asarray(z_std) > 0).all()
    other = autoencoder(images, -noise)[0]
    assert not np.allclose(outputs, other)
    # A configuration makes the same network again.
    copy = type(autoencoder).from_config(autoencoder.get_config())
    copy.build((None, *SHAPE))
    copy.set_weights(autoencoder.get_weights())
    np.testing.assert_array_equal(copy(images, noise)[0], outputs)


def test_the_released_network_is_linear_before_its_sigmoid_and_has_as_many_weights_as_the_code():
    autoencoder = make_linear()
    autoencoder.build((None, *SHAPE))
    assert not any("bias" in weight.name for weight in autoencoder.weights)
    images, noise = np.random.default_rng(2).random((2, *SHAPE)).astype(np.float32), np.zeros((1, 7), np.float32)

    def logits(inputs):
        outputs = np.asarray(autoencoder(inputs.astype(np.float32), noise)[0], np.float64)
        return np.log(outputs / (1 - outputs))

    first, second, middle = logits(images[:1]), logits(images[1:]), logits(images.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(middle, (first + second) / 2, rtol=1e-3, atol=1e-5)
    full = LinearAutoencoder()
    full.build((None, 32, 32, 3))
    # 24.5 million in the authors' model of one component.
    assert round(full.count_params() / 1e6, 1) == 24.5


def test_the_released_network_draws_both_codes():
    autoencoder = make_linear()
    autoencoder.build((None, *SHAPE))
    images = np.random.default_rng(3).random((1, *SHAPE)).astype(np.float32)
    quiet = np.zeros((1, 7), np.float32)
    first, last = quiet.copy(), quiet.copy()
    first[0, 0], last[0, -1] = 1, 1
    base, by_first, by_last = (autoencoder(images, noise) for noise in (quiet, first, last))
    assert not np.allclose(base[1], by_first[1])
    np.testing.assert_array_equal(base[1], by_last[1])
    assert not np.allclose(base[0], by_last[0])
