"""A small variational autoencoder of latents, told their class."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.memory.latent_generator import VARIANCE_FLOOR, LatentGenerator
from ocm_tf.types import Tensor

# Of the noise, in units of a feature's own deviation; without it a constant feature has no best value.
_MIN_LOG_STD = -4.0


@keras.saving.register_keras_serializable(package="ocm_tf")
class ClassConditionalVAE(LatentGenerator):
    """Models latents x of class y by `x = decoder([z, y]) + noise` with a unit Gaussian code z  [Kingma and Welling].

    Encoder and decoder have one hidden layer; the noise is Gaussian with a deviation for each feature and class.
    Latents are scaled to mean 0 and variance 1. Only the decoder and the scales are kept.

    Args:
        code_dim: number of dimensions of the code.
        hidden_units: size of the hidden layers.
        epochs: passes over the latents.
        batch_size: latents in a minibatch.
        learning_rate: of Adam.
        **kwargs: as for `LatentGenerator`.
    """

    array_names = (
        "shares", "labels", "shift", "scale", "noise_std",
        "hidden_kernel", "hidden_bias", "output_kernel", "output_bias",
    )  # fmt: skip

    def __init__(
        self,
        code_dim: int = 16,
        hidden_units: int = 256,
        epochs: int = 20,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        numbers = {"code_dim": code_dim, "hidden_units": hidden_units, "epochs": epochs, "batch_size": batch_size}
        for name, value in numbers.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.code_dim, self.hidden_units = code_dim, hidden_units
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate

    def _fit(self, latents, labels, rng):
        self.labels, counts = np.unique(labels, return_counts=True)
        self.shares = (counts / len(labels)).astype(np.float32)
        self.shift = latents.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.scale = np.sqrt(latents.var(axis=0, dtype=np.float64) + VARIANCE_FLOOR).astype(np.float32)
        scaled = ((latents - self.shift) / self.scale).astype(np.float32)
        seeds = [int(seed) for seed in rng.integers(2**31, size=6)]
        autoencoder = ConditionalAutoencoder(
            latents.shape[1], len(self.labels), self.code_dim, self.hidden_units, seeds[:5]
        )
        autoencoder.compile(keras.optimizers.Adam(self.learning_rate), jit_compile=False)
        data = tf.data.Dataset.from_tensor_slices((scaled, self._one_hot(np.searchsorted(self.labels, labels))))
        data = data.shuffle(len(labels), seeds[5]).batch(self.batch_size)
        autoencoder.fit(data, epochs=self.epochs, verbose=0)
        self.noise_std = np.exp(np.maximum(autoencoder.log_std.numpy(), _MIN_LOG_STD))
        decoder = (weight.numpy() for weight in autoencoder.decoder.weights)
        self.hidden_kernel, self.hidden_bias, self.output_kernel, self.output_bias = decoder

    def _one_hot(self, class_indices):
        return np.eye(len(self.labels), dtype=np.float32)[class_indices]

    def _draw(self, counts, rng):
        indices = np.repeat(np.arange(len(counts)), counts)
        codes = rng.standard_normal((len(indices), self.code_dim), dtype=np.float32)
        inputs = np.concatenate([codes, self._one_hot(indices)], axis=1)
        hidden = np.maximum(inputs @ self.hidden_kernel + self.hidden_bias, 0)
        noise = rng.standard_normal((len(indices), len(self.shift)), dtype=np.float32)
        scaled = hidden @ self.output_kernel + self.output_bias + self.noise_std[indices] * noise
        return scaled * self.scale + self.shift, self.labels[indices]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "code_dim": self.code_dim,
            "hidden_units": self.hidden_units,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }


class ConditionalAutoencoder(keras.Model):
    """Trains the decoder of `ClassConditionalVAE`; the loss is the negative ELBO in nats, summed over features."""

    def __init__(
        self, latent_dim: int, num_classes: int, code_dim: int, hidden_units: int, seeds: Sequence[int]
    ) -> None:
        super().__init__()
        glorot = keras.initializers.GlorotUniform
        self.encoder = keras.Sequential(
            [
                keras.layers.Dense(hidden_units, "relu", kernel_initializer=glorot(seeds[0])),
                keras.layers.Dense(2 * code_dim, kernel_initializer=glorot(seeds[1])),
            ]
        )
        self.decoder = keras.Sequential(
            [
                keras.layers.Dense(hidden_units, "relu", kernel_initializer=glorot(seeds[2])),
                keras.layers.Dense(latent_dim, kernel_initializer=glorot(seeds[3])),
            ]
        )
        self.log_std = self.add_weight(name="log_std", shape=(num_classes, latent_dim), initializer="zeros")
        self.seed_generator = keras.random.SeedGenerator(seeds[4])

    def train_step(self, data: Any) -> dict[str, Tensor]:
        latents, classes = data
        with tf.GradientTape() as tape:
            posterior = self.encoder(ops.concatenate([latents, classes], axis=1))
            z_mean, z_log_var = ops.split(posterior, 2, axis=1)
            noise = keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
            codes = z_mean + ops.exp(0.5 * z_log_var) * noise
            error = latents - self.decoder(ops.concatenate([codes, classes], axis=1))
            log_std = ops.maximum(ops.matmul(classes, self.log_std), _MIN_LOG_STD)
            # Up to the constant 0.5 * log(2 * pi) of each feature.
            misfit = ops.sum(0.5 * ops.square(error / ops.exp(log_std)) + log_std, axis=1)
            kl = 0.5 * ops.sum(ops.exp(z_log_var) + ops.square(z_mean) - 1 - z_log_var, axis=1)
            loss = ops.mean(misfit + kl)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}
