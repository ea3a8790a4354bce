"""Decoded arrays kept beside a stored data set, and checked on every use.

They make loading take a fraction of a second, where decoding takes seconds (60,000 small images) to minutes
(CelebA) of every processor. A data directory that cannot be written to works without them, unless they are too large
for the memory.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ocm_tf.data.source_note import SOURCE_FILE
from ocm_tf.data.unfinished import unfinished_folder
from ocm_tf.errors import UserError

# Raise it whenever what is computed from the stored images changes.
FORMAT = 1
FOLDER = "ocm_tf_arrays"
SPLITS = ("train", "test")
_INDEX = "index.json"
# Larger arrays are decoded straight into files.
MAX_IN_MEMORY = 2**30


def load_arrays(path: Path) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]] | None:
    """Loads the arrays kept beside a stored data set, memory-mapped.

    Args:
        path: folder of the stored data set.

    Returns:
        arrays, class_names: as a `StoredForm.read` function gives them, or `None` if there are none, they are
            of another format or data set, or are damaged.
    """
    folder = path / FOLDER
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT or index["data"] != _fingerprint(path):
            return None
        arrays = {}
        for split in SPLITS:
            names, digests = zip(*index["files"][split], strict=True)
            # The index says which digests are right, never which files are read.
            if names != _file_names(split) or any(map(_differs, (folder / name for name in names), digests)):
                return None
            # As plain arrays, since the class of memory-mapped ones spreads to all that is computed from them.
            images, labels = (np.asarray(np.load(folder / name, "r", allow_pickle=False)) for name in names)
            arrays[split] = images, labels
        class_names = index["class_names"]
        if not isinstance(class_names, list) or not all(isinstance(name, str) for name in class_names):
            return None
        return arrays, tuple(class_names)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _file_names(split):
    return f"{split}_images.npy", f"{split}_labels.npy"


def _differs(file, digest):
    return _sha256(file) != digest


@contextlib.contextmanager
def allocating(path: Path) -> Iterator[Callable[..., np.ndarray]]:
    """Gives a function that allocates arrays for a data set: very large ones in files beside it.

    Args:
        path: folder of the stored data set.

    Yields:
        allocate: function of a shape and a type. An array in a file is a `np.memmap`, which `save_arrays` moves into
            its place; its file is gone at the end otherwise. It raises `UserError` if there is no room for the file.
    """
    with contextlib.ExitStack() as stack:

        def allocate(shape, dtype):
            num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
            if num_bytes <= MAX_IN_MEMORY:
                return np.empty(shape, dtype)
            try:
                folder = stack.enter_context(unfinished_folder(path))
            except OSError as error:
                raise UserError(f"cannot write the decoded images ({num_bytes / 1e9:.1f} GB): {error}") from error
            # Looked at first: filling a file in memory beyond the room there is kills the process.
            if shutil.disk_usage(folder).free < num_bytes:
                raise UserError(f"the decoded images need {num_bytes / 1e9:.1f} GB in {path}: make room there")
            return np.lib.format.open_memmap(folder / "array.npy", "w+", dtype, shape)

        yield allocate


def save_arrays(path: Path, arrays: Mapping[str, tuple[np.ndarray, np.ndarray]], class_names: Sequence[str]) -> None:
    """Keeps arrays beside a stored data set, whole or not at all; does nothing where it cannot write.

    Args:
        path: folder of the stored data set.
        arrays: dict from split name to a pair of images and labels.
        class_names: tuple of names.
    """
    with contextlib.suppress(OSError), unfinished_folder(path) as unfinished:
        folder = unfinished / FOLDER
        folder.mkdir()
        files: dict[str, list] = {}
        for split, pair in arrays.items():
            files[split] = []
            for name, array in zip(_file_names(split), pair, strict=True):
                if isinstance(array, np.memmap):  # from `allocating`, already in a file of its own
                    array.flush()
                    os.rename(array.filename, folder / name)
                else:
                    np.save(folder / name, array, allow_pickle=False)
                files[split].append((name, _sha256(folder / name)))
        index = {
            "format": FORMAT,
            "data": _fingerprint(path),
            "class_names": list(class_names),
            "files": files,
        }
        (folder / _INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):  # what is there was refused by `load_arrays`
            os.rename(path / FOLDER, unfinished / "refused")
        os.rename(folder, path / FOLDER)


def _fingerprint(path):
    """Computes a digest that changes whenever the data set is prepared anew from other data."""
    digest = hashlib.sha256()
    for name in ("dataset_info.json", "features.json", SOURCE_FILE):
        with contextlib.suppress(FileNotFoundError):
            digest.update((path / name).read_bytes())
    return digest.hexdigest()


def _sha256(file):
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
