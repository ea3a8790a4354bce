"""Classification by angles."""

import math
from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor


def cosine_similarities(features: Tensor, rows: Tensor) -> Tensor:
    """Computes the cosine of each feature with each row.

    cos[b, c] = <f_b, w_c> / (|f_b| |w_c|)

    Args:
        features: float tensor of shape `(batch, dim)`.
        rows: float tensor of shape `(num_classes, dim)`.

    Returns:
        Float tensor of shape `(batch, num_classes)`, values in [-1, 1] but for rounding.
    """
    return ops.matmul(ops.normalize(features, axis=-1), ops.transpose(ops.normalize(rows, axis=-1)))


@keras.saving.register_keras_serializable(package="ocm_tf")
class CosineHead(keras.layers.Layer):
    """Computes `scale * cosine_similarities(inputs, rows)` with one learnable scale  [LUCIR].

    Rows begin as U(-1 / sqrt(dim), 1 / sqrt(dim)).

    Args:
        num_classes: number of rows.
        initial_scale: value of the scale before training.
        **kwargs: as for `keras.layers.Layer`.

    Call: features of shape `(batch, dim)` -> logits of shape `(batch, num_classes)`.
    """

    def __init__(self, num_classes: int, initial_scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}.")
        self.num_classes, self.initial_scale = num_classes, initial_scale

    def build(self, input_shape: Shape) -> None:
        bound = 1 / math.sqrt(input_shape[-1])
        uniform = keras.initializers.RandomUniform(-bound, bound)
        constant = keras.initializers.Constant(self.initial_scale)
        self.rows = self.add_weight(name="rows", shape=(self.num_classes, input_shape[-1]), initializer=uniform)
        self.scale = self.add_weight(name="scale", shape=(), initializer=constant)

    def call(self, inputs: Tensor) -> Tensor:
        return self.scale * cosine_similarities(inputs, self.rows)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "initial_scale": self.initial_scale}
