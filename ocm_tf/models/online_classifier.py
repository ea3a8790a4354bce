"""A classifier trained on a stream, through a memory or without one."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.models.image_inputs import grey_values
from ocm_tf.models.nested_config import build_once
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.types import Array, Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class OnlineClassifier(OnlineModel):
    """Learns to classify by cross-entropy on what the memory holds, or on each arriving batch alone.

    Without a memory it is the benchmark's `finetune`, with a reservoir beside the newest samples its `reservoir`.

    Args:
        classifier: layer from images in [0, 1] to logits of shape `(batch, num_classes)`.
        image_shape: shape `(height, width, channels)` of one image.
        **kwargs: as for `OnlineModel`.

    Call: images (uint8 or float in [0, 1]) -> probabilities of shape `(batch, num_classes)`.
    """

    num_components = 1

    def __init__(self, classifier: keras.layers.Layer, image_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classifier, self.image_shape = classifier, tuple(image_shape)

    def build(self, input_shape: Shape) -> None:
        if tuple(input_shape[1:]) != self.image_shape:
            raise ValueError(f"The model is made for images of shape {self.image_shape}, got {input_shape[1:]}.")
        build_once(self.classifier, (None, *self.image_shape))
        images = tf.TensorSpec([None, *self.image_shape], tf.float32)
        self._probabilities = tf.function(self.call, input_signature=[images])

    def call(self, inputs: Tensor) -> Tensor:
        return ops.softmax(self.classifier(grey_values(inputs), training=False))

    def train_step(self, data: Any) -> dict[str, Tensor]:
        require_labels(data)
        return super().train_step(data)

    @property
    def loss_layers(self) -> tuple[keras.layers.Layer, ...]:
        return (self.classifier,)

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy_update(self, self.classifier, images, labels, self.optimizer)

    def classify(self, images: Array, batch_size: int = 256) -> np.ndarray:
        """Computes the probability of each class.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.
            batch_size: images classified together.

        Returns:
            float32 array of shape `(n, num_classes)`.
        """
        num_classes = self.classifier.compute_output_shape((None, *self.image_shape))[-1]
        routes = np.zeros(len(images), np.int64)
        return classify_routed(lambda part, _: self._probabilities(part), images, routes, num_classes, batch_size)

    def get_config(self) -> dict[str, Any]:
        classifier = keras.saving.serialize_keras_object(self.classifier)
        return {**super().get_config(), "classifier": classifier, "image_shape": self.image_shape}


def cross_entropy_update(
    model: OnlineModel,
    classifier: keras.layers.Layer,
    images: Tensor,
    labels: Tensor,
    optimizer: keras.optimizers.Optimizer,
) -> Tensor:
    """Makes one update of a classifier; works inside a graph.

    Args:
        model: the `OnlineModel` it belongs to.
        classifier: layer from images in [0, 1] to logits.
        images: tensor of shape `(batch, *image_shape)`, uint8 or float in [0, 1].
        labels: int tensor of shape `(batch,)`.
        optimizer: a Keras optimizer built on the classifier's variables.

    Returns:
        loss: float scalar tensor, the mean cross-entropy in nats per image before the update.
    """

    def loss_of(inputs, labels):
        logits = classifier(inputs, training=True)
        return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    return model.update(loss_of, (grey_values(images), labels), classifier.trainable_variables, optimizer)


def classify_routed(
    probabilities: Callable[[Tensor, Tensor], Tensor],
    images: Array,
    routes: np.ndarray,
    num_classes: int,
    batch_size: int,
) -> np.ndarray:
    """Computes the class probabilities of images, each by the component it is routed to.

    Args:
        probabilities: function of float images in [0, 1] and a component to an array `(batch, num_classes)`.
        images: uint8, or float in [0, 1], array of shape `(n, *image_shape)`.
        routes: int array of shape `(n,)`, a component for each image.
        num_classes: number of classes.
        batch_size: most images classified together.

    Returns:
        float32 array of shape `(n, num_classes)`.
    """
    result = np.empty((len(images), num_classes), np.float32)
    for component in np.unique(routes):
        rows = np.flatnonzero(routes == component)
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            result[part] = probabilities(grey_values(images[part]), component)
    return result


def require_labels(data: Any) -> None:
    """Refuses the data of a training step that has no labels.

    Raises:
        ValueError: if there are none.
    """
    if keras.utils.unpack_x_y_sample_weight(data)[1] is None:
        raise ValueError("A classifier learns from (images, labels); use stream.batches(..., labelled=True).")
