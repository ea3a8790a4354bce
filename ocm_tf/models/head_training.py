"""Training of a classifier's last step alone, on features or logits computed once."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ocm_tf.networks import cosine_similarities


def bias_correction(
    logits: np.ndarray,
    labels: np.ndarray,
    num_old: int,
    epochs: int = 250,
    learning_rate: float = 0.1,
    milestones: Sequence[int] = (100, 150, 200),
    decay: float = 2e-4,
) -> np.ndarray:
    """Fits alpha and beta such that alpha * z + beta takes the place of the logits of new classes  [BiC].

    Gradient descent with momentum 0.9 on the mean cross-entropy, all else fixed.

    Args:
        logits: float array of shape `(n, num_classes)`.
        labels: int array of shape `(n,)`.
        num_old: number of old classes, whose logits stay.
        epochs, learning_rate: number and size of steps; a tenth from each milestone on.
        milestones: epochs.
        decay: factor of the L2 term's gradient.

    Returns:
        float32 array of alpha and beta.
    """
    # Departs from the paper: the few samples held out are one batch, for two numbers.
    rates = learning_rate * 0.1 ** np.sum(np.arange(epochs)[:, None] >= np.array(milestones), axis=1)
    return _corrected(
        tf.cast(logits, tf.float32), tf.cast(labels, tf.int32), num_old, tf.constant(rates, tf.float32), decay
    ).numpy()


@tf.function(reduce_retracing=True)
def _corrected(logits, labels, num_old, rates, decay):
    is_new = tf.range(tf.shape(logits)[1]) >= num_old
    correction, velocity = tf.constant([1.0, 0.0]), tf.zeros(2)
    for rate in rates:
        with tf.GradientTape() as tape:
            tape.watch(correction)
            shifted = tf.where(is_new, correction[0] * logits + correction[1], logits)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, shifted))
        velocity = 0.9 * velocity + tape.gradient(loss, correction) + decay * correction
        correction -= rate * velocity
    return correction


def fine_tuned_rows(
    rows: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    epochs: int = 50,
    learning_rate: float = 0.1,
    batch_size: int = 128,
) -> np.ndarray:
    """Trains the rows of a classifier by angles on features, its cosines not scaled  [Mnemonics code].

    Args:
        rows: float array of shape `(num_classes, dim)` to begin with.
        features: float array of shape `(n, dim)`.
        labels: int array of shape `(n,)`.
        rng: `numpy.random.Generator` of the order.
        epochs: passes over the features.
        learning_rate: of plain gradient descent.
        batch_size: features of a step; the last of an epoch has what is left.

    Returns:
        float32 array of shape `(num_classes, dim)`.
    """
    num = len(labels)
    width = min(batch_size, num)
    steps = -(-num // width)
    # -1 fills up the last step of an epoch.
    orders = np.full((epochs, steps * width), -1)
    orders[:, :num] = rng.permuted(np.tile(np.arange(num), (epochs, 1)), axis=1)
    order = tf.constant(orders.reshape(epochs * steps, width))
    rows, features = tf.cast(rows, tf.float32), tf.cast(features, tf.float32)
    return _fine_tuned(rows, features, tf.cast(labels, tf.int32), order, learning_rate).numpy()


@tf.function(reduce_retracing=True)
def _fine_tuned(rows, features, labels, order, learning_rate):
    for batch in order:
        batch = tf.boolean_mask(batch, batch >= 0)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            cosines = cosine_similarities(tf.gather(features, batch), rows)
            targets = tf.gather(labels, batch)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, cosines))
        rows -= learning_rate * tape.gradient(loss, rows)
    return rows
