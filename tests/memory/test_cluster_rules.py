"""Checks the rules that compare, fill and drop clusters, against integrals and values worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from ocm_tf.errors import DivergedError
from ocm_tf.memory import (
    CLUSTER_SELECTIONS,
    REDUCTIONS,
    calibrated_threshold,
    dropped_cluster,
    gaussian_distance,
    latent_moments,
    select_for_cluster,
)

means = st.lists(st.floats(-5, 5), min_size=3, max_size=3)
stds = st.lists(st.floats(0.05, 4), min_size=3, max_size=3)


def distance(a, b, **options):
    return float(gaussian_distance(*map(np.array, a), *map(np.array, b), **options))


@given(means, stds, means, stds, st.floats(0.1, 10), st.permutations([0, 1, 2]))
def test_distance_is_a_symmetric_divergence(mean_a, std_a, mean_b, std_b, scale, order):
    a, b = (np.array(mean_a), np.array(std_a)), (np.array(mean_b), np.array(std_b))
    found = distance(a, b)
    assert found >= 0 and distance(a, a) == 0
    assert distance(b, a) == pytest.approx(found, rel=1e-9)
    assert distance([scale * part for part in a], [scale * part for part in b]) == pytest.approx(found, rel=1e-6)
    assert distance([part[order] for part in a], [part[order] for part in b]) == pytest.approx(found, rel=1e-9)


def test_distance_is_the_integral():
    first, second = stats.norm(0.3, 0.7), stats.norm(-0.4, 1.2)

    def kl(p, q):
        return integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -10, 10)[0]

    a, b = ([0.3], [0.7]), ([-0.4], [1.2])
    assert distance(a, b, symmetric=False) == pytest.approx(kl(first, second), rel=1e-6)
    assert distance(a, b) == pytest.approx((kl(first, second) + kl(second, first)) / 2, rel=1e-6)


def test_distance_is_the_mean_over_latents_of_each_pair():
    found = gaussian_distance(np.zeros((2, 1, 4)), np.ones((2, 1, 4)), np.array([[0, 0, 0, 2.0], [0] * 4]), np.ones(4))
    np.testing.assert_allclose(found, [[0.5, 0], [0.5, 0]])


def test_moments_of_a_group():
    group_means, group_stds = np.array([[[0.0], [2.0]]]), np.array([[[1.0], [2.0]]])
    np.testing.assert_allclose(latent_moments(group_means, group_stds), [[[1.0]], [[1.5]]])
    # (1 + 4) / 2 + 1
    np.testing.assert_allclose(latent_moments(group_means, group_stds, "aggregate"), [[[1.0]], [[np.sqrt(3.5)]]])
    with pytest.raises(ValueError, match="moments must be one of"):
        latent_moments(group_means, group_stds, "median")


@given(st.lists(st.integers(0, 5), min_size=4, max_size=12), st.integers(1, 4))
def test_lowest_errors_are_chosen_and_ties_keep_their_order(errors, number):
    rows = select_for_cluster(np.array(errors, float), None, number)
    others = np.setdiff1d(np.arange(len(errors)), rows)
    assert len(set(rows.tolist())) == number
    assert all(errors[row] <= errors[other] for row in rows for other in others)
    assert rows.tolist() == sorted(range(len(errors)), key=lambda row: (errors[row], row))[:number]


@given(st.sampled_from(CLUSTER_SELECTIONS), st.integers(1, 12), st.integers(0, 3))
def test_every_selection_gives_distinct_rows(selection, number, num_distinct):
    features = np.repeat(np.random.default_rng(0).normal(size=(12, 2)), 1, axis=0)
    features[num_distinct + 1 :] = features[0]  # fewer distinct points than seeds wanted
    rows = select_for_cluster(np.arange(12.0), features, number, selection, np.random.default_rng(1))
    assert len(set(rows.tolist())) == number and rows.min() >= 0 and rows.max() < 12


def test_diverse_selection_reaches_every_group_and_highest_errors_come_first():
    features = np.repeat([[0.0, 0], [50, 0], [0, 50], [50, 50]], [20, 1, 1, 1], axis=0)
    rows = select_for_cluster(np.zeros(23), features, 4, "diverse", np.random.default_rng(0))
    assert {20, 21, 22} < set(rows.tolist())
    assert select_for_cluster(np.array([1.0, 3, 2]), None, 2, "highest_error").tolist() == [1, 2]


def test_bad_selections_are_refused():
    with pytest.raises(ValueError, match="selection must be one of"):
        select_for_cluster(np.zeros(3), None, 1, "best")
    with pytest.raises(ValueError, match=r"num_selected must lie in 1..3, got 4"):
        select_for_cluster(np.zeros(3), None, 4)
    with pytest.raises(DivergedError, match="diverged"):
        select_for_cluster(np.array([0, np.nan]), None, 1)


def test_of_the_closest_pair_the_one_nearer_to_the_rest_is_dropped():
    # 1 and 2 are the closest; 1 is nearer to 0, and there is nothing on the other side of 2.
    positions = np.array([[0.0], [10.0], [10.5], [40.0]])
    assert dropped_cluster(positions[:3], np.ones((3, 1))) == 1
    assert dropped_cluster(positions, np.ones((4, 1))) == 2
    assert dropped_cluster(positions[:1], np.ones((1, 1))) == 0


def test_calibration_tells_one_regime_from_two():
    rng = np.random.default_rng(0)
    latents, spread = rng.normal(size=(120, 5)), np.full((120, 5), 0.5)
    threshold = calibrated_threshold(latents, spread, 20, np.random.default_rng(1))
    same = gaussian_distance(latents[:20].mean(0), spread[0], latents[60:80].mean(0), spread[0])
    other = gaussian_distance(latents[:20].mean(0), spread[0], latents[60:80].mean(0) + 2, spread[0])
    assert same < threshold < other
    assert calibrated_threshold(latents, spread, 20, np.random.default_rng(1), factor=1.0) == pytest.approx(
        threshold / 2
    )
    assert calibrated_threshold(latents, spread, 20, np.random.default_rng(1), percentile=50.0) < threshold
    with pytest.raises(ValueError, match="block_size must be at most 60 for 120 samples, got 61"):
        calibrated_threshold(latents, spread, 61, rng)


@given(st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=5), min_size=1, max_size=8), st.floats(0, 3))
def test_the_maximum_fires_wherever_the_minimum_does(trace, threshold):
    for distances in trace:
        assert REDUCTIONS["max"](distances) > threshold or not REDUCTIONS["min"](distances) > threshold
