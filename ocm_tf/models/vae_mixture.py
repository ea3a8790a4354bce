"""An expanding mixture of VAEs with shared first layers (the model of OCM)."""

from typing import Any

import keras
import tensorflow as tf

from ocm_tf.memory.weight_bank import WeightBank
from ocm_tf.models.growth import apply_template, initialise_afresh, start_afresh, variables_of
from ocm_tf.models.nested_config import build_once
from ocm_tf.models.vae import VAE
from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class VAEMixture(VAE):
    """A VAE that grows by components  [OCM, Algorithm 2].

    One component trains; the earlier ones are frozen in a `WeightBank`. Shared layers come first in the encoder and
    first in the decoder. They train with the first component and stay as they are from the first expansion on, so
    that a frozen component computes the same for good.

    Args:
        shared_encoder: layer from images in [0, 1] to features.
        encoder: layer from those features to `(z_mean, z_std)`, one a component.
        shared_decoder: layer from latents to features.
        decoder: layer from those features to logits or means of all pixels, one a component.
        max_components: most components, C_max in the paper.
        train_shared_after_expand: whether the shared layers go on training after an expansion.
        warm_start: whether a new component starts from the weights of the one before it instead of fresh ones.
        **kwargs: as for `VAE`.

    Call: images -> reconstructions by the component that trains. `reconstruct` routes each image instead.
    """

    def __init__(
        self,
        shared_encoder: keras.layers.Layer,
        encoder: keras.layers.Layer,
        shared_decoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        max_components: int = 30,
        train_shared_after_expand: bool = False,
        warm_start: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        if max_components < 1:
            raise ValueError(f"max_components must be at least 1, got {max_components}.")
        self.shared_encoder, self.shared_decoder = shared_encoder, shared_decoder
        self.max_components, self.train_shared_after_expand = max_components, train_shared_after_expand
        self.warm_start = warm_start
        self.bank = WeightBank(max_components - 1, name="bank")

    def build_networks(self) -> None:
        images, latents = (None, *self.image_shape), (None, self.latent_dim)
        build_once(self.shared_encoder, images)
        build_once(self.encoder, self.shared_encoder.compute_output_shape(images))
        build_once(self.shared_decoder, latents)
        build_once(self.decoder, self.shared_decoder.compute_output_shape(latents))
        self.bank.allocate([variable for template in self.templates for variable in variables_of(template)])

    @property
    def templates(self) -> tuple[keras.layers.Layer, ...]:
        """The layers that each component has of its own, in the order of the bank."""
        return (self.encoder, self.decoder)

    @property
    def loss_layers(self) -> tuple[keras.layers.Layer, ...]:
        return (self.shared_encoder, self.shared_decoder, *self.templates)

    @property
    def num_components(self) -> int:
        """Number of components: the frozen ones and the one that trains."""
        return len(self.bank) + 1

    def encode(self, inputs: Tensor, component: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply(self.encoder, self.shared_encoder(inputs), component)

    def decode(self, latents: Tensor, component: Tensor | None = None) -> Tensor:
        return self._apply(self.decoder, self.shared_decoder(latents), component)

    def _apply(self, template, features, component):
        return apply_template(template, self.templates, self.bank, component, features)

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        samples = self.training_samples(images)
        if self.train_shared_after_expand:
            return self.update(self.loss_of, samples, self.optimized_variables)
        # An optimizer such as Adam moves even a variable whose gradient is zero, so frozen ones are left out.
        component = self.encoder.trainable_variables + self.decoder.trainable_variables
        return tf.cond(
            self.bank.count.value == 0,
            lambda: self.update(self.loss_of, samples, self.optimized_variables),
            lambda: self.update(self.loss_of, samples, component),
        )

    def grow(self) -> None:
        """Freezes the component that trains and starts a new one with a fresh optimizer state.

        The new one is freshly initialised, unless `warm_start`. With an optimizer that keeps a running mean of the
        weights, the mean is what is frozen.

        Raises:
            ValueError: if there are `max_components` already.
        """
        self.optimizer.finalize_variable_values(self.optimized_variables)
        self.bank.store([variable for template in self.templates for variable in variables_of(template)])
        if not self.warm_start:
            initialise_afresh(self.templates, f"{self.seed}-{self.num_components}")
        start_afresh(self.optimizer, self.optimized_variables)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "shared_encoder": serialize(self.shared_encoder),
            "shared_decoder": serialize(self.shared_decoder),
            "max_components": self.max_components,
            "train_shared_after_expand": self.train_shared_after_expand,
            "warm_start": self.warm_start,
        }
