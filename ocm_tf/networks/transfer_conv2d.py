"""A convolution that later classes adapt by a scale for each pair of channels."""

from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class TransferConv2D(keras.layers.Layer):
    """Convolves without bias with `kernel * transfer_scale`, a scale for each pair of channels  [Mnemonics].

    Which of the two trains is the model's matter: the kernel on the first classes, the scales on later ones. With
    scales of 1 it is a plain convolution, exactly. Borders are padded alike on all sides, also with a stride.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the kernel, odd.
        strides: by which height and width are divided.
        scaled: whether there are scales.
        **kwargs: as for `keras.layers.Layer`.

    Call: tensor of shape `(batch, height, width, channels)` -> of shape `(batch, ceil(height / strides), ceil(width /
    strides), filters)`.
    """

    def __init__(
        self, filters: int, kernel_size: int = 3, strides: int = 1, scaled: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}.")
        self.filters, self.kernel_size, self.strides, self.scaled = filters, kernel_size, strides, scaled

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        size = (self.kernel_size, self.kernel_size)
        # He's variance 2 / (k * k * filters).
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        self.kernel = self.add_weight(name="kernel", shape=(*size, channels, self.filters), initializer=initializer)
        if self.scaled:
            shape = (1, 1, channels, self.filters)
            self.transfer_scale = self.add_weight(name="transfer_scale", shape=shape, initializer="ones")

    def call(self, inputs: Tensor) -> Tensor:
        kernel = self.kernel * self.transfer_scale if self.scaled else self.kernel
        if self.strides == 1:
            return ops.conv(inputs, kernel, padding="same")
        # "same" would pad a strided convolution at the bottom and the right only.
        border = self.kernel_size // 2
        padded = ops.pad(inputs, ((0, 0), (border, border), (border, border), (0, 0))) if border else inputs
        return ops.conv(padded, kernel, self.strides, "valid")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (batch, *(None if n is None else -(-n // self.strides) for n in (height, width)), self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("filters", "kernel_size", "strides", "scaled")}
        return {**super().get_config(), **own}
