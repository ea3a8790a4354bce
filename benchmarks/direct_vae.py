"""The yardstick of `vae.py`: OCM computed the direct way, as the authors' released code does it. Not for use.

One graph call for each minibatch, fed from NumPy; the likelihood by `sigmoid_cross_entropy_with_logits` on images
repeated K times; both Gaussian log-densities written out; test, expansion test and features one image a call; kernel
scores pair by pair; new layers, optimizer and graphs for a new component. It shares no model code with the library.
"""

import math

import numpy as np
import tensorflow as tf
from inputs import binary, load_images
from measuring import WARM_UP, Part, resident_mb

tf.get_logger().setLevel("ERROR")  # it would warn of a new trace for each component, which is the point

LATENT_DIM, HIDDEN, PIXELS, BATCH, ALPHA = 50, 200, 784, 64, 10.0
IMAGE, MINIBATCH = tf.TensorSpec([1, PIXELS]), tf.TensorSpec([BATCH, PIXELS])


def dense(inputs, outputs):
    limit = math.sqrt(6.0 / (inputs + outputs))
    return tf.Variable(tf.random.uniform([inputs, outputs], -limit, limit)), tf.Variable(tf.zeros(outputs))


def apply(layer, inputs):
    return tf.matmul(inputs, layer[0]) + layer[1]


class Component:
    """Encoder and decoder of one component, behind the layers that all components share."""

    def __init__(self, shared=None):
        self.shared = shared or (dense(PIXELS, HIDDEN), dense(LATENT_DIM, HIDDEN))
        self.hidden, self.mean, self.std = dense(HIDDEN, HIDDEN), dense(HIDDEN, LATENT_DIM), dense(HIDDEN, LATENT_DIM)
        self.decoder, self.logits = dense(HIDDEN, HIDDEN), dense(HIDDEN, PIXELS)
        trained = [self.hidden, self.mean, self.std, self.decoder, self.logits, *([] if shared else self.shared)]
        self.variables = [variable for layer in trained for variable in layer]
        self.encode = tf.function(self.posterior, input_signature=[IMAGE])
        self.bound = tf.function(lambda image: bound(self, image, 1000), input_signature=[IMAGE])
        self.bound_100 = tf.function(lambda image: bound(self, image, 100), input_signature=[IMAGE])

    def posterior(self, images):
        hidden = tf.tanh(apply(self.hidden, tf.tanh(apply(self.shared[0], images))))
        return apply(self.mean, hidden), tf.exp(apply(self.std, hidden)) + 1e-6

    def decode(self, latents):
        return apply(self.logits, tf.nn.relu(apply(self.decoder, tf.tanh(apply(self.shared[1], latents)))))


def log_normal(values, mean, std):
    return tf.reduce_sum(
        -0.5 * math.log(2.0 * math.pi) - tf.math.log(std) - 0.5 * tf.square((values - mean) / std), axis=-1
    )


def log_weights(component, images, num_samples):
    z_mean, z_std = component.posterior(images)
    latents = z_mean + z_std * tf.random.normal([num_samples, images.shape[0], LATENT_DIM])
    logits = tf.reshape(component.decode(tf.reshape(latents, [-1, LATENT_DIM])), [num_samples, -1, PIXELS])
    repeated = tf.tile(images[None], [num_samples, 1, 1])
    log_likelihood = -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=repeated, logits=logits), axis=-1)
    log_prior = log_normal(latents, tf.zeros_like(latents), tf.ones_like(latents))
    return log_likelihood + log_prior - log_normal(latents, z_mean, z_std)


def bound(component, images, num_samples):
    weights = log_weights(component, images, num_samples)
    largest = tf.reduce_max(weights, axis=0)
    return largest + tf.math.log(tf.reduce_mean(tf.exp(weights - largest), axis=0))


def make_step(component, num_samples):
    # The optimizer of the released code; its update is one fused operation.
    optimizer = tf.compat.v1.train.AdamOptimizer(1e-4, beta1=0.5)

    @tf.function(input_signature=[MINIBATCH])
    def step(images):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_weights(component, images, num_samples))
        gradients = tape.gradient(loss, component.variables)
        optimizer.apply_gradients(zip(gradients, component.variables, strict=True))
        return loss

    return step


def make_components(count):
    first = Component()
    return [first, *(Component(first.shared) for _ in range(count - 1))]


def pixels(count):
    return load_images(count)[0].reshape(count, PIXELS).astype(np.float32) / 255.0


# Kernels --------------------------------------------------------------------------------------------------------------


def train_step(num_samples, num_steps):
    step, images, rng = make_step(Component(), num_samples), pixels(BATCH * num_steps), np.random.default_rng(0)

    def run():
        for start in range(0, len(images), BATCH):
            step(binary(images[start : start + BATCH], rng)).numpy()

    return [Part(run, 1.0 / num_steps)]


def evaluation(num_components, num_images):
    components = make_components(num_components)
    images = binary(pixels(num_images), np.random.default_rng(0))

    def run():
        for image in np.split(images, num_images):
            best = np.argmax([component.bound(image).numpy()[0] for component in components])
            components[best].bound(image).numpy()

    return [Part(run, 1.0 / num_images)]


def expansion(num_samples, num_images):
    component, images = Component(), binary(pixels(num_images), np.random.default_rng(0))
    one_bound = component.bound if num_samples == 1000 else component.bound_100
    # The test looks at 640 images; each costs the same.
    return [
        Part(lambda: np.mean([one_bound(image).numpy() for image in np.split(images, num_images)]), 640 / num_images)
    ]


def similarity(first, second):
    return np.exp(-np.sqrt(np.sum((first - second) ** 2) / (2.0 * ALPHA**2)))


def selection(num_long_term, num_short_term=576, num_encoded=500):
    component, images = Component(), pixels(min(num_encoded, num_short_term + num_long_term))
    features, total = np.zeros((num_long_term, LATENT_DIM), np.float32), num_short_term + num_long_term
    # Pairs of the first short-term samples, scaled up to all pairs.
    num_scored = max(1, 4000 // num_long_term)

    def encode_all():
        for row, image in enumerate(np.split(images, len(images))):
            features[row % num_long_term] = component.encode(image)[0].numpy()[0]

    def score():
        return [np.mean([similarity(first, second) for second in features]) for first in features[:num_scored]]

    return [Part(encode_all, total / len(images)), Part(score, num_short_term / num_scored)]


def added_component(num_added):
    """Returns the resident memory and the new traces for each component added to a mixture."""
    images, components, functions = binary(pixels(BATCH), np.random.default_rng(0)), [], []

    def add():
        component = Component(components[0].shared if components else None)
        components.append(component)
        functions.extend([make_step(component, 50), component.encode, component.bound])
        functions[-3](images)
        component.encode(images[:1])
        component.bound(images[:1])

    for _ in range(WARM_UP):
        add()
    functions.clear()
    before = resident_mb()
    for _ in range(num_added):
        add()
    own_mb = sum(variable.shape.num_elements() for variable in components[-1].variables) * 4 / 2**20
    traces = sum(function.experimental_get_tracing_count() for function in functions)
    return {"beyond_weights_mb": (resident_mb() - before) / num_added - own_mb, "traces": traces}


KERNELS = {
    "step_50": lambda quick: train_step(50, 1 if quick else 9),
    "step_1": lambda quick: train_step(1, 2 if quick else 90),
    "evaluation_1": lambda quick: evaluation(1, 1 if quick else 32),
    "evaluation_5": lambda quick: evaluation(5, 1 if quick else 8),
    "evaluation_30": lambda quick: evaluation(30, 1 if quick else 2),
    **{f"scores_{count}": lambda quick, count=count: selection(count) for count in (64, 500, 1500, 10000)},
    "round_1000": lambda quick: [*selection(64), *expansion(1000, 1 if quick else 64)],
    "round_100": lambda quick: [*selection(64), *expansion(100, 1 if quick else 160)],
}
