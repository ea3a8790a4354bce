"""Omniglot in 28x28 with bright ink on black, labelled by alphabet, from each of its usual sources.

Every source but `chardata.mat`, which brings its own split, is split alike: of the 20 drawings of each character
15 are for training and 5 for testing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ocm_tf.data.area_resize import area_resize
from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.file_source import FileSource
from ocm_tf.data.image_tree import decode_image
from ocm_tf.data.split import Split
from ocm_tf.data.storage import iterate_batches
from ocm_tf.errors import UserError

if TYPE_CHECKING:
    from ocm_tf.data.catalogue_entry import CatalogueEntry

SIZE = 28
FULL_SIZE = 105
NUM_TRAIN_DRAWERS = 15
NUM_DRAWERS = 20
NUM_ALPHABETS = 50
SMALL_1 = {"Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"}
TFDS_NOTE = (
    "all of Omniglot as TFDS stores it, background and evaluation together; of each character's 20 drawings the "
    "first 15 in stored order are for training, the last 5 for testing"
)
# Numbers of images in the split file of Burda et al. (2016), used by the IWAE papers.
NUM_MAT_TRAIN, NUM_MAT_TEST = 24_345, 8_070
_CHARACTER_FILE = re.compile(
    r"(?:.*/)?(?P<alphabet>[^/]+)/(?P<character>[^/]+)/(?P<stem>[^/]*_(?P<drawer>\d+))\.png", re.IGNORECASE
)


def read_omniglot_files(path: Path, entry: CatalogueEntry) -> Dataset:
    """Reads Omniglot from files a user has.

    Args:
        path: `pathlib.Path` of `chardata.mat`, or of a folder or zip of `alphabet/character/*.png`.
        entry: the `CatalogueEntry`.

    Returns:
        dataset: the `Dataset`, whose spec says which part of Omniglot it is.

    Raises:
        UserError: if the files are not of either form.
    """
    if path.suffix.lower() == ".mat":
        return _read_mat(path, entry)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _read_characters(path, entry)
    raise UserError(
        f"{path} is no source of Omniglot: give chardata.mat, or a folder or zip of alphabet/character/*.png"
    )


def _read_mat(path, entry):
    from scipy.io import loadmat

    try:
        arrays = loadmat(path, variable_names=["data", "target", "testdata", "testtarget"])
    except Exception as error:  # scipy raises a dozen kinds, depending on where the damage is
        raise UserError(f"{path} cannot be read as a MATLAB file ({error}): fetch or copy it again") from error
    splits = {}
    for name, data_key, target_key, number in (
        ("train", "data", "target", NUM_MAT_TRAIN),
        ("test", "testdata", "testtarget", NUM_MAT_TEST),
    ):
        data = _mat_array(path, arrays, data_key, (SIZE * SIZE, number))
        target = _mat_array(path, arrays, target_key, (NUM_ALPHABETS, number))
        if not np.isin(target, (0, 1)).all() or not (target.sum(axis=0) == 1).all():
            raise UserError(f"{path}: array {target_key!r} must hold one 1 in each column and 0 elsewhere")
        # The images are stored column by column, so each one is transposed.
        images = data.T.reshape(-1, SIZE, SIZE, 1).transpose(0, 2, 1, 3)
        images = np.ascontiguousarray(np.rint(images * 255).astype(np.uint8))
        splits[name] = Split(images, target.argmax(axis=0).astype(np.int64))
    spec = DatasetSpec(
        name=entry.name,
        image_shape=(SIZE, SIZE, 1),
        class_names=tuple(f"alphabet {i + 1:02d}" for i in range(NUM_ALPHABETS)),
        source=f"the user's {path.name}",
        licence=entry.licence,
        note="the 24,345/8,070 split of Burda et al. (chardata.mat), which does not name its alphabets",
    )
    return Dataset(splits["train"], splits["test"], spec)


def _mat_array(path, arrays, key, shape):
    if key not in arrays:
        raise UserError(f"{path} has no array {key!r}: is it the chardata.mat of the IWAE experiments?")
    array = np.asarray(arrays[key])
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise UserError(
            f"{path}: array {key!r} must hold numbers in shape {shape}, found {array.dtype} in {array.shape}"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise UserError(f"{path}: array {key!r} must have values from 0 to 1")
    return array


def _read_characters(path, entry):
    drawings = {}
    with FileSource(path) as files:
        for name in files.names():
            match = _CHARACTER_FILE.fullmatch(name)
            if match:
                # "Background small 1" repeats part of "background", so equal names are one drawing.
                key = (match["alphabet"], match["character"], match["stem"])
                drawings.setdefault(key, (int(match["drawer"]), name))
        if not drawings:
            raise UserError(f"{path} holds no alphabet/character/NNNN_NN.png: is it a folder or zip of Omniglot?")
        keys = sorted(drawings)
        images = [_decode_drawing(files, drawings[key][1]) for key in keys]
    images = shrink(np.stack(images)[..., None])
    drawers = np.array([drawings[key][0] for key in keys])
    alphabets = tuple(sorted({alphabet for alphabet, _, _ in keys}))
    labels = np.array([alphabets.index(alphabet) for alphabet, _, _ in keys], np.int64)
    _check_drawers(path, keys, drawers)
    train = drawers <= NUM_TRAIN_DRAWERS
    spec = DatasetSpec(
        name=entry.name,
        image_shape=(SIZE, SIZE, 1),
        class_names=alphabets,
        source=f"the user's {path.name}",
        licence=entry.licence,
        note=_describe(alphabets) + "; drawers 1 to 15 for training, 16 to 20 for testing",
    )
    return Dataset(Split(images[train], labels[train]), Split(images[~train], labels[~train]), spec)


def _decode_drawing(files, name):
    image = decode_image(files.read(name), f"{files.title}:{name}", channels=1)[..., 0]
    if image.shape != (FULL_SIZE, FULL_SIZE):
        raise UserError(
            f"{files.title}:{name} must be {FULL_SIZE}x{FULL_SIZE}, found {image.shape[0]}x{image.shape[1]}"
        )
    return image


def _check_drawers(path, keys, drawers):
    by_character = {}
    for (alphabet, character, _), drawer in zip(keys, drawers, strict=True):
        by_character.setdefault((alphabet, character), []).append(int(drawer))
    for (alphabet, character), found in by_character.items():
        if sorted(found) != list(range(1, NUM_DRAWERS + 1)):
            raise UserError(
                f"{path}: {alphabet}/{character} must have one drawing of each of the drawers 1 to {NUM_DRAWERS}, "
                f"found {len(found)} drawings"
            )


def _describe(alphabets):
    if len(alphabets) == NUM_ALPHABETS:
        return "all 50 alphabets of Omniglot"
    if set(alphabets) == SMALL_1:
        return "the five alphabets of background small 1 stand in for Omniglot"
    return f"{len(alphabets)} of the {NUM_ALPHABETS} alphabets stand in for Omniglot"


def shrink(images: np.ndarray) -> np.ndarray:
    """Inverts drawings of dark ink on white and shrinks them to 28x28 by area averaging.

    Args:
        images: uint8 array of shape `(num_images, 105, 105, 1)`.

    Returns:
        images: uint8 array of shape `(num_images, 28, 28, 1)`, ink bright on black.
    """
    # In pieces, since the averaging works in floats.
    pieces = [area_resize(255 - images[i : i + 1024], SIZE, SIZE) for i in range(0, len(images), 1024)]
    return np.concatenate(pieces)


def read_tfds_omniglot(builder: Any) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Reads TFDS's own Omniglot, joining its background and evaluation parts.

    Args:
        builder: TFDS builder of the prepared `omniglot`.

    Returns:
        arrays: dict from "train" and "test" to a pair of images (uint8, `(num_images, 28, 28, 1)`) and labels
            (int64, `(num_images,)`, the alphabet).
        class_names: names of the alphabets.
    """
    drawings, alphabets, characters = [], [], []
    # Alphabets differ between the two parts, so only both together have every class in training and testing.
    for split in ("train", "test"):
        for batch in iterate_batches(builder, split, {"image": True, "alphabet": True, "label": True}):
            drawings.append(shrink(batch["image"][..., :1]))
            alphabets.append(batch["alphabet"])
            characters.append(batch["label"])
    images, labels = np.concatenate(drawings), np.concatenate(alphabets).astype(np.int64)
    train = first_of_each(np.concatenate(characters), NUM_TRAIN_DRAWERS)
    arrays = {"train": (images[train], labels[train]), "test": (images[~train], labels[~train])}
    return arrays, tuple(builder.info.features["alphabet"].names)


def first_of_each(groups: np.ndarray, number: int) -> np.ndarray:
    """Marks the first few members of each group.

    Args:
        groups: int array of shape `(num_items,)`, the group of each item.
        number: how many of each group to mark.

    Returns:
        marks: bool array of shape `(num_items,)`.
    """
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    marks = np.empty(len(groups), bool)
    marks[order] = np.arange(len(groups)) - starts < number
    return marks
