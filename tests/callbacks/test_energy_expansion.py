"""Checks when a model grows by energy, what becomes of the memory then, and growth by the clock."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.callbacks import EnergyExpansion, IntervalExpansion
from ocm_tf.callbacks.energy_expansion import automatic_threshold, energy_due
from ocm_tf.errors import DivergedError
from ocm_tf.memory import SlidingMemory
from tests import tiny

SHAPE = (1, 1, 1)


class StandIn:
    """Takes the place of a model: the energy of component k on images is their mean distance from 10 k, squared."""

    def __init__(self, capacity=8, held_back=0, max_components=9):
        self.memory = SlidingMemory(capacity, SHAPE, 2, held_back)
        self.num_components, self.max_components, self.seen, self.rng = 1, max_components, [], np.random.default_rng(0)

    def losses_of(self, images, seed, components):
        images = np.asarray(images, np.float64).reshape(-1, 1)
        errors = (images - 10 * np.arange(self.num_components)[list(components)]) ** 2
        return errors, np.zeros_like(errors)

    def energies(self, images, num_components, seed):
        self.seen.append((np.asarray(images).ravel().tolist(), num_components))
        return self.losses_of(images, seed, range(num_components))[0].mean(axis=0)

    def grow(self):
        self.num_components += 1


def drive(expansion, pixels, **settings):
    """Feeds pixels in batches of two; returns the stand-in and, for each batch, (size, energy, expanded)."""
    model, notes = StandIn(**settings), []
    expansion.set_model(model)
    pixels = np.asarray(pixels, np.uint8)
    for batch in range(len(pixels) // 2):
        images = pixels[2 * batch : 2 * batch + 2].reshape(2, 1, 1, 1)
        model.memory.observe(tf.constant(images), tf.constant(images.ravel().astype(np.int64)))
        assert len(model.memory) <= model.memory.capacity + 2
        expansion.on_train_batch_end(batch)
        assert len(model.memory) <= model.memory.capacity
        notes.append((len(model.memory), expansion.energy, expansion.expanded))
    held = model.memory.read()
    np.testing.assert_array_equal(held.labels, held.images.ravel())
    return model, notes


def make_expansion(threshold=50.0, **settings):
    return EnergyExpansion(threshold, **{"block_size": 4, "num_dropped": 4, **settings})


def test_the_first_full_memory_grows_the_model_and_empties_itself():
    model, notes = drive(make_expansion(), [0] * 10)
    assert notes == [(2, None, False), (4, None, False), (6, None, False), (8, None, False), (0, None, True)]
    assert model.num_components == 2
    assert not model.seen


def test_known_images_only_make_room_and_new_ones_grow_the_model():
    model, notes = drive(make_expansion(), [0] * 20 + [5, 5, 8, 8, 8, 8])
    # Full again at batch ten: zeros are known. The oldest four go; then 5, 5, 8, 8 have a mean square of 44.5, and two
    # batches on, as the memory is full once more, four pixels of 8 one of 64.
    assert notes[9] == (6, 0.0, False)
    assert notes[10] == (8, None, False)
    assert notes[11] == (6, 44.5, False)
    assert model.num_components == 2
    model, notes = drive(make_expansion(44.0), [0] * 20 + [5, 5, 8, 8, 8, 8])
    assert notes[11] == (0, 44.5, True)
    assert model.num_components == 3
    assert len(model.memory) == 2


@pytest.mark.parametrize(
    ("settings", "images", "compared"),
    [
        ({}, [6, 7, 8, 9], 1),
        ({"block": "second_newest"}, [2, 3, 4, 5], 1),
        ({"block": "all"}, [2, 3, 4, 5, 6, 7, 8, 9], 1),
        ({"include_current": True}, [6, 7, 8, 9], 2),
    ],
)
def test_the_block_and_the_components_are_those_asked_for(settings, images, compared):
    model, _ = drive(make_expansion(**settings), [0] * 10 + list(range(10)))
    assert model.seen == [(images, compared)]


def test_a_model_that_may_not_grow_drops_samples():
    model, notes = drive(make_expansion(0.0), np.arange(40), max_components=1)
    assert model.num_components == 1
    assert not any(expanded for _, _, expanded in notes)
    assert model.memory.read().images.ravel().tolist() == list(range(32, 40))


def test_an_endless_threshold_forces_one_expansion_and_zero_one_at_every_full_memory():
    pixels = np.random.default_rng(0).integers(1, 6, 60)
    forced, _ = drive(make_expansion(np.inf), pixels)
    assert forced.num_components == 2
    always, notes = drive(make_expansion(0.0), pixels)
    assert always.num_components == 1 + 60 // 10
    assert [size for size, _, expanded in notes if expanded] == [0] * 6


@given(
    energies=st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=4), max_size=20),
    thresholds=st.lists(st.floats(0, 100), min_size=2, max_size=6),
)
def test_a_higher_threshold_never_expands_more_often_on_the_same_energies(energies, thresholds):
    counts = [sum(energy_due(values, tau)[0] for values in energies) for tau in sorted(thresholds)]
    assert counts == sorted(counts, reverse=True)
    for values in energies:
        assert energy_due(values, thresholds[0]) == (min(values) > thresholds[0], min(values))


def test_an_energy_that_is_no_number_ends_the_run():
    with pytest.raises(DivergedError, match="lower the learning rate"):
        energy_due([1.0, np.nan], 5.0)


# Automatic threshold --------------------------------------------------------------------------------------------------


def test_the_automatic_threshold_is_that_of_block_means():
    rng = np.random.default_rng(0)
    assert automatic_threshold(np.full(5, 8.0), 4, rng) == 12.0
    # Means of 64 draws of 0 and 20: normal around 10 with a deviation of 10 / 8; 95 % lie below 10 + 1.645 * 1.25.
    threshold = automatic_threshold(np.array([0.0, 20.0]), 64, rng, num_blocks=20_000)
    assert abs(threshold - 1.5 * (10 + 1.645 * 1.25)) < 0.3


def test_the_threshold_is_taken_once_from_what_training_was_not_given():
    expansion = make_expansion("auto", scale=2.0)
    assert expansion.tau is None
    model, notes = drive(expansion, [9] * 6 + [2] * 4 + [2] * 10, held_back=4)
    # The errors of the four twos are 4 each.
    assert expansion.threshold == 6.0
    assert expansion.tau == 12.0
    assert int(model.memory.num_held_back.numpy()) == 0
    assert notes[-1] == (6, 4.0, False)


def test_an_automatic_threshold_needs_samples_held_back():
    with pytest.raises(ValueError, match="set held_back of the memory"):
        drive(make_expansion("auto"), [0] * 10)


# State ----------------------------------------------------------------------------------------------------------------


def test_the_state_is_fit_for_json_and_goes_on_alike():
    expansion = make_expansion("auto")
    drive(expansion, [2] * 10, held_back=4)
    state = json.loads(json.dumps(expansion.get_state()))
    copy = make_expansion("auto", seed=9)
    copy.set_state(state)
    assert copy.threshold == expansion.threshold == 6.0
    assert copy.rng.integers(1000) == expansion.rng.integers(1000)
    untouched = make_expansion("auto")
    untouched.set_state(json.loads(json.dumps(make_expansion("auto").get_state())))
    assert untouched.threshold == "auto"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": -1.0}, "threshold must be 'auto' or not negative, got -1.0"),
        ({"threshold": float("nan")}, "threshold must be 'auto' or not negative, got nan"),
        ({"scale": -1.0}, "scale must not be negative, got -1.0"),
        ({"block": "oldest"}, "block must be one of"),
        ({"block_size": 0}, "block_size and num_dropped must be at least 1, got 0 and 4"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_expansion(**settings)


# By the clock ---------------------------------------------------------------------------------------------------------


def test_the_clock_counts_full_memories_whatever_they_hold():
    expansion = IntervalExpansion(3, block_size=4, num_dropped=4)
    model, notes = drive(expansion, [0] * 80)
    # Ten samples fill it, then every four; so ten, and ten plus twice four, and so on.
    batches = [index + 1 for index, (_, _, expanded) in enumerate(notes) if expanded]
    assert batches == [5, 14, 23, 32]
    assert model.num_components == 5
    assert not model.seen
    copy = IntervalExpansion(3)
    copy.set_state(json.loads(json.dumps(expansion.get_state())))
    assert copy.num_full == expansion.num_full == 2
    with pytest.raises(ValueError, match="interval must be at least 1, got 0"):
        IntervalExpansion(0)


# With the real model --------------------------------------------------------------------------------------------------


def test_expansions_follow_from_images_and_seed_and_not_from_labels():
    from tests.models.test_sparse_attention_classifier import make_classifier

    images = np.concatenate([tiny.make_images(32), 255 - tiny.make_images(32, seed=1)])
    labels = np.repeat([0, 1], 32)
    traces = []
    for order in (labels, labels[::-1].copy()):
        model = make_classifier(SlidingMemory(12, tiny.IMAGE_SHAPE, 4, held_back=4), minibatch_size=4)
        expansion, trace = make_expansion("auto"), []

        class Note(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None, expansion=expansion, trace=trace):
                trace.append((expansion.energy, expansion.expanded))

        stream = tf.data.Dataset.from_tensor_slices((images, order)).batch(4)
        model.fit(stream, verbose=0, shuffle=False, callbacks=[expansion, Note()])
        traces.append(trace)
    assert traces[0] == traces[1]
    assert sum(expanded for _, expanded in traces[0]) >= 2


def test_a_perfect_reconstruction_has_no_energy():
    from ocm_tf.models import SparseAttentionClassifier
    from ocm_tf.networks import PatchAttention

    class Perfect(keras.layers.Layer):
        noise_dim = 2

        def call(self, images, noise):
            return images, noise * 0, noise * 0 + 1

    head = keras.Sequential([keras.layers.Dense(3)])
    model = SparseAttentionClassifier(PatchAttention(2, 4, 2, 2), head, Perfect(), tiny.IMAGE_SHAPE)
    model.build((None, *tiny.IMAGE_SHAPE))
    assert model.energies(tiny.make_images(5), 1).tolist() == [0.0]
