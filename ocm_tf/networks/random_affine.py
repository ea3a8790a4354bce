"""Small random distortions of images."""

from typing import Any

import keras
from keras import ops

from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class RandomAffine(keras.layers.Layer):
    """Rotates, stretches, shears and shifts each image a little, by amounts of its own.

    A memory of few samples is seen so often that a model learns them by heart; distorted copies are new each time.
    All amounts are normal draws: the angle of std 0.1 rad, the logarithm of each stretch and the shear of std 0.08,
    each shift of std 0.5 pixels for 28 of the image's width or height; all times `strength`.

    Args:
        strength: factor on all amounts; 0 leaves the images as they are.
        seed: seed of the draws.
        flips: whether half of the images, at random, are mirrored left to right as well.
        share: probability with which an image is distorted at all; flips are apart from it.
        **kwargs: as for `keras.layers.Layer`.

    Call: float images `(batch, height, width, channels)` -> images of the same shape and range, bilinear, zero outside.
    """

    def __init__(
        self, strength: float = 1.0, seed: int | None = None, flips: bool = False, share: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if strength < 0:
            raise ValueError(f"strength must not be negative, got {strength}.")
        if not 0 < share <= 1:
            raise ValueError(f"share must lie in (0, 1], got {share}.")
        self.strength, self.flips, self.share, self.seed = strength, flips, share, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor) -> Tensor:
        batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
        draws = self.strength * keras.random.normal((6, batch), seed=self.seed_generator)
        if self.share < 1:
            chosen = keras.random.uniform((batch,), seed=self.seed_generator) < self.share
            draws = draws * ops.cast(chosen, draws.dtype)
        angle, stretch_x, stretch_y, shear = 0.1 * draws[0], 0.08 * draws[1], 0.08 * draws[2], 0.08 * draws[3]
        shift_x, shift_y = 0.5 * width / 28 * draws[4], 0.5 * height / 28 * draws[5]
        cosine, sine = ops.cos(angle), ops.sin(angle)
        # From a place in the result to the place in the image it is taken from; both counted from the centre.
        factor_x = ops.exp(stretch_x)
        if self.flips:
            factor_x = factor_x * ops.sign(keras.random.uniform((batch,), -1.0, 1.0, seed=self.seed_generator))
        a, b = cosine * factor_x, (shear - sine) * ops.exp(stretch_y)
        c, d = sine * factor_x, cosine * ops.exp(stretch_y)
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        offset_x = centre_x - a * centre_x - b * centre_y + shift_x
        offset_y = centre_y - c * centre_x - d * centre_y + shift_y
        nothing = ops.zeros_like(angle)
        transform = ops.stack([a, b, offset_x, c, d, offset_y, nothing, nothing], axis=1)
        return ops.image.affine_transform(images, transform, "bilinear", "constant", 0.0, "channels_last")

    def get_config(self) -> dict[str, Any]:
        own = {"strength": self.strength, "flips": self.flips, "share": self.share, "seed": self.seed}
        return {**super().get_config(), **own}
