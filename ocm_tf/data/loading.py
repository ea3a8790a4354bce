"""Loading of data sets by name."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from ocm_tf.data.catalogue import find_entry
from ocm_tf.data.digits import load_digits_dataset
from ocm_tf.data.image_tree import read_image_tree
from ocm_tf.data.npz_file import read_npz
from ocm_tf.data.storage import find_stored, read_dataset, read_index
from ocm_tf.data.tfds_access import find_data_dir
from ocm_tf.data.transforms import apply_transform, split_transform
from ocm_tf.errors import UserError
from ocm_tf.types import Arrays, PathLike

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset


def load(name: str, data_dir: PathLike | None = None) -> Dataset:
    """Loads a data set into memory; never downloads, and never gives another data set than the one named.

    Args:
        name: "digits" (always there), another name of the catalogue, `folder:PATH` (images in
            `train/<class>/*.png` and `test/<class>/*.png`, a folder or a zip of one) or `npz:PATH` (arrays
            `train_images`, `train_labels`, `test_images`, `test_labels`); each also with a transform behind it,
            such as `digits:inverted`.
        data_dir: TFDS data directory; `None` for `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Returns:
        dataset: the `Dataset`: images uint8 `(num_images, height, width, channels)`, labels int64
            `(num_images,)`. The order is always the same.

    Raises:
        UserError: if there is no such name, or the data set is not prepared or is damaged.
    """
    base, transform = split_transform(name)
    if transform is not None:
        return apply_transform(load(base, data_dir), transform)
    if name == "digits":
        return load_digits_dataset()
    path = user_path(name)
    if path is not None:
        return read_npz(path, name) if name.startswith("npz:") else read_image_tree(path, name)
    entry = find_entry(name)
    return read_dataset(entry, *_find_prepared(entry, data_dir))


def load_index(name: str, data_dir: PathLike | None = None) -> Arrays:
    """Loads what a data set comes with besides images and labels, such as the orders in which CORe50 is shown.

    Args:
        name: a name of the catalogue.
        data_dir: as for `load`.

    Returns:
        index: dict from name to array, in the order of the images that `load` gives.

    Raises:
        UserError: if there is no such name, or the data set is not prepared or has no such file.
    """
    return read_index(_find_prepared(find_entry(name), data_dir)[1])


def _find_prepared(entry, data_dir):
    data_dir = find_data_dir(data_dir)
    form, path = find_stored(entry, data_dir)
    if form is None:
        raise UserError(
            f"dataset {entry.name} is not in {data_dir / entry.forms[0].folder}: run "
            f"python -m ocm_tf.data prepare {entry.name}{data_dir_option(data_dir)}"
        )
    return form, path


def data_dir_option(data_dir: PathLike | None) -> str:
    """Gives the command-line option that names a data directory, or "" for the usual one."""
    return "" if data_dir == find_data_dir() else f" --data-dir {data_dir}"


def user_path(name: str) -> pathlib.Path | None:
    """Finds the path in `folder:PATH` or `npz:PATH`.

    Args:
        name: any name of a data set.

    Returns:
        path: `pathlib.Path`, or `None` for other names.

    Raises:
        UserError: if the path is empty or nothing is there.
    """
    kind, separator, rest = str(name).partition(":")
    if not separator or kind not in ("folder", "npz"):
        return None
    path = pathlib.Path(rest).expanduser()
    if not rest or not path.exists():
        raise UserError(f"{name}: there is nothing at {path.absolute()}" if rest else f"{name} names no path")
    return path
