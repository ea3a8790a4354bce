"""Checks the classifier without a VAE: what it learns from, what a file keeps, what it refuses."""

import keras
import numpy as np
import pytest

from ocm_tf.models import OnlineClassifier
from ocm_tf.networks import MLP
from tests import tiny

NUM_CLASSES = 3


def make_classifier(memory=None, learning_rate=0.1, **settings):
    keras.utils.set_random_seed(0)
    settings = {"epochs_per_batch": 2, "minibatch_size": 4, "seed": 0, **settings}
    model = OnlineClassifier(MLP((5, NUM_CLASSES), "relu"), tiny.IMAGE_SHAPE, memory=memory, **settings)
    model.build((None, *tiny.IMAGE_SHAPE))
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.5))
    return model


def labelled(num_images, seed=0):
    images = tiny.make_images(num_images, seed)
    # The band of each image has a brightness of its own.
    return images, np.digitize(images[:, 2:5].mean(axis=(1, 2, 3)), (90, 150)).astype(np.int64)


def test_a_step_without_memory_is_one_of_gradient_descent_on_the_cross_entropy():
    model = make_classifier()
    images, labels = labelled(4)
    kernel, bias = tiny.values_of(model.classifier.weights[-2:])
    hidden_kernel, hidden_bias = tiny.values_of(model.classifier.weights[:2])
    hidden = np.maximum(images.reshape(4, -1) / 255 @ hidden_kernel + hidden_bias, 0)
    logits = hidden @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.classify(images), probabilities, rtol=1e-4)
    loss = model.train_on_batch(images, labels)
    np.testing.assert_allclose(loss, -np.log(probabilities[np.arange(4), labels]).mean(), rtol=1e-4)
    gradient = (probabilities - np.eye(NUM_CLASSES)[labels]) / 4
    new_kernel, new_bias = tiny.values_of(model.classifier.weights[-2:])
    np.testing.assert_allclose(new_kernel, kernel - 0.1 * hidden.T @ gradient, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(new_bias, bias - 0.1 * gradient.sum(axis=0), rtol=1e-3, atol=1e-5)


def test_it_learns_from_its_memory_and_classifies_in_parts():
    model = make_classifier(tiny.make_memory(8, None), epochs_per_batch=30)
    images, labels = labelled(8)
    for _ in range(4):
        model.train_on_batch(images[:4], labels[:4])
        model.train_on_batch(images[4:], labels[4:])
    assert int(model.optimizer.iterations.numpy()) == 4 * 30 * (1 + 2)
    probabilities = model.classify(images)
    assert (probabilities.argmax(axis=1) == labels).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.classify(images, batch_size=3), probabilities, rtol=1e-5)
    assert model._probabilities.experimental_get_tracing_count() == 1
    assert model.classify(images[:0]).shape == (0, NUM_CLASSES)


def test_it_comes_back_from_a_file_and_goes_on_alike(tmp_path):
    model = make_classifier(tiny.make_memory(8, 20), minibatch_size=3, epochs_per_batch=1, drop_remainder=False)
    images, labels = labelled(12)
    model.train_on_batch(images[:4], labels[:4])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.minibatch_size, loaded.epochs_per_batch, loaded.drop_remainder) == (3, 1, False)
    np.testing.assert_array_equal(loaded.classify(images), model.classify(images))
    tiny.assert_equal_samples(loaded.memory.gather(), model.memory.gather())
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # A file does not keep the state of random draws, so both sides start from the same.
    loaded.seed_generator.state.assign(model.seed_generator.state)
    assert loaded.train_on_batch(images[4:8], labels[4:8]) == model.train_on_batch(images[4:8], labels[4:8])
    tiny.assert_same_values(loaded.trainable_weights, tiny.values_of(model.trainable_weights))


def test_images_without_labels_or_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"learns from \(images, labels\); use stream.batches"):
        make_classifier().train_on_batch(tiny.make_images(4))
    with pytest.raises(ValueError, match=r"made for images of shape \(8, 8, 1\), got \(9, 8, 1\)"):
        OnlineClassifier(MLP((3,)), tiny.IMAGE_SHAPE).build((None, 9, 8, 1))
