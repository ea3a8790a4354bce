"""CORe50: videos of 50 objects in 11 sessions, with the orders in which its benchmark shows them.

The identity of an image is its path, `s<session>/o<object>/C_<session>_<object>_<frame>.png`, never the label beside it
in a file list, which some lists number anew in each run (Lomonaco and Maltoni 2017).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.download import Download
from ocm_tf.data.example_source import ExampleSource
from ocm_tf.data.file_source import FileSource
from ocm_tf.data.tfds_access import import_tfds
from ocm_tf.errors import UserError
from ocm_tf.quiet import import_tensorflow
from ocm_tf.types import Arrays

if TYPE_CHECKING:
    from ocm_tf.data.catalogue_entry import CatalogueEntry

CATEGORIES = (
    "plug_adapter",
    "mobile_phone",
    "scissor",
    "light_bulb",
    "can",
    "glass",
    "ball",
    "marker",
    "cup",
    "remote_control",
)
OBJECTS_PER_CATEGORY = 5
OBJECTS = tuple(f"{category}{number + 1}" for category in CATEGORIES for number in range(OBJECTS_PER_CATEGORY))
NUM_SESSIONS = 11
TEST_SESSIONS = (3, 7, 10)
# The scenarios of the benchmark by the folder that holds their lists.
_FOLDERS = {
    "ni_inc": "NI",
    "nc_inc": "NC",
    "nic_inc": "NIC",
    "nic_v2_79": "NICv2-79",
    "nic_v2_196": "NICv2-196",
    "nic_v2_391": "NICv2-391",
}
SCENARIOS = tuple(_FOLDERS.values())
_IMAGES_ZIP = "core50_128x128.zip"
_LIST_ZIPS = "batches_filelists*.zip"
DOWNLOADS = (
    Download(
        f"http://bias.csr.unibo.it/maltoni/download/core50/{_IMAGES_ZIP}",
        "745f3373fed08d69343f1058ee559e13",
    ),
    Download(
        "https://vlomonaco.github.io/core50/data/batches_filelists.zip",
        "e3297508a8998ba0c99a83d6b36bde62",
    ),
    Download(
        "https://vlomonaco.github.io/core50/data/batches_filelists_NICv2.zip",
        "460f980a6c85b86b1ec8e7c6067bb7a3",
    ),
)
_PATH = r"s(\d{1,2})/o(\d{1,2})/C_(\d{1,2})_(\d{1,2})_(\d{1,4})\.png"
_IMAGE = re.compile(rf"(?:.*/)?{_PATH}", re.IGNORECASE)
# The project page writes Run0, the archives run0.
_LIST = re.compile(rf"(?:.*/)?({'|'.join(_FOLDERS)})/run(\d+)/train_batch_(\d+)_filelist\.txt", re.IGNORECASE)
_LINE = re.compile(rf"^(?:\S*/)?{_PATH}[ \t]+\d+[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


def read_core50_files(path: Path, entry: CatalogueEntry) -> ExampleSource:
    """Finds the images and file lists of CORe50 in files a user has; the images are read when they are stored.

    Args:
        path: `pathlib.Path` of a folder that holds the images, unpacked or in `core50_128x128.zip`, and the file lists,
            unpacked or in `batches_filelists*.zip`; or of the zip of the images, with the zips of the lists beside it.
        entry: the `CatalogueEntry`.

    Returns:
        source: an `ExampleSource` in the order of sessions, objects and frames; its index is that of `make_index`.

    Raises:
        UserError: if images or lists are missing, come twice or do not fit together.
    """
    images_path, names = path, _find_images(path)
    if not names and (path / _IMAGES_ZIP).is_file():
        images_path, names = path / _IMAGES_ZIP, _find_images(path / _IMAGES_ZIP)
    if not names:
        raise UserError(f"{path} holds no s1/o1/C_01_01_000.png and so on, nor {_IMAGES_ZIP}: is it CORe50 128x128?")
    identities = _identities([_IMAGE.fullmatch(name).groups() for name in names], images_path)
    # Sorted, so that the images of a session, and within it those of an object, lie together on disk.
    order = np.argsort(_codes(identities))
    identities, names = identities[order], np.array(names)[order]
    _check_identities(images_path, identities, len(entry.class_names))
    is_test = np.isin(identities[:, 0], TEST_SESSIONS)
    for part, chosen, expected in (("training", ~is_test, entry.num_train), ("test", is_test, entry.num_test)):
        if chosen.sum() != expected:
            raise UserError(f"{images_path} is not CORe50 as a whole: {expected} {part} images, found {chosen.sum()}")
    folder = path if path.is_dir() else path.parent
    lists = _read_lists([path, *sorted(folder.glob(_LIST_ZIPS))])
    if not lists:
        raise UserError(f"{folder} holds no file lists of CORe50: put batches_filelists.zip there too")
    index = make_index(identities[~is_test], identities[is_test], lists)
    train, test = (_Examples(images_path, names[part], identities[part], entry) for part in (~is_test, is_test))
    spec = DatasetSpec(
        name=entry.name,
        image_shape=entry.image_shape,
        class_names=entry.class_names,
        source=f"the user's files, {path.name}",
        licence=entry.licence,
        note=f"file lists of {', '.join(each for each in SCENARIOS if any(each == key[0] for key in lists))}",
    )
    tfds = import_tfds()
    features = {
        "image": tfds.features.Image(shape=entry.image_shape, encoding_format="png"),
        "label": tfds.features.ClassLabel(names=list(entry.class_names)),
        "category": tfds.features.ClassLabel(names=list(CATEGORIES)),
        "session": np.int64,
        "frame": np.int64,
    }
    return ExampleSource(train, test, spec, features, keep_order=True, index=index)


def _find_images(path):
    with FileSource(path) as files:
        return [name for name in files.names() if _IMAGE.fullmatch(name)]


def _identities(parts, title):
    """Turns the five numbers of each path into session, object and frame."""
    numbers = np.array(parts, np.str_).reshape(-1, 5).astype(np.int64)
    folders, names = numbers[:, :2], numbers[:, 2:4]
    if (folders != names).any():
        session, number = folders[(folders != names).any(axis=1)][0]
        raise UserError(f"{title}: a file in s{session}/o{number} has the name of another session or object")
    return numbers[:, [0, 1, 4]]


def _check_identities(path, identities, num_objects):
    for name, numbers, last in (("session", identities[:, 0], NUM_SESSIONS), ("object", identities[:, 1], num_objects)):
        if numbers.min() < 1 or numbers.max() > last:
            raise UserError(f"{path}: {name} numbers must lie in 1..{last}, found {numbers.min()} to {numbers.max()}")
    twice = np.flatnonzero((identities[1:] == identities[:-1]).all(axis=1))
    if len(twice):
        raise UserError(f"{path} holds {_name(identities[twice[0]])} twice: keep only the images of 128x128")


def _name(identity):
    session, number, frame = identity
    return f"s{session}/o{number}/C_{session:02}_{number:02}_{frame:03}.png"


def _read_lists(paths):
    """Returns a dict from scenario, run and batch to the identities of a list, in its order."""
    lists = {}
    for path in paths:
        with FileSource(path) as files:
            for name in files.names():
                match = _LIST.fullmatch(name)
                if not match:
                    continue
                folder, run, batch = match.groups()
                key = (_FOLDERS[folder.lower()], int(run), int(batch))
                if key in lists:
                    raise UserError(f"{path}:{name} is there twice: keep one")
                lists[key] = _parse_list(files.read(name), f"{path}:{name}")
    return lists


def _parse_list(content, title):
    text = content.decode("utf-8", errors="replace")
    parts = _LINE.findall(text)
    num_lines = sum(bool(line.strip()) for line in text.splitlines())
    if not parts or len(parts) != num_lines:
        raise UserError(
            f"{title} must have lines such as s3/o1/C_03_01_001.png 0, found {num_lines - len(parts)} others in "
            f"{num_lines}"
        )
    return _identities(parts, title)


def make_index(train: np.ndarray, test: np.ndarray, lists: Mapping[tuple[str, int, int], np.ndarray]) -> Arrays:
    """Makes the arrays that tell where and when an image was taken and in which order each benchmark run shows it.

    Args:
        train: int array of shape `(num_train, 3)`, session, object and frame of each training image as stored, sorted.
        test: int array of shape `(num_test, 3)`, likewise.
        lists: dict from `(scenario, run, batch)` to an int array of shape `(num_images, 3)`.

    Returns:
        index: dict from name to int array: `train_sessions`, `train_frames`, `test_sessions`, `test_frames`, and for
            each run `SCENARIO/runN/rows`, the training images of all its batches one after the other, and
            `SCENARIO/runN/starts`, where each batch begins.

    Raises:
        UserError: if a list names an image that is not for training, or the list of a batch is missing.
    """
    index = {
        "train_sessions": train[:, 0],
        "train_frames": train[:, 2],
        "test_sessions": test[:, 0],
        "test_frames": test[:, 2],
    }
    codes = _codes(train)
    runs: dict[tuple[str, int], list[int]] = {}
    for scenario, run, batch in sorted(lists):
        runs.setdefault((scenario, run), []).append(batch)
    for (scenario, run), batches in runs.items():
        if batches != list(range(len(batches))):
            missing = min(set(range(len(batches))) - set(batches))
            raise UserError(f"the list of batch {missing} of CORe50's {scenario} run {run} is missing")
        found = [lists[scenario, run, batch] for batch in batches]
        wanted = _codes(np.concatenate(found))
        rows = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        if (codes[rows] != wanted).any():
            stranger = _name(np.concatenate(found)[codes[rows] != wanted][0])
            raise UserError(f"CORe50's {scenario} run {run} names {stranger}, which is no training image here")
        index[f"{scenario}/run{run}/rows"] = rows.astype(np.int32)
        index[f"{scenario}/run{run}/starts"] = np.cumsum([0, *map(len, found[:-1])])
    return index


def _codes(identities):
    """Numbers that sort as session, object and frame do."""
    return identities @ np.array([1_000_000, 10_000, 1])


class _Examples:
    """Reads the images one by one, checks each and passes its file on as it is."""

    def __init__(self, path, names, identities, entry):
        self.path, self.names, self.identities, self.entry = path, names, identities, entry

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        with FileSource(self.path) as files:
            for key, (name, identity) in enumerate(zip(self.names, self.identities.tolist(), strict=True)):
                session, number, frame = identity
                content = files.read(name)
                self._check(content, f"{files.title}:{name}")
                label = number - 1
                yield (
                    key,
                    {
                        "image": io.BytesIO(content),
                        "label": label,
                        "category": label // OBJECTS_PER_CATEGORY,
                        "session": session,
                        "frame": frame,
                    },
                )

    def _check(self, content, title):
        tf = import_tensorflow()
        try:
            # The decoder that will read it from disk, since others let pass what that one refuses.
            shape = tuple(tf.io.decode_png(content).shape)
        except tf.errors.OpError as error:
            raise UserError(f"{title} is not a whole PNG image: fetch or copy it again") from error
        if shape != self.entry.image_shape:
            raise UserError(f"{title} must have shape {self.entry.image_shape}, found {shape}")
