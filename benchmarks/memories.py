"""Keeping samples: a batch is appended to the short-term memory, then both memories are gathered for a pass."""

import numpy as np
import tensorflow as tf
from inputs import load_images
from measuring import Part

from ocm_tf.memory import CooperativeMemory, SampleBuffer, ShortTermMemory
from ocm_tf.memory.sample_buffer import Samples

BATCH, SHORT_TERM, LONG_TERM = 64, 512, 2048


def append_and_gather(num_batches):
    """Lets batches arrive at a full pair of memories; a unit is one batch."""
    images, numbers = load_images(LONG_TERM)[0], np.arange(LONG_TERM)
    memory = CooperativeMemory(
        ShortTermMemory(SHORT_TERM, images.shape[1:], BATCH), SampleBuffer(LONG_TERM, images.shape[1:])
    )
    memory.long_term.add(Samples(images, np.zeros_like(numbers), numbers))
    batch, labels = tf.constant(images[:BATCH]), tf.zeros(BATCH, tf.int64)

    @tf.function
    def arrive():
        memory.observe(batch, labels)
        return memory.gather()

    return [Part(lambda: [arrive() for _ in range(num_batches)][-1].positions.numpy(), 1.0 / num_batches)]


def one_by_one(num_batches):
    """The yardstick: lists of samples, one appended at a time, stacked anew for each pass."""
    images = load_images(LONG_TERM)[0]
    short_term, long_term = [], list(images)

    def arrive():
        if len(short_term) == SHORT_TERM:
            short_term.clear()
        for image in images[:BATCH]:
            short_term.append(image.copy())
        return np.stack(short_term + long_term)

    return [Part(lambda: [arrive() for _ in range(num_batches)][-1], 1.0 / num_batches)]


KERNELS = {
    "append_and_gather": lambda quick: append_and_gather(2 if quick else 50),
    "one_by_one": lambda quick: one_by_one(2 if quick else 50),
}
