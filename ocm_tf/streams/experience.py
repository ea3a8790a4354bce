"""One step of a learner that knows when its data change."""

import dataclasses

from ocm_tf.streams.experience_split import ExperienceSplit


@dataclasses.dataclass(frozen=True, eq=False)
class Experience:
    """Holds what is learned at one time and what is measured for it.

    Attributes:
        index: place among the experiences, from 0.
        name: how results call it.
        train: `ExperienceSplit` to learn from.
        test: `ExperienceSplit` to measure on; experiences whose data share one test set share this object.
        class_names: tuple of str, the names of all labels of the stream, seen yet or not.

    Raises:
        ValueError: if the index is negative or a label has no name.
    """

    index: int
    name: str
    train: ExperienceSplit
    test: ExperienceSplit
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError(f"index must not be negative, got {self.index}.")
        for part, split in (("train", self.train), ("test", self.test)):
            if not 0 <= split.labels.min() <= split.labels.max() < len(self.class_names):
                raise ValueError(
                    f"{part} labels must lie in 0..{len(self.class_names) - 1}, got {split.labels.min()} to "
                    f"{split.labels.max()}."
                )
