"""Checks the bare networks: shapes, activations, sizes and the way through their configuration."""

import keras
import numpy as np
import pytest

from ocm_tf.networks import MLP, Dense, GaussianEncoder, ResNet
from tests.tiny import values_of


def built(layer, shape):
    keras.utils.set_random_seed(3)
    layer.build(shape)
    return layer


def again(layer, shape):
    """Makes the same layer from its configuration, with the same weights."""
    copy = type(layer).from_config(layer.get_config())
    copy.build(shape)
    copy.set_weights(values_of(layer.weights))
    return copy


def test_mlp_flattens_and_applies_its_layers_in_order():
    mlp = built(MLP((3, 4, 2), ("tanh", "relu")), (None, 2, 5))
    inputs = np.random.default_rng(0).normal(size=(6, 2, 5)).astype(np.float32)
    (first, bias_1), (second, bias_2), (third, bias_3) = zip(*[iter(values_of(mlp.weights))] * 2, strict=True)
    hidden = np.tanh(inputs.reshape(6, 10) @ first + bias_1)
    expected = np.maximum(hidden @ second + bias_2, 0) @ third + bias_3
    np.testing.assert_allclose(mlp(inputs), expected, rtol=1e-5, atol=1e-6)
    assert mlp.compute_output_shape((None, 2, 5)) == (None, 2)


def test_mlp_of_one_layer_has_its_output_activation_only():
    mlp = built(MLP((4,), "relu", output_activation="sigmoid"), (None, 3))
    assert (mlp(-np.ones((2, 3), np.float32)).numpy() > 0).all()


def test_kernels_are_glorot_uniform_and_biases_zero():
    kernel, bias = values_of(built(MLP((200,)), (None, 784)).weights)
    assert not bias.any()
    limit = np.sqrt(6 / 984)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / np.sqrt(3), rtol=0.01)


def test_encoder_gives_a_mean_and_a_standard_deviation_that_is_an_exponential():
    encoder = built(GaussianEncoder(2, (5,)), (None, 4))
    inputs = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    z_mean, z_std = encoder(inputs)
    hidden_kernel, hidden_bias, mean_kernel, mean_bias, std_kernel, std_bias = values_of(encoder.weights)
    hidden = np.tanh(inputs @ hidden_kernel + hidden_bias)
    np.testing.assert_allclose(z_mean, hidden @ mean_kernel + mean_bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(z_std, np.exp(hidden @ std_kernel + std_bias) + 1e-6, rtol=1e-5)


def test_standard_deviation_stays_above_zero():
    encoder = built(GaussianEncoder(2), (None, 1))
    encoder.std_head.bias.assign([-1000.0, -1000.0])
    _, z_std = encoder(np.ones((1, 1), np.float32))
    assert (z_std.numpy() > 0).all() and np.isfinite(np.log(z_std)).all()


@pytest.mark.parametrize(
    ("layer", "shape", "parameters"),
    [
        (MLP((200,), output_activation="tanh"), (None, 28, 28, 1), 157_000),
        (GaussianEncoder(50, (200,)), (None, 200), 60_300),
        (MLP((200,), output_activation="tanh"), (None, 50), 10_200),
        (MLP((200, 784), "relu"), (None, 200), 197_784),
    ],
    ids=["shared encoder", "encoder", "shared decoder", "decoder"],
)
def test_blocks_of_the_paper_have_their_number_of_parameters(layer, shape, parameters):
    assert built(layer, shape).count_params() == parameters


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dense(3, matmul_dtype="bfloat16", activation="relu"), (None, 4)),
        (MLP((3, 4, 2), ("tanh", "relu"), "sigmoid", "bfloat16"), (None, 4)),
        (GaussianEncoder(2, (3, 5), "relu", "bfloat16"), (None, 4)),
        (GaussianEncoder(2), (None, 4)),
    ],
)
def test_layers_come_back_from_their_configuration(layer, shape):
    layer = built(layer, shape)
    copy = again(layer, shape)
    inputs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert copy.get_config() == layer.get_config()
    for ours, theirs in zip(keras.tree.flatten(copy(inputs)), keras.tree.flatten(layer(inputs)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("layer", [MLP((3, 4), ("relu",)), GaussianEncoder(2, (3,))])
def test_layers_come_back_from_a_file(layer, tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    ours, theirs = model(images), keras.saving.load_model(tmp_path / "model.keras")(images)
    for our, their in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_array_equal(our, their)


def test_bfloat16_is_for_the_product_alone():
    exact, rounded = built(Dense(50), (None, 300)), built(Dense(50, matmul_dtype="bfloat16"), (None, 300))
    rounded.set_weights(values_of(exact.weights))
    inputs = np.random.default_rng(0).normal(size=(8, 300)).astype(np.float32)
    assert rounded.kernel.dtype == "float32" and rounded(inputs).dtype == "float32"
    difference = np.abs(rounded(inputs).numpy() - exact(inputs).numpy()).max()
    assert 0 < difference < 0.05


def test_mlp_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="at least one layer size"):
        MLP(())
    with pytest.raises(ValueError, match="must name 2 hidden layers"):
        MLP((3, 4, 5), ("relu",))


@pytest.mark.parametrize(
    ("blocks", "width", "trainable"),
    # ResNet-18 for CIFAR has 11,173,962; ResNet-32 0.46 million, here with 1x1 convolutions in two shortcuts.
    [((2, 2, 2, 2), 64, 11_173_962), ((5, 5, 5), 16, 466_906)],
)
def test_residual_networks_have_their_number_of_parameters(blocks, width, trainable):
    network = built(ResNet(10, blocks, width), (None, 32, 32, 3))
    assert sum(int(np.prod(variable.shape)) for variable in network.trainable_variables) == trainable


def test_a_residual_network_halves_the_size_and_doubles_the_channels_of_each_stage():
    network = built(ResNet(3, (1, 2, 1), 4), (None, 8, 8, 1))
    shape, shapes = (None, 8, 8, 4), []
    for block in network.residual_blocks:
        shape = block.compute_output_shape(shape)
        shapes.append(tuple(shape)[1:])
    assert shapes == [(8, 8, 4), (4, 4, 8), (4, 4, 8), (2, 2, 16)]
    assert network.compute_output_shape((None, 8, 8, 1)) == (None, 3)
    assert network(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 3)


def test_a_residual_block_adds_its_input():
    (block,) = built(ResNet(2, (1,), 3), (None, 4, 4, 1)).residual_blocks
    block.second.kernel.assign(np.zeros(block.second.kernel.shape))
    inputs = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(block(inputs), np.maximum(inputs, 0), atol=1e-6)


def test_a_residual_network_learns_its_statistics_in_training_alone():
    network = built(ResNet(2, (1,), 3), (None, 4, 4, 1))
    inputs = 3 + np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype(np.float32)
    mean = network.stem_normalization.moving_mean
    before = mean.numpy()
    alone, together = network(inputs[:1]), network(inputs)[:1]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_array_equal(mean, before)
    network(inputs, training=True)
    batch_mean = network.stem(inputs).numpy().mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, 0.9 * before + 0.1 * batch_mean, rtol=1e-4)


def test_a_residual_network_comes_back_from_its_configuration_and_a_file(tmp_path):
    network = built(ResNet(3, (1, 1), 2), (None, 4, 4, 1))
    images = np.random.default_rng(0).random((5, 4, 4, 1)).astype(np.float32)
    network(images, training=True)
    np.testing.assert_array_equal(again(network, (None, 4, 4, 1))(images), network(images))
    inputs = keras.Input((4, 4, 1))
    keras.Model(inputs, network(inputs)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), network(images), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((3, ()), "at least one block"), ((3, (2, 0)), "at least one block"), ((3, (1,), 0), "width must be at least 1")],
)
def test_a_residual_network_refuses_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(*arguments)
