"""Checks budgets, herding against a brute-force greedy choice, and the halves of exemplars."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.memory import choose_exemplars, exemplar_quota, herding_order, split_halves, unit_vectors


def test_a_fixed_total_gives_the_quotas_of_the_authors_code():
    assert [exemplar_quota(seen, total=2000) for seen in (50, 60, 70, 80, 90, 100)] == [40, 34, 29, 25, 23, 20]
    assert {exemplar_quota(seen, per_class=20) for seen in (1, 50, 100)} == {20}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_seen": 0}, "num_seen"),
        ({"num_seen": 1, "per_class": 0}, "per_class"),
        ({"num_seen": 5, "total": 4}, "each of the 5 classes"),
    ],
)
def test_impossible_budgets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        exemplar_quota(**arguments)


def distances_to_the_mean(unit, chosen):
    """Returns, for each sample not chosen, how far from the mean of all the mean of those chosen and it would be."""
    return {
        row: np.linalg.norm(unit.mean(axis=0) - unit[[*chosen, row]].mean(axis=0))
        for row in range(len(unit))
        if row not in chosen
    }


seeds = st.integers(0, 10_000)


@given(seed=seeds, num=st.integers(1, 9), dim=st.integers(2, 5))
def test_herding_is_the_greedy_choice(seed, num, dim):
    features = np.random.default_rng(seed).normal(size=(num, dim)) + 0.5
    order = herding_order(features, num).tolist()
    for place, pick in enumerate(order):
        distances = distances_to_the_mean(unit_vectors(features), order[:place])
        assert distances[pick] <= min(distances.values()) + 1e-9  # there may be a tie


@given(seed=seeds, fewer=st.integers(1, 8))
def test_first_picks_do_not_depend_on_their_number_nor_on_the_order_of_samples(seed, fewer):
    rng = np.random.default_rng(seed)
    features, shuffle = rng.normal(size=(8, 4)), rng.permutation(8)
    order = herding_order(features, 8)
    assert sorted(order) == list(range(8))
    assert herding_order(features, fewer).tolist() == order[:fewer].tolist()
    assert shuffle[herding_order(features[shuffle], 8)].tolist() == order.tolist()


def test_herding_does_not_pick_the_one_at_the_mean_twice():
    # Four directions around (1, 0), and that one itself: without a mask it would be picked again and again.
    features = np.array([[1, 0], [1, 1], [1, -1], [1, 0.5], [1, -0.5]])
    assert herding_order(features, 9).tolist()[0] == 0
    assert sorted(herding_order(features, 9)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("selection", ["herding", "random"])
def test_every_class_gives_its_exemplars_in_order_of_rank(selection):
    labels = np.array([2, 0, 2, 0, 2, 1])
    features = np.random.default_rng(0).normal(size=(6, 3))
    rows, ranks = choose_exemplars(labels, 2, selection, features, np.random.default_rng(1))
    assert labels[rows].tolist() == [0, 0, 1, 2, 2]
    assert ranks.tolist() == [0, 1, 0, 0, 1]
    assert len(set(rows)) == 5


def test_random_choice_follows_its_generator():
    labels = np.zeros(50, int)
    first, second = (choose_exemplars(labels, 5, "random", rng=np.random.default_rng(seed))[0] for seed in (3, 3))
    assert first.tolist() == second.tolist()
    assert first.tolist() != choose_exemplars(labels, 5, "random", rng=np.random.default_rng(4))[0].tolist()


def test_an_unknown_selection_is_refused():
    with pytest.raises(ValueError, match="selection must be one of"):
        choose_exemplars(np.zeros(3, int), 2, "nearest")


@given(counts=st.lists(st.integers(2, 6), min_size=1, max_size=4), seed=seeds)
def test_halves_are_disjoint_and_hold_every_class(counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    first, second = split_halves(labels, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(labels)))
    for half in (first, second):
        assert set(labels[half]) == set(range(len(counts)))
    for label, count in enumerate(counts):
        assert np.sum(labels[first] == label) == -(-count // 2)


def test_a_single_exemplar_has_no_halves():
    with pytest.raises(ValueError, match="class 1 has one exemplar"):
        split_halves(np.array([0, 0, 1]), np.random.default_rng(0))
