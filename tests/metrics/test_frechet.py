"""Checks the Frechet distance against closed forms, the root of a matrix and its own symmetries."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.metrics import frechet_distance


def features_of(seed, num_samples=60, num_features=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_samples, num_features)) @ rng.normal(size=(num_features, num_features)) + rng.normal()


def test_features_of_one_dimension_have_the_distance_of_two_gaussians():
    # Means 1 and 5, standard deviations 1 and 3 (n - 1 in the denominator): 16 + (1 - 3)**2.
    assert frechet_distance([[0.0], [1.0], [2.0]], [[2.0], [5.0], [8.0]]) == pytest.approx(20.0)


@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.1, 4))
def test_shifts_and_scales_have_closed_forms(seed, shift, scale):
    features = features_of(seed)
    variance = features.var(axis=0, ddof=1).sum()
    tolerance = 1e-9 * (1 + variance) * (1 + scale**2)
    assert frechet_distance(features, features + shift) == pytest.approx(5 * shift**2, abs=tolerance)
    about_zero = features - features.mean(axis=0)
    expected = (1 - scale) ** 2 * variance
    assert frechet_distance(about_zero, scale * about_zero) == pytest.approx(expected, abs=tolerance)


@given(st.integers(0, 1000))
def test_the_distance_is_that_of_the_root_of_a_matrix(seed):
    first, second = features_of(seed), features_of(seed + 5000, num_samples=90)
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    squared = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()
    expected = squared + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(0, 1000), st.integers(2, 12))
def test_the_distance_is_symmetric_and_zero_on_itself_also_with_few_samples(seed, num_samples):
    # Fewer samples than features leave both covariances without full rank.
    first, second = (features_of(seed + number, num_samples, num_features=8) for number in (0, 5000))
    distance = frechet_distance(first, second)
    assert distance > 0 and distance == pytest.approx(frechet_distance(second, first), rel=1e-9)
    assert frechet_distance(first, first[::-1]) == pytest.approx(0, abs=1e-9 * first.var(axis=0).sum() + 1e-12)


def test_covariances_without_full_rank_have_the_distance_of_what_they_span():
    plane = np.random.default_rng(0).normal(size=(50, 2))
    turned = np.concatenate([np.zeros((50, 2)), plane], axis=1)
    flat = np.concatenate([plane, np.zeros((50, 2))], axis=1)
    # Gaussians in planes that meet in a point share nothing: all of both variances remains.
    expected = 2 * plane.var(axis=0, ddof=1).sum() + 2 * (plane.mean(axis=0) ** 2).sum()
    assert frechet_distance(flat, turned) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((5, 3)), "equally many columns, got 2, 3"),
        (np.zeros((1, 2)), r"features_b must have shape \(at least 2, num_features\), got \(1, 2\)"),
        (np.zeros(4), r"features_b must have shape \(at least 2, num_features\), got \(4,\)"),
        (np.full((3, 2), np.nan), "features_b must be finite"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(np.zeros((4, 2)), features)
