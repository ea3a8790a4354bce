"""Generative latent replay: mixtures fitted to latents and sampled, and a head trained on latents computed once."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from inputs import make_experience
from measuring import Part
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from ocm_tf.memory import ClassConditionalGMM
from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture
from ocm_tf.models import LatentReplay
from ocm_tf.networks import lenet, split_at

COMPONENTS, DIM, ROUNDS, DRAWS = 5, 400, 20, 10000
EPOCHS, BATCH_SIZE, BUFFER_SIZE = 5, 64, 1000


def make_latents(num):
    """Returns latents of several modes, and where a fit is to start: weights, means and variances."""
    rng = np.random.default_rng(0)
    modes = 3 * rng.standard_normal((COMPONENTS, DIM))
    latents = (modes[rng.integers(COMPONENTS, size=num)] + rng.standard_normal((num, DIM))).astype(np.float32)
    start = np.full(COMPONENTS, 1 / COMPONENTS), latents[:COMPONENTS].astype(np.float64), np.ones((COMPONENTS, DIM))
    return latents, start


def fit(num):
    """Fits a mixture; a unit is a fit of `ROUNDS` rounds to 6,000 latents."""
    latents, start = make_latents(num)
    # No gain is below this tolerance, so that all rounds are made.
    settings = {"tolerance": -np.inf, "max_rounds": ROUNDS}
    return [Part(lambda: fit_gaussian_mixture(latents, *start, **settings), 6000 / num)]


def fit_one_by_one(num):
    """The yardstick: each latent's responsibilities by themselves, added up one after the other; one round."""
    latents, (weights, means, variances) = make_latents(num)

    def one_round():
        mass, first, second = np.zeros(COMPONENTS), np.zeros((COMPONENTS, DIM)), np.zeros((COMPONENTS, DIM))
        for latent in latents:
            terms = np.log(2 * np.pi * variances) + (latent - means) ** 2 / variances
            joint = np.log(weights) - 0.5 * terms.sum(axis=1)
            shares = np.exp(joint - logsumexp(joint))
            mass += shares
            first += shares[:, None] * latent
            second += shares[:, None] * latent**2
        return mass, first / mass[:, None], second / mass[:, None]

    return [Part(one_round, ROUNDS * 6000 / num)]


def fit_sklearn(num):
    """A peer: scikit-learn's mixture from the same start, as many rounds."""
    latents, (weights, means, variances) = make_latents(num)
    start = {"weights_init": weights, "means_init": means, "precisions_init": 1 / variances}
    # The start is given, so that none need be computed; the tolerance is never met.
    mixture = GaussianMixture(
        COMPONENTS, covariance_type="diag", tol=0.0, max_iter=ROUNDS, init_params="random", **start
    )
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    return [Part(lambda: mixture.fit(latents), 6000 / num)]


def sample():
    """Draws from a mixture of five components; a unit is 10,000 draws."""
    generator = _generator()
    return [Part(lambda: generator.sample(DRAWS, seed=0), 1.0)]


def sample_one_by_one(num):
    """The yardstick: a component and a latent at a time."""
    generator, rng = _generator(), np.random.default_rng(0)
    weights = generator.weights.astype(np.float64)

    def draw():
        component = rng.choice(len(weights), p=weights / weights.sum())
        return rng.normal(generator.means[component], np.sqrt(generator.variances[component]))

    return [Part(lambda: np.stack([draw() for _ in range(num)]), DRAWS / num)]


def _generator():
    latents, _ = make_latents(500)
    return ClassConditionalGMM(COMPONENTS).fit(latents, np.zeros(len(latents), np.int64), seed=0)


def head(num_images):
    """Learns an experience with `LatentReplay` behind a frozen backbone, latents and all; a unit is one image."""
    experience = make_experience(num_images)
    model = LatentReplay(*split_at(lenet(seed=0), "flatten"), buffer_size=BUFFER_SIZE, pretrained=True)
    model.compile()
    model.fit_experience(experience, epochs=1)
    return [Part(lambda: model.fit_experience(experience, epochs=EPOCHS), 1 / (EPOCHS * num_images))]


def head_in_pipeline(num_images):
    """The yardstick: a tf.data pipeline passes every batch through the backbone and joins a batch of replay."""
    experience = make_experience(num_images)
    backbone, head = split_at(lenet(seed=0), "flatten")
    backbone.trainable = False
    images, labels = experience.train.images, experience.train.labels
    stored = backbone.predict(images[:BUFFER_SIZE], verbose=0), labels[:BUFFER_SIZE]
    current = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(num_images, 0).batch(BATCH_SIZE)
    current = current.map(lambda batch, labels: (backbone(batch, training=False), labels))
    replay = tf.data.Dataset.from_tensor_slices(stored).shuffle(BUFFER_SIZE, 0).repeat().batch(BATCH_SIZE)
    joined = tf.data.Dataset.zip(current, replay).map(
        lambda new, old: tuple(tf.concat(pair, 0) for pair in zip(new, old, strict=True))
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss, jit_compile=False)
    head.fit(joined, epochs=1, shuffle=False, verbose=0)
    return [Part(lambda: head.fit(joined, epochs=EPOCHS, shuffle=False, verbose=0), 1 / (EPOCHS * num_images))]


KERNELS = {
    "fit": lambda quick: fit(60 if quick else 6000),
    "fit_one_by_one": lambda quick: fit_one_by_one(20 if quick else 1000),
    "fit_sklearn": lambda quick: fit_sklearn(60 if quick else 6000),
    "sample": lambda quick: sample(),
    "sample_one_by_one": lambda quick: sample_one_by_one(10 if quick else 1000),
    "head": lambda quick: head(128 if quick else 3200),
    "head_in_pipeline": lambda quick: head_in_pipeline(128 if quick else 1600),
}
