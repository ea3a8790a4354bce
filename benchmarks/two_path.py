"""DEMC's step: critic, generator and encoder, then the encoder alone, on a minibatch drawn from the memory."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from measuring import Part
from op_by_op import op_by_op

from ocm_tf.experiments.demc import build_model
from ocm_tf.experiments.demc_config import MNIST_PRESETS


def step(preset, size, num_steps):
    """Trains on a full temporary memory; a unit is one minibatch of 64."""
    config = replace(MNIST_PRESETS[preset], steps_per_batch=num_steps)
    keras.utils.set_random_seed(0)
    model = build_model(config, (size, size, 1), seed=0)
    images = np.random.default_rng(0).integers(0, 256, (config.batch_size, size, size, 1)).astype(np.uint8)
    for _ in range(config.temporary_capacity // config.batch_size):
        model.memory.observe(tf.constant(images), tf.zeros(len(images), tf.int64))
    train = tf.function(model.train_on_memory)
    return [Part(lambda: train().numpy(), 1.0 / num_steps)]


KERNELS = {
    "step": lambda quick: step("small", 16, 1 if quick else 20),
    "step_op_by_op": lambda quick: op_by_op(step("small", 16, 1 if quick else 5)),
    "paper_step": lambda quick: step("paper", 28, 1 if quick else 2),
}
