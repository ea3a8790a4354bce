"""Residual networks that end in features instead of logits."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ocm_tf.networks.resnet import ResidualBlock, normalization
from ocm_tf.networks.transfer_conv2d import TransferConv2D
from ocm_tf.types import Shape, Tensor

RESIDUAL_NETWORKS = {
    "resnet32": {"channels": (16, 32, 64), "blocks": (5, 5, 5)},
    "resnet14": {"channels": (16, 32, 64), "blocks": (2, 2, 2)},
    "resnet18": {"channels": (64, 128, 256, 512), "blocks": (2, 2, 2, 2), "large_stem": True},
    "slim8": {"channels": (16, 32, 32), "blocks": (1, 1, 1)},
}
"""Arguments of `ResidualFeatures` by the name of the network."""


@keras.saving.register_keras_serializable(package="ocm_tf")
class ResidualFeatures(keras.layers.Layer):
    """Computes features by stages of basic residual blocks, of which the very last has no ReLU  [LUCIR].

    So features may be negative, as a classifier by angles needs. Each stage but the first halves height and width.

    Args:
        channels: channels of each stage, the first also those of the stem.
        blocks: number of blocks of each stage.
        large_stem: whether the stem is a 7x7 convolution of stride 2 and a 3x3 maximum of stride 2, as for images of
            224x224, instead of a 3x3 convolution.
        weight_transfer: whether the convolutions have scales; see `TransferConv2D`.
        **kwargs: as for `keras.layers.Layer`.

    Call: float tensor of shape `(batch, height, width, channels)` -> features of shape `(batch, channels[-1])`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        large_stem: bool = False,
        weight_transfer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not blocks or len(channels) != len(blocks) or min(*channels, *blocks) < 1:
            raise ValueError(
                f"channels and blocks must give a number of at least 1 for each stage, got {tuple(channels)} and "
                f"{tuple(blocks)}."
            )
        self.channels, self.blocks = tuple(channels), tuple(blocks)
        self.large_stem, self.weight_transfer = large_stem, weight_transfer
        convolution = functools.partial(_convolution, scaled=weight_transfer)
        self.stem = convolution(self.channels[0], 2, 7) if large_stem else convolution(self.channels[0])
        self.stem_normalization = normalization()
        places = [(stage, block) for stage, number in enumerate(self.blocks) for block in range(number)]
        self.residual_blocks = [
            ResidualBlock(
                self.channels[stage],
                stride=2 if stage > 0 and block == 0 else 1,
                convolution=convolution,
                final_relu=(stage, block) != places[-1],
            )
            for stage, block in places
        ]

    def build(self, input_shape: Shape) -> None:
        self.stem.build(input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.stem_normalization.build(shape)
        if self.large_stem:
            shape = (shape[0], *(-(-side // 2) for side in shape[1:3]), shape[3])
        for block in self.residual_blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden = ops.relu(self.stem_normalization(self.stem(inputs), training=training))
        if self.large_stem:
            # Values are not negative, so that zeros at the border never win.
            hidden = ops.max_pool(ops.pad(hidden, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 2, "valid")
        for block in self.residual_blocks:
            hidden = block(hidden, training=training)
        return ops.mean(hidden, axis=(1, 2))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.channels[-1])

    def get_config(self) -> dict[str, Any]:
        names = ("channels", "blocks", "large_stem", "weight_transfer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _convolution(channels, stride=1, size=3, scaled=False):
    return TransferConv2D(channels, size, stride, scaled)
