"""Experiences of 8x8 images and networks of a few units, for the continual classifiers."""

from types import SimpleNamespace

import keras
import numpy as np

from tests.tiny import IMAGE_SHAPE

NUM_CLASSES = 4
LATENT_DIM = 6
layers = keras.layers


def make_experience(index, num=30, labels=range(NUM_CLASSES)):
    """Makes noisy images of one pattern a class, shifted by two rows from one experience to the next."""
    patterns = np.random.default_rng(99).integers(0, 180, (NUM_CLASSES, *IMAGE_SHAPE))
    rng = np.random.default_rng(index)
    drawn = rng.choice(list(labels), num)
    images = np.roll(patterns, 2 * index, axis=1)[drawn] + rng.integers(0, 76, (num, *IMAGE_SHAPE))
    return SimpleNamespace(index=index, train=SimpleNamespace(images=images.astype(np.uint8), labels=drawn))


EXPERIENCES = [make_experience(index) for index in range(3)]


def make_parts(normalized=False, backbone_dropout=0.0, head_dropout=0.0, seed=0):
    """Makes a backbone and a head."""
    keras.utils.set_random_seed(seed)
    images = keras.Input(IMAGE_SHAPE)
    hidden = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    hidden = layers.Dense(LATENT_DIM, "relu")(hidden)
    hidden = layers.BatchNormalization()(hidden) if normalized else hidden
    hidden = layers.Dropout(backbone_dropout, seed=1)(hidden) if backbone_dropout else hidden
    latents = keras.Input((LATENT_DIM,))
    dropped = layers.Dropout(head_dropout, seed=2)(latents) if head_dropout else latents
    logits = layers.Dense(NUM_CLASSES)(layers.Dense(5, "tanh")(dropped))
    return keras.Model(images, hidden), keras.Model(latents, logits)


def make_classifier(kind, parts=None, learning_rate=0.05, **settings):
    """Makes a compiled classifier of minibatches of eight."""
    model = kind(*(parts or make_parts()), **{"batch_size": 8, "seed": 5, **settings})
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.9))
    return model


def learn(model, *indices, epochs=2, **settings):
    for index in indices:
        model.fit_experience(EXPERIENCES[index], epochs=epochs, **settings)
    return model
