"""Checks class means, imprinting and margins against values worked by hand."""

import numpy as np
import pytest

from ocm_tf.memory import class_margins, class_means, imprinted_rows, nearest_class_mean, unit_vectors

FEATURES = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 5.0], [0.0, -1.0], [0.0, -4.0]])
LABELS = np.array([0, 0, 1, 2, 2])
HALF = np.sqrt(0.5)


def test_class_means_are_directions():
    np.testing.assert_allclose(class_means(FEATURES, LABELS, 3), [[HALF, HALF], [0, 1], [0, -1]], atol=1e-7)


def test_mirrored_images_count_as_much_as_the_others():
    mirrored = np.array([[7.0, 0.0], [7.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, -1.0]])
    means = class_means(FEATURES, LABELS, 3, mirrored)
    # Class 0: half of (1/2, 1/2) and of (1, 0); class 1: of (0, 1) and of (1, 0).
    np.testing.assert_allclose(means, [unit_vectors(np.array([0.75, 0.25])), [HALF, HALF], [0, -1]], atol=1e-7)


def test_a_class_without_a_sample_is_named():
    with pytest.raises(ValueError, match="all 4 classes, 3 is missing"):
        class_means(FEATURES, LABELS, 4)


def test_the_nearest_mean_is_that_of_the_least_squared_distance():
    rng = np.random.default_rng(0)
    features, means = rng.normal(size=(50, 4)), unit_vectors(rng.normal(size=(6, 4)))
    distances = ((unit_vectors(features)[:, None] - means) ** 2).sum(axis=2)
    assert nearest_class_mean(features, means).tolist() == distances.argmin(axis=1).tolist()


def test_imprinted_rows_have_the_norm_of_the_old_ones():
    old_rows = np.array([[3.0, 4.0], [0.0, 1.0]])  # of norms 5 and 1
    rows = imprinted_rows(FEATURES, LABELS + 2, old_rows)
    np.testing.assert_allclose(rows, 3 * class_means(FEATURES, LABELS, 3))


def test_a_margin_compares_with_the_best_other_class():
    means = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    margins = class_margins(np.array([[2.0, 0.0], [3.0, 4.0], [3.0, 4.0]]), np.array([0, 0, 1]), means)
    np.testing.assert_allclose(margins, [1.0, 0.6 - 0.8, 0.8 - 0.6])
