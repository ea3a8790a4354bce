"""Measures a continual classifier on many splits, by its head alone where the backbone is frozen."""

import tensorflow as tf

_ROWS = 1000


class Evaluator:
    """Measures accuracy and loss of a classifier, and keeps the latents of each split as soon as they are final.

    They are computed once, so that later measurements run the head alone. The model keeps none of them.

    Args:
        model: `ContinualClassifier`.
    """

    def __init__(self, model):
        self.model = model
        self._latents = {}
        images = tf.TensorSpec((None, *model.backbone.input_shape[1:]), tf.uint8)
        latents = tf.TensorSpec((None, model.latent_dim), tf.float32)
        labels = tf.TensorSpec((None,), tf.int32)
        self._sums_of_images = tf.function(
            lambda images, labels: _sums(model(images, training=False), labels), input_signature=[images, labels]
        )
        self._sums_of_latents = tf.function(
            lambda latents, labels: _sums(model.head(latents, training=False), labels),
            input_signature=[latents, labels],
        )
        self._backbone = tf.function(lambda images: model.backbone(images, training=False), input_signature=[images])

    def keep(self, name, latents):
        """Takes over latents that were computed elsewhere.

        Args:
            name: any name of a split.
            latents: float array of shape `(n, latent_dim)`, of the frozen backbone in inference mode.
        """
        self._latents[name] = latents

    def measure(self, name, split):
        """Measures a split.

        Args:
            name: its name.
            split: object with `images` and `labels`.

        Returns:
            accuracy, loss: floats, the share of correct classes and the mean cross-entropy in nats.
        """
        if not self.model.is_frozen:
            return _means(self._sums_of_images, split.images, split.labels)
        if name not in self._latents:
            images = split.images
            parts = [self._backbone(images[start : start + _ROWS]) for start in range(0, len(images), _ROWS)]
            self._latents[name] = tf.concat(parts, 0).numpy()
        return _means(self._sums_of_latents, self._latents[name], split.labels)


def _sums(logits, labels):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    correct = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
    return tf.reduce_sum(losses), tf.math.count_nonzero(correct)


def _means(sums, inputs, labels):
    loss = correct = 0.0
    for start in range(0, len(labels), _ROWS):
        part = slice(start, start + _ROWS)
        sum_of_losses, num_correct = sums(inputs[part], labels[part].astype("int32"))
        loss, correct = loss + float(sum_of_losses), correct + int(num_correct)
    return correct / len(labels), loss / len(labels)
