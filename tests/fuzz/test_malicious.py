"""Inputs made to harm: code in data, paths that lead outside, headers that claim the world."""

import io
import json
import os
import pickle
import struct
import zipfile

import keras
import numpy as np
import pytest

import ocm_tf
from ocm_tf import files
from ocm_tf.data import load
from ocm_tf.data.array_cache import FOLDER, load_arrays, save_arrays
from ocm_tf.data.file_source import FileSource
from ocm_tf.data.idx import read_idx
from ocm_tf.data.npz_file import read_npz
from ocm_tf.errors import UserError
from ocm_tf.files import DamagedFileError
from tests import tiny
from tests.data.data_files import tree_contents, write_folder, write_zip
from tests.fuzz.judging import limited


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def trap(tmp_path):
    path = tmp_path / "sprung"
    assert pickle.loads(pickle.dumps(Trap(path))).close() is None and path.exists()
    path.unlink()
    yield Trap(path)
    assert not path.exists()


# Code in data ---------------------------------------------------------------------------------------------------------


def test_no_pickle_is_ever_loaded(tmp_path, trap):
    images, labels = np.zeros((2, 4, 4), np.uint8), np.array([0, 1])
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    for number, hostile in enumerate((np.array([trap, trap], object), np.array(trap, object))):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **{**arrays, "train_labels": hostile})
        with pytest.raises(UserError, match="Python objects, which are never loaded"):
            read_npz(path, "name")
        with pytest.raises(DamagedFileError, match="Python objects, which are never loaded"):
            files.load_arrays(path)
    for reader in (files.load_arrays, lambda path: read_npz(path, "name")):
        (tmp_path / "bare.npz").write_bytes(pickle.dumps(trap))
        with pytest.raises(UserError):
            reader(tmp_path / "bare.npz")


def write_model(path, change):
    """Saves a small model and lets `change` alter its configuration."""
    tiny.make_vae().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def put(layer):
    """Returns a change that puts a layer in the place of the decoder."""
    return lambda config: config.update(decoder=layer)


def layer_config(module, class_name, registered_name=None, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}


HOSTILE_LAYERS = {
    "lambda": keras.saving.serialize_keras_object(keras.layers.Lambda(lambda inputs: inputs)),
    "lambda of a name": layer_config("keras.layers", "Lambda", function="os.system"),
    "unknown registered class": layer_config("evil", "Layer", registered_name="evil>Layer"),
    "class of the standard library": layer_config("subprocess", "Popen", args=["true"]),
    "function of the standard library": {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "system",
    },
    "function of Keras that writes": layer_config("keras.utils", "get_file", fname="x", origin="file:///etc/passwd"),
    "class of another file": layer_config("tests.tiny", "StandIn", memory=None),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE_LAYERS)
def test_models_that_bring_code_are_refused(tmp_path, kind):
    path = write_model(tmp_path / "model.keras", put(HOSTILE_LAYERS[kind]))
    with pytest.raises(UserError, match="does not hold a model that this version can load"):
        ocm_tf.load_model(path)


def test_a_model_that_is_a_lambda_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda inputs: inputs)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="does not hold a model"):
        ocm_tf.load_model(tmp_path / "model.keras")


def test_a_model_file_that_unpacks_to_far_more_is_refused(tmp_path):
    path = write_model(tmp_path / "model.keras", lambda config: None)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content + (b" " * 2**28 if member == name else b""))
        with limited(), pytest.raises(UserError, match="more than 100 times its size"):
            ocm_tf.load_model(path)


# Paths that lead outside ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../train/a/0.png", "/etc/train/a/0.png", "train/../../a/0.png", "C:\\train\\a.png"]
)
def test_zip_members_are_never_written(tmp_path, name):
    contents = tree_contents(["a"]) | {name: b"no image"}
    path = write_zip(tmp_path / "images.zip", contents)
    before = set(tmp_path.rglob("*"))
    try:
        dataset = load(f"folder:{path}")
    except UserError as error:
        assert "images.zip" in str(error)
    else:
        assert len(dataset.train) == 2
    assert set(tmp_path.rglob("*")) == before


def test_a_zip_member_that_is_a_link_is_no_image(tmp_path):
    path = write_zip(tmp_path / "images.zip", tree_contents(["a"]))
    link = zipfile.ZipInfo("train/a/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match=r"link\.png is not a whole PNG or JPEG image"):
        load(f"folder:{path}")


def test_a_member_missing_from_the_list_of_an_archive_is_noticed(tmp_path):
    path = write_zip(tmp_path / "images.zip", tree_contents(["a"]))
    content = path.read_bytes()
    listed = content.rindex(b"PK\1\2")
    (length,) = struct.unpack("<H", content[listed + 28 : listed + 30])
    whole = bytearray(content[:listed] + content[listed + 46 + length :])
    end = whole.rindex(b"PK\5\6")
    (size,) = struct.unpack("<I", whole[end + 12 : end + 16])
    whole[end + 12 : end + 16] = struct.pack("<I", size - 46 - length)
    path.write_bytes(whole)
    with pytest.raises(UserError, match="claims 3 members and lists 2"):
        FileSource(path)


def test_links_that_lead_round_and_round_end(tmp_path):
    folder = write_folder(tmp_path / "images", tree_contents(["a", "b"]))
    for number in range(3):
        os.symlink(folder, folder / "train" / "a" / f"round{number}")
    os.symlink(tmp_path / "elsewhere", folder / "test" / "c")
    write_folder(tmp_path / "elsewhere", {"0.png": next(iter(tree_contents(["c"]).values()))})
    write_folder(folder, {"train/c/0.png": next(iter(tree_contents(["c"]).values()))})
    with limited():
        dataset = load(f"folder:{folder}")
    # The folder that a link of the user's adds counts.
    assert dataset.spec.class_names == ("a", "b", "c") and len(dataset.train) == 5 and len(dataset.test) == 3


def test_a_pipe_among_the_images_is_refused_not_waited_for(tmp_path):
    folder = write_folder(tmp_path / "images", tree_contents(["a"]))
    os.mkfifo(folder / "train" / "a" / "pipe.png")
    with limited(), pytest.raises(UserError, match=r"pipe\.png cannot be read \(it is no regular file\)"):
        load(f"folder:{folder}")


def test_the_index_of_kept_arrays_names_no_other_files(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    part = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1])
    save_arrays(folder, {"train": part, "test": part}, ("a", "b"))
    assert load_arrays(folder) is not None
    index = json.loads((folder / FOLDER / "index.json").read_text())
    for outside in ("../../outside.npy", str(tmp_path / "outside.npy"), "test_images.npy"):
        np.save(tmp_path / "outside.npy", part[0])
        index["files"]["train"][0][0] = outside
        (folder / FOLDER / "index.json").write_text(json.dumps(index))
        assert load_arrays(folder) is None


@pytest.mark.parametrize(
    "name", ["../mnist", "/etc", "mnist/../../x", "a\\b", "mnist:../x", "digits/", "", ".", "mnist\0"]
)
def test_names_of_data_sets_are_no_paths(tmp_path, name):
    (tmp_path / "mnist").mkdir()
    with pytest.raises(UserError):
        load(name, tmp_path / "data")


# Headers that claim the world -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2**31 - 1, 2**31 - 1, 2**31 - 1), (2**20, 2**10, 2**10), (2**29, 1, 1)])
def test_an_idx_header_costs_nothing(shape):
    content = bytes((0, 0, 8, 3)) + struct.pack(">III", *shape) + b"few"
    for num_bytes in (len(content), None):
        with limited(), pytest.raises(UserError):
            read_idx(io.BytesIO(content), "file", 3, num_bytes)


def npz_with_header(path, header, payload=b"", compression=zipfile.ZIP_STORED, name="train_images"):
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + payload
    images, labels = np.zeros((2, 4, 4), np.uint8), np.array([0, 1])
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(path, **{key: array for key, array in arrays.items() if key != name})
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr(f"{name}.npy", member)
    return path


HOSTILE_HEADERS = [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 28, 28)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28)}",
    "{'descr': ('|u1', (1073741824,)), 'fortran_order': False, 'shape': (1024,)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "(" * 5000 + ")}",
    "-" * 9000 + "1",
    "__import__('os').system('true')",
    "{'descr': '|u1', 'fortran_order': False}",
    "'''",
]


@pytest.mark.parametrize("header", HOSTILE_HEADERS, ids=range(len(HOSTILE_HEADERS)))
def test_an_npz_header_costs_nothing(tmp_path, header):
    path = npz_with_header(tmp_path / "data.npz", header)
    with limited():
        with pytest.raises(UserError, match=r"data\.npz"):
            read_npz(path, "name")
        with pytest.raises(DamagedFileError, match=r"data\.npz"):
            files.load_arrays(path)


def test_an_npz_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SURELY_HELD", 2**20)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2097152, 1, 1)}"
    path = npz_with_header(tmp_path / "data.npz", header, bytes(2**21), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="unpacks to more than 200 times its size"):
        read_npz(path, "name")
    with pytest.raises(DamagedFileError, match="unpacks to more than 200 times its size"):
        files.load_arrays(path)
    monkeypatch.setattr(files, "MAX_ARRAY_BYTES", 2**20)
    with pytest.raises(UserError, match="takes 2097152 bytes, more than"):
        read_npz(path, "name")


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a":' * 50_000, "1" * 5000, '{"a": NaN}', '{"a": 1e999}', "[]", "{"]
)
def test_json_is_strict_and_shallow(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(DamagedFileError, match=r"config\.json (is not readable JSON|does not hold|holds)"):
        files.read_json(path)
