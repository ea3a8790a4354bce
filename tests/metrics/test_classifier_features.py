"""Checks the classifier whose features stand in for Inception's: that it learns, always alike, and comes back."""

import random

import numpy as np
import pytest

from ocm_tf import data
from ocm_tf.metrics import ClassifierFeatures, classifier_features


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def classifier(digits):
    return ClassifierFeatures.train(digits.train.images, digits.train.labels, 10)


def test_it_learns_to_tell_the_classes(classifier, digits):
    features, probabilities = classifier(digits.test.images / np.float32(255))
    assert features.shape == (297, 128) and probabilities.shape == (297, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (features >= 0).all()
    assert (probabilities.argmax(axis=1) == digits.test.labels).mean() > 0.95


def test_the_probabilities_are_those_of_the_features(classifier, digits):
    features, probabilities = classifier(digits.test.images[:20] / np.float32(255), batch_size=7)
    kernel, bias = (weight.numpy() for weight in classifier.network.get_layer("probabilities").weights)
    exponentials = np.exp(features @ kernel + bias)
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-4)


def test_the_same_images_give_the_same_network_whatever_was_drawn_before(monkeypatch):
    monkeypatch.setattr(classifier_features, "_MOST_STEPS", 3)
    images = np.random.default_rng(0).integers(0, 256, (150, 9, 7, 3), np.uint8)
    labels = np.arange(150) % 4
    trained = []
    for seed in (1, 2):
        random.seed(seed)
        state = random.getstate()
        trained.append(ClassifierFeatures.train(images, labels, 4).network.get_weights())
        assert random.getstate() == state
    for first, second in zip(*trained, strict=True):
        np.testing.assert_array_equal(first, second)


def test_it_comes_back_from_its_file(classifier, digits, tmp_path):
    classifier.save(tmp_path / "classifier.keras")
    images = digits.test.images[:5] / np.float32(255)
    loaded = ClassifierFeatures.load(tmp_path / "classifier.keras")(images)
    for ours, theirs in zip(loaded, classifier(images), strict=True):
        np.testing.assert_array_equal(ours, theirs)
