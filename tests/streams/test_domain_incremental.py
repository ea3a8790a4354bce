"""Checks that permuted and rotated experiences move pixels as the papers do, and hold no copies of the images."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocm_tf.data import Dataset, DatasetSpec, Split
from ocm_tf.streams import permuted_experiences, rotated_experiences
from ocm_tf.streams.domain_incremental import pixel_permutations, rearranged, rotated_pixels, rotation_angles

SPEC = DatasetSpec("test", (6, 6, 1), ("a", "b"), "a test", "none")


def make_dataset(num_train=10, num_test=4):
    """Makes images in which no pixel is 0 and each differs from the others."""
    images = (np.arange((num_train + num_test) * 36) % 251 + 1).astype(np.uint8).reshape(-1, 6, 6, 1)
    labels = np.arange(len(images)) % 2
    return Dataset(Split(images[:num_train], labels[:num_train]), Split(images[num_train:], labels[num_train:]), SPEC)


def test_permutations_are_the_legacy_draws_of_one_generator():
    generator = np.random.RandomState(43769)
    expected = [generator.permutation(36) for _ in range(3)]
    dataset = make_dataset()
    experiences = permuted_experiences(dataset, 3)
    for index, (experience, permutation) in enumerate(zip(experiences, expected, strict=True)):
        assert (experience.index, experience.name) == (index, f"permutation {index}")
        for part, split in ((experience.train, dataset.train), (experience.test, dataset.test)):
            flat = split.images.reshape(-1, 36)[:, permutation]
            np.testing.assert_array_equal(part.images, flat.reshape(-1, 6, 6, 1))
            np.testing.assert_array_equal(part.labels, split.labels)


@given(st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_permutations_are_bijections(num_pixels, seed):
    permutations = pixel_permutations(num_pixels, 3, seed)
    np.testing.assert_array_equal(np.sort(permutations), np.tile(np.arange(num_pixels), (3, 1)))
    np.testing.assert_array_equal(permutations[:2], pixel_permutations(num_pixels, 2, seed))


def test_permutations_differ_between_experiences_and_seeds_and_none_is_the_identity():
    all_of_them = [*pixel_permutations(784, 5, 43769), *pixel_permutations(784, 5, 0), np.arange(784)]
    assert len({permutation.tobytes() for permutation in all_of_them}) == 11


def test_colour_channels_stay_together():
    images = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    moved = rearranged(images, np.array([3, -1, 0, 1]))
    np.testing.assert_array_equal(moved[:, 0, 0], images[:, 1, 1])
    np.testing.assert_array_equal(moved[:, 0, 1], 0)
    np.testing.assert_array_equal(moved[:, 1], images[:, 0])


def test_angles_divide_the_circle():
    assert rotation_angles(5).tolist() == [0, 72, 144, 216, 288]
    assert rotation_angles(1).tolist() == [0]
    np.testing.assert_array_equal(rotation_angles(7), np.linspace(0, 360, 8)[:-1])


def test_rotations_are_exact_and_counter_clockwise():
    dataset = make_dataset()
    identity, left, half, right = rotated_experiences(dataset, 4)
    images = dataset.train.images
    np.testing.assert_array_equal(identity.train.images, images)
    np.testing.assert_array_equal(left.train.images, np.rot90(images, axes=(1, 2)))
    np.testing.assert_array_equal(half.train.images, images[:, ::-1, ::-1])
    np.testing.assert_array_equal(right.test.images, np.rot90(dataset.test.images, 3, axes=(1, 2)))
    assert [experience.name for experience in (identity, left)] == ["rotation 0", "rotation 90"]
    # Counter-clockwise: what was at the top right comes to the top left.
    assert left.train.images[0, 0, 0] == images[0, 0, -1]


def test_the_nearest_pixel_is_taken():
    # By hand: (row 4, column 14) lies 0.5 right of and 9.5 above the centre; turned back by 72 degrees that is 9.19
    # right of and 2.46 above it, (row 11.04, column 22.69).
    pixels = rotated_pixels(28, 28, 72).reshape(28, 28)
    assert divmod(pixels[4, 14], 28) == (11, 23)
    # A corner is turned out of the canvas, and the corner of the canvas shows nothing.
    assert pixels[0, 0] == -1
    assert 0 not in pixels
    images = np.full((1, 28, 28, 1), 9, np.uint8)
    assert rearranged(images, pixels.ravel())[0, 0, 0, 0] == 0


@pytest.mark.parametrize("angle", [0, 72, 144, 216, 288])
def test_agrees_with_pillow(angle):
    image = Image.fromarray(np.arange(784, dtype=np.int32).reshape(28, 28))
    expected = np.asarray(image.rotate(angle, resample=Image.Resampling.NEAREST, fillcolor=-1))
    np.testing.assert_array_equal(rotated_pixels(28, 28, angle).reshape(28, 28), expected)


@pytest.mark.parametrize("make", [permuted_experiences, rotated_experiences])
def test_fewer_images_are_the_same_ones_in_every_experience(make):
    dataset = make_dataset()
    for experience in make(dataset, 3, num_train=5, num_test=2):
        assert (len(experience.train), len(experience.test)) == (5, 2)
        np.testing.assert_array_equal(experience.train.labels, dataset.train.labels[[0, 2, 4, 6, 8]])
    whole, part = make(dataset, 2)[1], make(dataset, 2, num_train=5)[1]
    np.testing.assert_array_equal(part.train.images, whole.train.images[::2])


def test_images_die_with_their_last_user():
    first, second = permuted_experiences(make_dataset(), 2)
    images = first.train.images
    assert first.train.images is images
    dead = weakref.ref(images)
    again = images.copy()
    del images
    gc.collect()
    assert dead() is None
    np.testing.assert_array_equal(first.train.images, again)
    loaded = second.test.load()
    assert isinstance(loaded, Split)
    assert loaded.images is loaded.images is second.test.images
    np.testing.assert_array_equal(loaded.labels, second.test.labels)


@pytest.mark.parametrize("make", [permuted_experiences, rotated_experiences])
def test_bad_numbers_are_refused(make):
    with pytest.raises(ValueError, match="num_experiences must be at least 1, got 0"):
        make(make_dataset(), 0)
    with pytest.raises(ValueError, match=r"num_train must lie in 1\.\.10, got 11"):
        make(make_dataset(), num_train=11)
    with pytest.raises(ValueError, match=r"num_test must lie in 1\.\.4, got 0"):
        make(make_dataset(), num_test=0)
