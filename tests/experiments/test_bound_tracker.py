"""Checks what is measured of memory and test images over the stream, and that measuring leaves the model alone."""

import keras
import numpy as np
import pytest

from ocm_tf.experiments.bound_tracker import BoundTracker
from tests import tiny


@pytest.fixture(scope="module")
def model():
    """A model trained on eight images, which are in its memory."""
    model = tiny.make_vae(tiny.make_memory(), learning_rate=0.03, epochs_per_batch=60)
    model.fit(tiny.batches_of(tiny.make_images(8)), epochs=1, shuffle=False, verbose=0)
    return model


def test_both_bounds_are_means_over_images(model):
    test = tiny.make_images(5, seed=1)
    values = BoundTracker(test, every=1, num_samples=7, seed=3).measure(model, 1)
    held = np.asarray(model.memory.gather().images)
    for name, images in (("memory_bound", held), ("test_bound", test)):
        # All images are used, in an order of the tracker's own.
        order = np.random.default_rng(3).permutation(len(images))
        inputs = np.asarray(model.binarised(images[order], 3))
        assert values[name] == pytest.approx(model.log_likelihood(inputs, 7, seed=3).mean(), rel=1e-6)
    assert values["memory_bound"] > values["test_bound"]


def test_only_every_nth_round_is_measured_and_always_alike(model):
    tracker = BoundTracker(tiny.make_images(5, seed=1), every=2, num_samples=3)
    assert tracker.measure(model, 1) == tracker.measure(model, 3) == {}
    assert tracker.measure(model, 2) == tracker.measure(model, 4) != {}


def test_no_more_than_the_images_wanted_are_used_and_always_the_same(model):
    test = tiny.make_images(50)
    tracker = BoundTracker(test, every=1, num_images=10, seed=4)
    assert tracker.test_images.shape == (10, 8, 8, 1)
    np.testing.assert_array_equal(tracker.test_images, BoundTracker(test, 1, 10, seed=4).test_images)
    known = {image.tobytes() for image in test}
    assert len({image.tobytes() for image in tracker.test_images} & known) == 10
    assert not np.array_equal(tracker.test_images, BoundTracker(test, 1, 10, seed=5).test_images)


def test_measuring_changes_nothing_the_model_learns_from(model):
    before = tiny.values_of([*model.weights, *model.optimizer.variables, model.seed_generator.state])
    drawn = keras.random.normal((3,), seed=model.seed_generator)
    model.seed_generator.state.assign(before[-1])
    BoundTracker(tiny.make_images(5), every=1).measure(model, 1)
    tiny.assert_same_values([*model.weights, *model.optimizer.variables, model.seed_generator.state], before)
    np.testing.assert_array_equal(keras.random.normal((3,), seed=model.seed_generator), drawn)


def test_a_mixture_is_measured_without_another_trace():
    model = tiny.make_mixture(tiny.make_memory())
    model.fit(tiny.batches_of(tiny.make_images(8)), epochs=1, shuffle=False, verbose=0)
    tracker = BoundTracker(tiny.make_images(5), every=1)
    for _ in range(2):
        assert all(np.isfinite(value) for value in tracker.measure(model, 1).values())
        model.grow()
    assert model._bounds.experimental_get_tracing_count() == 1
