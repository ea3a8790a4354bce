"""Files of images and data sets that the library reads from outside, as targets of damage."""

import dataclasses
import functools
import hashlib
import json
import zipfile

import numpy as np

from ocm_tf.data import load
from ocm_tf.data.array_cache import FOLDER, load_arrays, save_arrays
from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.source_note import SOURCE_FILE, read_source
from ocm_tf.data.user_files import read_user_files
from ocm_tf.errors import UserError
from tests.data.data_files import grey_images, idx_contents, image_bytes, tree_contents, write_folder, write_idx_folder
from tests.fuzz.judging import Target, is_same
from tests.fuzz.mutations import altered_arrays, altered_json, damaged, in_place


def dataset_meaning(dataset):
    """Returns what a data set consists of, in values that can be compared."""
    parts = [(part.images, part.labels) for part in (dataset.train, dataset.test)]
    return [parts, dataset.spec.image_shape, dataset.spec.class_names]


# IDX ------------------------------------------------------------------------------------------------------------------


@functools.cache
def idx_entry():
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in idx_contents().items()}
    return dataclasses.replace(CATALOGUE["mnist"], num_train=20, num_test=10, idx_sha256=digests)


def idx_target(compress):
    return Target(
        kind="IDX files" + (", gzipped" if compress else ""),
        write=lambda folder: write_idx_folder(folder / "idx", idx_contents(), compress),
        mutate=in_place(damaged, "*ubyte*"),
        read=lambda folder: dataset_meaning(read_user_files(folder / "idx", idx_entry())),
        is_right=is_same,
    )


# .npz -----------------------------------------------------------------------------------------------------------------


@functools.cache
def npz_arrays():
    (train, train_labels), (test, test_labels) = grey_images(20, 4, seed=1), grey_images(10, 4, seed=2)
    return {"train_images": train, "train_labels": train_labels, "test_images": test, "test_labels": test_labels}


def npz_target(compress):
    save = np.savez_compressed if compress else np.savez
    return Target(
        kind="data set in .npz" + (", compressed" if compress else ""),
        write=lambda folder: save(folder / "data.npz", **npz_arrays()),
        mutate=in_place(damaged, "data.npz"),
        read=lambda folder: dataset_meaning(load(f"npz:{folder / 'data.npz'}")),
        is_right=is_same,
    )


def npz_arrays_target():
    def mutate(folder, rng):
        with np.load(folder / "data.npz") as whole:
            arrays = altered_arrays(dict(whole), rng)
        np.savez(folder / "data.npz", **arrays)
        return "data.npz"

    def is_right(folder, whole, reading):
        """Says that the arrays in the file are as documented, and read as they are."""
        with np.load(folder / "data.npz") as held:
            held = dict(held)
        (train, test), image_shape, class_names = reading
        for split, (images, labels) in (("train", train), ("test", test)):
            pixels, numbers = held[f"{split}_images"], held[f"{split}_labels"]
            if pixels.dtype.kind not in "iuf" or numbers.dtype.kind not in "iu":
                return False
            if not np.array_equal(images.ravel(), pixels.ravel()) or not np.array_equal(labels, numbers.ravel()):
                return False
            if images.shape[1:] != image_shape or set(labels) != set(range(len(class_names))):
                return False
        return True

    return dataclasses.replace(npz_target(False), kind="arrays of an .npz", mutate=mutate, is_right=is_right)


# Images ---------------------------------------------------------------------------------------------------------------


@functools.cache
def tree(kind="PNG"):
    contents = tree_contents(["cat", "dog"], num_train=2, shape=(6, 6, 3), kind=kind)
    rng = np.random.default_rng(0)
    return {name: image_bytes(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), kind) for name in contents}


def zip_target(method):
    def write(folder):
        with zipfile.ZipFile(folder / "images.zip", "w", method) as archive:
            for name, content in tree().items():
                archive.writestr(name, content)

    return Target(
        kind="zip of images" + (", stored" if method == zipfile.ZIP_STORED else ""),
        write=write,
        mutate=in_place(damaged, "images.zip"),
        read=lambda folder: dataset_meaning(load(f"folder:{folder / 'images.zip'}")),
        is_right=is_same,
    )


def png_target():
    return Target(
        kind="folder of PNG images",
        write=lambda folder: write_folder(folder / "images", tree()),
        mutate=in_place(damaged, "*.png"),
        read=lambda folder: dataset_meaning(load(f"folder:{folder / 'images'}")),
        is_right=is_same,
    )


def jpeg_target():
    def is_right(folder, whole, reading):
        """Says that only pixels differ, which JPEG guards by no checksum."""
        (whole_parts, *whole_rest), (parts, *rest) = whole, reading
        pairs = [pair for both in zip(whole_parts, parts, strict=True) for pair in zip(*both, strict=True)]
        return whole_rest == rest and all(one.shape == other.shape and one.dtype == other.dtype for one, other in pairs)

    return dataclasses.replace(
        png_target(),
        kind="folder of JPEG images",
        write=lambda folder: write_folder(folder / "images", tree("JPEG")),
        mutate=in_place(damaged, "*.jpg"),
        is_right=is_right,
    )


# What lies beside a prepared data set ---------------------------------------------------------------------------------


def cache_target():
    """Reads the arrays kept beside a data set; where they are refused, `None`, the data set is decoded anew."""
    parts = {"train": grey_images(5, 4), "test": grey_images(3, 4)}

    def write(folder):
        for name in ("dataset_info.json", "features.json"):
            (folder / name).write_text("{}")
        save_arrays(folder, parts, ("0", "1"))

    def read(folder):
        kept = load_arrays(folder)
        if kept is None:
            raise UserError(f"nothing is kept in {folder}")
        return [{split: list(pair) for split, pair in kept[0].items()}, kept[1]]

    def mutate(folder, rng):
        if rng.random() < 0.5:
            return in_place(altered_json, f"{FOLDER}/index.json")(folder, rng)
        return in_place(damaged, f"{FOLDER}/*")(folder, rng)

    def is_right(folder, whole, reading):
        # The names of the classes are the index's own word.
        names = json.loads((folder / FOLDER / "index.json").read_text())["class_names"]
        return is_same(folder, whole, [reading[0], whole[1]]) and list(reading[1]) == names

    return Target("decoded arrays of a data set", write, mutate, read, is_right)


def source_target():
    note = {"source": "npm package", "note": "", "method": "npm", "licence": "none"}

    def is_right(folder, whole, reading):
        said = json.loads((folder / SOURCE_FILE).read_text())
        return all(isinstance(said[key], str) and reading[key] == said[key] for key in whole)

    return Target(
        kind="note on the source of a data set",
        write=lambda folder: (folder / SOURCE_FILE).write_text(json.dumps(note)),
        mutate=in_place(altered_json, SOURCE_FILE),
        read=read_source,
        is_right=is_right,
    )


def dataset_name_target():
    """Reads data sets by invented names, of which only those of a transform of the digits exist."""
    parts = (
        "digits",
        "mnist",
        "folder",
        "npz",
        ":",
        "/",
        "..",
        "\\",
        "~",
        "\0",
        "%2e",
        "inverted",
        "Å",
        " ",
        "{",
        "\n",
    )

    def mutate(folder, rng):
        (folder / "name").write_text("".join(rng.choice(parts, rng.integers(0, 6))), newline="")
        return "name"

    return Target(
        kind="name of a data set",
        write=lambda folder: (folder / "name").write_text("digits"),
        mutate=mutate,
        read=lambda folder: load((folder / "name").read_text(), folder / "data").spec.name,
        is_right=lambda folder, whole, reading: (folder / "name").read_text().startswith("digits"),
        names_the_file=False,
    )


def data_targets():
    """Makes the targets of data sets, which need no model."""
    return [
        idx_target(False),
        idx_target(True),
        npz_target(False),
        npz_target(True),
        npz_arrays_target(),
        zip_target(zipfile.ZIP_DEFLATED),
        zip_target(zipfile.ZIP_STORED),
        png_target(),
        jpeg_target(),
        cache_target(),
        source_target(),
        dataset_name_target(),
    ]
