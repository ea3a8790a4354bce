"""What no order, relabelling, repetition or way of computing may change, over measures, bounds, memories and rules."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocm_tf import memory, metrics, streams
from ocm_tf.memory import ReplayBuffer, SampleBuffer, WeightBank
from tests.tiny import assert_aligned, assert_equal_samples, make_samples

seeds = st.integers(0, 10_000)


def rng_of(seed):
    return np.random.default_rng(seed)


# Order ----------------------------------------------------------------------------------------------------------------


def _features(rng, num=9, dim=3):
    return rng.normal(size=(num, dim))


MEASURES = {
    "importance-weighted bound": lambda weights: np.asarray(metrics.importance_weighted_bound(weights, axis=0)),
    "elbo": lambda weights: np.asarray(metrics.elbo(weights, axis=0)),
    "Frechet distance": lambda features: metrics.frechet_distance(features, np.eye(3)[[0, 1, 2, 0]]),
    "mean similarity": lambda features: memory.kernel_scores(np.ones((2, 3)), features, "rbf", 2.0),
    "moments": lambda features: np.stack(memory.latent_moments(features, np.abs(features) + 0.1, "aggregate")),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@given(seed=seeds)
def test_the_order_of_samples_changes_no_measure(measure, seed):
    rng = rng_of(seed)
    features = _features(rng)
    np.testing.assert_allclose(measure(rng.permutation(features)), measure(features), rtol=1e-6, atol=1e-8)


@given(seeds)
def test_the_order_of_samples_changes_no_selection(seed):
    rng = rng_of(seed)
    scores, order = rng.permutation(10) / 10, rng.permutation(10)
    for selection in ("similar", "dissimilar"):
        picks = memory.select_samples(scores, selection, 0.45, 4)
        np.testing.assert_array_equal(order[memory.select_samples(scores[order], selection, 0.45, 4)], picks)
    features = _features(rng, 10)
    for selection in ("lowest_error", "highest_error"):
        chosen = memory.select_for_cluster(scores, features, 4, selection)
        again = order[memory.select_for_cluster(scores[order], features[order], 4, selection)]
        np.testing.assert_array_equal(again, chosen)


@settings(max_examples=12)
@given(seeds)
def test_the_order_of_samples_changes_no_generator_of_closed_form(seed):
    rng = rng_of(seed)
    latents, labels = _features(rng, 30), np.arange(30) % 3
    order = rng.permutation(30)
    for kind in (memory.ClassMean, memory.ClassConditionalGaussian, memory.ClassConditionalGMM):
        first, second = kind().fit(latents, labels, seed=1), kind().fit(latents[order], labels[order], seed=1)
        for name, array in first.arrays().items():
            np.testing.assert_allclose(second.arrays()[name], array, rtol=1e-4, atol=1e-5)


@given(seeds, st.integers(2, 5))
def test_names_of_experiences_change_no_average(seed, num):
    accuracies = rng_of(seed).random((num, num))
    order = np.argsort(np.r_[rng_of(seed + 1).random(num - 1), 2.0])
    permuted = accuracies[np.ix_(order, order)]
    for measure in (metrics.average_accuracy, metrics.learning_accuracy, metrics.forgetting):
        np.testing.assert_allclose(measure(permuted), measure(accuracies), rtol=1e-9)


@given(seeds)
def test_nearest_means_follow_their_classes(seed):
    rng = rng_of(seed)
    features, means, order = _features(rng, 8), _features(rng, 4), rng.permutation(4)
    np.testing.assert_array_equal(
        order[memory.nearest_class_mean(features, means[order])], memory.nearest_class_mean(features, means)
    )


# Conservation, capacity, alignment, immutability ----------------------------------------------------------------------


@given(seeds, st.integers(1, 9), st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_a_reservoir_holds_each_sample_once_or_counts_it_as_discarded(seed, capacity, sizes):
    rng, held, num_seen = rng_of(seed), {}, 0
    for size in sizes:
        slots = memory.reservoir_slots(num_seen, capacity, size, rng)
        held |= {slot: num_seen + place for place, slot in enumerate(slots) if slot >= 0}
        num_seen += size
        assert len(held) == min(num_seen, capacity) and max(held) < capacity
        assert len(set(held.values())) == len(held)


@given(seeds, st.integers(1, 12), st.lists(st.integers(1, 12), min_size=1, max_size=5), st.booleans())
def test_a_replay_buffer_never_mixes_up_nor_exceeds_its_capacity(seed, capacity, sizes, balanced):
    buffer, rng, start = ReplayBuffer(capacity), rng_of(seed), 0
    offered = {}
    for index, size in enumerate(sizes):
        samples = make_samples(np.arange(start, start + size))
        inputs = np.asarray(samples.positions, np.float64)[:, None]
        offered |= dict.fromkeys(range(start, start + size), index)
        before = None if buffer.inputs is None else buffer.inputs.copy()
        (buffer.add_balanced if balanced else buffer.overwrite)(inputs, samples.labels, index, rng)
        positions = buffer.inputs[:, 0].astype(int)
        assert len(buffer) <= capacity and len(set(positions)) == len(positions)
        assert_aligned(make_samples(positions)._replace(labels=buffer.labels))
        np.testing.assert_array_equal(buffer.experiences, [offered[position] for position in positions])
        assert before is None or set(positions) <= set(before[:, 0].astype(int)) | set(range(start, start + size))
        start += size


@settings(max_examples=12)
@given(seeds, st.lists(st.sampled_from(["add", "add", "pop"]), max_size=8))
def test_samples_are_in_a_buffer_or_were_handed_out(seed, actions):
    buffer, rng, start, out = SampleBuffer(12, (1, 1, 1)), rng_of(seed), 0, []
    for action in actions:
        if action == "add" and len(buffer) <= 8:
            buffer.add(make_samples(np.arange(start, start + 4)))
            start += 4
        elif action == "pop" and len(buffer):
            rows = rng.permutation(len(buffer))[: rng.integers(1, len(buffer) + 1)]
            taken = buffer.pop(rows)
            assert_aligned(taken)
            out += np.asarray(taken.positions).tolist()
        held = buffer.read()
        assert_aligned(held)
        assert_equal_samples(held.take(slice(None)), held)
        assert sorted([*out, *np.asarray(held.positions).tolist()]) == list(range(start))


@settings(max_examples=12)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6))
def test_what_a_bank_holds_never_changes(values):
    bank, variable = WeightBank(len(values)), keras.Variable(np.zeros(2, np.float32))
    bank.allocate([variable])
    for number, value in enumerate(values):
        variable.assign(np.full(2, value, np.float32))
        bank.store([variable])
        found = [float(bank.read(index)[0][0]) for index in range(number + 1)]
        assert found == values[: number + 1]


@given(seeds, st.integers(0, 60), st.integers(1, 6))
def test_shares_add_up_and_are_off_by_less_than_one(seed, total, num):
    shares = rng_of(seed).random(num) + 1e-3
    counts = memory.largest_remainder(total, shares)
    assert counts.sum() == total and (np.abs(counts - total * shares / shares.sum()) < 1).all()


# Determinism ----------------------------------------------------------------------------------------------------------

POINTS = np.arange(40.0).reshape(20, 2)
DRAWS = {
    "random selection": lambda rng: memory.select_samples(np.zeros(20), "random", None, 9, rng),
    "reservoir": lambda rng: memory.reservoir_slots(5, 5, 20, rng),
    "random exemplars": lambda rng: memory.choose_exemplars(np.arange(20) % 2, 4, "random", rng=rng)[0],
    "halves": lambda rng: np.concatenate(memory.split_halves(np.arange(20) % 2, rng)),
    "diverse cluster": lambda rng: memory.select_for_cluster(
        np.zeros(20), np.arange(40.0).reshape(20, 2), 5, "diverse", rng
    ),
    "balanced buffer": lambda rng: memory.balanced_rows(np.zeros(20, int), 20, 10, 1, rng)[1],
    "overwritten buffer": lambda rng: memory.overwritten_slots(10, 20, 10, 1, rng)[0],
    "replayed rows": lambda rng: memory.replayed_rows(10, 25, rng),
    "class order": lambda rng: streams.shuffled_class_order(20, int(rng.integers(100))),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@given(seed=seeds)
def test_a_seed_decides_a_draw_and_another_decides_otherwise(draw, seed):
    np.testing.assert_array_equal(draw(rng_of(seed)), draw(rng_of(seed)))
    others = [draw(rng_of(seed + shift)) for shift in range(1, 6)]
    assert any(not np.array_equal(draw(rng_of(seed)), other) for other in others)


# Vectorised and direct forms ------------------------------------------------------------------------------------------


@given(seeds)
def test_distances_of_clusters_are_those_of_each_pair(seed):
    rng = rng_of(seed)
    means, stds = _features(rng, 4), rng.random((4, 3)) + 0.1
    matrix = memory.gaussian_distance(means[:, None], stds[:, None], means[None], stds[None])
    direct = [[memory.gaussian_distance(means[i], stds[i], means[j], stds[j]) for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(matrix, direct, rtol=1e-12)


@given(seeds, st.integers(2, 5))
def test_continual_measures_are_their_sums_written_out(seed, num):
    accuracies = rng_of(seed).random((num, num))
    earlier = range(num - 1)
    forgotten = sum(accuracies[j, j] - accuracies[num - 1, j] for j in earlier) / (num - 1)
    best = sum(max(accuracies[i, j] for i in range(j, num - 1)) - accuracies[num - 1, j] for j in earlier) / (num - 1)
    ahead = sum(accuracies[j - 1, j] for j in range(1, num)) / (num - 1)
    np.testing.assert_allclose(metrics.forgetting(accuracies), forgotten)
    np.testing.assert_allclose(metrics.forgetting(accuracies, "best"), best)
    np.testing.assert_allclose(metrics.forward_transfer(accuracies), ahead)
    incremental = np.mean([accuracies[i, : i + 1].mean() for i in range(num)])
    np.testing.assert_allclose(metrics.average_incremental_accuracy(accuracies), incremental)
