"""Continual classifiers: a perceptron of 512 units, one epoch of an experience of MNIST's shape, batches of 128."""

import keras
import numpy as np
from inputs import make_experience
from measuring import Part

from ocm_tf.models import GenerativeLatentReplay, Naive, Replay
from ocm_tf.networks import perceptron, split_at

UNITS, BATCH_SIZE, BUFFER_SIZE = 512, 128, 1000


def experiences(kind, num_images, **settings):
    """Learns the second and all later experiences alike; a unit is one image of the experience."""
    network = perceptron(units=(UNITS,), seed=0)
    model = kind(*split_at(network, "dense1"), batch_size=BATCH_SIZE, **settings)
    model.compile()
    model.fit_experience(make_experience(num_images), epochs=1)
    experience = make_experience(num_images, seed=1)
    return [Part(lambda: model.fit_experience(experience, epochs=1), 1 / num_images)]


def _compiled():
    network = perceptron(units=(UNITS,), seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss, jit_compile=False)
    return network


def keras_fit(num_images):
    """The yardstick of plain training: `fit` on arrays in memory."""
    network, train = _compiled(), make_experience(num_images).train
    return [Part(lambda: network.fit(train.images, train.labels, batch_size=BATCH_SIZE, verbose=0), 1 / num_images)]


def replay_by_hand(num_images):
    """The yardstick of replay: a loop that joins each batch with one from a buffer and calls `train_on_batch`."""
    network, train, rng = _compiled(), make_experience(num_images).train, np.random.default_rng(0)
    stored = make_experience(BUFFER_SIZE, seed=1).train

    def learn():
        order = rng.permutation(num_images)
        for start in range(0, num_images, BATCH_SIZE):
            rows, replayed = order[start : start + BATCH_SIZE], rng.integers(BUFFER_SIZE, size=BATCH_SIZE)
            images = np.concatenate([train.images[rows], stored.images[replayed]])
            network.train_on_batch(images, np.concatenate([train.labels[rows], stored.labels[replayed]]))

    return [Part(learn, 1 / num_images)]


KERNELS = {
    "naive": lambda quick: experiences(Naive, 128 if quick else 12800),
    "replay": lambda quick: experiences(Replay, 128 if quick else 12800, buffer_size=BUFFER_SIZE),
    "generative": lambda quick: experiences(
        GenerativeLatentReplay, 128 if quick else 12800, buffer_size=BUFFER_SIZE, pretrained=True
    ),
    "keras_fit": lambda quick: keras_fit(128 if quick else 12800),
    "replay_by_hand": lambda quick: replay_by_hand(128 if quick else 6400),
}
