"""Checks when a mixture grows, and what growth does to the memories and to a real mixture inside one `fit`."""

import itertools
import json

import keras
import numpy as np
import pytest

from ocm_tf.callbacks import Expansion, MemoryTransfer
from ocm_tf.callbacks.expansion import expansion_due
from ocm_tf.errors import DivergedError
from tests import tiny
from tests.tiny import StandIn, drive, make_memory, make_samples

SHAPE = (1, 1, 1)
DRIFT = [-100, -106, -112, -118]
JUMPS = [-100, -103, -115, -116, -104]


def rounds_of(bounds, callbacks, num_components=1, max_components=30, at_round=lambda number: None, **memory):
    """Drives one round of two batches for each bound and returns the stand-in."""
    memory = make_memory(8, 60, 4, image_shape=SHAPE, **memory)
    model = StandIn(memory, bounds, num_components, max_components)
    drive(model, callbacks, 8 * len(bounds), 4, lambda batch: at_round(batch // 2) if batch % 2 == 0 else None)
    return model


def expansions(bounds, **options):
    """Returns the numbers of the rounds, from 1, in which a mixture grows."""
    expansion, grown = Expansion(num_samples=7, **options), []
    rounds_of(bounds, [expansion], at_round=lambda number: grown.append(number) if expansion.expanded else None)
    return grown


# The rule -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "reference", "expected"),
    [
        (DRIFT, "every_round", []),
        (DRIFT, "on_expand", [3]),
        (JUMPS, "every_round", [3, 5]),
        (JUMPS, "on_expand", [3, 5]),
        (DRIFT, "highest", [3]),
        (JUMPS, "highest", [3]),
        # The round after an expansion is the first to be measured from: a change that takes two rounds counts once.
        ([-100, -130, -170, -165, -180], "highest", [2, 5]),
        # A component that learns gets better; what it has reached is what the next fall is measured from.
        ([-150, -120, -100, -108, -111, -90, -99, -101], "highest", [5, 8]),
    ],
)
def test_grows_where_the_bound_has_jumped(bounds, reference, expected):
    assert expansions(bounds, threshold=10.0, reference=reference) == expected
    last, due = None, []
    for number, bound in enumerate(bounds, 1):
        is_due, last = expansion_due(bound, last, 10.0, reference)
        due += [number] * is_due
    assert due == expected


def test_the_first_round_only_sets_the_reference():
    assert expansion_due(-500.0, None, 10.0) == (False, -500.0)
    assert expansion_due(0.0, None, 10.0) == (False, 0.0)
    # A bound of exactly zero is a reference like any other.
    assert expansion_due(-11.0, 0.0, 10.0) == (True, -11.0)


def test_a_jump_must_exceed_the_threshold_and_may_go_either_way():
    assert not expansion_due(-110.0, -100.0, 10.0)[0]
    assert expansion_due(-110.5, -100.0, 10.0)[0]
    assert expansion_due(-89.5, -100.0, 10.0)[0]


@pytest.mark.parametrize("bound", [np.nan, np.inf, -np.inf])
def test_a_bound_that_is_no_number_stops_the_run(bound):
    with pytest.raises(DivergedError, match="the model has diverged"):
        expansion_due(bound, -100.0, 10.0)


def test_only_every_nth_round_is_tested():
    # The bound is measured in rounds 2, 4 and 6 only, which take the first three values.
    assert expansions([-100, -150, -155, 0, 0, 0], threshold=10.0, check_every=2) == [4]
    assert expansions([-100, -150, -155], threshold=10.0, check_every=1) == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold and check_every must be positive, got 0.0 and 1"),
        ({"check_every": 0}, "threshold and check_every must be positive, got 10.0 and 0"),
        ({"components": "worst"}, "components must be 'mean' or 'best', got 'worst'"),
        ({"reference": "never"}, "reference must be one of on_expand, every_round, highest, got 'never'"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Expansion(**options)


# The memories ---------------------------------------------------------------------------------------------------------


def test_growth_clears_the_long_term_memory_and_the_next_batch_seeds_it():
    sizes = []
    expansion = Expansion(10.0)
    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    memory = make_memory(8, 60, 4, image_shape=SHAPE)
    model = StandIn(memory, [-100, -100, -150, -150])
    drive(model, [transfer, expansion], 32, 4, lambda batch: sizes.append(len(memory.long_term)))
    assert sizes == [4, 7, 7, 10, 10, 0, 4, 7]
    assert model.num_components == 2
    assert memory.long_term.read().positions[:4].tolist() == [24, 25, 26, 27]


def test_samples_moved_in_the_same_round_survive_if_they_are_to():
    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    expansion = Expansion(10.0, keep_transferred=transfer)
    model = rounds_of([-100, -150], [transfer, expansion])
    held = model.memory.long_term.read()
    # The second round saw positions 8 to 15.
    assert held.positions.tolist() == (8 + transfer.last_round.picked).tolist() and len(held.positions) == 3
    tiny.assert_aligned(held)


def test_the_long_term_memory_stays_if_it_is_to():
    expansion = Expansion(10.0, clear_long_term=False)
    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    model = rounds_of([-100, -150], [transfer, expansion])
    assert model.num_components == 2
    held = model.memory.long_term.read()
    assert held.positions[:4].tolist() == [0, 1, 2, 3] and len(held.positions) == 10


def test_growth_needs_no_long_term_memory():
    memory = make_memory(8, None, 4, image_shape=SHAPE)
    model = StandIn(memory, [-100, -150])
    drive(model, [Expansion(10.0)], 16, 4)
    assert model.num_components == 2


def test_no_component_is_added_beyond_the_most_allowed():
    model = rounds_of([-100, -150, -100, -150], [Expansion(10.0)], max_components=2)
    assert model.num_components == 2
    # The long-term memory was cleared once, after round 2, and seeded with the batch after it.
    assert model.memory.long_term.read().positions.tolist() == [16, 17, 18, 19]


def test_nothing_is_tested_between_rounds():
    memory = make_memory(8, 60, 4, image_shape=SHAPE)
    expansion = Expansion(10.0)
    model = StandIn(memory, [])
    drive(model, [expansion], 4, 4)
    assert expansion.bound is None and expansion.num_rounds == 0


# The bound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("components", "expected"), [("mean", np.arange(36).mean()), ("best", np.arange(2, 36, 3).mean())]
)
def test_the_bound_is_of_all_samples_in_both_memories_and_of_all_components_or_the_best(components, expected):
    memory = make_memory(8, 60, 4, image_shape=SHAPE)
    expansion = Expansion(10.0, components=components, num_samples=7, grey_input=True)
    model, asked = StandIn(memory, [], num_components=3), []

    def component_bounds(images, num_samples, seed):
        asked.append((images, num_samples))
        return np.arange(3 * len(images), dtype=np.float32).reshape(-1, 3)

    model.component_bounds = component_bounds
    drive(model, [expansion], 8, 4)
    np.testing.assert_array_equal(asked[0][0], make_samples([*range(8), *range(4)]).images)
    assert asked[0][1] == 7
    assert expansion.bound == expansion.last_bound == expected


def test_the_bound_of_a_round_does_not_depend_on_what_was_moved():
    def images_seen(callbacks):
        return np.sort(rounds_of([-100], callbacks).seen[-1][0].ravel())

    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    moved = images_seen([transfer, Expansion(10.0, grey_input=True)])
    assert len(transfer.last_round.picked) == 3
    np.testing.assert_array_equal(moved, images_seen([Expansion(10.0, grey_input=True)]))


def test_grey_images_are_binarised_unless_grey_is_wanted():
    for grey_input in (True, False):
        model = rounds_of([-100, -100], [Expansion(10.0, grey_input=grey_input)])
        inputs = np.concatenate([images for images, _ in model.seen])
        assert (inputs.dtype == np.uint8) == grey_input
        assert (set(np.unique(inputs)) <= {0, 1}) != grey_input


@pytest.mark.parametrize("state_at", [5, 6])
@pytest.mark.parametrize("reference", ["on_expand", "highest"])
def test_a_callback_that_takes_up_the_state_goes_on_alike(reference, state_at):
    # Batch 5 ends round 3, in which the bound falls: before batch 6, "highest" has no bound to measure from.
    def run(state_at=None):
        memory = make_memory(8, 60, 4, image_shape=SHAPE)
        model, callback, outcomes = StandIn(memory, JUMPS), Expansion(10.0, reference, seed=4), []
        for batch in range(10):
            if batch == state_at:
                state = json.loads(json.dumps(callback.get_state()))
                callback = Expansion(10.0, reference, seed=99)
                callback.set_state(state)
            callback.set_model(model)
            model.observe(make_samples(range(4 * batch, 4 * batch + 4)))
            callback.on_train_batch_end(batch)
            outcomes.append((callback.bound, callback.expanded))
        return outcomes, [images.tolist() for images, _ in model.seen]

    assert run() == run(state_at)


# A real mixture -------------------------------------------------------------------------------------------------------


class Jumps(Expansion):
    """Is told R_i instead of measuring it."""

    def __init__(self, bounds, **options):
        super().__init__(10.0, **options)
        self.bounds = iter(bounds)

    def mean_bound(self, memory):
        return next(self.bounds)


@pytest.fixture(scope="module")
def grown():
    """Fits a mixture over six rounds with jumps in rounds 2, 3 and 5, at most three components."""
    model = tiny.make_mixture(make_memory(8, 60), max_components=3)
    model.minibatch_traces = 0
    step = model.minibatch_step

    def counted(images, labels):
        model.minibatch_traces += 1
        return step(images, labels)

    model.minibatch_step = counted
    images, history = tiny.make_images(48), []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            history.append(
                {
                    "components": self.model.num_components,
                    "shared": tiny.values_of(self.model.shared_encoder.weights + self.model.shared_decoder.weights),
                    "new": tiny.values_of(self.model.encoder.weights + self.model.decoder.weights),
                    "bank": [tiny.values_of(self.model.bank.read(i)) for i in range(len(self.model.bank))],
                    "steps": int(self.model.optimizer.iterations.numpy()),
                    "long_term": len(self.model.memory.long_term),
                    "traces": self.model.minibatch_traces,
                }
            )

    expansion = Jumps([-100, -150, -100, -100, -150, -100])
    transfer = MemoryTransfer(threshold=None, max_transferred=3, skip_first_round=False)
    model.fit(tiny.batches_of(images), verbose=0, callbacks=[transfer, expansion, Watch()])
    return model, history


def test_a_fit_with_growth_adds_one_component_at_a_time_up_to_the_most(grown):
    _, history = grown
    # Two batches a round; the jump in round 5 comes when there are three components already.
    assert [entry["components"] for entry in history] == [1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3]
    assert [entry["long_term"] for entry in history[3:6]] == [0, 4, 0]


def test_shared_and_frozen_weights_stay_bit_for_bit_while_the_new_ones_learn(grown):
    _, history = grown
    for before, after in itertools.pairwise(history):
        frozen = before["components"] > 1
        for old, new in zip(before["shared"], after["shared"], strict=True):
            assert np.array_equal(old, new) == frozen
        for old_copy, new_copy in zip(before["bank"], after["bank"], strict=False):
            for old, new in zip(old_copy, new_copy, strict=True):
                np.testing.assert_array_equal(old, new)
        assert all((old != new).any() for old, new in zip(before["new"], after["new"], strict=True))


def test_every_component_has_a_fresh_optimizer(grown):
    _, history = grown
    # Two passes over 4 + 4 samples in batch 1 make 4 steps; batch 4 ends with a growth.
    assert history[0]["steps"] == 4
    assert history[3]["steps"] == history[5]["steps"] == 0
    assert history[4]["steps"] > 0 and history[6]["steps"] > 0


def test_the_training_step_is_traced_once_for_a_fit_with_growth(grown):
    _, history = grown
    assert [entry["traces"] for entry in history] == [1] * len(history)


def test_the_measured_bound_follows_the_seed(grown):
    model, _ = grown
    bounds = []
    for seed in (3, 3, 4):
        expansion = Expansion(num_samples=5, seed=seed)
        expansion.set_model(model)
        bounds.append(expansion.mean_bound(model.memory))
    assert bounds[0] == bounds[1] != bounds[2]
    assert -1000 < bounds[0] < 0


def test_picks_that_replace_others_cannot_outlast_an_expansion():
    with pytest.raises(ValueError, match="when_full='stop'"):
        Expansion(keep_transferred=MemoryTransfer(when_full="reservoir"))
