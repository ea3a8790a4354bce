"""An encoder and a decoder with one Gaussian code between them."""

from typing import Any, Self

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class GaussianAutoencoder(keras.layers.Layer):
    """Reconstructs images from one draw of their code.

    z = z_mean + z_std * noise

    Args:
        encoder: layer from images to `(z_mean, z_std)`, such as `GaussianEncoder`.
        decoder: layer from codes `(batch, latent_dim)` to as many values as an image has pixels.
        latent_dim: size of the code.
        features: layer from images to what the encoder takes, such as a stack of convolutions; None for images.
        **kwargs: as for `keras.layers.Layer`.

    Call: images `(batch, height, width, channels)` and standard normal noise `(batch, noise_dim)` ->
    `(reconstructions, z_mean, z_std)`.
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        latent_dim: int,
        features: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.encoder, self.decoder, self.latent_dim = features, encoder, decoder, latent_dim

    @property
    def noise_dim(self) -> int:
        """Number of normal draws that one reconstruction takes."""
        return self.latent_dim

    def build(self, input_shape: Shape) -> None:
        parts = [(self.encoder, input_shape), (self.decoder, (None, self.latent_dim))]
        if self.features is not None:
            parts[0] = (self.encoder, self.features.compute_output_shape(input_shape))
            parts.append((self.features, input_shape))
        for layer, shape in parts:
            if not layer.built:
                layer.build(shape)

    def call(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_mean, z_std = self.encoder(images if self.features is None else self.features(images))
        outputs = self.decoder(z_mean + z_std * noise)
        return ops.reshape(outputs, ops.shape(images)), z_mean, z_std

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "latent_dim": self.latent_dim,
            "features": None if self.features is None else serialize(self.features),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        parts = ("encoder", "decoder", "features")
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in parts if config[name]}
        return cls(**{**config, **layers})
