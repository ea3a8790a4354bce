"""What the package knows of one data set by name."""

import dataclasses
from collections.abc import Callable, Mapping

from ocm_tf.data.download import Download
from ocm_tf.data.stored_form import StoredForm


@dataclasses.dataclass(frozen=True)
class CatalogueEntry:
    """Describes a data set that can be prepared and loaded by name.

    Attributes:
        name: the name users write.
        title: the name people know it by.
        forms: where it may lie on disk, the preferred place first. Files that a user brings are stored in the
            first form, and TFDS prepares the last.
        image_shape: `(height, width, channels)` as loaded.
        class_names: names in the order of the labels; empty where they depend on the variant.
        num_train: number of training images, or `None` where it depends on the variant.
        num_test: number of test images, likewise.
        licence: the terms of use.
        idx_sha256: SHA-256 of each decompressed IDX file by its usual name; empty if there are none.
        package: the registry and the name of a package that holds the IDX files, such as `("npm", "x")`, or
            `None`.
        read_files: function of a path and the entry that reads a user's own files into a `Dataset`, or an
            `ExampleSource` where it is too large for that; `None` where only TFDS can prepare it.
        downloads: the files that `read_files` then finds in one folder; empty where TFDS downloads them.
        id_format: how TFDS writes the `id` of an example, as a format string of `split` and `index`, or `None`.
        coarse_labels: the superclass of each class, where TFDS stores it too, or empty.
        coarse_class_names: the names of the superclasses, or empty.
    """

    name: str
    title: str
    forms: tuple[StoredForm, ...]
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    num_train: int | None
    num_test: int | None
    licence: str
    idx_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    package: tuple[str, str] | None = None
    read_files: Callable | None = None
    downloads: tuple[Download, ...] = ()
    id_format: str | None = None
    coarse_labels: tuple[int, ...] = ()
    coarse_class_names: tuple[str, ...] = ()
