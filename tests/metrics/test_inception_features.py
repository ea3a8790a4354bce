"""Checks the Inception features on weights drawn at random, and what a wrong file leads to."""

import keras
import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.metrics import InceptionFeatures


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A network of random weights and the files they are in."""
    directory = tmp_path_factory.mktemp("inception")
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None)
    files = [directory / name for name in ("old.h5", "inception.weights.h5", "inception.keras")]
    network.save(files[0])
    network.save_weights(files[1])
    network.save(files[2])
    return network, files


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_features_and_probabilities_are_those_of_the_network(inception, number):
    network, files = inception
    images = np.random.default_rng(0).random((3, 32, 32, 3)).astype(np.float32)
    features, probabilities = InceptionFeatures(files[number], (32, 32, 3))(images, batch_size=2)
    large = keras.ops.image.resize(images, (299, 299))
    prepared = keras.applications.inception_v3.preprocess_input(255 * np.asarray(large))
    pooled = keras.Model(network.input, network.get_layer("avg_pool").output)
    assert features.shape == (3, 2048) and probabilities.shape == (3, 1000)
    np.testing.assert_allclose(features, pooled.predict(prepared, verbose=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(probabilities, network.predict(prepared, verbose=0), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_grey_images_are_shown_as_colour_images(inception):
    grey = np.random.default_rng(0).random((2, 28, 28, 1)).astype(np.float32)
    colour = InceptionFeatures(inception[1][2], (28, 28, 3))(grey.repeat(3, axis=-1))
    for ours, theirs in zip(InceptionFeatures(inception[1][2], (28, 28, 1))(grey), colour, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text.h5", "text.keras", "text", "other.weights.h5"])
def test_a_file_of_something_else_is_refused(tmp_path, name):
    path = tmp_path / name
    if name.startswith("other"):
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).save_weights(path)
    else:
        path.write_text("no weights")
    with pytest.raises(UserError, match=rf"{name} holds no weights of InceptionV3 with its top \(.+\)$"):
        InceptionFeatures(path, (32, 32, 3))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no file of Inception weights at .*missing\.h5"):
        InceptionFeatures(tmp_path / "missing.h5", (32, 32, 3))
