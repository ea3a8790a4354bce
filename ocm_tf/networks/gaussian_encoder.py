"""The part of an encoder that ends in a diagonal Gaussian posterior."""

from collections.abc import Sequence
from typing import Any

import keras

from ocm_tf.networks.dense import Dense
from ocm_tf.networks.mlp import MLP
from ocm_tf.types import Shape, Tensor

# Keeps the posterior from collapsing to a point, where log(z_std) has no value.
_MIN_STD = 1e-6


@keras.saving.register_keras_serializable(package="ocm_tf")
class GaussianEncoder(keras.layers.Layer):
    """Maps features to the mean and the standard deviation of a diagonal Gaussian.

    The second head ends in `exp`, so that its output is the standard deviation itself, not a log-variance.

    Args:
        latent_dim: number of latent dimensions.
        hidden_units: sizes of the dense layers before the heads; may be empty.
        activation: activation of those layers.
        matmul_dtype: see `Dense`.
        **kwargs: as for `keras.layers.Layer`.

    Call: tensor of shape `(batch, ...)` -> `(z_mean, z_std)`, both of shape `(batch, latent_dim)`, z_std > 0.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden_units: Sequence[int] = (),
        activation: str = "tanh",
        matmul_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim, self.hidden_units = latent_dim, tuple(hidden_units)
        self.activation, self.matmul_dtype = activation, matmul_dtype
        self.hidden = None
        if self.hidden_units:
            self.hidden = MLP(self.hidden_units, activation, activation, matmul_dtype)
        self.mean_head = Dense(latent_dim, matmul_dtype=matmul_dtype)
        self.std_head = Dense(latent_dim, activation="exponential", matmul_dtype=matmul_dtype)

    def build(self, input_shape: Shape) -> None:
        if self.hidden is not None:
            self.hidden.build(input_shape)
            input_shape = self.hidden.compute_output_shape(input_shape)
        self.mean_head.build(input_shape)
        self.std_head.build(input_shape)

    def call(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        hidden = inputs if self.hidden is None else self.hidden(inputs)
        return self.mean_head(hidden), self.std_head(hidden) + _MIN_STD

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "matmul_dtype": self.matmul_dtype,
        }
