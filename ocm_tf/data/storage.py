"""Data sets on disk: where they lie, how they are written whole or not at all, and how they are read."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ocm_tf import files
from ocm_tf.data.array_cache import allocating, load_arrays, save_arrays
from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.example_source import ExampleSource
from ocm_tf.data.source_note import read_source, write_source
from ocm_tf.data.split import Split
from ocm_tf.data.tfds_access import import_tfds, quiet_tfds
from ocm_tf.data.unfinished import unfinished_folder
from ocm_tf.errors import UserError
from ocm_tf.quiet import import_tensorflow
from ocm_tf.types import Arrays

if TYPE_CHECKING:
    from ocm_tf.data.catalogue_entry import CatalogueEntry
    from ocm_tf.data.stored_form import StoredForm

# What a data set comes with besides images and labels, such as the places of its images in fixed orders.
INDEX_FILE = "ocm_tf_index.npz"
_READ_BATCH = 1024


def find_stored(entry: CatalogueEntry, data_dir: Path) -> tuple[StoredForm, Path] | tuple[None, None]:
    """Finds a prepared data set without importing TensorFlow.

    Args:
        entry: the `CatalogueEntry`.
        data_dir: `pathlib.Path` of the TFDS data directory.

    Returns:
        form, path: the `StoredForm` found and its folder, or `(None, None)`.
    """
    for form in entry.forms:
        folder = data_dir / form.folder
        # The version this package knows comes first, then any other, the newest first.
        versions = [form.version, *sorted(_versions(folder), key=_version_key, reverse=True)]
        for version in versions:
            if is_whole(folder / version):
                return form, folder / version
    return None, None


def is_whole(path: Path) -> bool:
    """Says whether a folder holds a TFDS data set, which TFDS and this package rename into place when whole."""
    return (path / "dataset_info.json").is_file() and (path / "features.json").is_file()


def _versions(folder):
    if not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", entry.name)]


def _version_key(version):
    return tuple(int(part) for part in version.split("."))


def write_dataset(dataset: Dataset | ExampleSource, entry: CatalogueEntry, data_dir: Path, method: str) -> Path:
    """Stores a data set so that plain `tfds.load` reads it, and appears whole or not at all.

    Args:
        dataset: the `Dataset`, or an `ExampleSource`, which is read and written one example at a time.
        entry: the `CatalogueEntry` it belongs to.
        data_dir: `pathlib.Path` of the TFDS data directory, made if missing.
        method: how it was got: "npm", "apt", "web" or the path of the user's files.

    Returns:
        path: the folder it lies in.

    Raises:
        UserError: if the folder cannot be written, or something else is in its place.
    """
    form = entry.forms[0]
    target = data_dir / form.folder / form.version
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(data_dir) as unfinished:
            source = dataset if isinstance(dataset, ExampleSource) else _example_source(dataset, entry)
            path = _write_tfds(source, entry, form, unfinished)
            write_source(path, source.spec, method)
            if source.index:
                files.save_arrays(path / INDEX_FILE, source.index)
            target.parent.mkdir(exist_ok=True)
            _rename_into_place(path, target)
    except OSError as error:
        raise UserError(f"cannot store {entry.name} in {data_dir}: {error}") from error
    return target


def _example_source(dataset, entry):
    """Describes a data set in memory with the features that TFDS's own builder has, so that `tfds.load` can read it."""
    tfds = import_tfds()
    spec = dataset.spec
    features = {
        "image": tfds.features.Image(shape=spec.image_shape, encoding_format="png"),
        "label": tfds.features.ClassLabel(names=list(spec.class_names)),
    }
    if entry.id_format:
        features["id"] = tfds.features.Text()
    if entry.coarse_labels:
        features["coarse_label"] = tfds.features.ClassLabel(names=list(entry.coarse_class_names))
    train, test = (_Examples(name, getattr(dataset, name), entry) for name in ("train", "test"))
    return ExampleSource(train, test, spec, features)


def _write_tfds(source, entry, form, unfinished):
    tfds, tf = import_tfds(), import_tensorflow()
    with quiet_tfds(tfds), _reporting_full_disk(tf):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=form.folder,
            version=form.version,
            features=tfds.features.FeaturesDict(source.features),
            split_datasets={"train": source.train, "test": source.test},
            data_dir=str(unfinished),
            description=" ".join(filter(None, (f"{entry.title}, from {source.spec.source}.", source.spec.note))),
            homepage="",
            disable_shuffling=source.keep_order,
        )
    return unfinished / form.folder / form.version


@contextlib.contextmanager
def _reporting_full_disk(tf):
    """Turns what TensorFlow's file system raises, alone or wrapped by TFDS, into an `OSError`."""
    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:
        cause = error if isinstance(error, tf.errors.OpError) else error.__cause__
        if not isinstance(cause, tf.errors.OpError):
            raise
        raise OSError(cause.message) from error


class _Examples:
    """Iterates over `(key, example)` pairs; the keys are TFDS's own, so the order on disk is too."""

    def __init__(self, split_name, split, entry):
        self.split_name, self.split, self.entry = split_name, split, entry

    def __len__(self):
        return len(self.split)

    def __iter__(self):
        for index, (image, label) in enumerate(zip(self.split.images, self.split.labels, strict=True)):
            example = {"image": image, "label": int(label)}
            if self.entry.id_format:
                example["id"] = self.entry.id_format.format(split=self.split_name, index=index)
            if self.entry.coarse_labels:
                example["coarse_label"] = self.entry.coarse_labels[label]
            yield index, example


def _rename_into_place(path, target):
    try:
        os.rename(path, target)
    except OSError:
        if is_whole(target):  # another process prepared the same in the meantime
            return
        if target.exists():
            raise UserError(f"{target} is in the way but holds no whole dataset: delete it and try again") from None
        raise


def read_dataset(entry: CatalogueEntry, form: StoredForm, path: Path) -> Dataset:
    """Reads a stored data set into memory.

    Args:
        entry: the `CatalogueEntry`.
        form: the `StoredForm` it lies in.
        path: its folder.

    Returns:
        dataset: the `Dataset`.

    Raises:
        UserError: if the files are damaged or are not what they should be.
    """
    source = read_source(path)
    kept = load_arrays(path)
    if kept is not None:
        return _assemble(entry, form, source, *kept)
    tfds, tf = import_tfds(), import_tensorflow()
    try:
        with quiet_tfds(tfds), allocating(path) as allocate:
            read = form.read or functools.partial(read_plain, allocate=allocate)
            arrays, class_names = read(tfds.builder_from_directory(path))
            dataset = _assemble(entry, form, source, arrays, class_names)
            save_arrays(path, arrays, class_names)
    except (tf.errors.OpError, OSError, KeyError, ValueError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} cannot be read as {entry.name} ({reason}): delete that folder and run "
            f"python -m ocm_tf.data prepare {entry.name}"
        ) from error
    # Read back where that is possible, so that the arrays are of one kind from the first time on.
    kept = load_arrays(path)
    return dataset if kept is None else _assemble(entry, form, source, *kept)


def _assemble(entry, form, source, arrays, class_names):
    spec = DatasetSpec(
        name=entry.name,
        image_shape=entry.image_shape,
        class_names=entry.class_names or class_names,
        source=source["source"],
        licence=entry.licence,
        note=source["note"] or form.note,
    )
    return Dataset(train=Split(*arrays["train"]), test=Split(*arrays["test"]), spec=spec)


def read_index(path: Path) -> Arrays:
    """Reads what a data set comes with besides images and labels.

    Args:
        path: folder of the stored data set.

    Returns:
        index: dict from name to array, as its preparation wrote it.

    Raises:
        UserError: if there is no such file or it is damaged.
    """
    try:
        return files.load_arrays(path / INDEX_FILE)
    except UserError as error:
        raise UserError(f"{error}: delete {path} and prepare it again") from error


def read_plain(
    builder: Any, allocate: Callable[..., np.ndarray] = np.empty
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Reads the splits "train" and "test" of a TFDS data set of images and labels.

    Args:
        builder: TFDS builder of a prepared data set with the features `image` and `label`.
        allocate: function of a shape and a type that gives an array to fill.

    Returns:
        arrays: dict from split name to a pair of images (uint8, `(num_images, height, width, channels)`) and
            labels (int64, `(num_images,)`), in the order on disk.
        class_names: tuple of names.
    """
    dtypes = {"image": np.uint8, "label": np.int64}
    arrays = {}
    for name in ("train", "test"):
        images, labels = read_split(builder, name, dtypes, allocate)
        arrays[name] = images, labels
    return arrays, tuple(builder.info.features["label"].names)


def read_split(
    builder: Any, split: str, dtypes: Mapping[str, Any], allocate: Callable[..., np.ndarray] = np.empty
) -> tuple[np.ndarray, ...]:
    """Reads some features of one split of a TFDS data set.

    Args:
        builder: TFDS builder of a prepared data set.
        split: name of the split.
        dtypes: dict from feature name to NumPy type.
        allocate: as for `read_plain`.

    Returns:
        arrays: tuple with one array for each feature, all examples in the order on disk.

    Raises:
        ValueError: if the number of examples is not the one TFDS noted.
    """
    num_examples = builder.info.splits[split].num_examples
    arrays = tuple(
        allocate((num_examples, *builder.info.features[name].shape), dtype) for name, dtype in dtypes.items()
    )
    start = 0
    for batch in iterate_batches(builder, split, dict.fromkeys(dtypes, True)):
        stop = start + len(next(iter(batch.values())))
        if stop > num_examples:
            raise ValueError(f"split {split} has more than its {num_examples} examples")
        for name, array in zip(dtypes, arrays, strict=True):
            array[start:stop] = batch[name]
        start = stop
    if start != num_examples:
        raise ValueError(f"split {split} has {start} examples instead of {num_examples}")
    return arrays


def iterate_batches(builder: Any, split: str, features: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Iterates over batches of some features of one split, in the order on disk.

    Args:
        builder: TFDS builder of a prepared data set.
        split: name of the split.
        features: dict nested like the features of the data set, with `True` at each wanted one.

    Yields:
        batch: dict of NumPy arrays, nested like `features`.
    """
    tfds = import_tfds()
    examples = builder.as_dataset(
        split=split,
        batch_size=_READ_BATCH,
        decoders=tfds.decode.PartialDecoding(features),
        # One file after the other: interleaving would make the order depend on how many files there are.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    yield from tfds.as_numpy(examples)
