"""Phases of new classes, and incremental classifiers of a few units that learn them."""

from types import SimpleNamespace

import keras
import numpy as np

from ocm_tf.models import IncrementalClassifier
from ocm_tf.networks import ResidualFeatures
from tests.tiny import IMAGE_SHAPE

layers = keras.layers


def make_phase(labels, num_per_class=6, seed=0):
    """Makes noisy images of one pattern a class."""
    patterns = np.random.default_rng(99).integers(0, 180, (6, *IMAGE_SHAPE))
    rng = np.random.default_rng([seed, *labels])
    drawn = np.repeat(labels, num_per_class)
    images = patterns[drawn] + rng.integers(0, 76, (len(drawn), *IMAGE_SHAPE))
    return SimpleNamespace(train=SimpleNamespace(images=images.astype(np.uint8), labels=drawn))


PHASES = [make_phase([0, 1, 2]), make_phase([3]), make_phase([4, 5])]
ALL_IMAGES, ALL_LABELS = (
    np.concatenate([getattr(phase.train, name) for phase in PHASES]) for name in ("images", "labels")
)


def dense_backbone(activation="tanh", units=5):
    inputs = keras.Input(IMAGE_SHAPE)
    hidden = layers.Dense(7, activation)(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(units)(layers.BatchNormalization()(hidden)))


def residual_backbone(weight_transfer=True):
    inputs = keras.Input(IMAGE_SHAPE)
    return keras.Model(inputs, ResidualFeatures((3, 4), (1, 1), weight_transfer=weight_transfer)(inputs))


def make_incremental(kind=IncrementalClassifier, backbone=dense_backbone, seed=0, run_eagerly=True, **settings):
    """Makes a classifier of six classes, two exemplars each and a minibatch an epoch.

    Without a graph, as tracing one takes longer than these few updates.
    """
    keras.utils.set_random_seed(seed)
    defaults = {"exemplars_per_class": 2, "learning_rate": 0.05, "batch_size": 32, "seed": 3, "mirror": None}
    model = kind(backbone(), 6, **{**defaults, **settings})
    model.compile(run_eagerly=run_eagerly)
    return model


def learn_phases(model, *indices, epochs=2):
    for index in indices:
        model.fit_experience(PHASES[index], epochs=epochs)
    return model
