"""Checks how exemplars are stored, rounded and trimmed."""

import numpy as np
import pytest

from ocm_tf.memory import ExemplarMemory, Samples, quantised, trimmed
from tests.tiny import IMAGE_SHAPE, assert_equal_samples, make_images


def make_exemplars(ranks=(0, 1, 0, 1), labels=(0, 0, 1, 1)):
    return Samples(make_images(len(ranks)).astype(np.float32), np.array(labels), np.array(ranks))


def test_pixels_are_rounded_to_the_nearest_value_and_clipped():
    images = np.array([-3.0, 0.4, 0.6, 99.999, 254.5, 400.0])
    assert quantised(images).tolist() == [0, 0, 1, 100, 254, 255]


def test_an_untouched_image_survives_normalisation_and_rounding():
    # Cutting off instead would lower 18 % of the values.
    images, mean, std = make_images(50), np.float32(0.5071), np.float32(0.2009)
    back = ((images.astype(np.float32) / 255 - mean) / std * std + mean) * 255
    np.testing.assert_array_equal(quantised(back), images)
    assert (back.astype(np.uint8) != images).mean() > 0.01


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_stored_exemplars_are_read_back(dtype):
    memory, exemplars = ExemplarMemory(6, IMAGE_SHAPE, dtype), make_exemplars()
    memory.store(exemplars)
    held = memory.read()
    assert_equal_samples(held, exemplars)
    assert held.images.dtype == dtype and memory.num_bytes == 4 * 64 * (1 if dtype == "uint8" else 4)
    memory.store(exemplars.take([1]))
    assert_equal_samples(memory.read(), exemplars.take([1]))


def test_floats_keep_changes_below_a_grey_level():
    memory, exemplars = ExemplarMemory(4, IMAGE_SHAPE, "float32"), make_exemplars()
    memory.store(exemplars._replace(images=exemplars.images + 0.25))
    np.testing.assert_array_equal(memory.read().images, exemplars.images + 0.25)


def test_too_many_exemplars_are_refused():
    with pytest.raises(ValueError, match="room for 3 exemplars, got 4"):
        ExemplarMemory(3, IMAGE_SHAPE, "float32").store(make_exemplars())


def test_trimming_keeps_the_lowest_ranks():
    exemplars = make_exemplars((2, 0, 1, 1, 0), (0, 0, 0, 1, 1))
    kept = trimmed(exemplars, 2)
    assert_equal_samples(kept, exemplars.take([1, 2, 3, 4]))
    assert trimmed(exemplars, 1).positions.tolist() == [0, 0]
