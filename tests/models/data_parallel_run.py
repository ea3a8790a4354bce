"""Trains the same models on one device and on two logical ones, and tells as JSON how they differ.

Logical devices must be made before TensorFlow's first operation, so this runs in a process of its own.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.callbacks.training_state import restore_state, save_state
from ocm_tf.memory import RandomReplacementMemory, SampleBuffer
from ocm_tf.models import VAE, ClassifierMixture, OnlineClassifier, VAEMixture
from ocm_tf.networks import MLP, GaussianEncoder, ResNet
from tests import tiny

NUM_DEVICES, BATCH = 2, 5
IMAGES = tiny.make_images(40)
LABELS = np.arange(40) % 3
UNITS = tiny.UNITS


def make_model(kind, memory=True):
    keras.utils.set_random_seed(0)
    # Seven samples a minibatch, of which the last of a pass is smaller: shares are never equal.
    online = {"epochs_per_batch": 2, "minibatch_size": 7, "drop_remainder": False, "seed": 0}
    if kind in ("classifier", "resnet"):
        classifier = MLP((UNITS, 3), "relu") if kind == "classifier" else ResNet(3, (1,), 2)
        memory = RandomReplacementMemory(SampleBuffer(12, tiny.IMAGE_SHAPE), 0)
        return OnlineClassifier(classifier, tiny.IMAGE_SHAPE, memory=memory, **online)
    shared = {"image_shape": tiny.IMAGE_SHAPE, "latent_dim": 2, "num_samples": 3, **online}
    shared["memory"] = tiny.make_memory(capacity=10, batch_size=BATCH) if memory else None
    if kind == "vae":
        decoder = MLP((UNITS, tiny.NUM_PIXELS))
        return VAE(encoder=GaussianEncoder(2, (UNITS,)), decoder=decoder, objective="iwae", **shared)
    parts = {
        "shared_encoder": MLP((UNITS,), output_activation="tanh"),
        "encoder": GaussianEncoder(2, (UNITS,)),
        "shared_decoder": MLP((UNITS,), output_activation="tanh"),
        "decoder": MLP((UNITS, tiny.NUM_PIXELS), "relu"),
        "max_components": 3,
    }
    if kind == "mixture":
        return VAEMixture(**parts, **shared)
    # "classifiers": components of a VAE and a classifier, each with an optimizer of its own.
    return ClassifierMixture(classifier=MLP((UNITS, 3), "relu"), **parts, **shared)


def finished(model, strategy):
    with strategy.scope():
        model.build((None, *tiny.IMAGE_SHAPE))
        optimizers = [keras.optimizers.Adam(0.01)]
        if isinstance(model, ClassifierMixture):
            optimizers.append(keras.optimizers.SGD(0.1))
        model.compile(*optimizers)
    return model


class Watch(keras.callbacks.Callback):
    """Keeps the losses, counts traces of a minibatch and lets a mixture grow after its fourth batch."""

    def __init__(self, model):
        super().__init__()
        self.losses, self.traces = [], 0
        step = model.minibatch_step

        def counted(*arguments):
            self.traces += 1
            return step(*arguments)

        model.minibatch_step = counted

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == 4 and isinstance(self.model, VAEMixture):
            self.model.grow()


def train(kind, strategy):
    model = finished(make_model(kind), strategy)
    watch = Watch(model)
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(BATCH)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[watch])
    return model, watch


def compare(kind, strategy, directory):
    model, watch = train(kind, strategy)
    single, expected = train(kind, tf.distribute.get_strategy())
    copies = [variable.value.values for variable in model.trainable_variables]
    model.save(directory / f"{kind}.keras")
    loaded = keras.saving.load_model(directory / f"{kind}.keras")
    # A run checkpointed on two devices goes on with one.
    save_state(directory / f"{kind}.npz", model)
    resumed = finished(make_model(kind), tf.distribute.get_strategy())
    restore_state(directory / f"{kind}.npz", resumed)

    def outputs(model):
        return np.asarray(model(IMAGES)) if kind != "mixture" else model.reconstruct(IMAGES)

    def apart(one, other):
        return max(
            float(np.abs(np.subtract(a, b, dtype=np.float64)).max(initial=0)) for a, b in zip(one, other, strict=True)
        )

    return {
        "losses": watch.losses,
        "expected_losses": expected.losses,
        "components": [model.num_components, single.num_components],
        "weights_apart": apart(tiny.values_of(model.weights), tiny.values_of(single.weights)),
        "copies_apart": apart(*([copy[device].numpy() for copy in copies] for device in range(NUM_DEVICES))),
        "loaded_apart": apart([outputs(model)], [outputs(loaded)]),
        "resumed_apart": apart(tiny.values_of(model.weights), tiny.values_of(resumed.weights)),
        "optimizer_apart": apart(tiny.values_of(model.optimizer.variables), tiny.values_of(single.optimizer.variables)),
        "traces": [watch.traces, expected.traces],
        "memory_is_mirrored": isinstance(model.memory.weights[0].value, tf.distribute.DistributedValues),
    }


def refusals(strategy):
    """Returns the messages of models that cannot be trained so."""
    messages = {}
    two_path = tiny.make_two_path_vae()
    for name, attempt in {
        "resnet": lambda: finished(make_model("resnet"), strategy),
        "two_path": lambda: _compile(two_path, strategy),
        "inside": lambda: _make_inside(strategy),
    }.items():
        try:
            attempt()
        except ValueError as error:
            messages[name] = str(error)
    return messages


def _compile(model, strategy):
    with strategy.scope():
        model.compile()


def _make_inside(strategy):
    with strategy.scope():
        make_model("vae")


def main(directory, kinds):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_DEVICES)
    strategy = tf.distribute.MirroredStrategy()
    results = {kind: compare(kind, strategy, directory) for kind in kinds}
    print(json.dumps({"devices": strategy.num_replicas_in_sync, "refusals": refusals(strategy), "kinds": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
