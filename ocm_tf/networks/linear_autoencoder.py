"""The autoencoder without nonlinearities that TFDSViT's authors use for colour images."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor

# Keeps the code from collapsing to a point, where log(z_std) has no value.
_MIN_STD = 1e-6


@keras.saving.register_keras_serializable(package="ocm_tf")
class LinearAutoencoder(keras.layers.Layer):
    """Reconstructs images through two Gaussian codes by linear maps without biases  [TFDSViT, released code].

        image - *units - code (code_dim) - *inner_units - code (latent_dim) - all of it backwards - sigmoid

    Each code is `mean + softplus(map) * noise`. Only the last one is held against the prior.

    Args:
        units: sizes of the layers before the first code.
        code_dim: size of the first code.
        inner_units: sizes of the layers between the two codes.
        latent_dim: size of the last code.
        **kwargs: as for `keras.layers.Layer`.

    Call: images `(batch, height, width, channels)` and standard normal noise `(batch, noise_dim)` ->
    `(reconstructions, z_mean, z_std)`.
    """

    def __init__(
        self,
        units: Sequence[int] = (2000, 1500),
        code_dim: int = 1000,
        inner_units: Sequence[int] = (600, 300),
        latent_dim: int = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.inner_units = tuple(units), tuple(inner_units)
        self.code_dim, self.latent_dim = code_dim, latent_dim

    @property
    def noise_dim(self) -> int:
        """Number of normal draws that one reconstruction takes."""
        return self.code_dim + self.latent_dim

    def build(self, input_shape: Shape) -> None:
        num_pixels = math.prod(input_shape[1:])

        def chain(name, *sizes):
            shapes = enumerate(itertools.pairwise(sizes))
            return [self.add_weight(name=f"{name}_{i}", shape=shape) for i, shape in shapes]

        self.outer_maps = chain("outer", num_pixels, *self.units)
        self.code_maps = [*chain("code_mean", self.units[-1], self.code_dim),
                          *chain("code_std", self.units[-1], self.code_dim)]  # fmt: skip
        self.inner_maps = chain("inner", self.code_dim, *self.inner_units)
        self.latent_maps = [*chain("mean", self.inner_units[-1], self.latent_dim),
                            *chain("std", self.inner_units[-1], self.latent_dim)]  # fmt: skip
        sizes = (self.latent_dim, *self.inner_units[::-1], self.code_dim, *self.units[::-1], num_pixels)
        self.decoder_maps = chain("decoder", *sizes)

    def call(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = _through(self.outer_maps, ops.reshape(images, (-1, math.prod(images.shape[1:]))))
        mean, std = self._gaussian(hidden, self.code_maps)
        hidden = _through(self.inner_maps, mean + std * noise[:, : self.code_dim])
        z_mean, z_std = self._gaussian(hidden, self.latent_maps)
        outputs = _through(self.decoder_maps, z_mean + z_std * noise[:, self.code_dim :])
        return ops.reshape(ops.sigmoid(outputs), ops.shape(images)), z_mean, z_std

    def _gaussian(self, hidden, maps):
        return ops.matmul(hidden, maps[0]), ops.softplus(ops.matmul(hidden, maps[1])) + _MIN_STD

    def get_config(self) -> dict[str, Any]:
        names = ("units", "code_dim", "inner_units", "latent_dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _through(maps, hidden):
    for kernel in maps:
        hidden = ops.matmul(hidden, kernel)
    return hidden
