"""Checks which samples move to the long-term memory and when, with the real memories and no training."""

import json

import numpy as np
import pytest

from ocm_tf.callbacks import MemoryTransfer
from ocm_tf.errors import DivergedError
from ocm_tf.memory import kernel_scores
from tests.tiny import StandIn, assert_aligned, assert_equal_samples, drive, make_memory, make_samples

SHAPE = (1, 1, 1)
BATCH = 4


def small_run(num_batches, capacity=8, num_components=1, seed_duplicate=False, **options):
    """Drives a small stream; returns the stand-in, the callback and the rounds."""
    settings = {"threshold": None, "max_transferred": 3, "long_term_limit": 14, "skip_first_round": False, **options}
    memory = make_memory(capacity, 60, BATCH, image_shape=SHAPE, seed_duplicate=seed_duplicate)
    model, transfer = StandIn(memory, num_components=num_components), MemoryTransfer(**settings)
    rounds = []
    drive(model, [transfer], num_batches * BATCH, BATCH, lambda _: rounds.append(transfer.last_round))
    return model, transfer, [round_ for round_ in rounds if round_ is not None]


def features_of(samples):
    return samples.images.reshape(len(samples.positions), -1) / np.float32(255)


# The schedule of the paper --------------------------------------------------------------------------------------------


def full_stream(capacity, num_samples=60_000, cap=15, limit_factor=4):
    """Drives a whole stream of batches of 64 and checks what must hold after each."""
    limit, batch_size = limit_factor * capacity, 64
    memory = make_memory(capacity, limit + cap + batch_size, batch_size, "gt", SHAPE, seed_duplicate=True)
    transfer, rounds = MemoryTransfer(max_transferred=cap, long_term_limit=limit), []

    def check(num_batches):
        assert len(memory.long_term) <= limit + cap - 1
        if rounds and rounds[-1].batch == num_batches - 1:
            # The batch after a round is alone in the short-term memory.
            newest = (num_batches - 1) * batch_size + np.arange(batch_size)
            np.testing.assert_array_equal(memory.short_term.read().positions, newest)
        if transfer.last_round is not None:
            rounds.append(transfer.last_round)

    drive(StandIn(memory), [transfer], num_samples, batch_size, check)
    return memory.long_term.read(), rounds


def assert_intact(held):
    assert_aligned(held)
    assert len(set(held.positions.tolist())) == len(held.positions)
    # The first batch is still there, and each round's picks came behind those of the round before.
    assert held.positions[:64].tolist() == list(range(64))


@pytest.mark.parametrize(
    ("capacity", "size"),
    [
        pytest.param(300, 1204, marks=pytest.mark.slow),
        pytest.param(400, 1609, marks=pytest.mark.slow),
        (512, 1609),
        pytest.param(600, 1444, marks=pytest.mark.slow),
        (700, 1324),
    ],
)
def test_long_term_memory_ends_with_the_published_size(capacity, size):
    held, rounds = full_stream(capacity)
    assert len(held.positions) == size
    assert_intact(held)
    assert len(rounds[0].picked) == 0
    if capacity == 512:
        assert [round_.batch for round_ in rounds] == list(range(8, 937, 9))
        assert len(rounds) == 104
        assert {len(round_.scores) for round_ in rounds} == {576}


@pytest.mark.slow
def test_long_term_memory_ends_with_the_size_of_the_released_settings():
    held, _ = full_stream(512, cap=14, limit_factor=5)
    assert len(held.positions) == 1506
    assert_intact(held)


@pytest.mark.slow
def test_a_stream_of_twice_the_length_fills_the_long_term_memory():
    held, rounds = full_stream(512, 120_000)
    assert len(rounds) == 208
    assert len(held.positions) == 2059
    assert_intact(held)


# A round --------------------------------------------------------------------------------------------------------------


def test_a_round_moves_the_samples_with_the_highest_scores():
    memory = make_memory(8, 60, BATCH, image_shape=SHAPE)
    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    drive(StandIn(memory), [transfer], 8, BATCH)
    short_term, long_term = make_samples(range(8)), make_samples(range(4))
    scores = kernel_scores(features_of(short_term), features_of(long_term))
    picked = np.argsort(-scores, kind="stable")[:3]
    np.testing.assert_allclose(transfer.last_round.scores, scores, rtol=1e-9)
    np.testing.assert_array_equal(transfer.last_round.picked, picked)
    assert transfer.last_round.batch == 2
    assert_equal_samples(memory.long_term.read(), make_samples([*range(4), *picked]))
    assert memory.short_term.read().positions.tolist() == [row for row in range(8) if row not in picked]


def test_dissimilar_moves_the_samples_with_the_lowest_scores():
    _, _, rounds = small_run(10, selection="dissimilar")
    for round_ in rounds[:3]:
        assert round_.picked.tolist() == np.argsort(round_.scores, kind="stable")[:3].tolist()


@pytest.mark.parametrize("selection", ["similar", "dissimilar"])
def test_the_threshold_bounds_the_picks(selection):
    threshold = 0.9
    _, _, rounds = small_run(
        12, selection=selection, threshold=threshold, alpha=0.5, max_transferred=None, long_term_limit=60
    )
    passing = [round_.scores > threshold if selection == "similar" else round_.scores < threshold for round_ in rounds]
    assert 0 < sum(mask.sum() for mask in passing) < 8 * len(rounds)
    for round_, mask in zip(rounds, passing, strict=True):
        assert sorted(round_.picked) == np.flatnonzero(mask).tolist()


def test_random_picks_follow_the_seed():
    picks = [
        [round_.picked.tolist() for round_ in small_run(6, selection="random", threshold=1.0, seed=seed)[2]]
        for seed in (1, 1, 2)
    ]
    assert picks[0] == picks[1] != picks[2]
    assert all(len(set(pick)) == 3 for pick in picks[0])


def test_the_first_round_can_be_left_out():
    model, _, rounds = small_run(4, skip_first_round=True)
    assert [len(round_.picked) for round_ in rounds] == [0, 3]
    assert_equal_samples(model.memory.long_term.read().take(slice(4)), make_samples(range(4)))
    assert [len(round_.picked) for round_ in small_run(4)[2]] == [3, 3]


def test_nothing_happens_between_rounds():
    memory = make_memory(8, 60, BATCH, image_shape=SHAPE)
    model, transfer = StandIn(memory), MemoryTransfer(threshold=None)
    drive(model, [transfer], BATCH, BATCH)
    assert transfer.last_round is None and model.seen == [] and len(memory.short_term) == BATCH


# The limit ------------------------------------------------------------------------------------------------------------


def test_a_full_long_term_memory_takes_no_more():
    model, _, rounds = small_run(20)
    # 4 from the first batch, then 3 a round while there are fewer than 14.
    assert [len(round_.picked) for round_ in rounds] == [3, 3, 3, 3, 0, 0, 0, 0, 0, 0]
    assert len(model.memory.long_term) == 16
    assert_aligned(model.memory.long_term.read())


def test_a_full_reservoir_keeps_its_size_and_replaces_samples():
    model, transfer, rounds = small_run(40, when_full="reservoir")
    held = model.memory.long_term.read()
    assert len(held.positions) == 16
    assert_aligned(held)
    assert all(len(round_.picked) == 3 for round_ in rounds)
    assert held.positions.max() > 60
    # The batch that seeded the memory was offered too.
    assert transfer.num_offered == 4 + 3 * len(rounds)


def test_a_full_reservoir_knows_how_many_samples_it_was_offered(monkeypatch):
    memory = make_memory(BATCH, 60, BATCH, image_shape=SHAPE)
    offers, offer = [], memory.long_term.offer

    def noting(samples, num_seen, capacity, rng):
        offers.append((num_seen, capacity, len(samples.positions)))
        offer(samples, num_seen, capacity, rng)

    monkeypatch.setattr(memory.long_term, "offer", noting)
    transfer = MemoryTransfer(threshold=None, max_transferred=3, long_term_limit=14, when_full="reservoir")
    drive(StandIn(memory), [transfer], 8 * BATCH, BATCH)
    # Four seeds and then, but for the first round, three a round: 16 samples are in when the first offer comes. Each
    # newcomer is then held with chance 16 / number of samples offered.
    assert offers == [(16, 16, 3), (19, 16, 3), (22, 16, 3)]


def test_a_reservoir_starts_anew_with_a_cleared_memory():
    memory = make_memory(8, 60, BATCH, image_shape=SHAPE)
    transfer = MemoryTransfer(threshold=None, max_transferred=3, long_term_limit=14, when_full="reservoir")
    cleared_at = 20

    def clear(num_batches):
        if num_batches == cleared_at:
            memory.long_term.clear()

    drive(StandIn(memory), [transfer], 26 * BATCH, BATCH, clear)
    # Seeded by batch 21, then three rounds of three.
    assert transfer.num_offered == len(memory.long_term) == 13
    assert memory.long_term.read().positions.min() == cleared_at * BATCH


# Features -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", ["concat", "last"])
def test_the_model_is_asked_for_the_features_wanted(features):
    model, _, _ = small_run(2, features=features, num_components=3)
    images, asked = model.seen[0]
    assert asked == features
    np.testing.assert_array_equal(images, make_samples([*range(8), *range(4)]).images)


def test_scaled_distances_undo_the_number_of_components():
    one = small_run(2)[2][0].scores
    np.testing.assert_allclose(small_run(2, num_components=9, scale_distance=True)[2][0].scores, one, rtol=1e-6)
    np.testing.assert_allclose(small_run(2, num_components=9, features="last")[2][0].scores, one, rtol=1e-6)
    assert (small_run(2, num_components=9)[2][0].scores < one).all()


def test_features_are_of_grey_values_unless_a_fresh_draw_is_wanted():
    def images_seen(**options):
        return np.concatenate([images for images, _ in small_run(8, **options)[0].seen])

    assert images_seen().dtype == np.uint8
    drawn = images_seen(resample=True)
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    np.testing.assert_array_equal(drawn, images_seen(resample=True))
    assert (drawn != images_seen(resample=True, seed=5)).any()


def test_a_duplicate_of_a_stored_sample_scores_one_against_it():
    model, transfer, rounds = small_run(2)
    image = make_samples([0]).images / 255
    assert kernel_scores(image.reshape(1, 1), image.reshape(1, 1), transfer.kernel, transfer.alpha) == 1.0
    # All four seeds are in the short-term memory as well; the nearest of them has the highest score.
    assert rounds[0].scores.argmax() < 8 and len(model.memory.long_term) == 7


@pytest.mark.parametrize("kernel", ["rbf", "laplace_code", "cosine"])
def test_scores_are_of_the_kernel_wanted(kernel):
    scores = small_run(2, kernel=kernel, alpha=2.0)[2][0].scores
    expected = kernel_scores(features_of(make_samples(range(8))), features_of(make_samples(range(4))), kernel, 2.0)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


# State and arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"selection": "random"}, {"resample": True}, {"when_full": "reservoir"}])
def test_a_callback_that_takes_up_the_state_picks_the_same(options):
    settings = {"threshold": None, "max_transferred": 3, "long_term_limit": 14, **options}

    def run(state_at=None):
        memory = make_memory(8, 60, BATCH, image_shape=SHAPE)
        model, callback, rounds = StandIn(memory), MemoryTransfer(**settings, seed=4), []
        for batch in range(24):
            if batch == state_at:
                state = json.loads(json.dumps(callback.get_state()))
                callback = MemoryTransfer(**settings, seed=99)
                callback.set_state(state)
            callback.set_model(model)
            model.observe(make_samples(range(batch * BATCH, (batch + 1) * BATCH)))
            callback.on_train_batch_end(batch)
            if callback.last_round is not None:
                rounds.append((callback.last_round.batch, callback.last_round.picked.tolist()))
        return rounds, memory.long_term.read()

    (rounds, held), (resumed_rounds, resumed_held) = run(), run(state_at=15)
    assert rounds == resumed_rounds
    assert_equal_samples(resumed_held, held)


@pytest.mark.parametrize(
    ("argument", "allowed"),
    [("selection", "similar"), ("kernel", "rbf"), ("when_full", "stop"), ("features", "concat")],
)
def test_unknown_choices_are_refused(argument, allowed):
    with pytest.raises(ValueError, match=f"{argument} must be one of .*{allowed}.*, got 'other'"):
        MemoryTransfer(**{argument: "other"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha and long_term_limit must be positive, got 0.0 and 2048"),
        ({"long_term_limit": 0}, "alpha and long_term_limit must be positive, got 10.0 and 0"),
        ({"max_transferred": -1}, "max_transferred must not be negative, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MemoryTransfer(**options)


def test_features_that_are_not_numbers_stop_the_run():
    memory = make_memory(8, 60, BATCH, image_shape=SHAPE)
    model = StandIn(memory)
    model.features = lambda images, components: np.full((len(images), 2), np.nan)
    with pytest.raises(DivergedError, match="8 of 8 scores are NaN: the model has diverged"):
        drive(model, [MemoryTransfer(skip_first_round=False)], 8, BATCH)
