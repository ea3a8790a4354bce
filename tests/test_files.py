"""Checks that files are whole or not there, whatever goes wrong while they are written."""

import errno
import json
import os
import resource

import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.files import (
    DamagedFileError,
    load_arrays,
    remove_leftovers,
    save_arrays,
    write_atomically,
    write_json,
)


def write_until_full(path):
    path.write_bytes(b"half of it")
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")


def fail(path):
    path.write_bytes(b"half of it")
    raise KeyError("bug")


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for text in ("first", "second"):
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text))
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    seen = []
    write_atomically(tmp_path / "model.keras", lambda path: (seen.append(path), path.touch()))
    assert seen[0].suffix == ".keras" and seen[0].parent == tmp_path


@pytest.mark.parametrize(("write", "error"), [(write_until_full, UserError), (fail, KeyError)])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, write, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error) as caught:
        write_atomically(path, write)
    if error is UserError:
        assert str(caught.value) == f"cannot write {path}: {os.strerror(errno.ENOSPC)}"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_too_large_for_the_system_is_the_users_to_mend(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*arrays\.npz: File too large"):
            save_arrays(tmp_path / "arrays.npz", {"a": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_names_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.txt: "):
        write_atomically(tmp_path / "file" / "a.txt", lambda path: path.touch())
    with pytest.raises(UserError, match="Is a directory"):
        write_atomically(tmp_path, lambda path: path.touch())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_names_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        write_atomically(tmp_path / "a.txt", lambda path: path.touch())


def test_removes_what_killed_processes_left(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in (".a.12.partial.npz", "deep/.b.3.partial", ".hidden", "partial.txt"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", ".hidden", "partial.txt"}


def test_json_takes_numpy_values(tmp_path):
    path = tmp_path / "a.json"
    values = {"a": np.float32(0.5), "b": np.arange(2), "c": (1, None), "d": tmp_path, 3: np.bool_(True)}
    write_json(path, values)
    read = json.loads(path.read_text())
    assert read == {"a": 0.5, "b": [0, 1], "c": [1, None], "d": str(tmp_path), "3": True}


@pytest.mark.parametrize("number", [float("nan"), np.float32("inf"), -np.inf])
def test_json_refuses_numbers_that_are_not_finite(tmp_path, number):
    with pytest.raises(ValueError, match=r"a\.json cannot hold metrics\.nll\.1 = "):
        write_json(tmp_path / "a.json", {"metrics": {"nll": [1.0, number]}})
    assert list(tmp_path.iterdir()) == []


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"a/b": np.arange(6, dtype=np.uint8).reshape(2, 3), "names": np.array(["x", "yy"]), "n": 3.5}
    save_arrays(tmp_path / "a.npz", arrays)
    read = load_arrays(tmp_path / "a.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.asarray(array).dtype


def test_arrays_hold_no_python_objects(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        save_arrays(tmp_path / "a.npz", {"a": np.array([{}])})
    np.savez(tmp_path / "b.npz", a=np.array([{}]))
    with pytest.raises(DamagedFileError):
        load_arrays(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"\.npz"):
        save_arrays(tmp_path / "a.bin", {})


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04pickle", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_called_damaged(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.npz is damaged or no \.npz file"):
        load_arrays(tmp_path / "a.npz")


def test_a_wrong_checksum_is_called_damaged(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, {"a": np.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"the checksum of a\.npy is wrong"):
        load_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.npz is missing"):
        load_arrays(tmp_path / "a.npz")
