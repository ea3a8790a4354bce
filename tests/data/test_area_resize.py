import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.data.area_resize import area_resize, area_weights


def test_weights_by_hand():
    # Each of two new pixels covers one and a half old ones.
    expected = np.array([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    np.testing.assert_allclose(area_weights(3, 2), expected, atol=1e-7)
    np.testing.assert_allclose(area_weights(2, 2), np.eye(2), atol=1e-7)


@given(st.integers(1, 120), st.integers(1, 120))
def test_every_old_pixel_counts_alike(first, second):
    size, new_size = max(first, second), min(first, second)
    weights = area_weights(size, new_size)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(weights.sum(axis=0), new_size / size, atol=1e-4)
    assert weights.min() >= 0


def test_whole_blocks_are_averaged():
    images = np.array([[[0, 10], [20, 30]]], np.uint8)[..., None].repeat(3, axis=1).repeat(3, axis=2)
    assert area_resize(images, 2, 2)[0, ..., 0].tolist() == [[0, 10], [20, 30]]
    assert area_resize(images, 1, 2)[0, ..., 0].tolist() == [[10, 20]]
    assert area_resize(images, 2, 1)[0, ..., 0].tolist() == [[5], [25]]


def test_white_stays_white():
    images = np.full((2, 105, 105, 1), 255, np.uint8)
    assert (area_resize(images, 28, 28) == 255).all()


def test_enlarging_is_refused():
    with pytest.raises(ValueError, match="new_size must be from 1 to 4"):
        area_weights(4, 5)
