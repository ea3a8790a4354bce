"""Checks the losses of incremental classifiers against values worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.models.incremental_losses import (
    cosine_match_loss,
    cross_entropy,
    distillation_loss,
    less_forget_loss,
    less_forget_weight,
    margin_ranking_loss,
)

RNG = np.random.default_rng(0)
LOGITS, OTHERS = (tf.constant(RNG.normal(size=(4, 6)), tf.float32) for _ in range(2))


def softmax(logits):
    exponentials = np.exp(np.asarray(logits, np.float64))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_classes_not_seen_have_no_share_in_the_cross_entropy():
    labels = np.array([0, 3, 1, 2])
    expected = -np.log(softmax(LOGITS[:, :4])[np.arange(4), labels]).mean()
    np.testing.assert_allclose(cross_entropy(labels, LOGITS, 4), expected, rtol=1e-5)


def test_with_the_released_values_distillation_is_the_mean_divergence():
    ours, theirs = softmax(LOGITS[:, :3] / 2), softmax(OTHERS[:, :3] / 2)
    expected = (theirs * np.log(theirs / ours)).sum(axis=1).mean()
    np.testing.assert_allclose(distillation_loss(LOGITS, OTHERS, 3), expected, rtol=1e-4)
    np.testing.assert_allclose(distillation_loss(LOGITS, OTHERS, 3, weight=1.0), 4 * expected, rtol=1e-4)


def test_a_student_like_its_teacher_or_without_one_loses_nothing():
    same_old = tf.concat([LOGITS[:, :3], OTHERS[:, 3:]], axis=1)
    np.testing.assert_allclose(distillation_loss(same_old, LOGITS, 3), 0, atol=1e-6)
    np.testing.assert_allclose(distillation_loss(LOGITS, OTHERS, 0), 0, atol=1e-6)


def test_less_forget_compares_directions():
    features = tf.constant([[1.0, 0.0], [0.0, 2.0]])
    assert float(less_forget_loss(features, 9 * features)) == pytest.approx(0)
    assert float(less_forget_loss(features, tf.constant([[0.0, 1.0], [0.0, -1.0]]))) == pytest.approx((1 + 2) / 2)
    assert float(less_forget_weight(5.0, 50, 60)) == pytest.approx(5 * np.sqrt(50 / 10))
    assert float(less_forget_weight(5.0, 0, 50)) == 0


def test_matching_cosines_counts_old_classes_only():
    expected = 3 * np.mean((LOGITS[:, :3] - OTHERS[:, :3]) ** 2)
    np.testing.assert_allclose(cosine_match_loss(LOGITS, OTHERS, 3), expected, rtol=1e-5)


#                    old ------  new -----------  not seen
COSINES = np.array([[0.9, 0.1, 0.2, 0.3, -0.5, 1.0], [0.0, 0.2, 0.1, 0.6, 0.4, 1.0], [0.0, 0.0, 0.9, 0.0, 0.0, 1.0]])


def test_a_margin_is_wanted_from_the_two_nearest_new_classes():
    labels = np.array([0, 1, 2])
    # First sample: 0.9 is more than 0.5 above 0.3 and 0.2. Second: 0.5 - 0.2 + 0.6 and 0.5 - 0.2 + 0.4. Third: new.
    expected = (0 + 0 + 0.9 + 0.7) / (2 * 2)
    loss = margin_ranking_loss(tf.constant(COSINES, tf.float32), labels, 2, 5)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_single_new_class_is_one_rival():
    loss = margin_ranking_loss(tf.constant(COSINES, tf.float32), np.array([0, 1, 2]), 2, 3)
    assert float(loss) == pytest.approx((0 + 0.5 - 0.2 + 0.1) / 2, rel=1e-5)


def test_new_samples_have_no_share_in_the_margin():
    cosines = tf.Variable(COSINES, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = margin_ranking_loss(cosines, np.array([0, 1, 2]), 2, 5)
    gradient = tape.gradient(loss, cosines).numpy()
    assert gradient[1].any() and not gradient[[0, 2]].any()
    assert float(margin_ranking_loss(cosines, np.array([3, 4, 2]), 2, 5)) == 0
