"""What the tests build on: 8x8 images, models of two latents and a few units, a stand-in for a model."""

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.experiments import RunDirectory
from ocm_tf.memory import (
    CooperativeMemory,
    EvolvingMemory,
    SampleBuffer,
    Samples,
    ShortTermMemory,
    TemporaryMemory,
)
from ocm_tf.models import VAE, TwoPathVAE, VAEMixture
from ocm_tf.networks import MLP, GaussianEncoder, two_path_networks

IMAGE_SHAPE = (8, 8, 1)
NUM_PIXELS = 64
LATENT_DIM = 2
UNITS = 6


def make_images(num_images, seed=0):
    """Makes uint8 images, each of grey noise with a band of its own brightness."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 100, (num_images, *IMAGE_SHAPE))
    images[:, 2:5] += rng.integers(0, 150, (num_images, 1, 1, 1))
    return images.astype(np.uint8)


def make_binary_images(num_images, seed=0):
    """Makes float images of zeros and ones."""
    return (np.random.default_rng(seed).random((num_images, *IMAGE_SHAPE)) < 0.4).astype(np.float32)


def make_samples(positions):
    """Makes 1x1x1 samples whose pixel and label tell their position, so that a mix-up shows."""
    positions = np.asarray(positions, np.int64)
    return Samples(pixel_of(positions).reshape(-1, 1, 1, 1), label_of(positions), positions)


def pixel_of(positions):
    return (positions * 37 % 251).astype(np.uint8)


def label_of(positions):
    return positions // 7 % 10


def assert_aligned(samples):
    """Checks that images, labels and positions of `make_samples` still belong together."""
    images, labels, positions = map(np.asarray, samples)
    np.testing.assert_array_equal(images.ravel(), pixel_of(positions))
    np.testing.assert_array_equal(labels, label_of(positions))


def assert_equal_samples(samples, expected):
    for field, expected_field in zip(samples, expected, strict=True):
        np.testing.assert_array_equal(field, expected_field)


def make_memory(capacity=8, long_term_capacity=30, batch_size=4, trigger="ge", image_shape=IMAGE_SHAPE, **changes):
    """Makes the pair of memories; no long-term one if its capacity is None."""
    short_term = ShortTermMemory(capacity, image_shape, batch_size, trigger)
    long_term = None if long_term_capacity is None else SampleBuffer(long_term_capacity, image_shape)
    return CooperativeMemory(short_term, long_term, **changes)


def make_vae(memory=None, seed=0, learning_rate=0.01, units=UNITS, image_shape=IMAGE_SHAPE, **changes):
    """Makes a built and compiled `VAE`."""
    keras.utils.set_random_seed(seed)
    settings = {"num_samples": 2, "epochs_per_batch": 2, "minibatch_size": 4, "latent_dim": LATENT_DIM, **changes}
    model = VAE(
        encoder=GaussianEncoder(settings["latent_dim"], (units,)),
        decoder=MLP((units, int(np.prod(image_shape)))),
        image_shape=image_shape,
        memory=memory,
        seed=seed,
        **settings,
    )
    return finished(model, learning_rate)


def make_mixture(memory=None, seed=0, learning_rate=0.01, units=UNITS, **changes):
    """Makes a built and compiled `VAEMixture` of at most four components."""
    keras.utils.set_random_seed(seed)
    settings = {"num_samples": 2, "epochs_per_batch": 2, "minibatch_size": 4, "max_components": 4, **changes}
    model = VAEMixture(
        shared_encoder=MLP((units,), output_activation="tanh"),
        encoder=GaussianEncoder(LATENT_DIM, (units,)),
        shared_decoder=MLP((units,), output_activation="tanh"),
        decoder=MLP((units, NUM_PIXELS), "relu"),
        image_shape=IMAGE_SHAPE,
        latent_dim=LATENT_DIM,
        memory=memory,
        seed=seed,
        **settings,
    )
    return finished(model, learning_rate)


def make_cluster_memory(capacity=8, batch_size=4, max_clusters=3, cluster_size=4, image_shape=IMAGE_SHAPE, **changes):
    """Makes DEMC's pair of memories."""
    temporary = TemporaryMemory(capacity, image_shape, batch_size, **{"seed": 0, **changes})
    return CooperativeMemory(temporary, EvolvingMemory(max_clusters, cluster_size, image_shape), seed_long_term=False)


def make_two_path_vae(memory=None, seed=0, learning_rate=0.01, image_shape=IMAGE_SHAPE, width=0.05, **changes):
    """Makes a built and compiled `TwoPathVAE`."""
    keras.utils.set_random_seed(seed)
    settings = {"steps_per_batch": 2, "minibatch_size": 4, "seed": seed, **changes}
    networks = two_path_networks("reduced", image_shape, LATENT_DIM, width)
    model = TwoPathVAE(*networks, image_shape, LATENT_DIM, memory=memory, **settings)
    model.build((None, *image_shape))
    rmsprop, adam = keras.optimizers.RMSprop, keras.optimizers.Adam
    model.compile(rmsprop(learning_rate), rmsprop(learning_rate), adam(learning_rate))
    return model


def finished(model, learning_rate):
    model.build((None, *model.image_shape))
    model.compile(keras.optimizers.Adam(learning_rate, beta_1=0.5, epsilon=1e-8))
    return model


def batches_of(images, batch_size=4):
    """Makes the data set that `Stream.batches` would."""
    return tf.data.Dataset.from_tensor_slices(images).batch(batch_size, drop_remainder=True)


def values_of(variables):
    return [variable.numpy().copy() for variable in variables]


def assert_same_values(variables, expected):
    for variable, value in zip(values_of(variables), expected, strict=True):
        np.testing.assert_array_equal(variable, value)


def optimizer_values(model):
    """Returns the variables of the optimizer by name, without the part that names its model."""
    return {variable.path.split("/", 1)[-1]: variable.numpy() for variable in model.optimizer.variables}


class StandIn:
    """Takes the place of a model before callbacks: it has a memory and features, but learns nothing.

    The features of an image are its grey values. `bounds` are the values of R_i, one for each expansion test.
    """

    def __init__(self, memory, bounds=(), num_components=1, max_components=30):
        self.memory, self.num_components, self.max_components = memory, num_components, max_components
        self.bounds, self.seen = iter(bounds), []
        self._observe = tf.function(memory.observe, autograph=False, reduce_retracing=True)

    def observe(self, samples):
        self._observe(tf.constant(samples.images), tf.constant(samples.labels))

    def features(self, images, components="concat"):
        self.seen.append((np.asarray(images), components))
        copies = self.num_components if components == "concat" else 1
        images = np.asarray(images)
        scale = 255 if images.dtype == np.uint8 else 1
        return np.tile(images.reshape(len(images), -1) / np.float32(scale), (1, copies))

    def binarised(self, images, seed):
        return (np.random.default_rng(seed).random(images.shape) < np.asarray(images) / 255).astype(np.float32)

    def component_bounds(self, images, num_samples, seed):
        self.seen.append((np.asarray(images), num_samples))
        return np.full((len(images), self.num_components), next(self.bounds), np.float32)

    def grow(self):
        self.num_components += 1


def finish_run(arguments, metrics=None, **results):
    """Writes the run directory of a finished run without making the run."""
    with RunDirectory(arguments.output).open(arguments, data_source="none") as directory:
        directory.write_results(metrics or {"nll": 1.0}, **results)


def drive(model, callbacks, num_samples, batch_size, after=None):
    """Feeds a stream of 1x1x1 samples to the memory of a stand-in, with callbacks, as `fit` would."""
    for callback in callbacks:
        callback.set_model(model)
    for batch in range(num_samples // batch_size):
        model.observe(make_samples(np.arange(batch * batch_size, (batch + 1) * batch_size)))
        for callback in callbacks:
            callback.on_train_batch_end(batch)
        if after is not None:
            after(batch + 1)
