import struct
import zipfile
import zlib

import numpy as np
import pytest
from data_files import image_bytes, tree_contents, write_folder, write_zip
from PIL import Image

from ocm_tf.data import file_source, image_tree, load
from ocm_tf.data.file_source import FileSource
from ocm_tf.data.image_tree import decode_image, order_classes, read_image_tree
from ocm_tf.errors import UserError


@pytest.mark.parametrize("top", ["", "my data/"])
@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_folder_and_zip_give_the_same(tmp_path, write, top):
    path = write(tmp_path / "tree.zip", tree_contents(["cat", "ant"], shape=(4, 5, 3), top=top))
    dataset = load(f"folder:{path}")
    assert dataset.spec.class_names == ("ant", "cat")
    assert dataset.spec.image_shape == (4, 5, 3)
    assert dataset.spec.source == "the user's PNG files, tree.zip"
    assert dataset.train.labels.tolist() == [0, 0, 1, 1]
    # "cat" was number 0 and "ant" number 1 when they were drawn.
    assert dataset.train.images[:, 0, 0, 0].tolist() == [10, 10, 0, 0]
    assert dataset.train.images[:, 1, 1, 0].tolist() == [0, 1, 0, 1]
    assert dataset.test.labels.tolist() == [0, 1]


def test_other_files_are_passed_over(tmp_path):
    contents = tree_contents(["a", "b"])
    contents |= {"README.md": b"x", "train/a/notes.txt": b"x", "__MACOSX/train/a/0.png": b"x", "train/a/.0.png": b"x"}
    assert len(load(f"folder:{write_zip(tmp_path / 'z.zip', contents)}").train) == 4
    assert len(load(f"folder:{write_folder(tmp_path / 'f', contents)}").train) == 4


def test_a_class_may_be_called_train(tmp_path):
    path = write_folder(tmp_path / "f", tree_contents(["train", "test"]))
    assert load(f"folder:{path}").spec.class_names == ("test", "train")


def test_grey_stays_grey_and_mixed_becomes_colour(tmp_path):
    grey, colour = np.full((4, 4), 7, np.uint8), np.zeros((4, 4, 3), np.uint8)
    contents = {f"{split}/a/{i}.png": image_bytes(grey) for split in ("train", "test") for i in range(2)}
    assert read_image_tree(write_folder(tmp_path / "grey", contents), "n").spec.image_shape == (4, 4, 1)
    contents["train/a/9.png"] = image_bytes(colour)
    dataset = read_image_tree(write_folder(tmp_path / "mixed", contents), "n")
    assert dataset.spec.image_shape == (4, 4, 3)
    assert dataset.train.images[0, 0, 0].tolist() == [7, 7, 7]
    assert dataset.train.images[-1].max() == 0
    assert dataset.test.images[0, 0, 0].tolist() == [7, 7, 7]


def test_classes_are_ordered_by_known_name_then_number_then_alphabet():
    assert order_classes(["Dog", "cat"], ("dog", "cat"))[0] == {"Dog": 0, "cat": 1}
    assert order_classes(["t-shirt top", "boot"], ("boot", "T-shirt/top"))[0] == {"boot": 0, "t-shirt top": 1}
    assert order_classes(["10", "9"]) == ({"9": 0, "10": 1}, ("9", "10"))
    assert order_classes(["1", "0"], ("dog", "cat")) == ({"1": 1, "0": 0}, ("dog", "cat"))
    assert order_classes(["b", "10", "9"]) == ({"10": 0, "9": 1, "b": 2}, ("10", "9", "b"))
    with pytest.raises(UserError, match=r"named dog, cat ... or numbered 0 to 1; found 2: cow, dog"):
        order_classes(["dog", "cow"], ("dog", "cat"))
    with pytest.raises(UserError, match="numbered 0 to 1"):
        order_classes(["1", "2"], ("dog", "cat"))


def test_layout_errors_say_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="holds no images where they are looked for"):
        read_image_tree(write_folder(tmp_path / "a", {"cat/0.png": b""}), "n")
    with pytest.raises(UserError, match="no image in test/b"):
        contents = {name: content for name, content in tree_contents(["a", "b"]).items() if "test/b" not in name}
        read_image_tree(write_folder(tmp_path / "b", contents), "n")
    with pytest.raises(UserError, match=r"several places \(one, two\)"):
        contents = tree_contents(["a"], top="one/") | tree_contents(["a"], top="two/")
        read_image_tree(write_folder(tmp_path / "c", contents), "n")
    with pytest.raises(UserError, match=r"0.bmp is not a PNG or JPEG"):
        read_image_tree(write_folder(tmp_path / "d", {"train/a/0.bmp": b""}), "n")
    with pytest.raises(UserError, match=r"one size; test/a/0000.png is 4x4 but train/b/0.png is 5x4"):
        contents = tree_contents(["a"], shape=(4, 4, 3)) | tree_contents(["b"], shape=(4, 4, 3))
        contents["train/b/0.png"] = image_bytes(np.zeros((5, 4, 3), np.uint8))
        read_image_tree(write_folder(tmp_path / "e", contents), "n")
    with pytest.raises(UserError, match="there is nothing at"):
        load(f"folder:{tmp_path / 'none'}")


def test_damaged_images_are_refused():
    png = image_bytes(np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8))
    for content in (b"", b"hello", png[:40], png[: len(png) // 2]):
        with pytest.raises(UserError, match=r"^file is not a whole PNG or JPEG image"):
            decode_image(content, "file")
    with pytest.raises(UserError, match="not a whole PNG or JPEG"):
        decode_image(image_bytes(np.zeros((4, 4), np.uint8), "BMP"), "file")
    with pytest.raises(UserError, match="8 bits a channel"):
        decode_image(image_bytes(np.zeros((4, 4), np.uint16)), "file")


def test_an_image_that_claims_to_be_huge_is_refused():
    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(UserError, match="file is"):
        decode_image(content, "file")


def test_modes_are_turned_into_channels():
    two = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert decode_image(image_bytes(np.asarray(two)), "f")[..., 0].tolist() == [[0, 255]]
    alpha = np.array([[[9, 8, 7, 0]]], np.uint8)
    assert decode_image(image_bytes(alpha), "f").tolist() == [[[9, 8, 7]]]
    assert decode_image(image_bytes(np.full((1, 1), 5, np.uint8)), "f", channels=3).tolist() == [[[5, 5, 5]]]


def test_zip_members_lead_nowhere_outside(tmp_path):
    contents = {f"../../{name}": content for name, content in tree_contents(["a"]).items()}
    contents |= tree_contents(["a"])
    before = set(tmp_path.rglob("*"))
    path = write_zip(tmp_path / "sly.zip", contents)
    assert len(read_image_tree(path, "n").train) == 2
    assert set(tmp_path.rglob("*")) == before | {path}


def test_damaged_zips_are_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "z.zip", tree_contents(["a"]))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="neither a folder nor a whole zip"):
        read_image_tree(path, "n")
    damaged = bytearray(content)
    damaged[60] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"z.zip:train/a/0000.png"):
        read_image_tree(path, "n")
    path.write_bytes(content)
    monkeypatch.setattr(file_source, "MAX_FILE_BYTES", 10)
    with pytest.raises(UserError, match="too large for an image"):
        read_image_tree(path, "n")
    monkeypatch.setattr(file_source, "MAX_FILE_BYTES", 2**20)
    monkeypatch.setattr(file_source, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(UserError, match="too many to load"):
        read_image_tree(path, "n")
    monkeypatch.setattr(image_tree, "MAX_SIDE", 4)
    with pytest.raises(UserError, match="more than 4 a side"):
        read_image_tree(path, "n")


def test_a_member_that_lies_about_its_size_is_stopped(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a/0.png", b"\0" * 2**22)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 2**22), struct.pack("<I", 100)))
    with FileSource(path) as files, pytest.raises(UserError, match="cannot be read"):
        files.read("train/a/0.png")
