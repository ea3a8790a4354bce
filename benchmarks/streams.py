"""A stream with OCM from its first image to its last: batches, memory, training and rounds of selection."""

from dataclasses import replace

import keras
import numpy as np
from direct_vae import Component, binary, make_step, similarity
from inputs import load_images
from measuring import Part

from ocm_tf.experiments.ocm import build_model, build_rules
from ocm_tf.experiments.ocm_config import SMALL
from ocm_tf.streams import Stream

BATCH, SHORT_TERM, LONG_TERM, EPOCHS = 64, 256, 64, 5
CONFIG = replace(
    SMALL, dynamic=False, batch_size=BATCH, short_term_capacity=SHORT_TERM, long_term_limit=LONG_TERM,
    epochs_per_batch=EPOCHS,
)  # fmt: skip


def fit(num_images):
    """Makes one `fit` of the stream; a unit is one of its images."""
    images = load_images(num_images)[0]
    stream = Stream(images, np.zeros(num_images, np.int64), [0], ["any"], "benchmark")
    keras.utils.set_random_seed(0)
    model, transfer = build_model(CONFIG, stream.image_shape, seed=0), build_rules(CONFIG, seed=0)["transfer"]

    def learn():
        model.fit(stream.batches(BATCH), epochs=1, shuffle=False, verbose=0, callbacks=[transfer])

    return [Part(learn, 1 / num_images)]


def by_hand(num_images):
    """The yardstick: lists of images, a graph call for each minibatch, scores pair by pair."""
    images, rng, component = load_images(num_images)[0].reshape(num_images, -1), np.random.default_rng(0), Component()
    step, short_term, long_term = make_step(component, CONFIG.num_samples), [], list(images[:BATCH])

    def feature(image):
        return component.encode(image[None].astype(np.float32) / 255.0)[0].numpy()[0]

    def learn():
        for start in range(0, num_images, BATCH):
            short_term.extend(images[start : start + BATCH])
            for _ in range(EPOCHS):
                order = rng.permutation(len(short_term) + len(long_term))
                for first in range(0, len(order) - BATCH + 1, BATCH):
                    rows = np.stack([(short_term + long_term)[row] for row in order[first : first + BATCH]])
                    step(binary(rows.astype(np.float32) / 255.0, rng)).numpy()
            if len(short_term) >= SHORT_TERM:
                stored = [feature(image) for image in long_term]
                scores = [np.mean([similarity(feature(new), old) for old in stored]) for new in short_term]
                # As in the library, where the long-term memory is full: scored, but nothing is moved.
                assert len(scores) == SHORT_TERM
                short_term.clear()

    return [Part(learn, 1 / num_images)]


KERNELS = {
    "fit": lambda quick: fit(64 if quick else 1024),
    "by_hand": lambda quick: by_hand(64 if quick else 512),
}
