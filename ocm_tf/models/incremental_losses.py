"""Losses by which a classifier that meets new classes keeps the old ones: pure functions that work inside a graph.

Logits and cosines have a column for every class there will be: the first `num_old` are old ones, those up to `num_seen`
the new ones, the others not met yet. `num_old` and `num_seen` are int tensors, so that one graph serves all.
"""

import tensorflow as tf

from ocm_tf.types import Tensor

_NEVER = -1e9


def seen_only(logits: Tensor, num_seen: Tensor) -> Tensor:
    """Puts -1e9 in place of the logits of all classes from `num_seen` on, which then have no share in a softmax.

    Args:
        logits: float tensor of shape `(batch, num_classes)`.
        num_seen: int tensor.

    Returns:
        Float tensor of the same shape.
    """
    return tf.where(tf.range(tf.shape(logits)[1]) < num_seen, logits, tf.cast(_NEVER, logits.dtype))


def cross_entropy(labels: Tensor, logits: Tensor, num_seen: Tensor) -> Tensor:
    """Computes the mean cross-entropy over the classes seen, in nats; a scalar.

    Args:
        labels: int tensor of shape `(batch,)`.
        logits: float tensor of shape `(batch, num_classes)`.
        num_seen: int tensor.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, seen_only(logits, num_seen))
    return tf.reduce_mean(losses)


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, num_old: Tensor, temperature: float = 2.0, weight: float = 0.25
) -> Tensor:
    """Holds the softmax over the old classes to the teacher's  [Mnemonics code; LwF].

    loss = temperature**2 * weight * KL(softmax(teacher / temperature) || softmax(logits / temperature))

    over the old classes, in nats, mean over the batch; with the defaults the factor is 1.

    Args:
        logits: float tensor of shape `(batch, num_classes)`.
        teacher_logits: of the same shape.
        num_old: int tensor.
        temperature: by which logits are divided.
        weight: factor of the loss.

    Returns:
        Float scalar, never negative but for rounding; 0 without an old class.
    """
    ours, theirs = (tf.nn.log_softmax(seen_only(values / temperature, num_old)) for values in (logits, teacher_logits))
    divergences = tf.reduce_sum(tf.exp(theirs) * (theirs - ours), axis=1)
    return temperature**2 * weight * tf.reduce_mean(divergences)


def less_forget_loss(features: Tensor, teacher_features: Tensor) -> Tensor:
    """Holds the direction of features to the teacher's: mean over the batch of 1 - cos(f, f_old)  [LUCIR].

    Args:
        features: float tensor of shape `(batch, dim)`.
        teacher_features: of the same shape.

    Returns:
        Float scalar in [0, 2].
    """
    ours, theirs = tf.math.l2_normalize(features, 1), tf.math.l2_normalize(teacher_features, 1)
    return tf.reduce_mean(1 - tf.reduce_sum(ours * theirs, axis=1))


def less_forget_weight(base: float, num_old: Tensor, num_seen: Tensor) -> Tensor:
    """Computes the factor of the less-forget loss: base * sqrt(num_old / (num_seen - num_old))  [LUCIR]."""
    old, new = (tf.cast(number, tf.float32) for number in (num_old, num_seen - num_old))
    return base * tf.sqrt(old / new)


def cosine_match_loss(cosines: Tensor, teacher_cosines: Tensor, num_old: Tensor) -> Tensor:
    """Holds the cosines with the old classes to the teacher's: their number times the mean squared error  [LUCIR code].

    Args:
        cosines: float tensor of shape `(batch, num_classes)`.
        teacher_cosines: of the same shape.
        num_old: int tensor.

    Returns:
        Float scalar: the sum over old classes, mean over the batch.
    """
    is_old = tf.cast(tf.range(tf.shape(cosines)[1]) < num_old, cosines.dtype)
    return tf.reduce_mean(tf.reduce_sum(is_old * (cosines - teacher_cosines) ** 2, axis=1))


def margin_ranking_loss(
    cosines: Tensor, labels: Tensor, num_old: Tensor, num_seen: Tensor, margin: float = 0.5, top_k: int = 2
) -> Tensor:
    """Parts samples of old classes from the new classes they are mistaken for  [LUCIR].

    loss = mean over samples of old classes and their `top_k` nearest new classes j of max(0, margin - cos_y + cos_j)

    Args:
        cosines: float tensor of shape `(batch, num_classes)`, not scaled.
        labels: int tensor of shape `(batch,)`.
        num_old, num_seen: int tensors.
        margin: least difference wanted.
        top_k: number of new classes compared with; fewer if there are not as many.

    Returns:
        Float scalar; 0 if no sample is of an old class.
    """
    classes = tf.range(tf.shape(cosines)[1])
    is_new = (classes >= num_old) & (classes < num_seen)
    rivals = tf.math.top_k(tf.where(is_new, cosines, _NEVER), min(top_k, cosines.shape[1])).values
    own = tf.gather(cosines, labels, batch_dims=1)[:, None]
    is_old = tf.cast(labels < num_old, cosines.dtype)
    # A rival that does not exist is so far away that it adds nothing.
    hinges = is_old[:, None] * tf.nn.relu(margin - own + rivals)
    num_rivals = tf.cast(tf.minimum(top_k, num_seen - num_old), cosines.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(hinges), num_rivals * tf.reduce_sum(is_old))
