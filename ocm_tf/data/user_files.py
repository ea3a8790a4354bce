"""Reading of a known data set from the files a user has: IDX, .npz, a folder or a zip of a folder."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.idx import idx_sha256, open_gzip, read_idx
from ocm_tf.data.image_tree import read_image_tree
from ocm_tf.data.npz_file import read_npz
from ocm_tf.data.split import Split
from ocm_tf.errors import UserError

if TYPE_CHECKING:
    from ocm_tf.data.catalogue_entry import CatalogueEntry


def read_user_files(path: Path, entry: CatalogueEntry) -> Dataset:
    """Reads a known data set from a user's files and checks that it is that data set.

    Args:
        path: `pathlib.Path` of a folder with the four IDX files (gzipped or not, where the data set has such),
            of an .npz file, or of a folder or zip of `train|test/<class>/*.png|jpg`.
        entry: the `CatalogueEntry`.

    Returns:
        dataset: the `Dataset`.

    Raises:
        UserError: if the files are damaged or are not this data set.
    """
    if path.suffix.lower() == ".npz":
        dataset = read_npz(path, entry.name, entry.class_names)
    elif path.is_dir() and entry.idx_sha256 and any(_IDX_FILE.fullmatch(file.name) for file in path.iterdir()):
        return read_idx_folder(path, entry, f"the user's IDX files, {path.name}")
    elif path.is_dir() or path.suffix.lower() == ".zip":
        dataset = read_image_tree(path, entry.name, entry.class_names, entry.image_shape[2])
    else:
        idx = "a folder of its IDX files, " if entry.idx_sha256 else ""
        raise UserError(
            f"{path} is no source of {entry.name}: give {idx}an .npz file, or a folder or zip of "
            "train/<class>/*.png and test/<class>/*.png"
        )
    return _check_known(dataset, path, entry)


def _check_known(dataset, path, entry):
    """Checks shape and counts, and notes on the spec what could not be checked."""
    spec = dataset.spec
    if spec.image_shape != entry.image_shape:
        raise UserError(
            f"{path} is not {entry.name}: images must have shape {entry.image_shape}, found {spec.image_shape}"
        )
    for name, split, expected in (
        ("training", dataset.train, entry.num_train),
        ("test", dataset.test, entry.num_test),
    ):
        if len(split) != expected:
            raise UserError(f"{path} is not the whole of {entry.name}: {expected} {name} images, found {len(split)}")
    if "JPEG" in spec.source:
        note = f"JPEG copy of {entry.title}: pixels differ slightly from the original"
    elif entry.idx_sha256 and _has_known_content(dataset, entry):
        note = ""
    else:
        note = f"only numbers and shapes of the images could be checked against the original {entry.title}"
    return dataclasses.replace(dataset, spec=dataclasses.replace(spec, licence=entry.licence, note=note))


def _has_known_content(dataset, entry):
    arrays = _idx_arrays(dataset)
    return all(idx_sha256(arrays[name]) == expected for name, expected in entry.idx_sha256.items())


def _idx_arrays(dataset):
    return {
        "train-images-idx3-ubyte": dataset.train.images[..., 0],
        "train-labels-idx1-ubyte": dataset.train.labels.astype("uint8"),
        "t10k-images-idx3-ubyte": dataset.test.images[..., 0],
        "t10k-labels-idx1-ubyte": dataset.test.labels.astype("uint8"),
    }


_IDX_FILE = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


def read_idx_folder(path: Path, entry: CatalogueEntry, source: str) -> Dataset:
    """Reads the four IDX files of a folder.

    Args:
        path: `pathlib.Path` of the folder; a file may end in `.gz` and have a dot before `idx`.
        entry: the `CatalogueEntry`, whose SHA-256 each file must have.
        source: text for the spec.

    Returns:
        dataset: the `Dataset`.

    Raises:
        UserError: if a file is missing, damaged or another than expected.
    """
    files = {}
    for name in entry.idx_sha256:
        candidates = [
            path / (spelling + end) for spelling in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")
        ]
        found = next((file for file in candidates if file.is_file()), None)
        if found is None:
            raise UserError(f"{path} has no {name} (or {name}.gz): all of {', '.join(entry.idx_sha256)} are needed")
        files[name] = found
    return _assemble({name: _read_file(file, name, entry) for name, file in files.items()}, entry, source)


def _read_file(file, name, entry):
    try:
        with file.open("rb") as stream:
            return _read_checked(stream, file.stat().st_size, str(file), name, entry)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error})") from error


def read_idx_contents(contents: Mapping[str, bytes], entry: CatalogueEntry, source: str) -> Dataset:
    """Reads the four IDX files from memory.

    Args:
        contents: dict from file name, as in a package, to bytes.
        entry: the `CatalogueEntry`, whose SHA-256 each file must have.
        source: text for the spec, and what to call the place in errors.

    Returns:
        dataset: the `Dataset`.

    Raises:
        UserError: if a file is missing, damaged or another than expected.
    """
    arrays = {}
    for name in entry.idx_sha256:
        found = next((file for file in (name, f"{name}.gz") if file in contents), None)
        if found is None:
            raise UserError(f"{source} has no {name}: give the path of your own files with --source PATH")
        stream = io.BytesIO(contents[found])
        arrays[name] = _read_checked(stream, len(contents[found]), f"{source}: {found}", name, entry)
    return _assemble(arrays, entry, source)


def _read_checked(stream, num_bytes, title, name, entry):
    """Reads one IDX file, gzipped where its title says so, and checks its SHA-256."""
    if title.endswith(".gz"):
        stream, num_bytes = open_gzip(stream), None
    array, sha256 = read_idx(stream, title, rank=3 if "idx3" in name else 1, num_bytes=num_bytes)
    expected = entry.idx_sha256[name]
    if sha256 != expected:
        raise UserError(f"{title} is not the {name} of {entry.title}: SHA-256 must be {expected}, found {sha256}")
    return array


def _assemble(arrays, entry, source):
    splits = []
    for part, expected in (("train", entry.num_train), ("t10k", entry.num_test)):
        images, labels = arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"]
        if images.shape != (expected, *entry.image_shape[:2]) or labels.shape != (expected,):
            raise UserError(
                f"{source}: {part} must be {expected} images of {entry.image_shape[:2]} with labels, found "
                f"{images.shape} and {labels.shape}"
            )
        splits.append(Split(images[..., None], labels.astype("int64")))
    spec = DatasetSpec(
        name=entry.name,
        image_shape=entry.image_shape,
        class_names=entry.class_names,
        source=source,
        licence=entry.licence,
    )
    return Dataset(*splits, spec)
