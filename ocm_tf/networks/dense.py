"""A dense layer whose matrix product may run in bfloat16 while everything else stays float32."""

from typing import Any

import keras
from keras import ops

from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class Dense(keras.layers.Dense):
    """Computes `activation(inputs @ kernel + bias)`, the product in `matmul_dtype`.

    Mixed-precision policies of Keras also turn activations and element-wise work to bfloat16, which costs
    accuracy and, on a CPU, time. Here only the product is cast, forward and backward.

    Args:
        units: number of outputs.
        matmul_dtype: dtype of the product, such as `"bfloat16"`; None keeps the layer's own dtype.
        **kwargs: as for `keras.layers.Dense`.

    Call: float tensor of shape `(batch, inputs)` -> float tensor of shape `(batch, units)`.
    """

    def __init__(self, units: int, matmul_dtype: str | None = None, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.matmul_dtype = matmul_dtype

    def call(self, inputs: Tensor) -> Tensor:
        if self.matmul_dtype is None:
            return super().call(inputs)
        product = ops.matmul(ops.cast(inputs, self.matmul_dtype), ops.cast(self.kernel, self.matmul_dtype))
        return self.activation(ops.cast(product, self.compute_dtype) + self.bias)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "matmul_dtype": self.matmul_dtype}
