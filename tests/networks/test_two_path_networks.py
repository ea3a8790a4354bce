"""Checks DEMC's networks: sizes, ranges, starts, and that no image's output depends on the images beside it."""

import keras
import numpy as np
import pytest

from ocm_tf.networks import two_path_networks


def make(kind, image_shape, latent_dim=4, **options):
    keras.utils.set_random_seed(0)
    return two_path_networks(kind, image_shape, latent_dim, **options)


@pytest.mark.parametrize(
    ("kind", "image_shape", "latent_dim", "millions"),
    [("28x28", (28, 28, 1), 100, (6.64, 6.68, 6.56)), ("32x32", (32, 32, 3), 200, (4.06, 5.66, 3.65))],
)
def test_networks_have_the_sizes_of_the_code(kind, image_shape, latent_dim, millions):
    networks = make(kind, image_shape, latent_dim)
    # Scales and shifts of a normalised map are one a channel here.
    found = [network.count_params() / 1e6 for network in networks]
    assert found == pytest.approx(millions, abs=0.014)


@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize("kind", ["reduced", "28x28", "32x32"])
def test_every_kind_takes_every_size(kind, size):
    shape = (size, size, 1 if size % 3 else 3)
    networks = make(kind, shape, width=0.05)
    images = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    z_mean, z_std = networks.encoder(images)
    assert z_mean.shape == z_std.shape == (3, 4) and (np.asarray(z_std) > 0).all()
    generated = np.asarray(networks.generator(100 * np.asarray(z_mean)))
    assert generated.shape == images.shape and generated.min() >= 0 and generated.max() <= 1
    assert networks.critic(images).shape == (3, 1)


@pytest.mark.parametrize("normalization", ["group", "layer", None])
def test_an_output_depends_on_its_own_image_alone(normalization):
    networks = make("28x28", (8, 8, 1), width=0.1, normalization=normalization)
    images = np.random.default_rng(1).random((5, 8, 8, 1)).astype(np.float32)
    for training in (False, True):
        alone, among = (networks.encoder(part, training=training)[0] for part in (images[2:3], images))
        np.testing.assert_allclose(alone[0], among[2], rtol=1e-5, atol=1e-7)
        alone, among = (networks.critic(part, training=training) for part in (images[2:3], images))
        np.testing.assert_allclose(alone[0], among[2], rtol=1e-5, atol=1e-7)
    assert not any(network.non_trainable_variables for network in networks)


def test_standard_deviations_stay_above_zero():
    encoder = make("reduced", (8, 8, 1), width=0.1).encoder
    encoder.get_layer("softplus").bias.assign([-500.0] * 4)
    z_std = np.asarray(encoder(np.ones((1, 8, 8, 1), np.float32))[1])
    assert (z_std > 0).all() and np.isfinite(np.log(z_std)).all()


def test_weights_start_as_in_the_code():
    encoder, generator, _ = make("28x28", (28, 28, 1), 10)
    convolution, dense = encoder.get_layer("conv1").kernel.numpy(), encoder.get_layer("dense2").kernel.numpy()
    # A truncated normal of std 0.02 ends at two of them; what is left of it has 0.88 of the deviation.
    assert 0.039 < np.abs(convolution).max() <= 0.04 and convolution.std() == pytest.approx(0.88 * 0.02, rel=0.02)
    assert dense.std() == pytest.approx(0.02, rel=0.01) and np.abs(dense).max() > 0.06
    assert generator.get_layer("deconv2").kernel.numpy().std() == pytest.approx(0.02, rel=0.02)
    assert not any(layer.bias.numpy().any() for layer in encoder.layers if getattr(layer, "bias", None) is not None)
    slopes = {layer.negative_slope for layer in encoder.layers if isinstance(layer, keras.layers.LeakyReLU)}
    assert len(slopes) == 1 and slopes.pop() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("28", (28, 28, 1), 4), "kind must be one of"),
        (("reduced", (10, 8, 1), 4), "multiples of 4"),
        (("reduced", (8, 8, 1), 0), "latent_dim and width must be positive, got 0 and 1.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_path_networks(*arguments)
