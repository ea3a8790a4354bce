"""Checks the measures of an accuracy matrix against the released runs of Generative Latent Replay and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocm_tf.metrics import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
)

NAN = np.nan
BY_HAND = [[0.8, 0.3, 0.1], [0.9, 0.7, 0.2], [0.5, 0.6, 1.0]]
# Rotated MNIST, run 1: accuracy directly after learning each experience, and after the last one.
LEARNED = [0.9894, 0.9854, 0.9889, 0.9870, 0.9856]
FINAL = [0.8046, 0.8109, 0.8429, 0.9291, 0.9856]


def test_reproduces_the_released_run():
    accuracies = np.full((5, 5), NAN)
    accuracies[np.tril_indices(5)] = 0.5  # what the card does not give plays no part
    np.fill_diagonal(accuracies, LEARNED)
    accuracies[-1] = FINAL
    assert average_accuracy(accuracies) == pytest.approx(0.8746, abs=5e-5)
    assert forgetting(accuracies) == pytest.approx(0.1408, abs=5e-5)
    assert forgetting(accuracies, "best") == pytest.approx(0.1408, abs=5e-5)
    assert backward_transfer(accuracies) == pytest.approx(-0.1408, abs=5e-5)
    assert learning_accuracy(accuracies) == pytest.approx(0.9873, abs=5e-5)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.1688, 0.1735, 0.3257, 0.6080, 0.9573], 0.4467),
        ([0.1677, 0.2195, 0.3457, 0.6381, 0.9639], 0.4670),
        ([0.3942, 0.5454, 0.6572, 0.7489, 0.9127], 0.6517),
        ([0.7010, 0.6941, 0.7975, 0.8555, 0.9564], 0.8009),
        ([0.7288, 0.8267, 0.8794, 0.8636, 0.9198], 0.8437),
    ],
)
def test_reproduces_the_averages_of_permuted_mnist(row, expected):
    assert average_accuracy(np.tile(row, (5, 1))) == pytest.approx(expected, abs=1e-4)


def test_values_worked_by_hand():
    assert average_accuracy(BY_HAND) == pytest.approx((0.5 + 0.6 + 1.0) / 3)
    assert learning_accuracy(BY_HAND) == pytest.approx((0.8 + 0.7 + 1.0) / 3)
    assert average_incremental_accuracy(BY_HAND) == pytest.approx((0.8 + 0.8 + 0.7) / 3)
    assert forgetting(BY_HAND) == pytest.approx((0.3 + 0.1) / 2)
    assert forgetting(BY_HAND, "best") == pytest.approx((0.4 + 0.1) / 2)
    assert backward_transfer(BY_HAND) == pytest.approx(-0.2)
    assert forward_transfer(BY_HAND) == pytest.approx((0.3 + 0.2) / 2)
    assert forward_transfer(BY_HAND, 0.1) == pytest.approx(0.15)
    assert forward_transfer(BY_HAND, [1.0, 0.2, 0.3]) == pytest.approx((0.1 - 0.1) / 2)
    assert forward_transfer([[0.5, 0.25], [0.5, 0.5]]) == 0.25


def test_one_experience_has_an_accuracy_and_nothing_to_forget():
    assert average_accuracy([[0.4]]) == learning_accuracy([[0.4]]) == average_incremental_accuracy([[0.4]]) == 0.4
    for measure in (forgetting, backward_transfer, forward_transfer):
        with pytest.raises(ValueError, match=r"at least 2, got shape \(1, 1\)"):
            measure([[0.4]])


MATRICES = st.integers(2, 5).flatmap(lambda size: hnp.arrays(float, (size, size), elements=st.floats(0, 1)))


@given(MATRICES)
def test_what_always_holds(accuracies):
    for measure in (average_accuracy, learning_accuracy, average_incremental_accuracy):
        assert -1e-12 <= measure(accuracies) <= 1 + 1e-12
    assert -1 <= backward_transfer(accuracies) == -forgetting(accuracies) <= 1
    assert forgetting(accuracies) <= forgetting(accuracies, "best") <= 1
    last = len(accuracies) - 1
    difference = learning_accuracy(accuracies) - average_accuracy(accuracies)
    assert forgetting(accuracies) * last == pytest.approx(difference * (last + 1))
    unmeasured = np.where(np.tri(len(accuracies), dtype=bool), accuracies, NAN)
    for measure in (average_accuracy, learning_accuracy, average_incremental_accuracy, forgetting, backward_transfer):
        assert measure(unmeasured) == measure(accuracies)
    assert forgetting(unmeasured, "best") == forgetting(accuracies, "best")
    with pytest.raises(ValueError, match="just above the diagonal too, got nan"):
        forward_transfer(unmeasured)


@given(st.floats(0, 1), st.integers(2, 5))
def test_a_learner_that_never_changes_neither_forgets_nor_transfers(accuracy, size):
    accuracies = np.full((size, size), accuracy)
    assert forgetting(accuracies) == forgetting(accuracies, "best") == 0
    assert forward_transfer(accuracies, accuracy) == pytest.approx(0)


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ([0.5, 0.5], r"square matrix .* got shape \(2,\)"),
        ([[0.5, 0.5]], r"square matrix .* got shape \(1, 2\)"),
        (np.zeros((0, 0)), r"at least 1, got shape \(0, 0\)"),
        ([[0.5, 0.5], [NAN, 0.5]], "on and below the diagonal, got nan"),
        ([[0.5, 0.5], [0.5, 1.5]], r"lie in \[0, 1\], got 0.5 to 1.5"),
        ([[-0.5, NAN], [0.5, 0.5]], r"lie in \[0, 1\], got -0.5 to 0.5"),
        ([[50, 60], [70, 80]], r"lie in \[0, 1\], got 50 to 80"),
        ([[0.5, np.inf], [0.5, 0.5]], r"lie in \[0, 1\], got 0.5 to inf"),
    ],
)
def test_bad_matrices_are_refused(accuracies, message):
    for measure in (average_accuracy, learning_accuracy, average_incremental_accuracy):
        with pytest.raises(ValueError, match=message):
            measure(accuracies)


def test_bad_references_and_baselines_are_refused():
    with pytest.raises(ValueError, match="'learned' or 'best', got 'worst'"):
        forgetting(BY_HAND, "worst")
    for baselines in ([0.1, 0.2], 1.1, [0.1, NAN, 0.1]):
        with pytest.raises(ValueError, match=r"baselines must be one or 3 values in \[0, 1\]"):
            forward_transfer(BY_HAND, baselines)
