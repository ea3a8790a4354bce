"""MobileNetV2 as a backbone of colour images."""

from collections.abc import Sequence
from pathlib import Path

import keras

from ocm_tf.errors import UserError
from ocm_tf.networks.fan_in_uniform import fan_in_uniform, seed_sequence
from ocm_tf.types import PathLike


def mobilenet_v2(
    num_classes: int,
    input_shape: Sequence[int] = (128, 128, 3),
    alpha: float = 1.0,
    weights: PathLike | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Makes MobileNetV2 with global average pooling and one dense layer  [Sandler et al., 2018].

    The flat latent has 1280 values: cut it at `"flatten"`.

    Args:
        num_classes: number of logits.
        input_shape: `(height, width, 3)`, at least 32x32.
        alpha: width of the layers, 1 as published.
        weights: path of a local Keras weights file of `keras.applications.MobileNetV2(include_top=False, alpha=alpha)`;
            None starts at random. Nothing is ever downloaded.
        seed: seed of the dense layer's initial weights; those of the backbone follow Keras' global seed.

    Returns:
        functional `keras.Model`: images of values 0..255 -> logits of shape `(batch, num_classes)`.

    Raises:
        UserError: if the weights file is missing or does not fit.
    """
    inputs = keras.Input(input_shape, name="images")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    features = keras.applications.MobileNetV2(input_shape, alpha, include_top=False, weights=None, input_tensor=scaled)
    if weights is not None:
        _load_weights(features, weights)
    latents = keras.layers.GlobalAveragePooling2D(name="flatten")(features.output)
    start = fan_in_uniform(latents.shape[-1], seed_sequence(seed))
    logits = keras.layers.Dense(num_classes, name="logits", **start)(latents)
    return keras.Model(inputs, logits, name="mobilenet_v2")


def _load_weights(features, path):
    if not Path(path).is_file():
        raise UserError(f"There is no weights file {path}; save one of keras.applications.MobileNetV2.")
    try:
        features.load_weights(path)
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} does not hold weights of this MobileNetV2 (without its top): {reason}") from error
