"""Multi-head self-attention over the patches of an image."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ocm_tf.types import Shape, Tensor

_EPSILON = 1e-3


@keras.saving.register_keras_serializable(package="ocm_tf")
class PatchAttention(keras.layers.Layer):
    """Cuts images into patches, embeds them as tokens and lets each head attend over the tokens of one image.

        A_j = softmax(Q_j @ transpose(K_j) / sqrt(head_dim)) @ V_j  [TFDSViT, released code]

    One layer: no position code, no residual, no class token. All Q, K and V of all heads are one matrix product. Their
    weights are kept in two halves, as two components that share the layer train a half of the heads each.

    Args:
        num_heads: number of heads, even.
        patch_size: side of a square patch, in pixels.
        embed_dim: size of a token.
        head_dim: size of Q, K and V of a head.
        **kwargs: as for `keras.layers.Layer`.

    Call: images `(batch, height, width, channels)` -> heads `(batch, num_heads, num_tokens * head_dim)`.
    """

    def __init__(
        self, num_heads: int, patch_size: int, embed_dim: int = 100, head_dim: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 2 or num_heads % 2:
            raise ValueError(f"num_heads must be even and at least 2, got {num_heads}.")
        for name, value in {"patch_size": patch_size, "embed_dim": embed_dim, "head_dim": head_dim}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.num_heads, self.patch_size = num_heads, patch_size
        self.embed_dim, self.head_dim = embed_dim, head_dim

    def build(self, input_shape: Shape) -> None:
        _, height, width, channels = input_shape
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"Images of {height}x{width} pixels have no whole patches of side {self.patch_size}.")
        self.num_tokens = (height // self.patch_size) * (width // self.patch_size)
        patch_dim, half = self.patch_size**2 * channels, self.num_heads // 2
        # As if each of Q, K and V of each head were a dense layer of its own.
        limit = math.sqrt(6.0 / (self.embed_dim + self.head_dim))

        def projection(number):
            uniform = keras.initializers.RandomUniform(-limit, limit)
            shape = (3, half, self.head_dim)
            return (
                self.add_weight(name=f"kernel_{number}", shape=(self.embed_dim, *shape), initializer=uniform),
                self.add_weight(name=f"bias_{number}", shape=shape, initializer="zeros"),
            )

        self.embedding = (
            self.add_weight(name="embedding_kernel", shape=(patch_dim, self.embed_dim)),
            self.add_weight(name="embedding_bias", shape=(self.embed_dim,), initializer="zeros"),
            self.add_weight(name="scale", shape=(self.embed_dim,), initializer="ones"),
            self.add_weight(name="offset", shape=(self.embed_dim,), initializer="zeros"),
        )
        self.projections = (projection(0), projection(1))

    @property
    def head_size(self) -> int:
        """Number of outputs of a head, `num_tokens * head_dim`."""
        return self.num_tokens * self.head_dim

    def call(self, inputs: Tensor) -> Tensor:
        return self.attend(inputs, [ops.expand_dims(weight, 0) for weight in self.weights])[0]

    def attend(self, images: Tensor, stacks: Sequence[Tensor]) -> Tensor:
        """Computes the heads of several layers of this form at once.

        Args:
            images: float tensor of shape `(batch, height, width, channels)`.
            stacks: the weights of the layers, each stacked along a leading axis, in the order of `weights`.

        Returns:
            Float tensor of shape `(num_layers, batch, num_heads, num_tokens * head_dim)`; there may be no layer.
        """
        kernel, bias, scale, offset, *projections = stacks
        layers, batch = ops.shape(kernel)[0], ops.shape(images)[0]
        patches = ops.reshape(cut_patches(images, self.patch_size), (1, batch * self.num_tokens, kernel.shape[1]))
        tokens = ops.matmul(patches, kernel) + bias[:, None]
        # Departs from the paper: the code's batch normalization makes a prediction depend on the images beside it. This
        # normalises each token by itself.
        mean, variance = ops.moments(tokens, axes=-1, keepdims=True)
        tokens = (tokens - mean) * ops.rsqrt(variance + _EPSILON) * scale[:, None] + offset[:, None]
        tokens = ops.leaky_relu(tokens, 0.2)
        size = 3 * self.num_heads * self.head_dim
        kernels = ops.reshape(ops.concatenate(projections[::2], axis=3), (layers, self.embed_dim, size))
        biases = ops.reshape(ops.concatenate(projections[1::2], axis=2), (layers, 1, size))
        projected = ops.matmul(tokens, kernels) + biases
        shape = (layers, batch, self.num_tokens, 3, self.num_heads, self.head_dim)
        query, key, value = ops.unstack(ops.transpose(ops.reshape(projected, shape), (3, 0, 1, 4, 2, 5)), 3)
        # Departs from the paper: the code attends over the tokens of the whole batch; here within an image.
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / math.sqrt(self.head_dim)
        heads = ops.matmul(ops.softmax(scores), value)
        return ops.reshape(heads, (layers, batch, self.num_heads, self.head_size))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_heads, self.head_size)

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "patch_size", "embed_dim", "head_dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def cut_patches(images: Tensor, patch_size: int) -> Tensor:
    """Cuts images into square patches, row by row.

    Args:
        images: tensor of shape `(batch, height, width, channels)`, height and width multiples of `patch_size`.
        patch_size: side of a patch.

    Returns:
        Tensor of shape `(batch, num_patches, patch_size * patch_size * channels)`.
    """
    height, width, channels = images.shape[1:]
    rows, columns = height // patch_size, width // patch_size
    batch = ops.shape(images)[0]
    cells = ops.reshape(images, (batch, rows, patch_size, columns, patch_size, channels))
    patches = ops.transpose(cells, (0, 1, 3, 2, 4, 5))
    return ops.reshape(patches, (batch, rows * columns, patch_size**2 * channels))


def head_mask(half: Tensor, num_heads: int) -> Tensor:
    """Returns the sparse-attention mask: ones for one half of the heads, zeros for the other.

    Args:
        half: 0 for the first half of the heads, 1 for the second; an int or an int tensor.
        num_heads: number of heads, even.

    Returns:
        Float tensor of shape `(num_heads,)`.
    """
    return ops.cast(ops.equal(ops.arange(num_heads) // (num_heads // 2), half), "float32")
