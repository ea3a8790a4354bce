"""Data sets on disk: where they lie, how they are written whole or not at all, and how they are read."""

import os
import re

import numpy as np

from ocm_tf.data.array_cache import load_arrays, save_arrays
from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.source_note import read_source, write_source
from ocm_tf.data.split import Split
from ocm_tf.data.tfds_access import import_tfds, quiet_tfds
from ocm_tf.data.unfinished import unfinished_folder
from ocm_tf.errors import UserError
from ocm_tf.quiet import import_tensorflow

_READ_BATCH = 1024


def find_stored(entry, data_dir):
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


def is_whole(path):
    """Says whether a folder holds a TFDS data set, which TFDS and this package rename into place when whole."""
    return (path / "dataset_info.json").is_file() and (path / "features.json").is_file()


def _versions(folder):
    if not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", entry.name)]


def _version_key(version):
    return tuple(int(part) for part in version.split("."))


def write_dataset(dataset, entry, data_dir, method):
    """Stores a data set so that plain `tfds.load` reads it, and appears whole or not at all.

    Args:
        dataset: the `Dataset`.
        entry: the `CatalogueEntry` it belongs to.
        data_dir: `pathlib.Path` of the TFDS data directory, made if missing.
        method: how it was got: "npm", "apt" or the path of the user's files.

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
            path = _write_tfds(dataset, entry, form, unfinished)
            write_source(path, dataset.spec, method)
            target.parent.mkdir(exist_ok=True)
            _rename_into_place(path, target)
    except OSError as error:
        raise UserError(f"cannot store {entry.name} in {data_dir}: {error}") from error
    return target


def _write_tfds(dataset, entry, form, unfinished):
    tfds = import_tfds()
    import_tensorflow()
    spec = dataset.spec
    features = {
        "image": tfds.features.Image(shape=spec.image_shape, encoding_format="png"),
        "label": tfds.features.ClassLabel(names=list(spec.class_names)),
    }
    # The other features that TFDS's own builder has, without which plain `tfds.load` could not read the files.
    if entry.id_format:
        features["id"] = tfds.features.Text()
    if entry.coarse_labels:
        features["coarse_label"] = tfds.features.ClassLabel(names=list(entry.coarse_class_names))
    with quiet_tfds(tfds):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=form.folder,
            version=form.version,
            features=tfds.features.FeaturesDict(features),
            split_datasets={
                "train": _Examples("train", dataset.train, entry),
                "test": _Examples("test", dataset.test, entry),
            },
            data_dir=str(unfinished),
            description=" ".join(filter(None, (f"{entry.title}, from {spec.source}.", spec.note))),
            homepage="",
        )
    return unfinished / form.folder / form.version


class _Examples:
    """Iterates over `(key, example)` pairs; the keys are TFDS's own, so the order on disk is too."""

    def __init__(self, split_name, split, entry):
        self.split_name, self.split, self.entry = split_name, split, entry

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


def read_dataset(entry, form, path):
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
        with quiet_tfds(tfds):
            arrays, class_names = (form.read or read_plain)(tfds.builder_from_directory(path))
        dataset = _assemble(entry, form, source, arrays, class_names)
    except (tf.errors.OpError, OSError, KeyError, ValueError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} cannot be read as {entry.name} ({reason}): delete that folder and run "
            f"python -m ocm_tf.data prepare {entry.name}"
        ) from error
    save_arrays(path, arrays, class_names)
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


def read_plain(builder):
    """Reads the splits "train" and "test" of a TFDS data set of images and labels.

    Args:
        builder: TFDS builder of a prepared data set with the features `image` and `label`.

    Returns:
        arrays: dict from split name to a pair of images (uint8, `(num_images, height, width, channels)`) and
            labels (int64, `(num_images,)`), in the order on disk.
        class_names: tuple of names.
    """
    arrays = {name: read_split(builder, name, {"image": np.uint8, "label": np.int64}) for name in ("train", "test")}
    return arrays, tuple(builder.info.features["label"].names)


def read_split(builder, split, dtypes):
    """Reads some features of one split of a TFDS data set.

    Args:
        builder: TFDS builder of a prepared data set.
        split: name of the split.
        dtypes: dict from feature name to NumPy type.

    Returns:
        arrays: tuple with one array for each feature, all examples in the order on disk.

    Raises:
        ValueError: if the number of examples is not the one TFDS noted.
    """
    num_examples = builder.info.splits[split].num_examples
    arrays = tuple(
        np.empty((num_examples, *builder.info.features[name].shape), dtype) for name, dtype in dtypes.items()
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


def iterate_batches(builder, split, features):
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
