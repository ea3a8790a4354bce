"""Learnt weights over the attention heads of earlier components."""

from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class HeadGates(keras.layers.Layer):
    """Holds a logit for each head there may be and makes weights of those in use  [TFDSViT, KTA].

    Args:
        num_heads: most heads.
        temperature: what logits and noise are divided by; 1 is the plain softmax.
        **kwargs: as for `keras.layers.Layer`.

    Call: number of heads in use, noise or None -> weights of shape `(num_heads,)`; see `gate_weights`.
    """

    def __init__(self, num_heads: int, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or temperature <= 0:
            raise ValueError(f"num_heads and temperature must be positive, got {num_heads} and {temperature}.")
        self.num_heads, self.temperature = num_heads, temperature

    def build(self, input_shape: Shape | None = None) -> None:
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.logits = self.add_weight(name="logits", shape=(self.num_heads,), initializer=normal)

    def call(self, num_in_use: Tensor, noise: Tensor | None = None) -> Tensor:
        return gate_weights(self.logits, num_in_use, self.temperature, noise)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads, "temperature": self.temperature}


def gate_weights(logits: Tensor, num_in_use: Tensor, temperature: float = 1.0, noise: Tensor | None = None) -> Tensor:
    """Computes the weights of the heads in use, by softmax; those of all others are 0.

    weights[:num_in_use] = softmax((logits[:num_in_use] + noise[:num_in_use]) / temperature)

    With standard Gumbel noise it is a draw of the Gumbel-softmax, without it is deterministic.

    Args:
        logits: float tensor of shape `(num_heads,)`.
        num_in_use: int or int tensor, the first of how many heads are in use; with 0 all weights are 0.
        temperature: positive float.
        noise: float tensor of the shape of the logits, or None.

    Returns:
        Float tensor of shape `(num_heads,)`.
    """
    logits = logits if noise is None else logits + noise
    in_use = ops.arange(ops.shape(logits)[0]) < num_in_use
    # Not minus infinity: where nothing is in use, softmax would give NaN.
    weights = ops.softmax(ops.where(in_use, logits / temperature, -1e9))
    return ops.where(in_use, weights, 0.0)
