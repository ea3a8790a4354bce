"""A stack of dense layers."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ocm_tf.networks.dense import Dense
from ocm_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class MLP(keras.layers.Layer):
    """Flattens its input and applies dense layers one after the other.

    Args:
        units: sizes of the layers, in order.
        activation: activation of every layer but the last; a name, or one name for each of those layers.
        output_activation: activation of the last layer; None leaves it linear (a decoder's logits).
        matmul_dtype: see `Dense`.
        **kwargs: as for `keras.layers.Layer`.

    Call: tensor of shape `(batch, ...)` -> float tensor of shape `(batch, units[-1])`.
    """

    def __init__(
        self,
        units: Sequence[int],
        activation: str | Sequence[str] = "tanh",
        output_activation: str | None = None,
        matmul_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units:
            raise ValueError("units must name at least one layer size, got none.")
        self.units = tuple(units)
        self.activation, self.output_activation, self.matmul_dtype = activation, output_activation, matmul_dtype
        num_hidden = len(self.units) - 1
        hidden = [activation] * num_hidden if isinstance(activation, str | None) else list(activation)
        if len(hidden) != num_hidden:
            raise ValueError(f"activation must name {num_hidden} hidden layers, got {activation}.")
        activations = [*hidden, output_activation]
        self.dense_layers = [
            Dense(size, activation=name, matmul_dtype=matmul_dtype)
            for size, name in zip(self.units, activations, strict=True)
        ]

    def build(self, input_shape: Shape) -> None:
        size = math.prod(input_shape[1:])
        for layer in self.dense_layers:
            layer.build((None, size))
            size = layer.units

    def call(self, inputs: Tensor) -> Tensor:
        hidden = inputs if len(inputs.shape) == 2 else ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        for layer in self.dense_layers:
            hidden = layer(hidden)
        return hidden

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation,
            "output_activation": self.output_activation,
            "matmul_dtype": self.matmul_dtype,
        }
