"""Checks the inception score against values worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.metrics import inception_score


def test_images_that_look_alike_score_one():
    assert inception_score(np.full((40, 7), 1 / 7)) == pytest.approx((1.0, 0.0))
    assert inception_score(np.eye(7)[np.zeros(40, int)]) == pytest.approx((1.0, 0.0))


def test_sure_images_of_all_classes_score_the_number_of_classes():
    assert inception_score(np.tile(np.eye(7), (20, 1)), num_splits=10) == pytest.approx((7.0, 0.0))


def test_two_unsure_images_score_what_the_formula_gives():
    # KL((0.9, 0.1) || (0.5, 0.5)) for both of them.
    expected = np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert inception_score([[0.9, 0.1], [0.1, 0.9]], num_splits=1) == pytest.approx((expected, 0.0))


def test_parts_are_scored_one_by_one_in_the_order_given():
    # The first half holds one class, the second half two: scores 1 and 2.
    probabilities = np.eye(2)[[0, 0, 0, 0, 0, 1, 0, 1]]
    assert inception_score(probabilities, num_splits=2) == pytest.approx((1.5, 0.5))
    assert inception_score(np.eye(2)[[0, 1, 0]], num_splits=2) == pytest.approx((1.5, 0.5))


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 10))
def test_the_score_lies_between_one_and_the_number_of_classes(seed, num_classes, num_splits):
    probabilities = np.random.default_rng(seed).dirichlet(np.full(num_classes, 0.3), 30)
    mean, deviation = inception_score(probabilities, num_splits)
    assert 1 - 1e-9 <= mean <= num_classes + 1e-9 and deviation >= 0


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.full((9, 2), 0.5), r"shape \(at least num_splits=10, num_classes\), got \(9, 2\)"),
        (np.full(20, 0.5), r"got \(20,\)"),
        (np.full((20, 2), 0.6), "sum to 1 in each row"),
        (np.tile([1.5, -0.5], (20, 1)), "must not be negative"),
        (np.full((20, 2), np.nan), "sum to 1 in each row"),
    ],
)
def test_what_is_no_distribution_is_refused(probabilities, message):
    with pytest.raises(ValueError, match=message):
        inception_score(probabilities)
