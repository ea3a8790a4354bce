"""A classifier of dense layers, for images too small for convolutions."""

from collections.abc import Sequence

import keras

from ocm_tf.networks.fan_in_uniform import fan_in_uniform, seed_sequence

layers = keras.layers


def perceptron(
    num_classes: int = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    units: Sequence[int] = (100, 100),
    seed: int | None = None,
) -> keras.Model:
    """Makes a perceptron  [GLR code: two hidden layers of 100].

    Its first latent has `units[0]` values: cut it at `"dense1"`.

    Args:
        num_classes: number of logits.
        input_shape: `(height, width, channels)`.
        units: sizes of the hidden layers, with ReLU.
        seed: seed of the initial weights, uniform in +-1 / sqrt(fan_in); None draws one.

    Returns:
        functional `keras.Model`: images of values 0..255 -> logits of shape `(batch, num_classes)`.
    """
    seeds = seed_sequence(seed)
    inputs = keras.Input(input_shape, name="images")
    hidden = layers.Flatten(name="pixels")(layers.Rescaling(1 / 255, name="rescaling")(inputs))
    for index, size in enumerate(units, start=1):
        start = fan_in_uniform(hidden.shape[-1], seeds)
        hidden = layers.Dense(size, activation="relu", name=f"dense{index}", **start)(hidden)
    logits = layers.Dense(num_classes, name="logits", **fan_in_uniform(hidden.shape[-1], seeds))(hidden)
    return keras.Model(inputs, logits, name="perceptron")
