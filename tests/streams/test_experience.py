"""Checks that an experience chooses and changes images when asked, and refuses what does not fit."""

import numpy as np
import pytest

from ocm_tf.streams import Experience, ExperienceSplit

IMAGES = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
LABELS = np.array([0, 1, 2, 1, 0])


def test_rows_are_chosen_before_the_images_change():
    seen = []

    def invert(images):
        seen.append(len(images))
        return 255 - images

    split = ExperienceSplit(IMAGES, LABELS, [3, 0, 3], invert)
    assert seen == []
    assert (len(split), split.image_shape, split.labels.tolist()) == (3, (2, 2, 1), [1, 0, 1])
    np.testing.assert_array_equal(split.images, 255 - IMAGES[[3, 0, 3]])
    assert seen == [3]


def test_unchanged_images_are_not_copied():
    assert ExperienceSplit(IMAGES, LABELS).images is IMAGES


def test_reads_from_a_file_only_what_it_needs(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    split = ExperienceSplit(mapped, LABELS, [4, 1])
    np.testing.assert_array_equal(split.images, IMAGES[[4, 1]])
    np.testing.assert_array_equal(split.load().images, IMAGES[[4, 1]])


def test_bad_splits_are_refused():
    with pytest.raises(ValueError, match=r"must be uint8 of shape .* got float64 of \(5, 2, 2, 1\)"):
        ExperienceSplit(IMAGES / 255, LABELS)
    with pytest.raises(ValueError, match=r"got uint8 of \(5, 2, 2\)"):
        ExperienceSplit(IMAGES[..., 0], LABELS)
    with pytest.raises(ValueError, match=r"labels must have shape \(5,\), got \(4,\)"):
        ExperienceSplit(IMAGES, LABELS[1:])
    for rows in ([5], [-1], [[0]]):
        with pytest.raises(ValueError, match="numbers from 0 to 4"):
            ExperienceSplit(IMAGES, LABELS, rows)
    with pytest.raises(ValueError, match="at least one image"):
        ExperienceSplit(IMAGES, LABELS, [])
    with pytest.raises(ValueError, match=r"transform must return uint8 of shape \(5, 2, 2, 1\), returned float64"):
        _ = ExperienceSplit(IMAGES, LABELS, transform=lambda images: images / 255).images
    with pytest.raises(ValueError, match=r"returned uint8 of \(5, 1, 2, 1\)"):
        _ = ExperienceSplit(IMAGES, LABELS, transform=lambda images: images[:, :1]).images


def test_bad_experiences_are_refused():
    split = ExperienceSplit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="index must not be negative, got -1"):
        Experience(-1, "x", split, split, ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"train labels must lie in 0\.\.1, got 0 to 2"):
        Experience(0, "x", split, split, ("a", "b"))
    with pytest.raises(ValueError, match=r"test labels must lie in 0\.\.2, got -1 to 1"):
        Experience(0, "x", split, ExperienceSplit(IMAGES, LABELS - 1), ("a", "b", "c"))
