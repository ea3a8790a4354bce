"""Reading of images and labels from an .npz file, nothing of which is trusted."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.split import Split
from ocm_tf.errors import UserError
from ocm_tf.files import check_array_header
from ocm_tf.free_memory import require_memory

# The names this package asks for, and those of the files that Keras distributes.
_KEYS = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}


def read_npz(path: Path, name: str, class_names: Sequence[str] = ()) -> Dataset:
    """Reads images and labels from an .npz file.

    Args:
        path: `pathlib.Path` of a file with the arrays `train_images`, `train_labels`, `test_images`,
            `test_labels` (or `x_train`, `y_train`, `x_test`, `y_test`). Images have shape
            `(num_images, height, width)` or `(num_images, height, width, channels)` with 1 or 3 channels, and
            are whole numbers from 0 to 255, or floats from 0 to 1 that are then scaled to 0 to 255 and
            rounded. Labels are whole numbers from 0, in shape `(num_images,)` or `(num_images, 1)`.
        name: name of the data set, for the spec.
        class_names: names in the order of the labels; if empty, the numbers are the names.

    Returns:
        dataset: the `Dataset`.

    Raises:
        UserError: if the file is damaged, or an array is missing or not as described.
    """
    arrays = _load_arrays(path)
    pairs = {}
    for split, choices in _KEYS.items():
        keys = next((keys for keys in choices if set(keys) <= set(arrays)), None)
        if keys is None:
            wanted = " or ".join(" and ".join(keys) for keys in choices)
            raise UserError(f"{path} must hold the arrays {wanted}; found {', '.join(sorted(arrays)) or 'none'}")
        pairs[split] = keys
    splits = {}
    for split, (images_key, labels_key) in pairs.items():
        images = to_uint8_images(arrays.pop(images_key), f"{path}: array {images_key!r}")
        labels = to_labels(arrays.pop(labels_key), f"{path}: array {labels_key!r}", len(images), len(class_names))
        splits[split] = Split(images, labels)
    _check_pair(path, splits)
    num_classes = len(class_names) or int(splits["train"].labels.max()) + 1
    for split, (_, labels_key) in pairs.items():
        _check_all_classes(splits[split].labels, num_classes, f"{path}: array {labels_key!r}")
    spec = DatasetSpec(
        name=name,
        image_shape=splits["train"].images.shape[1:],
        class_names=tuple(class_names) or tuple(str(label) for label in range(num_classes)),
        source=f"the user's {path.name}",
        licence="the user's own",
    )
    return Dataset(splits["train"], splits["test"], spec)


def _load_arrays(path):
    wanted = {key for choices in _KEYS.values() for keys in choices for key in keys}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.removesuffix(".npy") in wanted]
            for member in members:
                check_array_header(archive, member)
        require_memory(sum(member.file_size for member in members), f"loading {path}")
        with np.load(path, allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files if key in wanted}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise UserError(f"{path} is not a whole .npz file ({error}): fetch or copy it again") from error


def to_uint8_images(array: np.ndarray, title: str) -> np.ndarray:
    """Turns an array a user brought into images.

    Args:
        array: array of any kind.
        title: what to call it in errors.

    Returns:
        images: uint8 array of shape `(num_images, height, width, channels)`.

    Raises:
        UserError: if it is not images, naming what was expected and what was found.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.size == 0 or array.shape[3] not in (1, 3):
        raise UserError(
            f"{title} must have shape (num_images, height, width) or (num_images, height, width, 1 or 3), "
            f"found {array.shape}"
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf":
        raise UserError(f"{title} must hold whole numbers from 0 to 255 or floats from 0 to 1, found {array.dtype}")
    smallest, largest = array.min(), array.max()
    # A NaN makes both of these NaN.
    if not (np.isfinite(smallest) and np.isfinite(largest)):
        raise UserError(f"{title} must be finite, found NaN or infinite values")
    if array.dtype.kind == "f" and smallest >= 0 and largest <= 1:
        return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if smallest < 0 or largest > 255:
        raise UserError(f"{title} must have values from 0 to 255, found {smallest} to {largest}")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise UserError(
            f"{title} must hold floats from 0 to 1 or whole numbers from 0 to 255, found fractions up to {largest}"
        )
    return array.astype(np.uint8)


def to_labels(array: np.ndarray, title: str, num_images: int, num_classes: int = 0) -> np.ndarray:
    """Turns an array a user brought into labels.

    Args:
        array: array of any kind.
        title: what to call it in errors.
        num_images: how many there must be.
        num_classes: labels must be below this; 0 for any.

    Returns:
        labels: int64 array of shape `(num_images,)`.

    Raises:
        UserError: if it is not such labels, naming what was expected and what was found.
    """
    if array.dtype.kind not in "iu":
        raise UserError(f"{title} must hold whole numbers (an integer type), found {array.dtype}")
    if array.shape not in ((num_images,), (num_images, 1)):
        raise UserError(f"{title} must have shape ({num_images},) to match the images, found {array.shape}")
    smallest, largest = int(array.min()), int(array.max())
    if smallest < 0 or (num_classes and largest >= num_classes):
        expected = f"from 0 to {num_classes - 1}" if num_classes else "from 0"
        raise UserError(f"{title} must have labels {expected}, found {smallest} to {largest}")
    return array.reshape(num_images).astype(np.int64)


def _check_pair(path, splits):
    shapes = {split: part.images.shape[1:] for split, part in splits.items()}
    if shapes["train"] != shapes["test"]:
        raise UserError(
            f"{path}: training and test images must have one shape, found {shapes['train']} and {shapes['test']}"
        )


def _check_all_classes(labels, num_classes, title):
    if labels.max() >= num_classes:
        raise UserError(f"{title} has label {labels.max()}, which no training image has")
    # A set, not a count of each label up to the largest, which may be anything.
    found = set(np.unique(labels).tolist())
    missing = next((label for label in range(num_classes) if label not in found), None)
    if missing is not None:
        raise UserError(
            f"{title} must use every label from 0 to {num_classes - 1}, found no {missing}: number the classes from 0"
        )
