"""A variational autoencoder trained through its memory with the ELBO or the importance-weighted bound."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.metrics.bounds import (
    bernoulli_log_likelihood,
    elbo,
    gaussian_kl,
    gaussian_log_likelihood,
    importance_weighted_bound,
    sampled_kl,
)
from ocm_tf.models.image_inputs import checked_images, grey_values
from ocm_tf.models.nested_config import build_once
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.types import Array, Shape, Tensor

# Images times samples in one chunk of an evaluation: the decoder's output then stays in a few megabytes of cache.
_CHUNK_ROWS = 3200


@keras.saving.register_keras_serializable(package="ocm_tf")
class VAE(OnlineModel):
    """Learns a density of images as the marginal of a decoder over a unit Gaussian latent.

    Symbols of the OCM paper and their names here: x -> images, z -> latents, mu -> z_mean, sigma -> z_std,
    K -> num_samples, log w -> log weights. All bounds are in nats per image: sums over pixels and latents.

    Args:
        encoder: layer from images in [0, 1] to `(z_mean, z_std)`.
        decoder: layer from latents `(batch, latent_dim)` to logits (Bernoulli) or means (Gaussian) of all pixels.
        image_shape: shape `(height, width, channels)` of one image.
        latent_dim: number of latent dimensions.
        objective: `"elbo"` or `"iwae"`, the bound whose negative mean over the minibatch is the loss.
        num_samples: latent draws K for each image in training.
        kl: `"sampled"`, the Monte Carlo estimate as in the authors' code, or `"analytic"` (ELBO only).
        likelihood: `"bernoulli"`, each minibatch drawn anew from its grey values, or `"gaussian"` of std 1/sqrt(2).
        beta: weight of the KL term in the loss (not in any reported bound).
        augmentation: layer that distorts the grey values of training images, such as `RandomAffine`, or None.
        **kwargs: as for `OnlineModel`.

    Call: images (uint8 or float in [0, 1]) -> reconstructions in [0, 1] of the same shape.
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        image_shape: Sequence[int],
        latent_dim: int,
        objective: str = "elbo",
        num_samples: int = 50,
        kl: str = "sampled",
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        augmentation: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_objective(objective, num_samples, kl, likelihood, beta)
        self.encoder, self.decoder, self.augmentation = encoder, decoder, augmentation
        self.image_shape, self.latent_dim = tuple(image_shape), latent_dim
        self.num_pixels = int(np.prod(image_shape))

    def _set_objective(self, objective, num_samples, kl, likelihood, beta):
        choices = {
            "objective": (objective, ("elbo", "iwae")),
            "kl": (kl, ("sampled", "analytic")),
            "likelihood": (likelihood, ("bernoulli", "gaussian")),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
        if objective == "iwae" and kl == "analytic":
            raise ValueError("The importance-weighted bound has no analytic KL term; use kl='sampled'.")
        self.objective, self.num_samples, self.kl = objective, num_samples, kl
        self.likelihood, self.beta = likelihood, beta

    def build(self, input_shape: Shape) -> None:
        if tuple(input_shape[1:]) != self.image_shape:
            raise ValueError(f"The model is made for images of shape {self.image_shape}, got {input_shape[1:]}.")
        self.build_networks()
        _keep_freed_memory()
        images = tf.TensorSpec([None, *self.image_shape], tf.float32)
        count, seed = tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)
        # Fixed signatures: buffers of any size and any number of samples or components share one trace.
        self._bounds = tf.function(self._bounds, input_signature=[images, count, count, seed])
        self._encode = tf.function(self.encode, input_signature=[images, count])
        self._decode = tf.function(
            self.decode, input_signature=[tf.TensorSpec([None, self.latent_dim], tf.float32), count]
        )

    def build_networks(self) -> None:
        """Builds every network, also those used only outside `call`."""
        build_once(self.encoder, (None, *self.image_shape))
        build_once(self.decoder, (None, self.latent_dim))

    @property
    def loss_layers(self) -> tuple[keras.layers.Layer, ...]:
        return (self.encoder, self.decoder)

    @property
    def num_components(self) -> int:
        """Number of components; a single VAE is one."""
        return 1

    # Networks ---------------------------------------------------------------------------------------------------------

    def encode(self, inputs: Tensor, component: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the posterior of a component; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`.
            component: index of the component, an int or an int tensor; None is the one that trains.

        Returns:
            `(z_mean, z_std)`, each of shape `(batch, latent_dim)`.
        """
        return self.encoder(inputs)

    def decode(self, latents: Tensor, component: Tensor | None = None) -> Tensor:
        """Computes the decoder's output (logits or means) of a component; works inside a graph.

        Args:
            latents: float tensor of shape `(batch, latent_dim)`.
            component: as for `encode`.

        Returns:
            Float tensor of shape `(batch, num_pixels)`.
        """
        return ops.reshape(self.decoder(latents), (-1, self.num_pixels))

    # Objective --------------------------------------------------------------------------------------------------------

    def log_likelihood_and_kl(
        self, inputs: Tensor, posterior: tuple[Tensor, Tensor], noise: Tensor, component: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes the two parts of the log importance weights; works inside a graph.

        log w = log p(x|z) - (log q(z|x) - log p(z))

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`.
            posterior: `(z_mean, z_std)` of the inputs.
            noise: standard normal draws of shape `(batch, num_samples, latent_dim)`.
            component: the component that decodes, as for `encode`.

        Returns:
            `(log_likelihoods, kls)`, each of shape `(batch, num_samples)`.
        """
        z_mean, z_std = posterior
        latents = z_mean[:, None] + z_std[:, None] * noise
        outputs = self.decode(ops.reshape(latents, (-1, self.latent_dim)), component)
        outputs = ops.reshape(outputs, (-1, ops.shape(noise)[1], self.num_pixels))
        density = bernoulli_log_likelihood if self.likelihood == "bernoulli" else gaussian_log_likelihood
        pixels = ops.reshape(inputs, (-1, self.num_pixels))
        return density(pixels, outputs), sampled_kl(latents, noise, z_std)

    def loss_of(self, inputs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Computes the training loss: minus the bound, averaged over the minibatch, in nats per image.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`, binarised if the likelihood is Bernoulli.
            noise: standard normal draws of shape `(batch, num_samples, latent_dim)`; None draws them.

        Returns:
            Float scalar tensor.
        """
        posterior = self.encode(inputs)
        noise = self.training_noise(inputs) if noise is None else noise
        log_likelihoods, kls = self.log_likelihood_and_kl(inputs, posterior, noise)
        if self.kl == "analytic":
            kls = gaussian_kl(*posterior)[:, None]
        bound = elbo if self.objective == "elbo" else importance_weighted_bound
        return -ops.mean(bound(log_likelihoods - self.beta * kls, axis=1))

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.update(self.loss_of, self.training_samples(images), self.trainable_variables)

    def training_samples(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns all that is drawn for a minibatch: its inputs and the noise of its latents."""
        inputs = self.training_inputs(images)
        return inputs, self.training_noise(inputs)

    def training_inputs(self, images: Tensor) -> Tensor:
        """Returns what a minibatch is trained on: the images distorted, if so wanted, and binarised."""
        if self.augmentation is not None:
            images = self.augmentation(grey_values(images))
        return self.binarised(images, self.seed_generator)

    def training_noise(self, inputs: Tensor) -> Tensor:
        """Draws standard normal noise of shape `(batch, num_samples, latent_dim)` for the inputs' latents."""
        shape = (ops.shape(inputs)[0], self.num_samples, self.latent_dim)
        return keras.random.normal(shape, seed=self.seed_generator)

    def binarised(self, images: Tensor, seed: int | keras.random.SeedGenerator) -> Tensor:
        """Returns model inputs: a Bernoulli draw of the grey values, or the values themselves for a Gaussian model.

        Args:
            images: uint8, or float in [0, 1], of shape `(batch, *image_shape)`.
            seed: int or `keras.random.SeedGenerator`.

        Returns:
            Float tensor of the same shape.
        """
        inputs = grey_values(images)
        if self.likelihood == "gaussian":
            return inputs
        uniform = keras.random.uniform(ops.shape(inputs), seed=seed)
        return ops.cast(uniform < inputs, "float32")

    # Evaluation -------------------------------------------------------------------------------------------------------

    def _bounds(self, inputs, component, num_samples, seed):
        # One component's importance-weighted bound of each image, chunk by chunk with a running logaddexp.
        posterior = self.encode(inputs, component)
        batch = tf.shape(inputs)[0]
        chunk = tf.clip_by_value(_CHUNK_ROWS // tf.maximum(batch, 1), 1, num_samples)

        def one_chunk(start, total):
            size = tf.minimum(chunk, num_samples - start)
            noise = tf.random.stateless_normal([batch, size, self.latent_dim], seed + tf.stack([0, start]))
            log_likelihoods, kls = self.log_likelihood_and_kl(inputs, posterior, noise, component)
            return start + size, tf.experimental.numpy.logaddexp(total, ops.logsumexp(log_likelihoods - kls, axis=1))

        start = (tf.constant(0), tf.fill([batch], -np.inf))
        _, total = tf.while_loop(lambda start, _: start < num_samples, one_chunk, start, parallel_iterations=1)
        return total - tf.math.log(tf.cast(num_samples, tf.float32))

    def component_bounds(
        self,
        images: Array,
        num_samples: int = 1000,
        batch_size: int = 64,
        seed: int = 0,
        components: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Computes the importance-weighted bound of every image under every component.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`. They are taken as they are: a Bernoulli
                model wants them binarised once beforehand (see `binarised`).
            num_samples: latent draws K for each image and component.
            batch_size: images evaluated together.
            seed: int; the same seed, images and batch size give the same bounds.
            components: indices of the components wanted, all by default.

        Returns:
            float32 array of shape `(n, num_components)`, in nats.

        Raises:
            ValueError: if the images have the wrong shape or values outside [0, 1].
        """
        images = self.checked(images)
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
        components = range(self.num_components) if components is None else components
        bounds = np.empty((len(images), len(components)), np.float32)
        for start in range(0, len(images), batch_size):
            inputs = grey_values(images[start : start + batch_size])
            for column, component in enumerate(components):
                draw = np.array([seed * 1_000_003 + component, start * num_samples], np.int64).astype(np.int32)
                bounds[start : start + batch_size, column] = self._bounds(inputs, component, num_samples, draw)
        return bounds

    def route(self, images: Array, num_samples: int = 1000, batch_size: int = 64, seed: int = 0) -> np.ndarray:
        """Chooses the component with the highest bound for each image.

        Args:
            images, num_samples, batch_size, seed: as for `component_bounds`.

        Returns:
            int array of shape `(n,)`.
        """
        if self.num_components == 1:
            return np.zeros(len(images), np.int64)
        return self.component_bounds(images, num_samples, batch_size, seed).argmax(axis=1)

    def log_likelihood(
        self,
        images: Array,
        num_samples: int = 1000,
        batch_size: int = 64,
        seed: int = 0,
        routing_samples: int | None = None,
    ) -> np.ndarray:
        """Estimates the log-likelihood of each image by the bound of the component it is routed to.

        The bound is drawn anew for the chosen component, so that choosing the largest adds no bias.

        Args:
            images, num_samples, batch_size, seed: as for `component_bounds`.
            routing_samples: latent draws by which components are compared; None takes `num_samples`.

        Returns:
            float32 array of shape `(n,)`, in nats.
        """
        return self.routed_log_likelihood(images, num_samples, batch_size, seed, routing_samples)[0]

    def routed_log_likelihood(
        self,
        images: Array,
        num_samples: int = 1000,
        batch_size: int = 64,
        seed: int = 0,
        routing_samples: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimates the log-likelihood as `log_likelihood` does and tells the component of each image.

        Args:
            images, num_samples, batch_size, seed, routing_samples: as for `log_likelihood`.

        Returns:
            `(bounds, routes)`: float32 array of shape `(n,)`, in nats, and int array of shape `(n,)`.
        """
        images = self.checked(images)
        routes = self.route(images, routing_samples or num_samples, batch_size, seed)
        bounds = np.empty(len(images), np.float32)
        for component in np.unique(routes):
            rows = np.flatnonzero(routes == component)
            redrawn = self.component_bounds(images[rows], num_samples, batch_size, seed + 1, [int(component)])
            bounds[rows] = redrawn[:, 0]
        return bounds, routes

    # Use --------------------------------------------------------------------------------------------------------------

    def call(self, inputs: Tensor) -> Tensor:
        z_mean, _ = self.encode(grey_values(inputs))
        return self._image_mean(self.decode(z_mean))

    def _image_mean(self, outputs):
        mean = ops.sigmoid(outputs) if self.likelihood == "bernoulli" else ops.clip(outputs, 0.0, 1.0)
        return ops.reshape(mean, (-1, *self.image_shape))

    def features(self, images: Array, components: str = "concat") -> np.ndarray:
        """Computes the posterior means by which memories compare samples.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.
            components: `"concat"`, the means of all components side by side, or `"last"`, of the newest only.

        Returns:
            float32 array of shape `(n, num_components * latent_dim)` or `(n, latent_dim)`.
        """
        if components not in ("concat", "last"):
            raise ValueError(f"components must be 'concat' or 'last', got {components!r}.")
        inputs = grey_values(self.checked(images))
        first = self.num_components - 1 if components == "last" else 0
        means = [self._encode(inputs, component)[0] for component in range(first, self.num_components)]
        return np.concatenate(means, axis=1)

    def posterior(self, images: Array) -> tuple[np.ndarray, np.ndarray]:
        """Computes the posterior of the component that trains.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.

        Returns:
            `(z_mean, z_std)`, float32 arrays of shape `(n, latent_dim)`.
        """
        newest = self.num_components - 1
        return tuple(value.numpy() for value in self._encode(grey_values(self.checked(images)), newest))

    def reconstruct(self, images: Array, sample: bool = False, seed: int = 0, num_samples: int = 100) -> np.ndarray:
        """Reconstructs images, each by the component it is routed to.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.
            sample: False decodes the posterior mean and returns the decoder's mean; True draws one latent and, for a
                Bernoulli model, one binary image, as the authors' code does.
            seed: int, of routing and draws.
            num_samples: latent draws for routing.

        Returns:
            float32 array of the shape of `images`, in [0, 1].
        """
        images = self.checked(images)
        routes = self.route(images, num_samples, seed=seed)
        result = np.empty(images.shape, np.float32)
        for component in np.unique(routes):
            rows = np.flatnonzero(routes == component)
            latents, z_std = self._encode(grey_values(images[rows]), component)
            if sample:
                latents = latents + z_std * keras.random.normal(z_std.shape, seed=seed)
            means = self._image_mean(self._decode(latents, component))
            result[rows] = self.binarised(means, seed) if sample else means
        return result

    def generate(self, num_images: int, seed: int = 0) -> np.ndarray:
        """Draws images: a component at random, a latent from the prior, the decoder's mean.

        Args:
            num_images: number of images.
            seed: int.

        Returns:
            float32 array of shape `(num_images, *image_shape)`, in [0, 1].
        """
        rng = np.random.default_rng(seed)
        routes = rng.integers(self.num_components, size=num_images)
        latents = rng.standard_normal((num_images, self.latent_dim)).astype(np.float32)
        result = np.empty((num_images, *self.image_shape), np.float32)
        for component in np.unique(routes):
            rows = np.flatnonzero(routes == component)
            result[rows] = self._image_mean(self._decode(latents[rows], component))
        return result

    def checked(self, images: Array) -> np.ndarray:
        """Returns images as an array after checking shape and range; see `checked_images`."""
        return checked_images(images, self.image_shape)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "augmentation": None if self.augmentation is None else serialize(self.augmentation),
            **self._own_config(),
        }

    def _own_config(self):
        names = ("image_shape", "latent_dim", "objective", "num_samples", "kl", "likelihood", "beta")
        return {name: getattr(self, name) for name in names}


def _keep_freed_memory():
    """Lets the C library keep freed memory of the step, instead of asking the system for it anew each time.

    Allocating and freeing one large block raises glibc's dynamic threshold for that (see mallopt(3)) to 62 MB, its
    highest; the decoder's outputs go beyond the usual one. It saves up to a sixth of a step of 50 samples. Elsewhere
    than with glibc it does nothing.
    """
    np.empty(31 * 2**20, np.uint8)
