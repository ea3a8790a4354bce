"""Encoder, generator and critic of DEMC's autoencoder, convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras

layers = keras.layers

NETWORKS = ("28x28", "32x32", "reduced")
NORMALIZATIONS = ("group", "layer", None)

# Keeps the posterior from collapsing to a point, where log(z_std) has no value.
_MIN_STD = 1e-6
_MOST_GROUPS = 8


class TwoPathNetworks(NamedTuple):
    """The three networks of one autoencoder, functional `keras.Model`s.

    Attributes:
        encoder: images in [0, 1] -> `(z_mean, z_std)`, each of shape `(batch, latent_dim)`.
        generator: latents `(batch, latent_dim)` -> images in [0, 1].
        critic: images -> scores of shape `(batch, 1)`.
    """

    encoder: keras.Model
    generator: keras.Model
    critic: keras.Model


class _Step(NamedTuple):
    """One layer with what follows it: `kind` conv, deconv, dense or map, its size, and whether it is normalised."""

    kind: str
    size: int
    normalized: bool = False
    kernel: int = 0
    stride: int = 1


def two_path_networks(
    kind: str, image_shape: Sequence[int], latent_dim: int, width: float = 1.0, normalization: str | None = "group"
) -> TwoPathNetworks:
    """Makes the networks of DEMC, built.

    `"28x28"` and `"32x32"` are those of the authors' code; `"reduced"` has two convolutions of 32 and 64 filters and a
    dense layer of 256 units, without normalisation. Kernels of convolutions start from a truncated normal, those of
    the other layers from a normal distribution, of std 0.02; biases from 0. Leaky ReLUs have slope 0.2.

    Args:
        kind: one of `NETWORKS`; each takes images of any height and width that are multiples of 4.
        image_shape: `(height, width, channels)`.
        latent_dim: number of latent dimensions.
        width: factor on all numbers of filters and hidden units.
        normalization: `"group"` (8 groups of channels; all units of a dense layer together), `"layer"` (all channels
            together) or None. The critic always has the latter of the first two, or none.

    Returns:
        `TwoPathNetworks`.

    Raises:
        ValueError: if an argument is out of range.
    """
    height, columns, channels = image_shape
    if kind not in NETWORKS or normalization not in NORMALIZATIONS:
        raise ValueError(
            f"kind must be one of {NETWORKS} and normalization one of {NORMALIZATIONS}, got {kind!r}, "
            f"{normalization!r}."
        )
    if height % 4 or columns % 4 or min(height, columns) < 4:
        raise ValueError(f"image_shape must have a height and a width that are multiples of 4, got {image_shape}.")
    if latent_dim < 1 or width <= 0:
        raise ValueError(f"latent_dim and width must be positive, got {latent_dim} and {width}.")
    encoder_steps, generator_steps, critic_steps = ([_scaled(step, width) for step in steps] for steps in _steps(kind))
    # Departs from the paper: its code normalises over the batch, in evaluation too, so that an image's latents, error
    # and score depend on the images beside it. Here each image is normalised by itself, the critic's by all channels.
    if kind == "reduced":
        normalization = None
    images = keras.Input(image_shape, name="images")
    hidden = _stack(images, encoder_steps, normalization, "leaky_relu")
    z_mean = layers.Dense(latent_dim, kernel_initializer=_normal(), name="z_mean")(hidden)
    z_std = layers.Dense(latent_dim, "softplus", kernel_initializer=_normal(), name="softplus")(hidden)
    encoder = keras.Model(images, [z_mean, layers.Rescaling(1.0, _MIN_STD, name="z_std")(z_std)], name="encoder")

    images = keras.Input(image_shape, name="images")
    hidden = _stack(images, critic_steps, normalization and "layer", "leaky_relu")
    scores = layers.Dense(1, kernel_initializer=_normal(), name="scores")(hidden)
    critic = keras.Model(images, scores, name="critic")

    latents = keras.Input((latent_dim,), name="latents")
    hidden = _stack(latents, generator_steps[:-1], normalization, "relu", (height // 4, columns // 4))
    last = generator_steps[-1]
    outputs = layers.Conv2DTranspose(
        channels, last.kernel, last.stride, "same", activation="sigmoid", kernel_initializer=_normal(), name="pixels"
    )(hidden)
    return TwoPathNetworks(encoder, keras.Model(latents, outputs, name="generator"), critic)


def _steps(kind):
    """Returns the steps of encoder, generator and critic; the generator's last one makes the pixels."""
    if kind == "28x28":
        trunk = [_Step("conv", 64, False, 4, 2), _Step("conv", 128, True, 4, 2), _Step("dense", 1024, True)]
        generator = [_Step("dense", 1024, True), _Step("map", 128, True), _Step("deconv", 64, True, 4, 2)]
        return [*trunk, _Step("dense", 64, True)], [*generator, _Step("deconv", 1, False, 4, 2)], trunk
    if kind == "32x32":
        # Departs from the paper: in its code the first normalisation of the encoder is a learned scale and shift.
        trunk = [_Step("conv", filters, True, 3, 2) for filters in (64, 128, 256, 512)] + [_Step("dense", 1024)]
        generator = [_Step("map", 256, True), *(_Step("deconv", 256, True, 3, stride) for stride in (2, 1, 2, 1))]
        return trunk, [*generator, _Step("deconv", 1, False, 3, 1)], trunk
    trunk = [_Step("conv", 32, False, 4, 2), _Step("conv", 64, False, 4, 2), _Step("dense", 256)]
    generator = [
        _Step("dense", 256),
        _Step("map", 64),
        _Step("deconv", 32, False, 4, 2),
        _Step("deconv", 1, False, 4, 2),
    ]
    return trunk, generator, trunk


def _scaled(step, width):
    return step._replace(size=max(1, round(step.size * width)))


def _stack(hidden, steps, normalization, activation, map_shape=None):
    """Applies one step after the other; a dense step flattens what comes before it."""
    for number, step in enumerate(steps):
        name = f"{step.kind}{number}"
        if step.kind == "conv":
            start = keras.initializers.TruncatedNormal(stddev=0.02)
            hidden = layers.Conv2D(step.size, step.kernel, step.stride, "same", kernel_initializer=start, name=name)(
                hidden
            )
        elif step.kind == "deconv":
            hidden = layers.Conv2DTranspose(
                step.size, step.kernel, step.stride, "same", kernel_initializer=_normal(), name=name
            )(hidden)
        else:
            if len(hidden.shape) > 2:
                hidden = layers.Flatten(name=f"flattened{number}")(hidden)
            units = step.size * math.prod(map_shape) if step.kind == "map" else step.size
            hidden = layers.Dense(units, kernel_initializer=_normal(), name=name)(hidden)
            if step.kind == "map":
                hidden = layers.Reshape((*map_shape, step.size), name=f"reshaped{number}")(hidden)
        if step.normalized and normalization is not None:
            hidden = _normalized(hidden, normalization, f"normalized{number}")
        hidden = (layers.LeakyReLU(0.2) if activation == "leaky_relu" else layers.ReLU())(hidden)
    return hidden


def _normalized(hidden, normalization, name):
    if len(hidden.shape) == 2:
        return layers.LayerNormalization(epsilon=1e-5, name=name)(hidden)
    groups = math.gcd(hidden.shape[-1], _MOST_GROUPS) if normalization == "group" else 1
    return layers.GroupNormalization(groups, epsilon=1e-5, name=name)(hidden)


def _normal():
    return keras.initializers.RandomNormal(stddev=0.02)
