"""Residual networks for small colour images."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor

_MOMENTUM = 0.9  # of the running statistics; Keras' own 0.99 lags behind a stream that changes


@keras.saving.register_keras_serializable(package="ocm_tf")
class ResNet(keras.layers.Layer):
    """Classifies images by stages of basic residual blocks  [He et al., 2016].

    The stem is a 3x3 convolution without pooling, as is usual for 32x32 images. Each stage but the first halves height
    and width and doubles the channels. `blocks=(2, 2, 2, 2), width=64` is ResNet-18, `blocks=(5, 5, 5), width=16` is
    ResNet-32; a smaller width makes a slim one for a CPU.

    Args:
        num_classes: number of logits.
        blocks: number of blocks of each stage; a block has two convolutions.
        width: channels of the stem and the first stage.
        **kwargs: as for `keras.layers.Layer`.

    Call: float tensor of shape `(batch, height, width, channels)` -> logits of shape `(batch, num_classes)`.
    """

    def __init__(self, num_classes: int, blocks: Sequence[int] = (2, 2, 2, 2), width: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not blocks or min(blocks) < 1:
            raise ValueError(f"blocks must name at least one block for each stage, got {tuple(blocks)}.")
        if num_classes < 1 or width < 1:
            raise ValueError(f"num_classes and width must be at least 1, got {num_classes} and {width}.")
        self.num_classes, self.blocks, self.width = num_classes, tuple(blocks), width
        self.stem, self.stem_normalization = _convolution(width), normalization()
        self.residual_blocks = [
            ResidualBlock(width * 2**stage, stride=2 if stage > 0 and block == 0 else 1)
            for stage, num_blocks in enumerate(self.blocks)
            for block in range(num_blocks)
        ]
        self.head = keras.layers.Dense(num_classes)

    def build(self, input_shape: Shape) -> None:
        self.stem.build(input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.stem_normalization.build(shape)
        for block in self.residual_blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        self.head.build((shape[0], shape[-1]))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden = ops.relu(self.stem_normalization(self.stem(inputs), training=training))
        for block in self.residual_blocks:
            hidden = block(hidden, training=training)
        return self.head(ops.mean(hidden, axis=(1, 2)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        own = {"num_classes": self.num_classes, "blocks": self.blocks, "width": self.width}
        return {**super().get_config(), **own}


class ResidualBlock(keras.layers.Layer):
    """Computes `relu(shortcut(x) + bn(conv(relu(bn(conv(x))))))`, the shortcut a 1x1 convolution if the shape changes.

    Its class has a public name as Keras makes the name of a scope from it, which must not begin with an underscore.

    Args:
        channels: number of output channels.
        stride: by which height and width are divided.
        convolution: function of channels, stride and size that makes a convolution; None takes Keras' own.
        final_relu: whether the outer ReLU is there.
        **kwargs: as for `keras.layers.Layer`.

    Call: float tensor of shape `(batch, height, width, inputs)` -> of shape `(batch, height / stride, width / stride,
    channels)`.
    """

    def __init__(
        self,
        channels: int,
        stride: int,
        convolution: Callable[..., keras.layers.Layer] | None = None,
        final_relu: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels, self.stride, self.final_relu = channels, stride, final_relu
        self.convolution = convolution or _convolution
        self.first, self.second = self.convolution(channels, stride), self.convolution(channels)
        self.first_normalization, self.second_normalization = normalization(), normalization()
        self.shortcut: keras.layers.Layer | None = None
        self.shortcut_normalization: keras.layers.Layer | None = None

    def build(self, input_shape: Shape) -> None:
        self.first.build(input_shape)
        shape = self.compute_output_shape(input_shape)
        self.second.build(shape)
        self.first_normalization.build(shape)
        self.second_normalization.build(shape)
        if tuple(shape) != tuple(input_shape):
            self.shortcut = self.convolution(self.channels, self.stride, size=1)
            self.shortcut_normalization = normalization()
            self.shortcut.build(input_shape)
            self.shortcut_normalization.build(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden = ops.relu(self.first_normalization(self.first(inputs), training=training))
        hidden = self.second_normalization(self.second(hidden), training=training)
        if self.shortcut is not None:
            inputs = self.shortcut_normalization(self.shortcut(inputs), training=training)
        return ops.relu(inputs + hidden) if self.final_relu else inputs + hidden

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.first.compute_output_shape(input_shape)


def _convolution(channels, stride=1, size=3):
    # No bias: the normalization behind it has one.
    return keras.layers.Conv2D(channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal")


def normalization() -> keras.layers.Layer:
    """Returns the normalization that follows every convolution of a residual network."""
    return keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=1e-5)
