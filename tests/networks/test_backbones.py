"""Checks the classifiers that latent replay cuts in two: sizes, initial weights, converted weights, the cut."""

import keras
import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.files import save_arrays
from ocm_tf.networks import alexnet_small, convert_alexnet_weights, lenet, mobilenet_v2, split_at
from tests.tiny import values_of

FILTERS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="module")
def alexnet():
    return alexnet_small(seed=1)


def torch_weights():
    """Makes what torchvision's AlexNet would hold in its convolutions, and one weight more."""
    rng = np.random.default_rng(0)
    state = {"classifier.1.weight": np.zeros((2, 2), np.float32)}
    for index, (outputs, inputs, size) in FILTERS.items():
        state[f"features.{index}.weight"] = rng.normal(size=(outputs, inputs, size, size)).astype(np.float32)
        state[f"features.{index}.bias"] = rng.normal(size=outputs).astype(np.float32)
    return state


def images_for(model, number=3):
    return np.random.default_rng(0).integers(0, 256, (number, *model.input_shape[1:]), dtype=np.uint8)


def assert_parts_make_the_whole(model, backbone, head):
    images = images_for(model)
    np.testing.assert_allclose(head(backbone(images)), model(images), rtol=1e-5, atol=1e-6)
    parts = {id(weight) for part in (backbone, head) for weight in part.weights}
    assert parts == {id(weight) for weight in model.weights}


def test_alexnet_has_the_parameters_of_the_paper_on_both_sides_of_the_cut(alexnet):
    backbone, head = split_at(alexnet, "flatten")
    trainable = [sum(int(np.prod(v.shape)) for v in part.trainable_variables) for part in (backbone, head)]
    assert trainable == [2_469_696, 1_247_114]
    assert backbone.output_shape == (None, 2304)
    behind_dropout, head = split_at(alexnet, "dropout1")
    assert behind_dropout.output_shape == (None, 2304)
    assert [layer.name for layer in head.layers[1:]] == ["dense1", "dropout2", "dense2", "logits"]


def test_maps_of_alexnet_have_the_sizes_of_the_paper(alexnet):
    names = ("conv1_pool", "conv2_pool", "conv3", "conv4", "conv5", "average_pool")
    shapes = [alexnet.get_layer(name).output.shape[1:] for name in names]
    assert shapes == [(29, 29, 64), (14, 14, 192), (14, 14, 384), (14, 14, 256), (14, 14, 256), (3, 3, 256)]
    assert alexnet.get_layer("conv1").output.shape[1:] == (60, 60, 64)


def test_alexnet_sees_normalised_rgb(alexnet):
    normalised = keras.Model(alexnet.input, alexnet.get_layer("normalization").output)
    seen = normalised(np.full((1, 28, 28, 1), 255, np.uint8)).numpy()
    assert seen.shape == (1, 244, 244, 3)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(seen[0, 100, 100], expected, rtol=1e-5)


def test_weights_start_uniform_in_the_inverse_root_of_their_inputs(alexnet):
    for name, fan_in in (("dense1", 2304), ("dense2", 512), ("conv2", 1600)):
        kernel, bias = values_of(alexnet.get_layer(name).weights)
        for values in (kernel, bias):
            assert np.abs(values).max() <= fan_in**-0.5
            assert np.abs(values).max() > 0.9 * fan_in**-0.5
        np.testing.assert_allclose(kernel.std(), (3 * fan_in) ** -0.5, rtol=0.05)


def test_a_seed_gives_the_same_weights_and_layers_of_their_own():
    first, second, other = (values_of(lenet(seed=seed).weights) for seed in (3, 3, 4))
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1][:6] * 5, first[3][:6] * 150**0.5)


def test_lenet_has_a_latent_of_400():
    model = lenet(seed=0)
    backbone, head = split_at(model, "flatten")
    assert backbone.output_shape == (None, 400) and head.output_shape == (None, 10)
    assert model.count_params() == 156 + 2416 + 48_120 + 10_164 + 850
    assert_parts_make_the_whole(model, backbone, head)


def test_lenet_scales_its_images():
    model = lenet(seed=0)
    first = keras.Model(model.input, model.get_layer("rescaling").output)
    np.testing.assert_allclose(first(np.full((1, 28, 28, 1), 255, np.uint8)).numpy().max(), 1)


def test_converted_weights_arrive_in_the_convolutions(tmp_path):
    state = torch_weights()
    converted = convert_alexnet_weights(state)
    assert converted["conv2/kernel"].shape == (5, 5, 64, 192)
    assert converted["conv2/kernel"][1, 2, 3, 4] == state["features.3.weight"][4, 3, 1, 2]
    save_arrays(tmp_path / "weights.npz", converted)
    model = alexnet_small(weights=tmp_path / "weights.npz")
    np.testing.assert_array_equal(model.get_layer("conv5").kernel, converted["conv5/kernel"])
    np.testing.assert_array_equal(model.get_layer("conv1").bias, state["features.0.bias"])


def test_weights_that_do_not_fit_are_refused(tmp_path):
    state = torch_weights()
    with pytest.raises(ValueError, match="must have 4 dimensions"):
        convert_alexnet_weights({**state, "features.0.weight": np.zeros(3)})
    del state["features.6.bias"]
    with pytest.raises(ValueError, match="must hold"):
        convert_alexnet_weights(state)
    with pytest.raises(UserError, match="missing"):
        alexnet_small(weights=tmp_path / "none.npz")
    save_arrays(tmp_path / "weights.npz", {"conv1/kernel": np.zeros((64, 3, 11, 11))})
    with pytest.raises(UserError, match=r"conv1/kernel.*\(11, 11, 3, 64\)"):
        alexnet_small(weights=tmp_path / "weights.npz")
    save_arrays(tmp_path / "weights.npz", {"conv2/kernel": np.zeros(1)})
    with pytest.raises(UserError, match="holds no 'conv1/kernel'"):
        alexnet_small(weights=tmp_path / "weights.npz")


def test_networks_refuse_images_they_cannot_take():
    with pytest.raises(ValueError, match="1 or 3 channels"):
        alexnet_small(input_shape=(28, 28, 2))
    with pytest.raises(ValueError, match="resized_to"):
        alexnet_small(resized_to=128)
    with pytest.raises(ValueError, match="at least 12x12"):
        lenet(input_shape=(8, 8, 1))


def test_mobilenet_is_cut_at_its_pooled_features_and_takes_local_weights(tmp_path):
    keras.utils.set_random_seed(0)
    model = mobilenet_v2(4, (32, 32, 3), alpha=0.35, seed=0)
    backbone, head = split_at(model, "flatten")
    assert backbone.output_shape == (None, 1280) and head.count_params() == 1281 * 4
    assert_parts_make_the_whole(model, backbone, head)
    features = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    features.save_weights(tmp_path / "features.weights.h5")
    loaded = mobilenet_v2(4, (32, 32, 3), alpha=0.35, weights=tmp_path / "features.weights.h5")
    np.testing.assert_array_equal(loaded.get_layer("Conv1").kernel, features.get_layer("Conv1").kernel)
    with pytest.raises(UserError, match="no weights file"):
        mobilenet_v2(4, (32, 32, 3), weights=tmp_path / "none.weights.h5")
    (tmp_path / "broken.weights.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="does not hold weights of this MobileNetV2"):
        mobilenet_v2(4, (32, 32, 3), alpha=0.35, weights=tmp_path / "broken.weights.h5")


def test_a_map_is_cut_only_when_it_is_flattened():
    model = lenet(seed=0)
    with pytest.raises(ValueError, match="flatten=True"):
        split_at(model, "pool1")
    backbone, head = split_at(model, "pool1", flatten=True)
    assert backbone.output_shape == (None, 14 * 14 * 6)
    assert_parts_make_the_whole(model, backbone, head)


def test_a_cut_that_a_connection_skips_is_refused():
    inputs = keras.Input((4,))
    first = keras.layers.Dense(4, name="first")(inputs)
    inner = keras.layers.Dense(4, name="inner")(first)
    joined = keras.layers.Add(name="joined")([first, inner])
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(joined))
    with pytest.raises(ValueError, match="a connection skips 'inner'"):
        split_at(model, "inner")
    assert_parts_make_the_whole(model, *split_at(model, "joined"))


@pytest.mark.parametrize(
    ("name", "message"), [("none", "must be one of"), ("logits", "both sides"), ("images", "both sides")]
)
def test_a_cut_that_leaves_nothing_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        split_at(lenet(seed=0), name)


def test_the_parts_come_back_from_their_configuration_frozen_or_not():
    backbone, head = split_at(lenet(seed=0), "flatten")
    backbone.trainable = False
    for part in (backbone, head):
        copy = keras.Model.from_config(part.get_config())
        assert copy.trainable == part.trainable
        assert len(copy.trainable_variables) == len(part.trainable_variables)
        assert [v.shape for v in copy.weights] == [v.shape for v in part.weights]
