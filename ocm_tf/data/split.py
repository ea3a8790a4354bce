"""One part of a data set: images and their labels."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Holds images and labels of equal number.

    Attributes:
        images: uint8 array of shape `(num_images, height, width, channels)`, values 0 to 255. It may be
            memory-mapped and read-only, so copy before writing.
        labels: int64 array of shape `(num_images,)`, never negative.

    Raises:
        ValueError: if a type, rank or length differs from the above, or there is no image.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        for name, array, dtype, rank in (
            ("images", self.images, np.uint8, 4),
            ("labels", self.labels, np.int64, 1),
        ):
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != rank:
                found = f"{array.dtype} of rank {array.ndim}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"{name} must be a {np.dtype(dtype)} array of rank {rank}, found {found}")
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        if self.images.size == 0:
            raise ValueError(f"images must not be empty, found shape {self.images.shape}")
        if self.labels.min() < 0:
            raise ValueError(f"labels must not be negative, found {self.labels.min()}")

    def __len__(self) -> int:
        return len(self.labels)
