"""Checks that packed samples come back as what they were rounded to, in the bytes promised."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.memory import CooperativeMemory, PackedSampleBuffer, Samples, ShortTermMemory
from tests import tiny

LEVELS = {1: [0, 255], 2: [0, 85, 170, 255], 4: list(range(0, 256, 17))}


def samples_of(images):
    count = len(images)
    return Samples(images, np.arange(count), np.arange(count))


@pytest.mark.parametrize("bits", LEVELS)
@given(data=st.data())
def test_levels_are_kept_exactly(bits, data):
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    size = 2 * height * width
    pixels = data.draw(st.lists(st.sampled_from(LEVELS[bits]), min_size=size, max_size=size))
    images = np.array(pixels, np.uint8).reshape(2, height, width, 1)
    buffer = PackedSampleBuffer(3, (height, width, 1), bits, seed=0)
    buffer.add(samples_of(images))
    np.testing.assert_array_equal(buffer.read().images, images)


@pytest.mark.parametrize(("bits", "num_bytes"), [(1, 8), (2, 16), (4, 32)])
def test_samples_take_the_bytes_promised(bits, num_bytes):
    buffer = PackedSampleBuffer(5, tiny.IMAGE_SHAPE, bits)
    buffer.add(samples_of(tiny.make_images(3)))
    assert buffer.num_bytes == 3 * num_bytes
    assert buffer.images.shape == (5, num_bytes) and buffer.images.numpy().nbytes == 5 * num_bytes


@pytest.mark.parametrize("bits", LEVELS)
def test_rounding_goes_to_a_neighbouring_level_and_keeps_the_mean(bits):
    values = np.repeat(np.array([0, 20, 85, 100, 200, 254, 255], np.uint8), 4000)
    buffer = PackedSampleBuffer(len(values), (1, 1, 1), bits, seed=1)
    buffer.add(samples_of(values.reshape(-1, 1, 1, 1)))
    stored, expected = buffer.read().images.reshape(7, 4000).astype(int), values.reshape(7, 4000)
    step = 255 // (2**bits - 1)
    assert (stored % step == 0).all() and (np.abs(stored - expected) < step).all()
    # The deviation of a value between two levels is at most half a step.
    np.testing.assert_allclose(stored.mean(axis=1), expected[:, 0], atol=5 * step / 2 / np.sqrt(4000))


def test_samples_are_added_replaced_and_picked_also_in_a_graph():
    buffer = PackedSampleBuffer(4, (2, 2, 1), 2, seed=0)
    images = np.array([0, 85, 170, 255], np.uint8)[:, None, None, None] * np.ones((4, 2, 2, 1), np.uint8)
    tf.function(lambda: buffer.append(samples_of(tf.constant(images))))()
    buffer.replace([1], Samples(images[3:], np.array([9]), np.array([9])))
    held = tf.function(buffer.in_use)()
    np.testing.assert_array_equal(held.images[:, 0, 0, 0], [0, 255, 170, 255])
    np.testing.assert_array_equal(held.labels, [0, 9, 2, 3])
    picked = tf.function(buffer.rows)(tf.constant([3, 1]))
    np.testing.assert_array_equal(picked.images[:, 1, 1, 0], [255, 255])
    np.testing.assert_array_equal(picked.labels, [3, 9])


def test_a_file_gives_back_the_same_samples(tmp_path):
    def make():
        long_term = PackedSampleBuffer(8, tiny.IMAGE_SHAPE, 1, seed=3)
        return tiny.make_vae(CooperativeMemory(ShortTermMemory(4, tiny.IMAGE_SHAPE, 4), long_term))

    model = make()
    model.memory.long_term.add(samples_of(tiny.make_images(5)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.memory.long_term.bits == 1
    tiny.assert_equal_samples(loaded.memory.long_term.read(), model.memory.long_term.read())


def test_samples_stored_in_other_bits_are_refused():
    stored = {}
    PackedSampleBuffer(4, (2, 4, 1), 2).save_own_variables(stored)
    with pytest.raises(ValueError, match=r"stored as \(2,\) for .*, which stores them as \(1,\)"):
        PackedSampleBuffer(4, (2, 4, 1), 1).load_own_variables(stored)
    with pytest.raises(ValueError, match="bits must be 1, 2 or 4, got 3"):
        PackedSampleBuffer(4, (2, 2, 1), 3)
