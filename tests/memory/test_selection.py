"""Checks which samples the rules choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.memory import SELECTIONS, kernel_scores, reservoir_slots, select_samples

SCORES = [0.9, 0.2, 0.7, 0.8]


@pytest.mark.parametrize(
    ("threshold", "cap", "picks"), [(0.6, 2, [0, 3]), (0.6, 10, [0, 3, 2]), (1.0, 10, []), (None, None, [0, 3, 2, 1])]
)
def test_similar_takes_the_highest_scores_above_the_threshold(threshold, cap, picks):
    assert select_samples(SCORES, "similar", threshold, cap).tolist() == picks


@pytest.mark.parametrize(
    ("threshold", "cap", "picks"), [(0.75, 1, [1]), (0.75, 10, [1, 2]), (0.2, 10, []), (None, 3, [1, 2, 3])]
)
def test_dissimilar_takes_the_lowest_scores_below_the_threshold(threshold, cap, picks):
    assert select_samples(SCORES, "dissimilar", threshold, cap).tolist() == picks


def test_cosine_rule_keeps_what_points_away():
    scores = kernel_scores([[-1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0]], "cosine")
    assert select_samples(scores, "dissimilar", threshold=0.0).tolist() == [0]


def test_random_draws_without_regard_to_scores():
    picks = select_samples(SCORES * 5, "random", threshold=2.0, max_selected=6, rng=np.random.default_rng(0))
    assert len(set(picks.tolist())) == 6 and max(picks) < 20
    again = select_samples([0.0] * 20, "random", max_selected=6, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(picks, again)


@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from(SELECTIONS), st.none() | st.integers(0, 15))
def test_picks_are_distinct_rows_within_the_cap(scores, selection, cap):
    picks = select_samples(scores, selection, 0.5, cap, np.random.default_rng(0))
    assert len(set(picks.tolist())) == len(picks) <= (len(scores) if cap is None else cap)
    assert all(0 <= pick < len(scores) for pick in picks)
    if selection == "similar":
        assert all(scores[pick] > 0.5 for pick in picks)
    if selection == "dissimilar":
        assert all(scores[pick] < 0.5 for pick in picks)


def test_ties_keep_the_order_of_arrival():
    for selection in ("similar", "dissimilar"):
        assert select_samples([0.5] * 40, selection, max_selected=30).tolist() == list(range(30))


def test_selection_refuses_unknown_rules_and_scores_that_are_not_numbers():
    with pytest.raises(ValueError, match="selection must be one of"):
        select_samples(SCORES, "newest")
    with pytest.raises(ValueError, match="2 of 3 scores are NaN"):
        select_samples([0.1, np.nan, np.nan])


@given(st.integers(0, 30), st.integers(1, 10), st.integers(0, 30))
def test_reservoir_slots_fill_free_slots_in_order_and_then_hit_existing_ones(num_seen, capacity, num_new):
    slots = reservoir_slots(num_seen, capacity, num_new, np.random.default_rng(0))
    assert slots.shape == (num_new,)
    num_free = min(max(capacity - num_seen, 0), num_new)
    assert slots[:num_free].tolist() == list(range(num_seen, num_seen + num_free))
    assert ((slots >= -1) & (slots < capacity)).all()


def test_reservoir_slots_leave_a_uniform_sample():
    rng = np.random.default_rng(0)
    num_samples, capacity, repeats = 60, 6, 4000
    held = np.zeros(num_samples)
    for _ in range(repeats):
        reservoir = np.full(capacity, -1)
        # Offered in batches of unequal size, as a stream does.
        for batch in np.split(np.arange(num_samples), [4, 9, 30, 31]):
            for sample, slot in zip(batch, reservoir_slots(batch[0], capacity, len(batch), rng), strict=True):
                if slot >= 0:
                    reservoir[slot] = sample
        held[reservoir] += 1
    expected = repeats * capacity / num_samples
    deviation = np.sqrt(expected * (1 - capacity / num_samples))
    assert np.abs(held - expected).max() < 4 * deviation
    # No trend over the stream either: early and late halves are held equally often.
    assert abs(held[:30].sum() - held[30:].sum()) < 4 * deviation * np.sqrt(num_samples)
