"""OCM's kernels by the library's own public functions, on the paper's networks, freshly initialised."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from inputs import binary, load_images
from measuring import WARM_UP, Part, resident_mb

from ocm_tf.callbacks.expansion import Expansion
from ocm_tf.callbacks.memory_transfer import MemoryTransfer
from ocm_tf.experiments.environment import describe_environment
from ocm_tf.experiments.ocm import build_model
from ocm_tf.experiments.ocm_config import PAPER
from ocm_tf.memory.sample_buffer import Samples

BATCH, SHORT_TERM, LONG_TERM = 64, 576, 64


def make_model(num_components=1, **changes):
    """Returns the paper's mixture with that many components."""
    keras.utils.set_random_seed(0)
    model = build_model(replace(PAPER, trigger="gt", **changes), (28, 28, 1), seed=0)
    for _ in range(num_components - 1):
        model.grow()
    return model


def fill_memory(model, num_long_term=LONG_TERM):
    """Puts a full short-term memory and that many long-term samples into the model's memory; returns the memory."""
    images, memory = load_images(SHORT_TERM + num_long_term)[0], model.memory
    for start in range(0, SHORT_TERM, BATCH):
        memory.observe(tf.constant(images[start : start + BATCH]), tf.zeros(BATCH, tf.int64))
    memory.long_term.clear()
    numbers = np.arange(num_long_term)
    memory.long_term.add(Samples(images[SHORT_TERM:], np.zeros_like(numbers), numbers))
    return memory


def binary_images(count):
    """Returns binarised images, as an evaluation gets them."""
    return binary(load_images(count)[0].astype(np.float32) / 255.0, np.random.default_rng(0))


# Kernels --------------------------------------------------------------------------------------------------------------


def train_step(num_samples, num_epochs, **changes):
    """Trains as `fit` does on an arriving batch: passes over all samples in memory, ten minibatches each."""
    model = make_model(num_samples=num_samples, epochs_per_batch=num_epochs, **changes)
    fill_memory(model)
    train = tf.function(model.train_on_memory)
    return [Part(lambda: train().numpy(), 1.0 / (num_epochs * (SHORT_TERM + LONG_TERM) // BATCH))]


def evaluation(num_components, num_images, matmul_dtype=None):
    """Estimates log-likelihoods, each under the component it is routed to."""
    model, images = make_model(num_components, matmul_dtype=matmul_dtype), binary_images(num_images)
    return [Part(lambda: model.log_likelihood(images), 1.0 / num_images)]


def selection(num_long_term):
    """Scores the short-term samples against the long-term ones."""
    model, transfer = make_model(long_term_limit=max(2048, num_long_term)), MemoryTransfer(kernel="laplace_code")
    memory = fill_memory(model, num_long_term)
    transfer.set_model(model)
    repetitions = 4
    return [Part(lambda: [transfer.score(memory) for _ in range(repetitions)], 1.0 / repetitions)]


def selection_round(num_samples, num_drawn):
    """Scores the short-term samples and computes the bound of all 640 samples, as a round does that expands nothing."""
    model, test = make_model(), Expansion(num_samples=num_drawn)
    memory = fill_memory(model)
    test.set_model(model)
    return [*selection(LONG_TERM), Part(lambda: test.mean_bound(memory), num_samples / num_drawn)]


def matmul(dtype):
    """Multiplies large matrices; a unit is one GFLOP."""
    rows, inner, columns = 3200, 784, 784
    keras.utils.set_random_seed(0)
    first, second = (tf.cast(tf.random.normal(shape), dtype) for shape in ((rows, inner), (inner, columns)))
    multiply, repetitions = tf.function(tf.matmul), 4

    def run():
        for _ in range(repetitions):
            multiply(first, second).numpy()

    return [Part(run, 1e9 / (2 * rows * inner * columns * repetitions))]


def added_component(num_added):
    """Returns the resident memory and the new traces for each component added to a mixture."""
    model, images = make_model(epochs_per_batch=1), binary_images(BATCH)
    fill_memory(model)
    train = tf.function(model.train_on_memory)
    functions = train, model._bounds, model._encode

    def add():
        model.grow()
        train()
        model.features(images)
        model.component_bounds(images[:1])

    for _ in range(WARM_UP):
        add()
    before, traces = resident_mb(), sum(function.experimental_get_tracing_count() for function in functions)
    for _ in range(num_added):
        add()
    return {
        # The bank is allocated with the model, so a component's own weights are not in the difference.
        "beyond_weights_mb": (resident_mb() - before) / num_added,
        "traces": sum(function.experimental_get_tracing_count() for function in functions) - traces,
        "bank_mb": sum(stack.value.shape.num_elements() for stack in model.bank.stacks) * 4 / 2**20,
    }


def describe():
    """Returns versions, threads and commit, and which images the kernels run on, as a dict for JSON."""
    return {**describe_environment(), "images": load_images(1)[1]}


KERNELS = {
    "step_50": lambda quick: train_step(50, 1),
    "step_50_bf16": lambda quick: train_step(50, 1, matmul_dtype="bfloat16"),
    "step_1": lambda quick: train_step(1, 1 if quick else 10),
    "step_1_bf16": lambda quick: train_step(1, 1 if quick else 10, matmul_dtype="bfloat16"),
    "step_1_fused": lambda quick: train_step(1, 1 if quick else 10, fused_optimizer=True),
    "evaluation_1": lambda quick: evaluation(1, 2 if quick else 64),
    "evaluation_1_bf16": lambda quick: evaluation(1, 2 if quick else 64, "bfloat16"),
    "evaluation_5": lambda quick: evaluation(5, 2 if quick else 64),
    "evaluation_5_bf16": lambda quick: evaluation(5, 2 if quick else 64, "bfloat16"),
    "evaluation_30": lambda quick: evaluation(30, 1 if quick else 16),
    **{f"scores_{count}": lambda quick, count=count: selection(count) for count in (64, 500, 1500, 10000)},
    "round_1000": lambda quick: selection_round(1000, 10 if quick else 1000),
    "round_100": lambda quick: selection_round(100, 2 if quick else 100),
    "matmul_float32": lambda quick: matmul("float32"),
    "matmul_bfloat16": lambda quick: matmul("bfloat16"),
}
