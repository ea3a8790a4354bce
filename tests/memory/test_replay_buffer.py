"""Checks the buffer of earlier experiences: rows stay together, shares, bytes, the way to a file and back."""

import numpy as np
import pytest

from ocm_tf.memory import ReplayBuffer


def filled(method, capacity=10, num_experiences=3, **settings):
    """Fills a buffer with inputs that tell their experience and label."""
    buffer, rng = ReplayBuffer(capacity, **settings), np.random.default_rng(0)
    for index in range(num_experiences):
        labels = np.arange(12)
        getattr(buffer, method)((100 * index + labels)[:, None].astype(np.float32), labels, index, rng)
    return buffer


@pytest.mark.parametrize(("method", "shares"), [("add_balanced", [4, 3, 3]), ("overwrite", None)])
def test_rows_stay_together(method, shares):
    buffer = filled(method)
    assert len(buffer) == 10 and buffer.inputs.shape == (10, 1)
    np.testing.assert_array_equal(buffer.inputs[:, 0], 100 * buffer.experiences + buffer.labels)
    counts = np.bincount(buffer.experiences)
    assert counts[2] == 3 and (shares is None or counts.tolist() == shares)


def test_inputs_take_the_bytes_of_the_formula():
    assert filled("overwrite").num_bytes == 10 * (4 + 8)
    buffer = filled("overwrite", input_dtype="float16")
    assert buffer.num_bytes == 10 * (2 + 8) and buffer.inputs.dtype == np.float16


def test_a_buffer_of_nothing_holds_nothing():
    buffer = filled("overwrite", capacity=0)
    assert len(buffer) == 0 and buffer.num_bytes == 0
    assert len(filled("add_balanced", capacity=0)) == 0


def test_state_comes_back():
    buffer, copy = filled("add_balanced"), ReplayBuffer(10)
    assert copy.arrays() == {}
    copy.set_arrays({name: array.copy() for name, array in buffer.arrays().items()})
    for one in (buffer, copy):
        one.add_balanced(np.ones((5, 1), np.float32), np.ones(5, int), 3, np.random.default_rng(7))
    for name, array in buffer.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)
    with pytest.raises(ValueError, match="capacity must be at least 10"):
        ReplayBuffer(9).set_arrays(buffer.arrays())


def test_a_negative_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity must not be negative"):
        ReplayBuffer(-1)
