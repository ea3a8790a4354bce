"""Checks that a buffer neither loses nor mixes up samples, whatever is done to it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ocm_tf.memory import SampleBuffer, Samples
from tests.tiny import assert_aligned, assert_equal_samples, make_samples

CAPACITY = 12
SHAPE = (1, 1, 1)


def filled(num_samples, capacity=CAPACITY):
    buffer = SampleBuffer(capacity, SHAPE)
    buffer.add(make_samples(range(num_samples)))
    return buffer


class BufferBesideAList(RuleBasedStateMachine):
    """Does the same to a buffer and to a list of positions."""

    buffer = None

    def __init__(self):
        super().__init__()
        # One buffer serves all examples: variables are slow to make.
        if BufferBesideAList.buffer is None:
            BufferBesideAList.buffer = SampleBuffer(CAPACITY, SHAPE)
        self.buffer.clear()
        self.positions, self.next = [], 0
        self.rng = np.random.default_rng(0)

    def arrive(self, num_new):
        self.next += num_new
        return make_samples(range(self.next - num_new, self.next))

    @rule(num_new=st.integers(0, 6))
    def add(self, num_new):
        if len(self.positions) + num_new > CAPACITY:
            with pytest.raises(ValueError, match="more do not fit"):
                self.buffer.add(self.arrive(num_new))
            return
        samples = self.arrive(num_new)
        self.buffer.add(samples)
        self.positions += samples.positions.tolist()

    @precondition(lambda self: self.positions)
    @rule(data=st.data())
    def pop(self, data):
        rows = st.lists(st.integers(0, len(self.positions) - 1), unique=True)
        indices = data.draw(rows)
        popped = self.buffer.pop(np.array(indices, int))
        assert popped.positions.tolist() == [self.positions[index] for index in indices]
        assert_aligned(popped)
        self.positions = [held for row, held in enumerate(self.positions) if row not in indices]

    @rule(data=st.data())
    def replace(self, data):
        rows = data.draw(st.lists(st.integers(0, CAPACITY - 1), max_size=4))
        samples = self.arrive(len(rows))
        if rows and max(rows) >= len(self.positions):
            with pytest.raises(IndexError, match=f"{len(self.positions)} rows in use"):
                self.buffer.replace(rows, samples)
            return
        self.buffer.replace(rows, samples)
        for row, position in zip(rows, samples.positions.tolist(), strict=True):
            self.positions[row] = position

    @rule(num_new=st.integers(0, 9), reservoir=st.integers(1, CAPACITY))
    def offer(self, num_new, reservoir):
        reservoir = max(reservoir, len(self.positions))
        samples, before = self.arrive(num_new), self.positions
        self.buffer.offer(samples, max(int(samples.positions[0]), len(before)) if num_new else 0, reservoir, self.rng)
        self.positions = self.buffer.read().positions.tolist()
        assert len(self.positions) == max(min(len(before) + num_new, reservoir), len(before))
        assert set(self.positions) <= {*before, *samples.positions.tolist()}

    @rule()
    def clear(self):
        self.buffer.clear()
        self.positions = []

    @invariant()
    def the_buffer_holds_what_the_list_says(self):
        held = self.buffer.read()
        assert held.positions.tolist() == self.positions
        assert len(self.buffer) == len(self.positions)
        assert_aligned(held)


BufferBesideAList.TestCase.settings = settings(deadline=None, max_examples=25, stateful_step_count=15)
TestBufferBesideAList = BufferBesideAList.TestCase


def test_append_in_a_graph_and_in_use_agree_with_read():
    buffer, start = SampleBuffer(CAPACITY, SHAPE), 0
    append, in_use = tf.function(buffer.append, reduce_retracing=True), tf.function(buffer.in_use)
    for size in (0, 3, 1, 4, 4):
        append(Samples(*map(tf.constant, make_samples(range(start, start + size)))))
        start += size
        assert_equal_samples(buffer.read(), make_samples(range(start)))
        assert_equal_samples(in_use(), make_samples(range(start)))
    assert in_use.experimental_get_tracing_count() == 1


def test_read_returns_a_copy():
    buffer = filled(3)
    buffer.read().images[:] = 255
    assert_aligned(buffer.read())


def test_clear_overwrites_the_pixels():
    buffer = filled(5)
    buffer.clear()
    assert len(buffer) == 0 and not buffer.images.numpy().any() and not buffer.positions.numpy().any()


def test_a_pop_that_fails_takes_nothing():
    buffer = filled(4)
    with pytest.raises(IndexError):
        buffer.pop(np.array([1, 7]))
    assert_equal_samples(buffer.read(), make_samples(range(4)))


def test_offer_keeps_a_uniform_sample_of_all_offered():
    rng = np.random.default_rng(0)
    buffer, repeats, num_samples, capacity = SampleBuffer(5, SHAPE), 150, 20, 5
    held = np.zeros(num_samples)
    for _ in range(repeats):
        buffer.clear()
        for start in range(0, num_samples, 10):
            buffer.offer(make_samples(range(start, start + 10)), start, capacity, rng)
        held[buffer.read().positions] += 1
    expected = repeats * capacity / num_samples
    assert held.sum() == repeats * capacity
    assert np.abs(held - expected).max() < 4 * np.sqrt(expected * (1 - capacity / num_samples))


def test_num_bytes_counts_the_images_in_use():
    assert filled(3).num_bytes == 3
    buffer = SampleBuffer(4, (8, 8, 1), "float32")
    buffer.add(Samples(np.ones((2, 8, 8, 1), np.float32), np.zeros(2, int), np.arange(2)))
    assert buffer.num_bytes == 2 * 64 * 4


def test_floats_are_not_silently_turned_to_zeros():
    buffer = SampleBuffer(4, SHAPE)
    with pytest.raises(ValueError, match="holds uint8 images, got float32"):
        buffer.add(Samples(np.full((1, *SHAPE), 0.5, np.float32), np.zeros(1, int), np.arange(1)))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        SampleBuffer(0, SHAPE)
    with pytest.raises(ValueError, match=r"holds samples of shape \(1, 1, 1\), got \(2, 2, 1\)"):
        SampleBuffer(4, SHAPE).add(Samples(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, int), np.arange(1)))
    with pytest.raises(ValueError, match="room for 4 samples and holds 3; 2 more do not fit"):
        filled(3, 4).add(make_samples(range(2)))


def test_configuration_comes_back():
    buffer = SampleBuffer(7, (2, 3, 1), sample_dtype="float32", spare_rows=2, name="kept")
    copy = SampleBuffer.from_config(buffer.get_config())
    assert copy.get_config() == buffer.get_config()
    assert copy.images.shape == (9, 2, 3, 1) and copy.images.dtype == "float32"


def test_a_file_holds_the_rows_in_use_and_no_more(tmp_path):
    buffer, other = filled(3), SampleBuffer(CAPACITY, SHAPE)
    other.add(make_samples(range(20, 30)))
    store = {}
    buffer.save_own_variables(store)
    assert {name: len(values) for name, values in store.items()} == {"images": 3, "labels": 3, "positions": 3}
    other.load_own_variables(store)
    assert_equal_samples(other.read(), make_samples(range(3)))
    with pytest.raises(ValueError, match=r"file holds 3 samples for .* of 2 rows"):
        SampleBuffer(2, SHAPE).load_own_variables(store)


def test_a_model_file_brings_the_samples_back(tmp_path):
    @keras.saving.register_keras_serializable(package="test_sample_buffer")
    class Holder(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.buffer = SampleBuffer(CAPACITY, SHAPE)

        def call(self, inputs):
            return inputs

    model = Holder()
    model(np.zeros((1, 2)))
    model.buffer.add(make_samples(range(5)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal_samples(loaded.buffer.read(), make_samples(range(5)))
