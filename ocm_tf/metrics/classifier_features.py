"""Features of a small classifier trained on a data set's own images, where no Inception network is at hand."""

from typing import Self

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.types import PathLike

# Raise it whenever what is trained changes: networks kept on disk are told by it.
RECIPE_VERSION = 1
_FILTERS = (32, 64, 128)
_NUM_FEATURES = 128
_BATCH_SIZE = 128
_MOST_STEPS, _MOST_PASSES = 2000, 20
_LEARNING_RATE = 2e-3


class ClassifierFeatures:
    """Maps images to the penultimate layer of a small classifier, and to its class probabilities.

    A Frechet distance of these features compares models on one data set. It is called classifier Frechet distance and
    must never be compared with a FID, whose features are those of an Inception network.

    Args:
        network: `keras.Model` as `train` makes it, from images to `[features, probabilities]`.
    """

    def __init__(self, network: keras.Model) -> None:
        self.network = network

    @classmethod
    def train(cls, images: np.ndarray, labels: np.ndarray, num_classes: int) -> Self:
        """Trains the classifier by a fixed recipe: the same images give the same network.

        Three convolutions of stride 2, one dense layer, Adam with a cosine schedule, at most 2,000 steps of 128
        images and at most 20 passes. It draws nothing from the global random generators.

        Args:
            images: uint8 array of shape `(n, height, width, channels)`, of any size.
            labels: int array of shape `(n,)`.
            num_classes: number of classes.

        Returns:
            `ClassifierFeatures`.
        """
        num_steps = min(_MOST_STEPS, max(1, _MOST_PASSES * len(images) // _BATCH_SIZE))
        network = _build(images.shape[1:], num_classes)
        classifier = keras.Model(network.input, network.outputs[1])
        schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, num_steps)
        classifier.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
        rng = np.random.default_rng(0)
        num_passes = -(-num_steps * _BATCH_SIZE // len(images))
        rows = np.concatenate([rng.permutation(len(images)) for _ in range(num_passes)])[: num_steps * _BATCH_SIZE]
        images, labels = tf.constant(images), tf.constant(labels)
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(_BATCH_SIZE)
        batches = batches.map(lambda rows: (tf.cast(tf.gather(images, rows), "float32") / 255, tf.gather(labels, rows)))
        classifier.fit(batches.prefetch(2), shuffle=False, verbose=0)
        return cls(network)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Loads a network that `save` wrote."""
        return cls(keras.saving.load_model(path))

    def save(self, path: PathLike) -> None:
        """Saves the network as a `.keras` file."""
        self.network.save(path)

    def __call__(self, images: np.ndarray, batch_size: int = 500) -> tuple[np.ndarray, np.ndarray]:
        """Computes features and probabilities.

        Args:
            images: float array of shape `(n, height, width, channels)`, values in [0, 1].
            batch_size: images computed together.

        Returns:
            features, probabilities: float arrays of shapes `(n, 128)` and `(n, num_classes)`.
        """
        return self.network.predict(images, batch_size=batch_size, verbose=0)


def _build(image_shape, num_classes):
    # Seeds and names of its own, so that it neither draws from Keras' global generator nor counts in its names.
    def seeded(number):
        return keras.initializers.HeNormal(seed=number)

    hidden = inputs = keras.Input(image_shape)
    for number, filters in enumerate(_FILTERS):
        convolution = keras.layers.Conv2D(
            filters, 3, 2, "same", activation="relu", kernel_initializer=seeded(number), name=f"convolution_{number}"
        )
        hidden = convolution(hidden)
    hidden = keras.layers.Flatten(name="flattened")(hidden)
    dense = keras.layers.Dense(_NUM_FEATURES, "relu", kernel_initializer=seeded(len(_FILTERS)), name="features")
    features = dense(hidden)
    output = keras.layers.Dense(
        num_classes, "softmax", kernel_initializer=seeded(len(_FILTERS) + 1), name="probabilities"
    )
    return keras.Model(inputs, [features, output(features)], name="classifier")
