"""Checks the frozen copies of weights."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import WeightBank

SHAPES = [(2, 3), (), (4,)]


def weights(value):
    return [np.full(shape, value + i, np.float32) for i, shape in enumerate(SHAPES)]


def allocated(capacity, num_stored=0):
    bank = WeightBank(capacity)
    bank.allocate([tf.Variable(weight) for weight in weights(0.0)])
    for copy in range(num_stored):
        bank.store(weights(10.0 * (copy + 1)))
    return bank


def assert_holds(bank, num_stored):
    assert len(bank) == num_stored
    for copy in range(num_stored):
        for weight, expected in zip(bank.read(copy), weights(10.0 * (copy + 1)), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("num_stored", [0, 1, 3])
def test_returns_what_was_stored(num_stored):
    assert_holds(allocated(3, num_stored), num_stored)


def test_a_copy_does_not_follow_its_original():
    bank, variables = allocated(2), [tf.Variable(weight) for weight in weights(1.0)]
    bank.store(variables)
    variables[0].assign(tf.zeros((2, 3)))
    np.testing.assert_array_equal(bank.read(0)[0], weights(1.0)[0])


def test_reads_by_a_tensor_inside_a_graph_without_tracing_again():
    bank = allocated(3, 2)
    read = tf.function(bank.read, input_signature=[tf.TensorSpec([], tf.int32)])
    for copy in (0, 1):
        np.testing.assert_array_equal(read(copy)[0], weights(10.0 * (copy + 1))[0])
    bank.store(weights(30.0))
    np.testing.assert_array_equal(read(2)[0], weights(30.0)[0])
    assert read.experimental_get_tracing_count() == 1


def test_weights_are_not_trainable():
    assert allocated(2).trainable_weights == []


def test_a_full_bank_takes_no_more_and_stays_as_it_is():
    bank = allocated(2, 2)
    with pytest.raises(ValueError, match="holds 2 copies already"):
        bank.store(weights(99.0))
    assert_holds(bank, 2)
    with pytest.raises(ValueError, match="holds 0 copies already"):
        allocated(0).store(weights(0.0))


def test_a_file_holds_only_the_copies_in_use():
    store = {}
    allocated(3, 2).save_own_variables(store)
    assert [store[f"stack_{i}"].shape for i in range(3)] == [(2, *shape) for shape in SHAPES]
    # The new bank may be larger, and forgets what it held.
    larger = allocated(5, 4)
    larger.load_own_variables(store)
    assert_holds(larger, 2)
    assert not any(stack.numpy()[2:].any() for stack in larger.stacks)


def test_a_file_with_more_copies_than_room_is_refused():
    store = {}
    allocated(3, 3).save_own_variables(store)
    with pytest.raises(ValueError, match="holds 3 frozen components, the model has room for 2"):
        allocated(2).load_own_variables(store)


def test_configuration_comes_back_and_bad_capacity_is_refused():
    assert WeightBank.from_config(WeightBank(4, name="bank").get_config()).capacity == 4
    with pytest.raises(ValueError, match="capacity must not be negative, got -1"):
        WeightBank(-1)
