"""Checks the distortions: none at strength 0, small and reproducible otherwise, within a graph as outside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.networks import RandomAffine


def make_images(count=6, height=12, width=16):
    images = np.zeros((count, height, width, 1), np.float32)
    images[:, 4:8, 5:11] = np.linspace(0.2, 1.0, count)[:, None, None, None]
    return images


def centre_of(images):
    weights = np.asarray(images)[..., 0]
    rows, columns = np.mgrid[: weights.shape[1], : weights.shape[2]]
    totals = weights.sum(axis=(1, 2))
    return (weights * rows).sum(axis=(1, 2)) / totals, (weights * columns).sum(axis=(1, 2)) / totals


def test_strength_zero_changes_nothing():
    images = make_images()
    np.testing.assert_allclose(RandomAffine(0.0, seed=0)(images), images, atol=1e-6)


def test_images_stay_in_range_and_are_distorted_each_in_its_own_way():
    images = np.repeat(make_images(2), 3, axis=0)
    distorted = np.asarray(RandomAffine(1.0, seed=0)(images))
    assert distorted.shape == images.shape and distorted.min() >= 0 and distorted.max() <= 1
    changes = np.abs(distorted - images).max(axis=(1, 2, 3))
    assert (changes > 0.01).all()
    assert np.abs(distorted[0] - distorted[1]).max() > 0.01


def test_shifts_have_the_deviation_promised():
    images = np.zeros((2000, 28, 28, 1), np.float32)
    images[:, 12:16, 11:17] = 1.0  # in the centre, which turning and stretching leave where it is
    for places in centre_of(RandomAffine(1.0, seed=0)(images)):
        assert abs(places.mean() - 13.5) < 5 * 0.5 / np.sqrt(2000)
        assert places.std() == pytest.approx(0.5, rel=0.08)


def test_one_seed_gives_the_same_distortions_also_in_a_graph():
    images = make_images()
    graph = tf.function(RandomAffine(1.0, seed=5), input_signature=[tf.TensorSpec([None, 12, 16, 1])])
    np.testing.assert_allclose(graph(images), RandomAffine(1.0, seed=5)(images), atol=1e-6)
    assert np.abs(np.asarray(graph(images)) - np.asarray(graph(images))).max() > 0.01


def test_half_of_the_images_are_mirrored():
    images = np.repeat(np.random.default_rng(0).random((1, 6, 9, 2)).astype(np.float32), 200, axis=0)
    flipped = np.asarray(RandomAffine(0.0, flips=True, seed=1)(images))
    mirrored = np.abs(flipped - images[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-5
    same = np.abs(flipped - images).max(axis=(1, 2, 3)) < 1e-5
    assert (mirrored ^ same).all() and abs(mirrored.sum() - 100) < 4 * np.sqrt(50)


def test_a_share_of_the_images_is_distorted_and_the_others_are_as_they_were():
    images = np.repeat(make_images(1), 400, axis=0)
    changes = np.abs(np.asarray(RandomAffine(1.0, seed=1, share=0.25)(images)) - images).max(axis=(1, 2, 3))
    distorted = changes > 0.01
    assert (changes[~distorted] < 1e-5).all() and abs(distorted.sum() - 100) < 4 * np.sqrt(75)


def test_config_round_trip_and_refusal():
    layer = RandomAffine(0.7, flips=True, share=0.5, seed=3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(copy(make_images()), layer(make_images()))
    with pytest.raises(ValueError, match="strength must not be negative, got -1"):
        RandomAffine(-1)
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\], got 0"):
        RandomAffine(share=0)
