"""How a data set lies in the TFDS data directory."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class StoredForm:
    """Names a folder of the TFDS data directory and the function that reads it.

    Attributes:
        folder: the TFDS name, which is the name of the folder.
        version: the TFDS version, the name of the folder inside it.
        read: function of a TFDS builder that returns `(arrays, class_names)`, where `arrays` maps "train" and
            "test" to a pair of images and labels; `None` where TFDS holds plain images and labels, split in
            "train" and "test".
        note: what to say of data in this form, or `""`.
    """

    folder: str
    version: str
    read: Callable | None = None
    note: str = ""
