"""A small run with all kinds of state, run by the tests in this process and as a script of its own."""

import dataclasses
import sys

from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.script import run_script
from ocm_tf.experiments.settings import parse_arguments, setting

SIZE = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the run."""

    num_batches: int = setting(12, "length of the stream, in batches")
    pause: float = setting(0.0, "time each batch takes at least, in seconds")
    width: int = setting(5, "units of the hidden layer")


def make_model(width=5):
    """Makes a model with two optimizers, a memory, a generator in a helper, drop-out and an unseeded draw."""
    import keras
    import tensorflow as tf

    class Noise:
        def __init__(self):
            self.seeds = keras.random.SeedGenerator(7)

    class Learner(keras.Model):
        def __init__(self):
            super().__init__(name="learner")
            self.inner = keras.Sequential([keras.layers.Dense(width), keras.layers.Dropout(0.5)])
            self.outer = keras.layers.Dense(SIZE)
            self.noise = Noise()
            self.memory = self.add_weight(shape=(6, SIZE), trainable=False, initializer="zeros", name="memory")
            self.plain = tf.Variable(0, dtype=tf.int64)
            self.loss_mean = keras.metrics.Mean(name="loss")

        def build(self, input_shape):
            self.inner.build(input_shape)
            self.outer.build((None, width))

        def call(self, inputs, training=False):
            return self.outer(self.inner(inputs, training=training))

        def compile(self, optimizer, outer_optimizer):
            super().compile(optimizer=optimizer)
            self.outer_optimizer = outer_optimizer
            self.optimizer.build(self.inner.trainable_variables)
            outer_optimizer.build(self.outer.trainable_variables)

        def train_step(self, data):
            noise = keras.random.normal((4, SIZE), seed=self.noise.seeds) + keras.random.normal((4, SIZE))
            inputs = tf.concat([data + 0.1 * noise, self.memory.value], 0)
            with tf.GradientTape(persistent=True) as tape:
                loss = tf.reduce_mean((self(inputs, training=True) - inputs) ** 2)
            for optimizer, part in ((self.optimizer, self.inner), (self.outer_optimizer, self.outer)):
                optimizer.apply(tape.gradient(loss, part.trainable_variables), part.trainable_variables)
            self.memory.assign(tf.concat([self.memory.value[1:], data[:1]], 0))
            self.plain.assign_add(1)
            self.loss_mean.update_state(loss)
            return {"loss": self.loss_mean.result()}

    model = Learner()
    model.build((None, SIZE))
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.05, momentum=0.9))
    return model


def make_recorder(metrics, pause=0.0):
    """Makes a callback with random numbers of its own that changes the memory and writes metrics."""
    import random
    import time

    import keras
    import numpy as np

    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.rng, self.step = np.random.default_rng(3), 0

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            memory = self.model.memory.numpy()
            memory[self.rng.integers(6)] += self.rng.normal() + np.random.normal() + random.random()
            self.model.memory.assign(memory)
            metrics.append(self.step, "train", None, {"loss": logs["loss"], "memory": memory.sum()})
            time.sleep(pause)

        def get_state(self):
            return {"rng": self.rng.bit_generator.state, "step": self.step}

        def set_state(self, state):
            self.rng.bit_generator.state, self.step = state["rng"], state["step"]

    return Recorder()


def make_stream(num_batches, start=0):
    """Makes the batches of the stream from number `start` on."""
    import numpy as np
    import tensorflow as tf

    images = np.random.default_rng(1).normal(size=(num_batches, 4, SIZE)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(images[start:])


def run(arguments, more_callbacks=()):
    """Runs or resumes, and leaves the final state in `final.npz`; returns the model."""
    import keras

    from ocm_tf.callbacks import Checkpoint, Progress, save_state

    keras.utils.set_random_seed(arguments.seed)
    config = arguments.config
    with RunDirectory(arguments.output).open(arguments, data_source="random numbers") as files:
        model = make_model(config.width)
        recorder = make_recorder(files.metrics, config.pause)
        checkpoint = Checkpoint(files.checkpoint_path, [recorder, files], arguments.checkpoint_seconds)
        position = checkpoint.restore(model)
        progress = Progress(config.num_batches, position, arguments.quiet)
        if position < config.num_batches:
            stream = make_stream(config.num_batches, position)
            with checkpoint:
                callbacks = [recorder, progress, *more_callbacks, checkpoint]
                model.fit(stream, callbacks=callbacks, verbose=0)
        save_state(files.path / "final.npz", model, [recorder])
        files.write_results({"memory": model.memory.numpy().sum()})
    return model


def parse(argv=None):
    """Reads the command line."""
    presets, costs = {"small": Settings()}, {"small": "seconds"}
    return parse_arguments(argv, script="stream_run", description=__doc__, presets=presets, costs=costs)


if __name__ == "__main__":
    sys.exit(run_script(lambda: run(parse()) and 0))
