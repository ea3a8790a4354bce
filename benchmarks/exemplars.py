"""Mnemonics: a step of the incremental classifier, and one of the exemplars, which unrolls steps of the classifier.

The network is that of reduced scale, on digits: ten exemplars a class, minibatches of 128 images.
"""

import keras
import numpy as np
from measuring import Part
from op_by_op import op_by_op

from ocm_tf.memory import Samples
from ocm_tf.models import Mnemonics
from ocm_tf.networks import RESIDUAL_NETWORKS, ResidualFeatures

CLASSES, EXEMPLARS, BATCH = 4, 10, 128


def _make(num_steps, **settings):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * num_steps, 8, 8, 1)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, len(images)).astype(np.int32)
    inputs = keras.Input((8, 8, 1))
    backbone = keras.Model(inputs, ResidualFeatures(**RESIDUAL_NETWORKS["slim8"])(inputs))
    model = Mnemonics(backbone, CLASSES, batch_size=BATCH, outer_steps=num_steps, outer_batch_size=BATCH, **settings)
    model.compile()
    model.num_seen.assign(CLASSES)
    return model, images, labels


def model_step(num_steps):
    """Trains the classifier for an epoch; a unit is one minibatch."""
    model, images, labels = _make(num_steps)
    model._inputs, model._labels = images, labels
    model.make_train_function()
    return [Part(lambda: model.train_function(iter(model._minibatches(1))), 1 / num_steps)]


def exemplar_step(inner_parameters, inner_steps, num_steps):
    """Trains the exemplars; a unit is one outer step."""
    model, images, labels = _make(num_steps, inner_parameters=inner_parameters, inner_steps=inner_steps)
    rows = slice(CLASSES * EXEMPLARS)
    exemplars = Samples(images[rows], np.repeat(np.arange(CLASSES), EXEMPLARS), np.tile(np.arange(EXEMPLARS), CLASSES))
    return [Part(lambda: model.train_exemplars(exemplars, images, labels, np.random.default_rng(0)), 1 / num_steps)]


KERNELS = {
    "model": lambda quick: model_step(1 if quick else 8),
    "model_op_by_op": lambda quick: op_by_op(model_step(1 if quick else 4)),
    "all_5": lambda quick: exemplar_step("all", 5, 1 if quick else 4),
    "all_5_op_by_op": lambda quick: op_by_op(exemplar_step("all", 5, 1 if quick else 2)),
    "head_20": lambda quick: exemplar_step("head", 20, 1 if quick else 4),
    "head_20_op_by_op": lambda quick: op_by_op(exemplar_step("head", 20, 1 if quick else 2)),
}
