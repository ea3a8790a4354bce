"""Checks that CORe50 is read from its real layout, and that what is stored is what the paths say."""

import hashlib
import io
import shutil
import urllib.parse

import numpy as np
import pytest
from data_files import write_folder, write_zip
from download_server import serving
from PIL import Image

from ocm_tf.data import array_cache, available, core50, load, load_index, preparation, prepare
from ocm_tf.data.catalogue import find_entry
from ocm_tf.data.core50 import CATEGORIES, OBJECTS, read_core50_files
from ocm_tf.data.download import Download
from ocm_tf.data.tfds_access import import_tfds
from ocm_tf.errors import UserError
from tests.core50_files import CHANGES, image_contents, list_contents, list_of, make_entry

ENTRY = make_entry()


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "mine", {**image_contents(), **list_contents()})


def read_failing(path, message):
    with pytest.raises(UserError, match=message):
        read_core50_files(path, ENTRY)


def test_objects_and_categories_are_those_of_the_authors():
    assert (len(CATEGORIES), len(OBJECTS)) == (10, 50)
    assert (OBJECTS[0], OBJECTS[4], OBJECTS[5], OBJECTS[45], OBJECTS[49]) == (
        "plug_adapter1",
        "plug_adapter5",
        "mobile_phone1",
        "remote_control1",
        "remote_control5",
    )
    entry = find_entry("core50")
    assert entry.num_train + entry.num_test == 164_866


def test_prepared_from_a_folder(folder, tiny_entry, data_dir, monkeypatch):
    tiny_entry("core50", **CHANGES)
    monkeypatch.setattr(array_cache, "MAX_IN_MEMORY", 0)  # as if it were too large for the memory
    lines = []
    spec = prepare("core50", str(folder), report=lines.append)
    assert lines[:2] == [f"core50: reading {folder}", "core50: storing 24 training and 12 test images"]
    assert (spec.source, spec.note) == ("the user's files, mine", "file lists of NI, NC")
    dataset, index = load("core50"), load_index("core50")
    for part in ("train", "test"):
        split = getattr(dataset, part)
        identities = split.images[:, 0, 0].astype(int)
        np.testing.assert_array_equal(identities[:, 0], index[f"{part}_sessions"])
        np.testing.assert_array_equal(identities[:, 1] - 1, split.labels)
        np.testing.assert_array_equal(identities[:, 2], index[f"{part}_frames"])
        assert identities.tolist() == sorted(identities.tolist())
    assert set(index["train_sessions"]) == {1, 2}
    assert set(index["test_sessions"]) == {3}
    assert type(dataset.train.images) is np.ndarray
    row = next(row for row in available() if row["name"] == "core50")
    assert row["prepared"]
    # What plain TFDS gives keeps the facts beside each image.
    tfds = import_tfds()
    examples = list(tfds.as_numpy(tfds.load("core50", split="test", data_dir=data_dir, download=False)))
    assert len(examples) == 12
    for example in examples:
        session, number, frame = example["image"][0, 0].tolist()
        assert (example["session"], example["frame"]) == (session, frame)
        assert (example["label"], example["category"]) == (number - 1, (number - 1) // 5)


def test_the_files_are_stored_as_they_are_one_at_a_time(folder):
    source = read_core50_files(folder, ENTRY)
    contents = image_contents()
    examples = iter(source.train)
    key, example = next(examples)
    assert key == 0
    assert example["image"].read() == contents["core50_128x128/s1/o1/C_01_01_000.png"]
    assert len(source.train) == 1 + len(list(examples)) == 24


@pytest.mark.parametrize("zipped", ["images", "lists", "both", "beside", "one"])
def test_zips_are_read_as_folders_are(tmp_path, zipped):
    expected = read_core50_files(write_folder(tmp_path / "plain", {**image_contents(), **list_contents()}), ENTRY)
    folder = tmp_path / "zips"
    folder.mkdir()
    path = folder
    if zipped == "one":
        path = write_zip(folder / "all.zip", {**image_contents(), **list_contents()})
    if zipped in ("images", "both", "beside"):
        write_zip(folder / "core50_128x128.zip", image_contents())
    if zipped in ("lists", "both", "beside"):
        write_zip(folder / "batches_filelists.zip", list_contents())
    if zipped == "images":
        write_folder(folder, list_contents())
    if zipped == "lists":
        write_folder(folder, image_contents(top=""))
    if zipped == "beside":
        path = folder / "core50_128x128.zip"
    source = read_core50_files(path, ENTRY)
    assert source.index.keys() == expected.index.keys()
    for name, array in source.index.items():
        np.testing.assert_array_equal(array, expected.index[name])
    for ours, theirs in zip(source.test, expected.test, strict=True):
        assert ours[1].pop("image").read() == theirs[1].pop("image").read()
        assert ours == theirs


def test_more_than_a_hundred_batches_stay_in_order(folder):
    write_folder(
        folder,
        {
            f"NIC_v2_391/run7/train_batch_{batch:02}_filelist.txt": list_of([1 + batch % 2], [1 + batch % 6])
            for batch in range(102)
        },
    )
    index = read_core50_files(folder, ENTRY).index
    assert index["NICv2-391/run7/starts"].tolist() == list(range(0, 204, 2))
    sessions = index["train_sessions"][index["NICv2-391/run7/rows"]]
    assert sessions[::2].tolist() == [1 + batch % 2 for batch in range(102)]


def test_missing_images_and_lists_are_told(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    read_failing(empty, r"holds no s1/o1/C_01_01_000.png and so on, nor core50_128x128.zip")
    images = write_folder(tmp_path / "images", image_contents())
    read_failing(images, r"no file lists of CORe50: put batches_filelists.zip there too")
    (folder / "core50_128x128/s3/o2/C_03_02_001.png").unlink()
    read_failing(folder, "not CORe50 as a whole: 12 test images, found 11")


def test_images_that_come_twice_or_in_the_wrong_place_are_told(folder):
    content = next(iter(image_contents().values()))
    write_folder(folder, {"core50_32x32/s1/o2/C_01_02_000.png": content})
    read_failing(folder, "holds s1/o2/C_01_02_000.png twice")
    (folder / "core50_32x32/s1/o2/C_01_02_000.png").unlink()
    write_folder(folder, {"s1/o2/C_01_03_000.png": content})
    read_failing(folder, "a file in s1/o2 has the name of another session or object")
    (folder / "s1/o2/C_01_03_000.png").unlink()
    write_folder(folder, {"s1/o7/C_01_07_000.png": content})
    read_failing(folder, r"object numbers must lie in 1\.\.6, found 1 to 7")
    (folder / "s1/o7/C_01_07_000.png").unlink()
    write_folder(folder, {"s12/o1/C_12_01_000.png": content})
    read_failing(folder, r"session numbers must lie in 1\.\.11, found 1 to 12")


def test_lists_that_do_not_fit_are_told(folder):
    name = "batches_filelists/NI_inc/Run0/train_batch_01_filelist.txt"
    good = (folder / name).read_bytes()
    for bad, message in (
        (b"", "found 0 others in 0"),
        (good + b"s1/o1/C_01_01_000.jpg 0\n", r"must have lines such as .* found 1 others in 13"),
        (good + b"s1/o1/C_01_01_000.png\n", "found 1 others in 13"),
        (list_of([3], [1]), "NI run 0 names s3/o1/C_03_01_000.png, which is no training image here"),
        (good + b"s2/o6/C_02_06_777.png 5", "names s2/o6/C_02_06_777.png, which is no training image"),
    ):
        (folder / name).write_bytes(bad)
        read_failing(folder, message)
    (folder / name).write_bytes(good)
    write_folder(folder, {"again/" + name: good})
    read_failing(folder, "train_batch_01_filelist.txt is there twice")
    (folder / "again" / name).unlink()
    (folder / name.replace("_01_", "_00_")).unlink()
    read_failing(folder, "the list of batch 0 of CORe50's NI run 0 is missing")


def test_damaged_images_stop_the_preparation(folder, tiny_entry, data_dir):
    tiny_entry("core50", **CHANGES)
    image = folder / "core50_128x128/s2/o3/C_02_03_001.png"
    whole = image.read_bytes()
    larger = io.BytesIO()
    Image.new("RGB", (8, 4)).save(larger, "PNG")
    for content, message in (
        (whole[:-20], "C_02_03_001.png is not a whole PNG image"),
        (larger.getvalue(), r"C_02_03_001.png must have shape \(4, 4, 3\), found \(4, 8, 3\)"),
    ):
        image.write_bytes(content)
        with pytest.raises(UserError, match=message):
            prepare("core50", str(folder))
        assert list(data_dir.iterdir()) == []


def test_downloaded_where_the_servers_answer(tmp_path, tiny_entry, data_dir):
    images = write_zip(tmp_path / "images.zip", image_contents()).read_bytes()
    lists = write_zip(tmp_path / "lists.zip", list_contents()).read_bytes()
    files = {"/core50_128x128.zip": images, "/batches_filelists.zip": lists}
    with serving(files) as address:
        downloads = tuple(Download(address + name, hashlib.md5(each).hexdigest()) for name, each in files.items())
        tiny_entry("core50", **CHANGES, downloads=downloads)
        lines = []
        spec = prepare("core50", report=lines.append)
    assert spec.source == f"downloaded from {urllib.parse.urlsplit(address).hostname}"
    assert f"core50: downloading {address}/core50_128x128.zip" in lines
    assert sorted(file.name for file in (data_dir / "downloads" / "core50").iterdir()) == [
        "batches_filelists.zip",
        "core50_128x128.zip",
    ]
    assert len(load("core50").train) == 24
    assert prepare("core50", "web") == spec
    # The server is gone, but its files are there.
    shutil.rmtree(data_dir / "core50")
    assert prepare("core50") == spec


def test_without_a_network_it_fails_at_once(monkeypatch):
    monkeypatch.setattr(preparation, "is_reachable", lambda url, seconds: False)
    with pytest.raises(UserError, match=r"web: .* gives no answer, so core50 cannot be downloaded\).*--source PATH"):
        prepare("core50")
    with pytest.raises(UserError, match="TFDS does not know core50: use --source web"):
        prepare("core50", "tfds")
    with pytest.raises(UserError, match="mnist has no download of its own: use --source tfds"):
        prepare("mnist", "web")


def test_the_index_is_asked_for_by_name(data_dir, folder, tiny_entry):
    with pytest.raises(UserError, match=r"core50 is not in .*: run python -m ocm_tf.data prepare core50"):
        load_index("core50")
    tiny_entry("core50", **CHANGES)
    prepare("core50", str(folder))
    (data_dir / "core50/1.0.0/ocm_tf_index.npz").unlink()
    with pytest.raises(UserError, match=r"ocm_tf_index.npz is missing: delete .* and prepare it again"):
        load_index("core50")


def test_addresses_and_sums_are_complete():
    assert [download.file_name for download in core50.DOWNLOADS] == [
        "core50_128x128.zip",
        "batches_filelists.zip",
        "batches_filelists_NICv2.zip",
    ]
    assert all(len(bytes.fromhex(download.md5)) == 16 for download in core50.DOWNLOADS)
