"""DEMC's model: a VAE with a critic, of which the inference network is trained on a path of its own as well."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.metrics.bounds import gaussian_kl
from ocm_tf.models.image_inputs import checked_images, grey_values
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.models.two_path_losses import critic_loss, generator_loss, gradient_penalty, vae_loss
from ocm_tf.types import Array, Shape, Tensor

PATHS = ("two", "strict", "single", "elbo")
PRIORS = ("normal", "uniform")
PENALTIES = ("full", "rows")
_TOGETHER = 500


@keras.saving.register_keras_serializable(package="ocm_tf")
class TwoPathVAE(OnlineModel):
    """Learns to reconstruct and to generate; the critic comes first, then path 1, then path 2, on one minibatch.

    - critic: one step on L_d  [DEMC, Eq. 3]
    - path 1: generator and encoder on L_g', the adversarial term and the VAE's  [DEMC, Eq. 5]
    - path 2: the encoder alone on the VAE's loss, with the generator just updated  [DEMC, Eq. 6]

    The samples that the critic sees do not depend on the encoder, so it follows the VAE's loss in all cases: what path
    2 adds is a second update, by the present generator and an optimizer of its own. `own_encoder_optimizer` and
    `extra_encoder_steps` are the controls that tell these apart.

    Args:
        encoder: layer from images in [0, 1] to `(z_mean, z_std)`.
        generator: layer from latents to images in [0, 1].
        critic: layer from images to scores; None with `paths="elbo"`.
        image_shape: shape `(height, width, channels)` of one image.
        latent_dim: number of latent dimensions.
        paths: `"two"`; `"strict"`, where path 1 leaves the encoder as it is; `"single"`, without path 2; or `"elbo"`,
            without a critic: one step on the VAE's loss.
        kl_weight: weight of the divergence from the prior in the VAE's loss.
        adversarial_weight: weight of the critic's score in path 1.
        penalty_weight: weight of the gradient penalty.
        prior: `"normal"`, or `"uniform"` in [-1, 1] as in the authors' code, where samples come from.
        penalty: `"full"`, or `"rows"` as in the authors' code: one place between images and samples for the whole
            batch and a norm over the rows alone.
        own_encoder_optimizer: whether in `paths="single"` the encoder's gradients go to the optimizer of path 2.
        extra_encoder_steps: steps of the encoder, by the optimizer of path 1 and before it.
        augmentation: layer that distorts training images, such as `RandomAffine`, or None. The critic takes distorted
            images for real.
        **kwargs: as for `OnlineModel`.

    Call: images (uint8 or float in [0, 1]) -> reconstructions in [0, 1] of the same shape.
    """

    num_components = 1
    further_optimizers = ("critic_optimizer", "encoder_optimizer")

    def __init__(
        self,
        encoder: keras.layers.Layer,
        generator: keras.layers.Layer,
        critic: keras.layers.Layer | None,
        image_shape: Sequence[int],
        latent_dim: int,
        paths: str = "two",
        kl_weight: float = 0.1,
        adversarial_weight: float = 1.0,
        penalty_weight: float = 10.0,
        prior: str = "normal",
        penalty: str = "full",
        own_encoder_optimizer: bool = False,
        extra_encoder_steps: int = 0,
        augmentation: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        choices = {"paths": (paths, PATHS), "prior": (prior, PRIORS), "penalty": (penalty, PENALTIES)}
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if critic is None and paths != "elbo":
            raise ValueError(f"critic must be given for paths={paths!r}, got None.")
        if own_encoder_optimizer and paths != "single":
            raise ValueError(f"own_encoder_optimizer is for paths='single', got paths={paths!r}.")
        if extra_encoder_steps < 0:
            raise ValueError(f"extra_encoder_steps must not be negative, got {extra_encoder_steps}.")
        self.encoder, self.generator, self.critic, self.augmentation = encoder, generator, critic, augmentation
        self.image_shape, self.latent_dim, self.paths = tuple(image_shape), latent_dim, paths
        self.kl_weight, self.adversarial_weight, self.penalty_weight = kl_weight, adversarial_weight, penalty_weight
        self.prior, self.penalty = prior, penalty
        self.own_encoder_optimizer, self.extra_encoder_steps = own_encoder_optimizer, extra_encoder_steps

    def build(self, input_shape: Shape) -> None:
        if tuple(input_shape[1:]) != self.image_shape:
            raise ValueError(f"The model is made for images of shape {self.image_shape}, got {input_shape[1:]}.")
        images = tf.TensorSpec([None, *self.image_shape], tf.float32)
        latents = tf.TensorSpec([None, self.latent_dim], tf.float32)
        # Fixed signatures: memories of any size share one trace.
        self._encode = tf.function(self.encode, input_signature=[images])
        self._decode = tf.function(self.decode, input_signature=[latents])

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        critic_optimizer: keras.optimizers.Optimizer | None = None,
        encoder_optimizer: keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training; the losses are the model's own.

        Args:
            optimizer: of path 1; RMSprop at 1e-4 by default.
            critic_optimizer: of the critic; RMSprop at 1e-4 by default.
            encoder_optimizer: of path 2; Adam at 1e-4 by default.
            **kwargs: as for `OnlineModel.compile`.

        Raises:
            ValueError: if the optimizer of path 1 keeps a running mean of weights that it does not update.
        """
        if getattr(optimizer, "use_ema", False) and (self.paths == "strict" or self.own_encoder_optimizer):
            raise ValueError("optimizer must not have use_ema where path 1 leaves the encoder as it is.")
        super().compile(optimizer=optimizer or keras.optimizers.RMSprop(1e-4), **kwargs)
        self.critic_optimizer = critic_optimizer or keras.optimizers.RMSprop(1e-4)
        self.encoder_optimizer = encoder_optimizer or keras.optimizers.Adam(1e-4)
        # Loading restores an optimizer's state only into variables that exist.
        self.encoder_optimizer.build(self.encoder.trainable_variables)
        if self.critic is not None:
            self.critic_optimizer.build(self.critic.trainable_variables)

    @property
    def optimized_variables(self) -> list[keras.Variable]:
        # In the order of `trainable_variables`, of which Keras takes as many as the optimizer keeps running means of.
        return [*self.encoder.trainable_variables, *self.generator.trainable_variables]

    # Networks ---------------------------------------------------------------------------------------------------------

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the posterior; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`.

        Returns:
            `(z_mean, z_std)`, each of shape `(batch, latent_dim)`.
        """
        return self.encoder(inputs, training=False)

    def decode(self, latents: Tensor) -> Tensor:
        """Computes images of latents; works inside a graph.

        Args:
            latents: float tensor of shape `(batch, latent_dim)`.

        Returns:
            Float tensor of shape `(batch, *image_shape)`, in [0, 1].
        """
        return self.generator(latents, training=False)

    # Training ---------------------------------------------------------------------------------------------------------

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        # Inside a graph TensorFlow keeps the order of reads and writes of a variable, so each update sees the last.
        inputs = self.training_inputs(images)
        if self.paths != "elbo":
            self.critic_step(inputs)
        for _ in range(self.extra_encoder_steps):
            self.encoder_step(inputs, self.optimizer)
        loss = self.generator_step(inputs)
        if self.paths in ("two", "strict"):
            self.encoder_step(inputs, self.encoder_optimizer)
        return loss

    def training_inputs(self, images: Tensor) -> Tensor:
        """Returns what a minibatch is trained on: grey or colour values, distorted if so wanted."""
        inputs = grey_values(images)
        return inputs if self.augmentation is None else self.augmentation(inputs)

    def critic_step(self, inputs: Tensor) -> Tensor:
        """Updates the critic alone on L_d and returns the loss before; works inside a graph."""
        variables, generated = self.critic.trainable_variables, self.generated(ops.shape(inputs)[0])
        batch = ops.shape(inputs)[0] if self.penalty == "full" else 1
        mix = keras.random.uniform((batch, 1, 1, 1), seed=self.seed_generator)
        axes = (1, 2, 3) if self.penalty == "full" else (1,)
        with tf.GradientTape() as tape:
            penalty = gradient_penalty(self.critic, inputs, generated, mix, axes)
            loss = critic_loss(self.critic(inputs), self.critic(generated), penalty, self.penalty_weight)
        self.critic_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def generator_step(self, inputs: Tensor) -> Tensor:
        """Updates generator and encoder on L_g', or as `paths` says; returns L_vae before; works inside a graph."""
        with tf.GradientTape() as tape:
            vae_loss = self.loss_of(inputs)
            loss = vae_loss
            if self.paths != "elbo":
                scores = self.critic(self.generated(ops.shape(inputs)[0]))
                loss = generator_loss(scores, vae_loss, self.adversarial_weight)
        variables = self.generator.trainable_variables
        if self.paths == "strict":
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return vae_loss
        gradients = tape.gradient(loss, self.optimized_variables)
        if self.own_encoder_optimizer:
            split = len(self.encoder.trainable_variables)
            self.encoder_optimizer.apply(gradients[:split], self.encoder.trainable_variables)
            self.optimizer.apply(gradients[split:], variables)
        else:
            self.optimizer.apply(gradients, self.optimized_variables)
        return vae_loss

    def encoder_step(self, inputs: Tensor, optimizer: keras.optimizers.Optimizer) -> Tensor:
        """Updates the encoder alone on L_inf by an optimizer and returns the loss before; works inside a graph."""
        variables = self.encoder.trainable_variables
        with tf.GradientTape() as tape:
            loss = self.loss_of(inputs)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def loss_of(self, inputs: Tensor) -> Tensor:
        """Computes L_vae of a minibatch with one draw of each latent; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`.

        Returns:
            Float scalar tensor: squared error summed over pixels, plus weighted divergence, averaged over the batch.
        """
        z_mean, z_std = self.encoder(inputs)
        latents = z_mean + z_std * keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
        return vae_loss(inputs, self.generator(latents), gaussian_kl(z_mean, z_std), self.kl_weight)

    def generated(self, num_images: int) -> Tensor:
        """Draws images from the prior; works inside a graph."""
        shape = (num_images, self.latent_dim)
        if self.prior == "normal":
            return self.generator(keras.random.normal(shape, seed=self.seed_generator))
        return self.generator(keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator))

    # Use --------------------------------------------------------------------------------------------------------------

    def call(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(grey_values(inputs))[0])

    def posterior(self, images: Array) -> tuple[np.ndarray, np.ndarray]:
        """Computes the posterior of images.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.

        Returns:
            `(z_mean, z_std)`, float32 arrays of shape `(n, latent_dim)`.

        Raises:
            ValueError: if the images have the wrong shape or values outside [0, 1].
        """
        images = checked_images(images, self.image_shape)
        result = np.empty((2, len(images), self.latent_dim), np.float32)
        for start in range(0, len(images), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            result[:, part] = self._encode(grey_values(images[part]))
        return result[0], result[1]

    def features(self, images: Array, components: str = "concat") -> np.ndarray:
        """Computes the posterior means by which memories compare samples; `components` is for mixtures."""
        return self.posterior(images)[0]

    def reconstruct(self, images: Array, sample: bool = False, seed: int = 0) -> np.ndarray:
        """Reconstructs images.

        Args:
            images: as for `posterior`.
            sample: False decodes the posterior mean; True draws one latent, as the authors' code does.
            seed: int, of the draws.

        Returns:
            float32 array of the shape of `images`, in [0, 1].
        """
        latents, z_std = self.posterior(images)
        if sample:
            latents = latents + z_std * np.random.default_rng(seed).standard_normal(z_std.shape).astype(np.float32)
        return self._images_of(latents)

    def generate(self, num_images: int, seed: int = 0) -> np.ndarray:
        """Draws images from the prior.

        Args:
            num_images: number of images.
            seed: int.

        Returns:
            float32 array of shape `(num_images, *image_shape)`, in [0, 1].
        """
        rng, shape = np.random.default_rng(seed), (num_images, self.latent_dim)
        latents = rng.standard_normal(shape) if self.prior == "normal" else rng.uniform(-1, 1, shape)
        return self._images_of(latents.astype(np.float32))

    def _images_of(self, latents):
        result = np.empty((len(latents), *self.image_shape), np.float32)
        for start in range(0, len(latents), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            result[part] = self._decode(latents[part])
        return result

    def get_config(self) -> dict[str, Any]:
        layers = ("encoder", "generator", "critic", "augmentation")
        parts = {name: getattr(self, name) for name in layers}
        serialize = keras.saving.serialize_keras_object
        names = (
            "image_shape", "latent_dim", "paths", "kl_weight", "adversarial_weight", "penalty_weight",
            "prior", "penalty", "own_encoder_optimizer", "extra_encoder_steps",
        )  # fmt: skip
        return {
            **super().get_config(),
            **{name: None if part is None else serialize(part) for name, part in parts.items()},
            **{name: getattr(self, name) for name in names},
        }
