"""Checks what all continual classifiers share: updates by hand, one trace, fresh optimizers, files, errors."""

import gc
import weakref
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from ocm_tf.errors import UserError
from ocm_tf.memory import ClassConditionalGMM
from ocm_tf.models import EWC, GenerativeLatentReplay, Joint, LatentReplay, Naive, Replay
from tests.models.tiny_experiences import EXPERIENCES, learn, make_classifier, make_experience, make_parts
from tests.tiny import assert_same_values, optimizer_values, values_of


def test_an_update_is_that_of_sgd_with_coupled_l2():
    model = make_classifier(Naive, batch_size=30, learning_rate=0.1, weight_decay=0.02)
    images, labels = EXPERIENCES[0].train.images, EXPERIENCES[0].train.labels
    before = values_of(model.trainable_variables)
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images), from_logits=True)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    history = model.fit_experience(EXPERIENCES[0], epochs=1).history
    for variable, old, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        np.testing.assert_allclose(variable, old - 0.1 * (gradient.numpy() + 0.02 * old), atol=1e-6)
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)


def test_a_trained_model_is_not_kept_for_good():
    model = weakref.ref(learn(make_classifier(Naive), 0))
    keras.backend.clear_session()
    gc.collect()
    assert model() is None


def test_minibatches_are_the_same_however_many_make_a_step():
    once, often = (learn(make_classifier(Naive, minibatches_per_step=n), 0) for n in (1, 100))
    assert_same_values(once.weights, values_of(often.weights))
    assert int(once.optimizer.iterations.numpy()) == 2 * 4


def count_traces(kind, **settings):
    """Counts how often the update is traced; the last experience has another number of samples."""

    class Counting(kind):
        traces = 0

        def minibatch_step(self, *arguments):
            Counting.traces += 1
            return super().minibatch_step(*arguments)

    model = make_classifier(Counting, minibatches_per_step=3, **settings)
    learn(model, 0, 1, epochs=1)
    model.fit_experience(make_experience(2, num=21), epochs=1)
    return Counting.traces


def test_all_experiences_share_a_trace():
    # A loop of the graph is traced once; freezing makes another program.
    once = count_traces(Naive)
    assert count_traces(EWC) == count_traces(Replay, buffer_size=10) == once
    assert count_traces(GenerativeLatentReplay, buffer_size=10) == 2 * once


def test_the_optimizer_starts_afresh_but_for_its_learning_rate():
    veteran = learn(make_classifier(Naive), 0)
    fresh = make_classifier(Naive)
    fresh.set_weights(veteran.get_weights())
    fresh.experience_index = 1
    for model in (veteran, fresh):
        model.optimizer.learning_rate = 0.01
        learn(model, 1)
    assert_same_values(veteran.weights, values_of(fresh.weights))
    np.testing.assert_allclose(veteran.optimizer.learning_rate, 0.01)


def test_evaluation_is_the_mean_over_all_samples():
    model = make_classifier(Naive)
    images, labels = EXPERIENCES[0].train.images, EXPERIENCES[0].train.labels
    logits = model(images)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    result = model.evaluate(images, labels, batch_size=7, verbose=0, return_dict=True)
    np.testing.assert_allclose(result["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(result["accuracy"], np.mean(np.argmax(logits, axis=1) == labels), rtol=1e-6)


def test_joint_training_sees_all_so_far():
    model = learn(make_classifier(Joint), 0, 1, epochs=1)
    assert int(model.optimizer.iterations.numpy()) == -(-60 // 8)
    assert model.state_num_bytes() == 60 * (64 + 4)
    np.testing.assert_array_equal(model.state_arrays()["images"][30:], EXPERIENCES[1].train.images)


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_experience_begin(self, experience):
        self.seen.append(("begin", experience.index, self.model.experience_index, self.model.state_num_bytes()))

    def on_train_begin(self, logs=None):
        self.seen.append("train")
        assert 0 <= self.model.training_accuracy() <= 1

    def on_experience_end(self, experience):
        self.seen.append(("end", experience.index, self.model.experience_index, self.model.state_num_bytes()))


def test_callbacks_are_told_of_experiences():
    recorder = Recorder()
    model = learn(make_classifier(Replay, buffer_size=10), 0, epochs=1, callbacks=[recorder])
    assert recorder.seen == [("begin", 0, 0, 0), "train", ("end", 0, 1, 10 * (64 + 8))]
    with pytest.raises(ValueError, match="needs an experience at hand"):
        model.training_accuracy()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (EWC, {"fisher": "sample", "half": True, "penalty_strength": 3.0}),
        (Joint, {}),
        (Replay, {"buffer_size": 12, "replay_loss": "balanced"}),
        (LatentReplay, {"buffer_size": 12, "latent_dtype": "float16"}),
        (GenerativeLatentReplay, {"buffer_size": 12, "generator": ClassConditionalGMM(2), "quota": "inverse_age"}),
        (GenerativeLatentReplay, {"buffer_size": 12, "sampling": "static"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_file_holds_all_that_is_needed_to_go_on(kind, settings, tmp_path):
    model = make_classifier(kind, make_parts(normalized=True, head_dropout=0.3), weight_decay=0.01, **settings)
    learn(model, 0, 1, epochs=1)
    model.save(tmp_path / "model.keras")
    copy = ocm_tf.load_model(tmp_path / "model.keras")
    assert copy.get_config()["weight_decay"] == 0.01 and copy.experience_index == 2
    assert_same_values(copy.weights, values_of(model.weights))
    for name, values in optimizer_values(model).items():
        np.testing.assert_array_equal(optimizer_values(copy)[name], values)
    arrays = copy.state_arrays()
    assert arrays.keys() == model.state_arrays().keys()
    for name, array in model.state_arrays().items():
        np.testing.assert_array_equal(arrays[name], array)
    for one in (model, copy):
        learn(one, 2, epochs=1)
    assert_same_values(copy.weights, values_of(model.weights))


def experience_of(images, labels):
    return SimpleNamespace(index=0, train=SimpleNamespace(images=images, labels=labels))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 8, 8, 1)), [0, 1, 2], "takes uint8 images"),
        (np.zeros((3, 9, 8, 1), np.uint8), [0, 1, 2], "takes uint8 images"),
        (np.zeros((3, 8, 8, 1), np.uint8), [0, 1], "every image needs a label"),
        (np.zeros((0, 8, 8, 1), np.uint8), [], "every image needs a label"),
        (np.zeros((3, 8, 8, 1), np.uint8), [0, 1, 4], "make its head larger"),
    ],
)
def test_an_experience_that_does_not_fit_is_refused(images, labels, message):
    with pytest.raises(UserError, match=message):
        make_classifier(Naive).fit_experience(experience_of(images, np.array(labels)))


def test_bad_arguments_are_refused():
    backbone, head = make_parts()
    for settings in ({"batch_size": 0}, {"minibatches_per_step": 0}):
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            Naive(backbone, head, **settings)
    with pytest.raises(ValueError, match="must meet in a vector"):
        Naive(head, backbone)
    for kind, settings in (
        (EWC, {"fisher": "odd"}),
        (Replay, {"buffer_size": 3, "batch_split": "odd"}),
        (Replay, {"buffer_size": 3, "replay_loss": "odd"}),
        (LatentReplay, {"buffer_size": 3, "collect": "odd"}),
        (GenerativeLatentReplay, {"buffer_size": 3, "sampling": "odd"}),
        (GenerativeLatentReplay, {"buffer_size": 3, "label_mode": "odd"}),
        (GenerativeLatentReplay, {"buffer_size": 3, "quota": "odd"}),
    ):
        with pytest.raises(ValueError, match="must be one of"):
            kind(backbone, head, **settings)
    with pytest.raises(ValueError, match="needs sampling 'per_experience'"):
        GenerativeLatentReplay(backbone, head, 3, label_mode="head", sampling="static")
