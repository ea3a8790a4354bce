"""Checks the long-term memory that is a uniform sample of the stream."""

import json

import numpy as np
import pytest

from ocm_tf.callbacks import ReservoirTransfer
from tests.tiny import StandIn, assert_aligned, assert_equal_samples, drive, make_memory, make_samples

BATCH = 4


def make(**options):
    return make_memory(8, 40, BATCH, image_shape=(1, 1, 1), seed_long_term=False, **options)


def run(num_batches, capacity=10, seed=0, **options):
    memory = make(**options)
    transfer = ReservoirTransfer(capacity, seed)
    drive(StandIn(memory), [transfer], num_batches * BATCH, BATCH, lambda _: assert_aligned(memory.long_term.read()))
    return memory.long_term.read(), transfer


def test_holds_everything_until_it_is_full_and_never_more_than_its_capacity():
    assert_equal_samples(run(2)[0], make_samples(range(8)))
    for num_batches in (3, 10):
        held, transfer = run(num_batches)
        assert len(held.positions) == len(set(held.positions.tolist())) == 10
        assert transfer.num_seen == transfer.num_offered == num_batches * BATCH


def test_a_doubled_first_batch_is_offered_once():
    held, transfer = run(4, capacity=30, seed_duplicate=True)
    assert_equal_samples(held, make_samples(range(16)))
    assert transfer.num_seen == 16


def test_early_and_late_samples_are_held_alike():
    memory, repeats, num_batches = make(), 30, 8
    model, held = StandIn(memory), np.zeros(num_batches * BATCH)
    for seed in range(repeats):
        for layer in (memory.short_term, memory.long_term):
            layer.clear()
        memory.num_seen.assign(0)
        drive(model, [ReservoirTransfer(8, seed)], len(held), BATCH)
        held[memory.long_term.read().positions] += 1
    quarters, share = held.reshape(4, -1).sum(axis=1), 8 / len(held)
    assert quarters.sum() == 8 * repeats
    assert np.abs(quarters - 2 * repeats).max() < 4 * np.sqrt(repeats * 8 * share * (1 - share))


def test_samples_taken_from_the_short_term_memory_do_not_come_twice():
    # The short-term memory of 8 is read after each of its two batches.
    held, _ = run(6, capacity=40)
    assert_equal_samples(held, make_samples(range(24)))


def test_a_cleared_memory_is_a_sample_of_what_comes_after():
    memory = make()
    transfer = ReservoirTransfer(6)

    def clear(num_batches):
        if num_batches == 5:
            memory.long_term.clear()

    drive(StandIn(memory), [transfer], 6 * BATCH, BATCH, clear)
    assert_equal_samples(memory.long_term.read(), make_samples(range(20, 24)))
    assert (transfer.num_seen, transfer.num_offered) == (24, 4)


def test_a_callback_that_takes_up_the_state_goes_on_alike():
    def resumed(state_at):
        memory = make()
        model, callback = StandIn(memory), ReservoirTransfer(6, seed=4)
        for batch in range(12):
            if batch == state_at:
                state = json.loads(json.dumps(callback.get_state()))
                callback = ReservoirTransfer(6, seed=99)
                callback.set_state(state)
            callback.set_model(model)
            model.observe(make_samples(range(batch * BATCH, (batch + 1) * BATCH)))
            callback.on_train_batch_end(batch)
        return memory.long_term.read()

    assert_equal_samples(resumed(7), resumed(None))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_decides_what_is_held(seed):
    assert_equal_samples(run(10, seed=seed)[0], run(10, seed=seed)[0])
    assert run(10, seed=seed)[0].positions.tolist() != run(10, seed=3)[0].positions.tolist()


def test_a_reservoir_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        ReservoirTransfer(0)
