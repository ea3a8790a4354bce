"""Checks the rules of replay between experiences against the paper's numbers and by their invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.memory import (
    balanced_rows,
    class_counts,
    experience_quotas,
    largest_remainder,
    overwritten_slots,
    released_batch_split,
    replayed_rows,
)


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [(10, (1, 1, 1), (4, 3, 3)), (5, (0.5, 0.3, 0.2), (3, 1, 1)), (0, (1, 2), (0, 0)), (3, (0, 1), (0, 3))],
)
def test_largest_remainder_by_hand(total, shares, expected):
    assert largest_remainder(total, shares).tolist() == list(expected)


@given(st.integers(0, 10**6), st.lists(st.floats(0, 1e3), min_size=1, max_size=20).filter(lambda s: sum(s) > 1e-3))
def test_largest_remainder_is_exact_and_near_the_shares(total, shares):
    parts = largest_remainder(total, shares)
    exact = total * np.array(shares) / sum(shares)
    assert parts.sum() == total
    assert (np.abs(parts - exact) < 1 + 1e-6).all()


def test_shares_that_are_none_are_refused():
    for shares in ((0, 0), (-1, 2), (np.nan, 1)):
        with pytest.raises(ValueError, match="shares must be"):
            largest_remainder(3, shares)
    with pytest.raises(ValueError, match="total"):
        largest_remainder(-1, (1,))


def test_drawn_class_counts_follow_the_proportions():
    shares = np.array([0.5, 0.3, 0.2])
    counts = class_counts(10_000, shares, multinomial=True, rng=np.random.default_rng(0))
    assert counts.sum() == 10_000 and (counts != class_counts(10_000, shares)).any()
    # The 0.999 quantile of the chi-square distribution with 2 degrees of freedom.
    assert ((counts - 10_000 * shares) ** 2 / (10_000 * shares)).sum() < 13.8


def test_quotas_of_the_paper():
    assert experience_quotas("inverse_age", 1100, 3).tolist() == [200, 300, 600]
    assert experience_quotas("even", 6000, 4).tolist() == [1500] * 4
    assert experience_quotas("last_g", 900, 5, window=3).tolist() == [0, 0, 300, 300, 300]
    assert experience_quotas("last_g", 900, 2, window=3).tolist() == [450, 450]
    assert experience_quotas("unlimited", 0, 3, num_train=60_000).sum() == 3 * 60_000
    assert experience_quotas("even", 100, 0).tolist() == []


@given(st.sampled_from(("even", "inverse_age", "last_g")), st.integers(0, 10_000), st.integers(1, 30))
def test_quotas_fill_the_buffer(strategy, size, index):
    assert experience_quotas(strategy, size, index, window=4).sum() == size


@pytest.mark.parametrize(
    ("strategy", "message"),
    [("odd", "strategy must be one of"), ("last_g", "window must be"), ("unlimited", "num_train must be")],
)
def test_quotas_refuse_what_is_missing(strategy, message):
    with pytest.raises(ValueError, match=message):
        experience_quotas(strategy, 10, 2)


@pytest.mark.parametrize(
    ("buffer_size", "split", "steps"),
    [(600, (63, 1), 953), (6000, (58, 6), 1035), (15_000, (51, 13), 1177), (30_000, (42, 22), 1429)],
)
def test_released_batches_are_those_of_the_paper(buffer_size, split, steps):
    assert released_batch_split(60_000, buffer_size, 64) == split
    assert -(-60_000 // split[0]) == steps


def test_released_batches_need_enough_samples():
    with pytest.raises(ValueError, match="batch_size must be at most"):
        released_batch_split(30, 10, 64)


@given(st.integers(1, 50), st.integers(0, 200), st.booleans())
def test_going_round_a_buffer_leaves_no_step_empty(num_held, num_wanted, shuffled):
    rows = replayed_rows(num_held, num_wanted, np.random.default_rng(0) if shuffled else None)
    counts = np.bincount(rows, minlength=num_held)
    assert len(rows) == num_wanted and len(counts) == num_held
    assert counts.max() - counts.min() <= 1


def test_a_round_is_in_order_or_shuffled_anew():
    assert replayed_rows(3, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    rows = replayed_rows(20, 40, np.random.default_rng(0))
    assert rows[:20].tolist() != rows[20:].tolist()
    with pytest.raises(ValueError, match="num_held"):
        replayed_rows(0, 3)


def run_rule(rule, capacity, num_new, num_experiences, rng):
    """Returns the experiences in the buffer after each experience."""
    held, history = np.zeros(0, np.int64), []
    for index in range(num_experiences):
        if rule is balanced_rows:
            kept, taken = balanced_rows(held, num_new, capacity, index, rng)
            assert len(set(kept)) == len(kept)
            held = np.concatenate([held[kept], np.full(len(taken), index)])
        else:
            slots, taken = overwritten_slots(len(held), num_new, capacity, index, rng)
            assert len(set(slots)) == len(slots) == len(taken)
            held = np.full(len(slots), 0) if index == 0 else held
            held[slots] = index
        assert len(set(taken)) == len(taken) and (taken < num_new).all()
        history.append(held.copy())
    return history


def test_a_balanced_buffer_holds_as_much_of_each_experience():
    counts = [np.bincount(held).tolist() for held in run_rule(balanced_rows, 20, 50, 3, np.random.default_rng(0))]
    assert counts == [[20], [10, 10], [7, 7, 6]]


def test_an_overwritten_buffer_stays_full_and_nearly_balanced():
    totals = np.zeros(4)
    for seed in range(100):
        held = run_rule(overwritten_slots, 60, 80, 4, np.random.default_rng(seed))[-1]
        assert len(held) == 60
        totals += np.bincount(held, minlength=4)
    assert totals[3] == 100 * 15
    np.testing.assert_allclose(totals / 100, 15, atol=1)


def test_an_experience_smaller_than_its_room_leaves_some_free():
    slots, taken = overwritten_slots(0, 5, 20, 0, np.random.default_rng(0))
    assert slots.tolist() == [0, 1, 2, 3, 4] and sorted(taken) == [0, 1, 2, 3, 4]
    slots, taken = overwritten_slots(5, 30, 20, 1, np.random.default_rng(0))
    assert sorted(slots) == [0, 1, 2, 3, 4] and len(taken) == 5
