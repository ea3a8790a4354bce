"""How the cost of a stream grows: with its length, with the long-term memory, with the components of the mixture.

A network of 32 units, so that what grows is not hidden behind what does not.
"""

import time
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from inputs import binary, load_images
from measuring import resident_mb

from ocm_tf.experiments.ocm import build_model, build_rules
from ocm_tf.experiments.ocm_config import SMALL
from ocm_tf.memory.sample_buffer import Samples
from ocm_tf.streams import Stream

CONFIG = replace(
    SMALL, hidden_units=32, latent_dim=8, dynamic=False, batch_size=50, short_term_capacity=250, long_term_limit=100,
    steps_per_batch=2, features="last",
)  # fmt: skip


class _Marks(keras.callbacks.Callback):
    """Notes CPU time and resident memory when so many images have arrived."""

    def __init__(self, marks, batch_size):
        super().__init__()
        self.batches, self.seconds, self.resident = {mark // batch_size for mark in marks}, [], []
        self.looking = 0.0

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 in self.batches:
            start = time.process_time()
            # Looking is no part of what is measured.
            self.seconds.append(start - self.looking)
            self.resident.append(resident_mb())
            self.looking += time.process_time() - start


def along_stream(marks):
    """Makes one `fit` of a stream and measures between marks.

    Args:
        marks: rising numbers of images, multiples of the batch size; the last is the length of the stream. What comes
            before the first mark, tracing included, is not counted.

    Returns:
        dict for JSON: `images` the marks from the second on, `cpu_ms` an image since the mark before, `resident_mb`,
        and how often the step was traced.
    """
    images = load_images(marks[-1])[0]
    stream = Stream(images, np.zeros(len(images), np.int64), [0], ["any"], "benchmark")
    model, transfer = _make(), build_rules(CONFIG, seed=0)["transfer"]
    watch = _Marks(marks, CONFIG.batch_size)
    batches = stream.batches(CONFIG.batch_size)
    traces = _count_traces(model)
    model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[transfer, watch])
    return {
        "images": list(marks[1:]),
        "cpu_ms": list(1e3 * np.diff(watch.seconds) / np.diff(marks)),
        "resident_mb": watch.resident[1:],
        "traces": len(traces),
    }


def along_memory(sizes, repetitions=5):
    """Measures arriving batches and rounds of selection at several sizes of the long-term memory.

    Returns:
        dict for JSON: `samples` the sizes, `batch_ms` CPU time of an arriving batch, `round_ms` of the scores of a
        round, `resident_mb`, and how often the step was traced.
    """
    largest = max(sizes)
    config = replace(CONFIG, long_term_limit=largest)
    model, transfer = _make(config), build_rules(config, seed=0)["transfer"]
    transfer.set_model(model)
    images = load_images(largest)[0]
    batch, labels = tf.constant(images[: config.batch_size]), tf.zeros(config.batch_size, tf.int64)

    @tf.function
    def arrive():
        model.memory.observe(batch, labels)
        return model.train_on_memory()

    result = {"samples": list(sizes), "batch_ms": [], "round_ms": [], "resident_mb": []}
    for size in sizes:
        numbers = np.arange(size)
        model.memory.long_term.clear()
        model.memory.long_term.add(Samples(images[:size], np.zeros_like(numbers), numbers))
        result["batch_ms"].append(_cpu_ms(lambda: arrive().numpy(), repetitions))
        result["round_ms"].append(_cpu_ms(lambda: transfer.score(model.memory), repetitions))
        result["resident_mb"].append(resident_mb())
    return {**result, "traces": arrive.experimental_get_tracing_count()}


def along_components(counts, num_images=64, num_samples=100, repetitions=3):
    """Measures updates and routed bounds at several numbers of components.

    Returns:
        dict for JSON: `components` the counts, `step_ms` CPU time of an update, `bound_ms` of an image's routed bound
        with `num_samples` draws, `resident_mb`, and how often the update was traced.
    """
    config = replace(CONFIG, dynamic=True, max_components=max(counts))
    model = _make(config)
    inputs = binary(load_images(num_images)[0].astype(np.float32) / 255.0, np.random.default_rng(0))
    images, labels = tf.constant(load_images(num_images)[0]), tf.zeros(num_images, tf.int64)
    update = tf.function(model.minibatch_step)
    result = {"components": list(counts), "step_ms": [], "bound_ms": [], "resident_mb": []}
    for count in counts:
        while model.num_components < count:
            model.grow()
        result["step_ms"].append(_cpu_ms(lambda: update(images, labels).numpy(), 10 * repetitions))
        bound = _cpu_ms(lambda: model.log_likelihood(inputs, num_samples), repetitions)
        result["bound_ms"].append(bound / num_images)
        result["resident_mb"].append(resident_mb())
    return {**result, "traces": update.experimental_get_tracing_count()}


def _make(config=CONFIG):
    keras.utils.set_random_seed(0)
    return build_model(config, (28, 28, 1), seed=0)


def _count_traces(model):
    """Returns a list that grows by an entry each time the model's update is traced into a graph."""
    traces, step = [], model.minibatch_step
    model.minibatch_step = lambda images, labels: traces.append(images.shape) or step(images, labels)
    return traces


def _cpu_ms(run, repetitions):
    """Returns the CPU milliseconds of a call after one that is not counted."""
    run()
    start = time.process_time()
    for _ in range(repetitions):
        run()
    return 1e3 * (time.process_time() - start) / repetitions
