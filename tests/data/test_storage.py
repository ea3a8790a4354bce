import dataclasses
import json
import os
import shutil
import time

import numpy as np
import pytest
from data_files import grey_images

from ocm_tf.data import Dataset, DatasetSpec, Split, array_cache, available, is_prepared, load, storage
from ocm_tf.data.catalogue import CATALOGUE, find_entry
from ocm_tf.data.storage import find_stored, write_dataset
from ocm_tf.data.tfds_access import import_tfds
from ocm_tf.data.unfinished import PREFIX
from ocm_tf.errors import UserError

PLAIN = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")


def make_dataset(name):
    """Makes a tiny data set in the shape of a known one; the first pixel is the number of the image."""
    entry = find_entry(name)
    num_classes = len(entry.class_names)

    def split(num_images):
        images = np.random.default_rng(num_images).integers(0, 256, (num_images, *entry.image_shape), dtype=np.uint8)
        images[:, 0, 0, 0] = np.arange(num_images)
        return Split(images, np.arange(num_images) % num_classes)

    spec = DatasetSpec(name, entry.image_shape, entry.class_names, "a test", entry.licence, "made up")
    return Dataset(split(2 * num_classes), split(num_classes), spec)


def in_first_order(split):
    order = np.argsort(split.images[:, 0, 0, 0], kind="stable")
    return split.images[order], split.labels[order]


@pytest.mark.parametrize("name", PLAIN)
def test_stored_as_tfds_itself_would(name, data_dir):
    entry, dataset = find_entry(name), make_dataset(name)
    assert not is_prepared(name)
    write_dataset(dataset, entry, data_dir, "path")
    assert is_prepared(name)
    tfds = import_tfds()
    # The builder here is TFDS's own class, with TFDS's own schema and version.
    builder = tfds.builder(name, data_dir=data_dir)
    assert builder.is_prepared()
    stored = tfds.builder_from_directory(builder.data_dir)
    assert {key: (f.shape, f.dtype) for key, f in stored.info.features.items()} == {
        key: (f.shape, f.dtype) for key, f in builder.info.features.items()
    }
    assert "a test" in stored.info.description
    examples = list(tfds.as_numpy(tfds.load(name, split="train", data_dir=data_dir, download=False)))
    by_number = {int(example["image"][0, 0, 0]): example for example in examples}
    assert len(by_number) == len(dataset.train)
    for number, example in by_number.items():
        np.testing.assert_array_equal(example["image"], dataset.train.images[number])
        assert example["label"] == dataset.train.labels[number]
        if entry.id_format:
            assert example["id"].decode() == entry.id_format.format(split="train", index=number)
        if entry.coarse_labels:
            assert example["coarse_label"] == entry.coarse_labels[example["label"]]

    loaded = load(name)
    for ours, theirs in ((loaded.train, dataset.train), (loaded.test, dataset.test)):
        for array, expected in zip(in_first_order(ours), in_first_order(theirs), strict=True):
            np.testing.assert_array_equal(array, expected)
    # The same order as TFDS gives, the first time and from the arrays kept.
    np.testing.assert_array_equal(loaded.train.images, np.stack([example["image"] for example in examples]))
    np.testing.assert_array_equal(load(name).train.images, loaded.train.images)
    assert loaded.spec == dataset.spec


def test_cifar100_superclasses():
    entry = find_entry("cifar100")
    pairs = zip(entry.class_names, entry.coarse_labels, strict=True)
    coarse = {name: entry.coarse_class_names[label] for name, label in pairs}
    assert entry.class_names[:3] == ("apple", "aquarium_fish", "baby")
    assert (coarse["apple"], coarse["whale"], coarse["tank"]) == (
        "fruit_and_vegetables",
        "aquatic_mammals",
        "vehicles_2",
    )
    assert np.bincount(entry.coarse_labels).tolist() == [5] * 20


def test_versions_are_those_of_the_installed_tfds():
    tfds = import_tfds()
    for entry in CATALOGUE.values():
        if entry.downloads:  # TFDS has no builder for it
            continue
        form = entry.forms[-1]
        assert str(tfds.builder_cls(form.folder).VERSION) == form.version


def test_missing_data_names_the_folder_and_the_command(tmp_path, data_dir):
    with pytest.raises(UserError, match=f"mnist is not in {data_dir}/mnist: run python -m ocm_tf.data prepare mnist$"):
        load("mnist")
    with pytest.raises(UserError, match=f"prepare mnist --data-dir {tmp_path}/other$"):
        load("mnist", tmp_path / "other")
    with pytest.raises(UserError, match="no dataset named 'minst': did you mean 'mnist'"):
        load("minst")


def test_reading_again_uses_the_arrays_kept(data_dir, monkeypatch):
    path = write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    first = load("mnist")
    monkeypatch.setattr(storage, "read_plain", None)
    second = load("mnist")
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.train.images.flags.writeable == second.train.images.flags.writeable
    assert not list(path.glob(PREFIX + "*"))


@pytest.mark.parametrize("damage", ["array", "index", "info", "missing"])
def test_damaged_arrays_are_read_anew(data_dir, damage):
    dataset = make_dataset("mnist")
    path = write_dataset(dataset, find_entry("mnist"), data_dir, "path")
    expected = load("mnist").train.images.copy()
    folder = path / array_cache.FOLDER
    if damage == "array":
        content = bytearray((folder / "train_images.npy").read_bytes())
        content[-1] ^= 255
        (folder / "train_images.npy").write_bytes(content)
    elif damage == "index":
        (folder / "index.json").write_text("{")
    elif damage == "info":
        (path / "dataset_info.json").write_text((path / "dataset_info.json").read_text() + "\n")
    else:
        (folder / "test_labels.npy").unlink()
    assert array_cache.load_arrays(path) is None
    np.testing.assert_array_equal(load("mnist").train.images, expected)
    assert array_cache.load_arrays(path) is not None


def test_a_folder_that_cannot_be_written_to_works(data_dir, monkeypatch):
    write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")

    def refuse(*_, **__):
        raise PermissionError("read-only")

    # Permissions do not bind the superuser, so the refusal is played.
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    assert len(load("mnist").train) == 20
    assert len(load("mnist").train) == 20


def test_arrays_too_large_for_the_memory_are_decoded_into_files(data_dir, monkeypatch):
    path = write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    expected = load("mnist").train.images.copy()
    shutil.rmtree(path / array_cache.FOLDER)
    monkeypatch.setattr(array_cache, "MAX_IN_MEMORY", expected.nbytes - 1)
    kinds = {}
    save = storage.save_arrays

    def look(path, arrays, class_names):
        kinds.update({split: type(images) for split, (images, _) in arrays.items()})
        save(path, arrays, class_names)

    monkeypatch.setattr(storage, "save_arrays", look)
    np.testing.assert_array_equal(load("mnist").train.images, expected)
    assert kinds == {"train": np.memmap, "test": np.ndarray}
    assert not list(path.glob(PREFIX + "*"))
    monkeypatch.setattr(storage, "read_plain", None)
    np.testing.assert_array_equal(load("mnist").train.images, expected)


def test_no_room_for_arrays_too_large_for_the_memory_is_one_clear_error(data_dir, monkeypatch):
    path = write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    monkeypatch.setattr(array_cache, "MAX_IN_MEMORY", 1000)
    usage = shutil.disk_usage(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"the decoded images need 0.0 GB in .*mnist/3.0.1: make room there"):
        load("mnist")
    assert not list(path.glob(PREFIX + "*"))

    def refuse(*_, **__):
        raise PermissionError("read-only")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(UserError, match=r"cannot write the decoded images \(0.0 GB\): read-only"):
        load("mnist")


def test_damaged_records_are_one_clear_error(data_dir):
    path = write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    (records,) = path.glob("*train.tfrecord*")
    content = records.read_bytes()
    for damaged in (content[: len(content) // 2], content[:100] + b"x" + content[101:], b""):
        records.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot be read as mnist .*: delete that folder and run") as caught:
            load("mnist")
        assert "\n" not in str(caught.value)
    (path / "dataset_info.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read as mnist"):
        load("mnist")


def test_another_data_set_in_its_place_is_refused(data_dir):
    entry = dataclasses.replace(find_entry("mnist"), image_shape=(8, 8, 1))
    images, labels = grey_images(20, 8)
    split = Split(images[..., None], labels)
    spec = DatasetSpec("mnist", (8, 8, 1), entry.class_names, "a test", "none")
    write_dataset(Dataset(split, split, spec), entry, data_dir, "path")
    with pytest.raises(UserError, match=r"must have shape \(28, 28, 1\), found \(8, 8, 1\)"):
        load("mnist")


def test_an_older_version_is_found(data_dir):
    entry = find_entry("mnist")
    path = write_dataset(make_dataset("mnist"), entry, data_dir, "path")
    for version in ("2.9.0", "2.10.0"):
        (path.parent / version).mkdir()
        for name in ("dataset_info.json", "features.json"):
            (path.parent / version / name).write_text("{}")
    assert find_stored(entry, data_dir)[1] == path
    (path / "features.json").unlink()
    assert find_stored(entry, data_dir)[1].name == "2.10.0"


def test_an_interrupted_preparation_leaves_nothing(data_dir, monkeypatch):
    class Interrupted(storage._Examples):
        def __iter__(self):
            yield from list(super().__iter__())[:3]
            raise KeyboardInterrupt

    monkeypatch.setattr(storage, "_Examples", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    assert list(data_dir.iterdir()) == []
    assert not is_prepared("mnist")


def test_what_a_killed_preparation_left_does_not_count_and_goes(data_dir):
    old, new = data_dir / f"{PREFIX}old", data_dir / f"{PREFIX}new"
    for leftover in (old, new):
        (leftover / "mnist" / "3.0.1").mkdir(parents=True)
    os.utime(old, (time.time() - 100_000,) * 2)
    assert not is_prepared("mnist")
    write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    assert not old.exists()
    assert new.exists()  # another process may be at work in it
    assert is_prepared("mnist")


def test_something_else_in_the_way_is_not_touched(data_dir):
    target = data_dir / "mnist" / "3.0.1"
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is in the way but holds no whole dataset"):
        write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    assert [file.name for file in target.iterdir()] == ["mine.txt"]


def test_two_preparations_at_once_both_succeed(data_dir):
    entry = find_entry("mnist")
    path = write_dataset(make_dataset("mnist"), entry, data_dir, "path")
    assert write_dataset(make_dataset("mnist"), entry, data_dir, "path") == path
    assert len(load("mnist").train) == 20


def test_a_damaged_note_is_one_clear_error(data_dir):
    path = write_dataset(make_dataset("mnist"), find_entry("mnist"), data_dir, "path")
    (path / "ocm_tf_source.json").write_text(json.dumps(["no", "dict"]))
    with pytest.raises(UserError, match=r"ocm_tf_source.json cannot be read"):
        load("mnist")
    with pytest.raises(UserError, match=r"ocm_tf_source.json cannot be read"):
        available()
