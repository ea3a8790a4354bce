"""An expanding mixture whose components each own a classifier (OCM for classification)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.models.growth import start_afresh
from ocm_tf.models.nested_config import build_once
from ocm_tf.models.online_classifier import classify_routed, cross_entropy_update, require_labels
from ocm_tf.models.vae_mixture import VAEMixture
from ocm_tf.types import Array, Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class ClassifierMixture(VAEMixture):
    """A `VAEMixture` that also classifies: each component is a VAE and a classifier  [OCM, classification].

    The VAE chooses which samples are kept, when the mixture grows and which component answers for an image; the
    classifier of that component names the class. Both learn from the same minibatches: the VAE by its bound, the
    classifier by cross-entropy on the grey or colour values. They share no weight, so that together the loss is minus a
    bound on log p(x) + log p(y|x), in nats per image.

    No task identity is used, in training or afterwards.

    Args:
        classifier: layer from images in [0, 1] to logits of shape `(batch, num_classes)`, one a component.
        **kwargs: as for `VAEMixture`; `max_components=1` makes a single component that never grows.

    Call: as for `VAEMixture`; `classify` names classes.
    """

    further_optimizers = ("classifier_optimizer",)

    def __init__(self, classifier: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classifier = classifier

    def build_networks(self) -> None:
        # Before the bank is allocated, which needs the variables of all templates.
        build_once(self.classifier, (None, *self.image_shape))
        super().build_networks()

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        images, component = tf.TensorSpec([None, *self.image_shape], tf.float32), tf.TensorSpec([], tf.int32)
        self._probabilities = tf.function(self.probabilities, input_signature=[images, component])

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        classifier_optimizer: str | keras.optimizers.Optimizer = "sgd",
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: the Keras optimizer of the VAEs.
            classifier_optimizer: that of the classifiers.
            **kwargs: as for `OnlineModel.compile`.
        """
        super().compile(optimizer, **kwargs)
        self.classifier_optimizer = keras.optimizers.get(classifier_optimizer)
        # Loading restores an optimizer's state only into variables that exist.
        self.classifier_optimizer.build(self.classifier.trainable_variables)

    @property
    def num_classes(self) -> int:
        return self.classifier.compute_output_shape((None, *self.image_shape))[-1]

    @property
    def templates(self) -> tuple[keras.layers.Layer, ...]:
        return (*super().templates, self.classifier)

    @property
    def optimized_variables(self) -> list[keras.Variable]:
        of_classifier = {id(variable) for variable in self.classifier.trainable_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in of_classifier]

    def train_step(self, data: Any) -> dict[str, Tensor]:
        require_labels(data)
        return super().train_step(data)

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        loss = super().minibatch_step(images, labels)
        return loss + cross_entropy_update(self, self.classifier, images, labels, self.classifier_optimizer)

    def grow(self) -> None:
        super().grow()
        start_afresh(self.classifier_optimizer, self.classifier.trainable_variables)

    def probabilities(self, inputs: Tensor, component: Tensor) -> Tensor:
        """Computes the class probabilities of a component's classifier; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`, in [0, 1].
            component: index of the component, an int or an int tensor.

        Returns:
            Float tensor of shape `(batch, num_classes)`.
        """
        return ops.softmax(self._apply(self.classifier, inputs, component))

    def classify(
        self,
        images: Array,
        num_samples: int = 1000,
        batch_size: int = 64,
        seed: int = 0,
        routes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Computes the probability of each class, each image by the component with the highest bound for it.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`, not binarised: the classifiers see grey
                or colour values, and the images are binarised here for a Bernoulli VAE.
            num_samples, batch_size, seed: as for `component_bounds`; the seed is also that of the binarisation.
            routes: int array of shape `(n,)`, a component for each image; None routes them.

        Returns:
            float32 array of shape `(n, num_classes)`.
        """
        images = self.checked(images)
        if routes is None:
            routes = self.route(np.asarray(self.binarised(images, seed)), num_samples, batch_size, seed)
        return classify_routed(self._probabilities, images, routes, self.num_classes, batch_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classifier": keras.saving.serialize_keras_object(self.classifier)}
