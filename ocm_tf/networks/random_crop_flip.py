"""Random crops and mirror images."""

from typing import Any

import keras
from keras import ops

from ocm_tf.types import Tensor

_LEAST_AREA, _LARGEST_RATIO = 0.08, 4 / 3


@keras.saving.register_keras_serializable(package="ocm_tf")
class RandomCropFlip(keras.layers.Layer):
    """Crops each image at a place of its own and mirrors every other one, as is usual for small or natural images.

    Args:
        padding: zeros put around an image before a crop of its own size is taken. None instead resizes, bilinearly, a
            part of 8 % to 100 % of the area and of ratio 3/4 to 4/3, as is usual for ImageNet.
        flip: whether images are mirrored.
        seed: seed of the draws.
        **kwargs: as for `keras.layers.Layer`.

    Call: float images `(batch, height, width, channels)` -> images of the same shape and range.
    """

    def __init__(self, padding: int | None = 4, flip: bool = True, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if padding is not None and padding < 0:
            raise ValueError(f"padding must not be negative, got {padding}.")
        self.padding, self.flip, self.seed = padding, flip, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor) -> Tensor:
        images = self._resized_crop(images) if self.padding is None else self._padded_crop(images)
        if not self.flip:
            return images
        mirrored = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=self.seed_generator) < 0.5
        return ops.where(mirrored, ops.flip(images, axis=2), images)

    def _padded_crop(self, images):
        border, (batch, height, width) = self.padding, ops.shape(images)[:3]
        padded = ops.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
        first = keras.random.randint((2, batch, 1), 0, 2 * border + 1, seed=self.seed_generator)
        rows, columns = first[0] + ops.arange(height), first[1] + ops.arange(width)
        tall = ops.take_along_axis(padded, rows[:, :, None, None], axis=1)
        return ops.take_along_axis(tall, columns[:, None, :, None], axis=2)

    def _resized_crop(self, images):
        batch, height, width = ops.shape(images)[:3]
        draws = keras.random.uniform((4, batch), seed=self.seed_generator)
        area = _LEAST_AREA + (1 - _LEAST_AREA) * draws[0]
        root_ratio = ops.exp((draws[1] - 0.5) * ops.log(_LARGEST_RATIO))
        # Where a part would be longer than the image it is cut to it.
        tall, wide = (ops.minimum(ops.sqrt(area) * root, 1.0) for root in (root_ratio, 1 / root_ratio))
        top, left = (1 - tall) * draws[2] * height, (1 - wide) * draws[3] * width
        # Pixels are squares: the centre of the first one of the result lies half a step inside the part.
        top, left = top + (tall - 1) / 2, left + (wide - 1) / 2
        nothing = ops.zeros_like(top)
        transform = ops.stack([wide, nothing, left, nothing, tall, top, nothing, nothing], axis=1)
        return ops.image.affine_transform(images, transform, "bilinear", "nearest", 0.0, "channels_last")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding, "flip": self.flip, "seed": self.seed}
