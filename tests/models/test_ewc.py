"""Checks elastic weight consolidation: its penalty, its gradient, the Fisher information, bytes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.models import EWC, Naive
from tests.models.tiny_experiences import EXPERIENCES, learn, make_classifier
from tests.tiny import assert_same_values, values_of


def squared_gradient(model, images, labels):
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images), from_logits=True)
        loss = tf.reduce_mean(losses)
    return [gradient.numpy() ** 2 for gradient in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize(("fisher", "size"), [("batch", 8), ("sample", 1)])
def test_fisher_information_is_the_mean_square_over_batches(fisher, size):
    model = make_classifier(EWC, fisher=fisher, minibatches_per_step=2)
    images, labels = EXPERIENCES[0].train.images, EXPERIENCES[0].train.labels.astype(np.int32)
    batches = [slice(start, start + size) for start in range(0, 30, size)]
    squares = [squared_gradient(model, images[batch], labels[batch]) for batch in batches]
    expected = [np.mean(parts, axis=0) for parts in zip(*squares, strict=True)]
    for ours, theirs in zip(model.fisher_information(images, labels), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-9)


def test_no_strength_is_plain_training_bit_for_bit():
    ewc, naive = make_classifier(EWC, penalty_strength=0.0), make_classifier(Naive)
    for model in (ewc, naive):
        learn(model, 0, 1)
    assert_same_values(ewc.weights, values_of(naive.weights))


def test_the_penalty_grows_from_zero_at_the_anchor_as_its_gradient_says():
    model = learn(make_classifier(EWC, penalty_strength=50.0), 0)
    assert float(model.penalty()) == 0
    learn(model, 1)
    with tf.GradientTape() as tape:
        penalty = model.penalty()
    gradients = tape.gradient(penalty, model.trainable_variables)
    assert float(penalty) > 0
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=variable.shape).astype(np.float32) for variable in model.trainable_variables]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    values, ends = values_of(model.trainable_variables), []
    for step in (0.01, -0.01):
        for variable, value, direction in zip(model.trainable_variables, values, directions, strict=True):
            variable.assign(value + step * direction)
        ends.append(float(model.penalty()))
    # The penalty is a parabola: the central difference is exact but for rounding.
    np.testing.assert_allclose((ends[0] - ends[1]) / 0.02, slope, rtol=1e-3)


def test_a_strong_penalty_holds_the_weights():
    moved = []
    for strength in (0.0, 30.0):
        model = learn(make_classifier(EWC, penalty_strength=strength, fisher="sample", learning_rate=0.02), 0)
        arrays = model.state_arrays()
        learn(model, 1, epochs=4)
        distances = [
            np.sum(arrays[f"fisher_{index}"] * (variable.numpy() - arrays[f"anchor_{index}"]) ** 2)
            for index, variable in enumerate(model.trainable_variables)
        ]
        moved.append(sum(distances))
    assert moved[1] < 0.5 * moved[0]


def test_half_halves_the_strength():
    model = learn(make_classifier(EWC), 0)
    learn(model, 1)
    whole = float(model.penalty())
    model.half = True
    np.testing.assert_allclose(float(model.penalty()), whole / 2, rtol=1e-6)


def test_what_is_kept_takes_the_bytes_of_the_formula():
    separate = learn(make_classifier(EWC), 0, 1)
    num_weights = sum(int(np.prod(variable.shape)) for variable in separate.trainable_variables)
    assert separate.state_num_bytes() == 2 * 2 * num_weights * 4
    online = make_classifier(EWC, online=True, decay=0.5)
    learn(online, 0)
    first = online.state_arrays()["fisher_0"][0].copy()
    learn(online, 1)
    assert online.state_num_bytes() == 2 * num_weights * 4
    new = online.fisher_information(EXPERIENCES[1].train.images, EXPERIENCES[1].train.labels.astype(np.int32))[0]
    np.testing.assert_allclose(online.state_arrays()["fisher_0"][0], 0.5 * first + new, rtol=1e-5)
    np.testing.assert_array_equal(online.state_arrays()["anchor_0"][0], online.trainable_variables[0])
