"""AlexNet with a small head, the network of all published results of generative latent replay."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.files import load_arrays
from ocm_tf.networks.fan_in_uniform import fan_in_uniform, seed_sequence
from ocm_tf.types import Arrays, PathLike

layers = keras.layers

# Name in Keras: (index among torchvision's `features`, filters, kernel size, stride, padding).
_CONVOLUTIONS = {
    "conv1": (0, 64, 11, 4, 2),
    "conv2": (3, 192, 5, 1, 2),
    "conv3": (6, 384, 3, 1, 1),
    "conv4": (8, 256, 3, 1, 1),
    "conv5": (10, 256, 3, 1, 1),
}
_POOLED = ("conv1", "conv2", "conv5")
_IMAGENET_MEAN, _IMAGENET_VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)


def alexnet_small(
    num_classes: int = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    resized_to: int = 244,
    dropout: float = 0.5,
    weights: PathLike | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Makes AlexNet with a head of 512, 128 and `num_classes` units  [GLR code, class "AlexNet-small"].

    Images are resized (bilinear), grey ones copied to three channels, and normalised by the statistics of ImageNet.
    The flat latent has 2304 values: cut at `"flatten"`, or, as in the authors' code, behind the dropout, `"dropout1"`.
    No layer keeps batch statistics.

    Args:
        num_classes: number of logits.
        input_shape: `(height, width, channels)` of the images, of 1 or 3 channels.
        resized_to: height and width that the convolutions see; 244 as published, 224 in the original AlexNet.
        dropout: rate before each of the first two dense layers.
        weights: path of an `.npz` file with the convolutions' weights, see `convert_alexnet_weights`; None starts
            them at random. The dense layers always do.
        seed: seed of the initial weights, uniform in +-1 / sqrt(fan_in), and of dropout; None draws one.

    Returns:
        functional `keras.Model`: images of values 0..255 -> logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: if the images have neither 1 nor 3 channels, or `resized_to` leaves no 6x6 or 7x7 map.
        UserError: if the file of weights is missing, or does not fit.
    """
    if input_shape[-1] not in (1, 3):
        raise ValueError(f"input_shape must have 1 or 3 channels, got {tuple(input_shape)}.")
    seeds = seed_sequence(seed)
    inputs = keras.Input(input_shape, name="images")
    hidden = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    hidden = layers.Resizing(resized_to, resized_to, interpolation="bilinear", name="resizing")(hidden)
    if input_shape[-1] == 1:
        hidden = layers.Concatenate(name="grey_to_rgb")([hidden, hidden, hidden])
    hidden = layers.Normalization(mean=_IMAGENET_MEAN, variance=_IMAGENET_VARIANCE, name="normalization")(hidden)
    for name, (_, filters, size, stride, padding) in _CONVOLUTIONS.items():
        start = fan_in_uniform(size * size * hidden.shape[-1], seeds)
        # Explicit, as "same" pads the two sides of a strided convolution differently.
        hidden = layers.ZeroPadding2D(padding, name=f"{name}_padding")(hidden)
        hidden = layers.Conv2D(filters, size, stride, activation="relu", name=name, **start)(hidden)
        if name in _POOLED:
            hidden = layers.MaxPooling2D(3, 2, name=f"{name}_pool")(hidden)
    if hidden.shape[1] not in (6, 7):
        raise ValueError(
            f"resized_to must leave a map of 6x6 or 7x7 to be averaged to 3x3, such as 224 and 244 do; "
            f"{resized_to} leaves {hidden.shape[1]}x{hidden.shape[1]}."
        )
    # The adaptive pooling from 6 to 3; windows of 3 and stride 2 are what it comes to from 7.
    hidden = layers.AveragePooling2D(hidden.shape[1] - 4, 2, name="average_pool")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    for index, units in enumerate((512, 128), start=1):
        hidden = layers.Dropout(dropout, seed=next(seeds), name=f"dropout{index}")(hidden)
        start = fan_in_uniform(hidden.shape[-1], seeds)
        hidden = layers.Dense(units, activation="relu", name=f"dense{index}", **start)(hidden)
    logits = layers.Dense(num_classes, name="logits", **fan_in_uniform(128, seeds))(hidden)
    model = keras.Model(inputs, logits, name="alexnet_small")
    if weights is not None:
        _load_convolutions(model, weights)
    return model


def convert_alexnet_weights(state_dict: Mapping[str, np.ndarray]) -> Arrays:
    """Converts the convolutions of a torchvision AlexNet to what `alexnet_small(weights=...)` reads.

    With PyTorch at hand: `state = torchvision.models.alexnet(weights="IMAGENET1K_V1").state_dict()`,
    `np.savez("alexnet.npz", **convert_alexnet_weights({name: t.numpy() for name, t in state.items()}))`.

    Args:
        state_dict: `{name: array}`, names such as `"features.0.weight"`; kernels are OIHW (outputs, inputs, height,
            width). What belongs to other layers is left out.

    Returns:
        `{"conv1/kernel": array, "conv1/bias": array, ...}`, kernels HWIO.

    Raises:
        ValueError: if a weight is missing or has another number of dimensions.
    """
    converted = {}
    for name, (index, *_) in _CONVOLUTIONS.items():
        for part, theirs, rank in (("kernel", "weight", 4), ("bias", "bias", 1)):
            key = f"features.{index}.{theirs}"
            if key not in state_dict:
                raise ValueError(f"state_dict must hold {key!r}, got {sorted(state_dict)}.")
            array = np.asarray(state_dict[key])
            if array.ndim != rank:
                raise ValueError(f"{key} must have {rank} dimensions, got shape {array.shape}.")
            converted[f"{name}/{part}"] = array.transpose(2, 3, 1, 0) if rank == 4 else array
    return converted


def _load_convolutions(model, path):
    arrays = load_arrays(path)
    for name in _CONVOLUTIONS:
        layer = model.get_layer(name)
        for part in ("kernel", "bias"):
            key, weight = f"{name}/{part}", getattr(layer, part)
            if key not in arrays:
                raise UserError(f"{path} holds no {key!r}; write it with convert_alexnet_weights.")
            if arrays[key].shape != tuple(weight.shape):
                expected, got = tuple(weight.shape), arrays[key].shape
                raise UserError(f"{key!r} in {path} must have shape {expected} (kernels HWIO), it has {got}.")
            weight.assign(arrays[key])
