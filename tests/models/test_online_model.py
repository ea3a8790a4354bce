"""Checks the passes over the memory that every model makes for each arriving batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import CooperativeMemory, RandomReplacementMemory, SampleBuffer, ShortTermMemory
from ocm_tf.models import OnlineModel
from tests import tiny

NUM_IMAGES = 24


@keras.saving.register_keras_serializable(package="test_online_model")
class Counter(OnlineModel):
    """Counts how often each image comes in a minibatch and what label came with it; learns one number."""

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(), initializer="ones", name="weight")
        self.counts = self.add_weight(shape=(NUM_IMAGES,), initializer="zeros", trainable=False, name="counts")
        self.labels = self.add_weight(shape=(NUM_IMAGES,), initializer="zeros", trainable=False, name="labels")
        self.largest = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, inputs):
        return inputs

    def minibatch_step(self, images, labels):
        numbers = tf.cast(tf.reshape(images, [-1, 1]), tf.int32)
        size = tf.shape(numbers)[0]
        self.counts.assign(tf.tensor_scatter_nd_add(self.counts.value, numbers, tf.ones([size])))
        self.labels.assign(tf.tensor_scatter_nd_update(self.labels.value, numbers, tf.cast(labels, tf.float32)))
        self.largest.assign(tf.maximum(self.largest, size))
        self.optimizer.apply([tf.ones([])], [self.weight])
        return tf.cast(size, tf.float32)


def make(memory=None, **options):
    model = Counter(memory, **{"epochs_per_batch": 3, "minibatch_size": 5, **options})
    model.build((None, 1, 1, 1))
    model.compile(keras.optimizers.SGD(0.5))
    return model


def short_term(capacity=8, batch_size=4):
    return CooperativeMemory(ShortTermMemory(capacity, (1, 1, 1), batch_size))


def numbered(num_images=NUM_IMAGES):
    return np.arange(num_images, dtype=np.uint8).reshape(-1, 1, 1, 1)


def fit(model, batch_size=4, num_images=NUM_IMAGES, labels=None):
    images = numbered(num_images)
    data = images if labels is None else (images, labels)
    stream = tf.data.Dataset.from_tensor_slices(data).batch(batch_size, drop_remainder=True)
    return model.fit(stream, verbose=0)


@pytest.mark.parametrize(("drop_remainder", "num_steps"), [(True, 3 * 6), (False, 3 * 9)])
def test_number_of_steps_is_epochs_times_minibatches(drop_remainder, num_steps):
    # The memory holds 4 and 8 samples by turns, three times. Minibatches of 5 shrink to the 4 that there are; 8
    # samples make one of 5 and, unless dropped, one of 3.
    model = make(short_term(), drop_remainder=drop_remainder)
    fit(model)
    assert int(model.optimizer.iterations.numpy()) == num_steps
    assert model.largest.numpy() == 5


@pytest.mark.parametrize(("epochs", "minibatch_size"), [(1, 1), (2, 4), (5, 8), (1, 100)])
def test_number_of_steps_for_other_sizes(epochs, minibatch_size):
    model = make(short_term(), epochs_per_batch=epochs, minibatch_size=minibatch_size)
    fit(model)
    per_epoch = sum(n // min(minibatch_size, n) for n in (4, 8) * 3)
    assert int(model.optimizer.iterations.numpy()) == epochs * per_epoch


def test_a_fixed_number_of_steps_draws_from_all_that_is_held():
    model = make(short_term(), steps_per_batch=300, minibatch_size=2)
    fit(model, num_images=8)
    assert int(model.optimizer.iterations.numpy()) == 2 * 300
    # 600 draws among the first four, then 600 among all eight; a draw may repeat within a minibatch.
    expected = np.array([150 + 75] * 4 + [75] * 4)
    assert np.abs(model.counts.numpy()[:8] - expected).max() < 5 * np.sqrt(225)
    assert model.largest.numpy() == 2


def test_a_pass_without_a_dropped_remainder_sees_every_sample_once():
    model = make(short_term(), drop_remainder=False)
    fit(model)
    # The first batch of a round is in memory for two batches, the second for one.
    expected = np.tile([3 * 2] * 4 + [3] * 4, 3)
    np.testing.assert_array_equal(model.counts, expected)


def test_each_pass_drops_others():
    model = make(short_term(), epochs_per_batch=200)
    fit(model, num_images=8)
    counts = model.counts.numpy()[:8]
    # 200 passes over the first four alone, which use all; then 200 of 5 among 8.
    assert counts.sum() == 200 * 4 + 200 * 5
    late = counts - [200, 200, 200, 200, 0, 0, 0, 0]
    assert (late <= 200).all() and np.abs(late - 125).max() < 4 * np.sqrt(200 * 5 / 8 * 3 / 8)


def test_without_a_memory_a_step_is_one_on_the_batch():
    model = make(None)
    history = fit(model)
    np.testing.assert_array_equal(model.counts, np.ones(NUM_IMAGES))
    assert int(model.optimizer.iterations.numpy()) == 6
    assert history.history["loss"] == [4.0]


def test_the_loss_of_a_batch_is_the_mean_over_its_minibatches():
    model, losses = make(short_term(), drop_remainder=False, minibatch_size=6), []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model.fit(tiny.batches_of(numbered(8)), verbose=0, callbacks=[watch])
    # 4 samples make one minibatch of 4; 8 make one of 6 and one of 2.
    assert losses == [4.0, 4.0]


def test_the_loss_of_a_fit_is_the_mean_over_its_batches():
    model = make(short_term(), drop_remainder=True, minibatch_size=6)
    # By turns one minibatch of 4 and one of 6.
    assert fit(model).history["loss"] == [5.0]


def test_labels_are_minus_one_where_the_stream_gives_none():
    model = make(short_term(), drop_remainder=False)
    fit(model)
    assert (model.labels.numpy() == -1).all()
    assert model.memory.short_term.read().labels.tolist() == [-1] * 8


@pytest.mark.parametrize("with_memory", [True, False])
def test_labels_reach_the_minibatch_with_their_images(with_memory):
    model = make(short_term() if with_memory else None, drop_remainder=False)
    labels = (numbered().ravel().astype(np.int64) * 7) % 10
    fit(model, labels=labels)
    np.testing.assert_array_equal(model.labels, labels)


def test_images_in_memory_are_those_of_the_stream():
    memory = tiny.make_memory(8, 30, image_shape=(1, 1, 1))
    fit(make(memory))
    assert memory.short_term.read().images.ravel().tolist() == list(range(16, 24))
    assert memory.long_term.read().images.ravel().tolist() == [0, 1, 2, 3]
    assert memory.short_term.read().positions.tolist() == list(range(16, 24))


def test_a_single_memory_with_random_replacement_serves_as_well():
    model = make(RandomReplacementMemory(SampleBuffer(10, (1, 1, 1)), seed=1), minibatch_size=2)
    fit(model)
    held = model.memory.long_term.read()
    np.testing.assert_array_equal(held.images.ravel(), held.positions)
    assert int(model.optimizer.iterations.numpy()) == 3 * (2 + 4 + 5 * 4)


def test_a_second_fit_goes_on_with_the_memory():
    model = make(short_term())
    fit(model, num_images=8)
    fit(model, num_images=4)
    assert model.memory.short_term.read().positions.tolist() == [8, 9, 10, 11]


def test_the_training_step_is_traced_once():
    model = make(tiny.make_memory(8, 30, image_shape=(1, 1, 1)))
    traces, step = [], model.minibatch_step

    def counted(images, labels):
        traces.append(images.shape)
        return step(images, labels)

    model.minibatch_step = counted
    fit(model)
    assert len(traces) == 1


def test_float_images_are_refused_by_a_memory_of_whole_numbers():
    with pytest.raises(ValueError, match="holds uint8 images, got float32"):
        make(short_term()).fit(tiny.batches_of(numbered(8).astype(np.float32) / 8), verbose=0)


@pytest.mark.parametrize("argument", ["epochs_per_batch", "minibatch_size"])
def test_numbers_below_one_are_refused(argument):
    with pytest.raises(ValueError, match=f"{argument} must be at least 1, got 0"):
        Counter(None, **{argument: 0})


def test_a_subclass_must_say_what_a_minibatch_does():
    model = OnlineModel()
    with pytest.raises(NotImplementedError, match="OnlineModel must define minibatch_step"):
        model.minibatch_step(None, None)


@pytest.mark.parametrize(
    "memory",
    [
        lambda: tiny.make_memory(8, 30, trigger="gt", image_shape=(1, 1, 1), seed_duplicate=True),
        short_term,
        lambda: RandomReplacementMemory(SampleBuffer(10, (1, 1, 1)), seed=1),
        lambda: None,
    ],
    ids=["cooperative", "short-term", "random replacement", "none"],
)
def test_every_memory_comes_back_from_a_file(memory, tmp_path):
    model = make(memory())
    fit(model, labels=numbered().ravel().astype(np.int64) % 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.counts, model.counts)
    assert loaded.optimizer.iterations == model.optimizer.iterations
    if model.memory is None:
        assert loaded.memory is None
        return
    tiny.assert_equal_samples(loaded.memory.gather(), model.memory.gather())
    assert loaded.memory.num_seen == model.memory.num_seen == NUM_IMAGES
    if model.memory.short_term is not None:
        assert loaded.memory.short_term.is_full == model.memory.short_term.is_full


def test_configuration_comes_back_with_its_memory():
    model = make(short_term(9, 3), drop_remainder=False, seed=7, name="counter")
    copy = Counter.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert (copy.epochs_per_batch, copy.minibatch_size, copy.drop_remainder, copy.seed) == (3, 5, False, 7)
    assert copy.memory.short_term.capacity == 9
