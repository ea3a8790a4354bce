"""LeNet, small enough for a CPU."""

from collections.abc import Sequence

import keras

from ocm_tf.networks.fan_in_uniform import fan_in_uniform, seed_sequence

layers = keras.layers


def lenet(num_classes: int = 10, input_shape: Sequence[int] = (28, 28, 1), seed: int | None = None) -> keras.Model:
    """Makes a LeNet classifier  [GLR code: 6@5x5 pad 2, pool, 16@5x5, pool, 120, 84, logits].

    For 28x28x1 its flat latent has 400 values: cut it at `"flatten"`.

    Activations and kind of pooling were not found in what was published: here ReLU and the maximum, as in the
    AlexNet of the same experiments, so that latents are not negative.

    Args:
        num_classes: number of logits.
        input_shape: `(height, width, channels)`.
        seed: seed of the initial weights, uniform in +-1 / sqrt(fan_in); None draws one.

    Returns:
        functional `keras.Model`: images of values 0..255 -> logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: if the images are too small for two poolings.
    """
    height, width, channels = input_shape
    if min(height, width) < 12:
        raise ValueError(f"input_shape must be at least 12x12, or nothing is left to pool; got {tuple(input_shape)}.")
    seeds = seed_sequence(seed)
    inputs = keras.Input(input_shape, name="images")
    hidden = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    hidden = layers.Conv2D(
        6, 5, padding="same", activation="relu", name="conv1", **fan_in_uniform(25 * channels, seeds)
    )(hidden)
    hidden = layers.MaxPooling2D(2, name="pool1")(hidden)
    hidden = layers.Conv2D(16, 5, activation="relu", name="conv2", **fan_in_uniform(25 * 6, seeds))(hidden)
    hidden = layers.MaxPooling2D(2, name="pool2")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    for name, units in (("dense1", 120), ("dense2", 84)):
        hidden = layers.Dense(units, activation="relu", name=name, **fan_in_uniform(hidden.shape[-1], seeds))(hidden)
    logits = layers.Dense(num_classes, name="logits", **fan_in_uniform(84, seeds))(hidden)
    return keras.Model(inputs, logits, name="lenet")
