import hashlib

import numpy as np
import pytest
from data_files import grey_images, idx_bytes, idx_contents, tree_contents, write_folder, write_idx_folder, write_zip

from ocm_tf.data.class_names import CIFAR10, DIGITS, FASHION_MNIST
from ocm_tf.data.user_files import read_user_files
from ocm_tf.errors import UserError


@pytest.mark.parametrize("compress", [False, True])
def test_idx_folder(tmp_path, tiny_entry, compress):
    folder = write_idx_folder(tmp_path / "idx", idx_contents(), compress)
    dataset = read_user_files(folder, tiny_entry("mnist"))
    images, labels = grey_images(20, seed=1)
    np.testing.assert_array_equal(dataset.train.images[..., 0], images)
    np.testing.assert_array_equal(dataset.train.labels, labels)
    assert dataset.spec.class_names == DIGITS
    assert dataset.spec.note == ""


def test_idx_names_may_have_a_dot(tmp_path, tiny_entry):
    contents = {name.replace("-idx", ".idx"): content for name, content in idx_contents().items()}
    assert len(read_user_files(write_idx_folder(tmp_path / "idx", contents), tiny_entry("mnist")).test) == 10


def test_wrong_idx_files_are_refused(tmp_path, tiny_entry):
    entry = tiny_entry("mnist")
    contents = idx_contents()
    folder = write_idx_folder(tmp_path / "a", contents)
    image_file = folder / "train-images-idx3-ubyte"
    content = image_file.read_bytes()
    for damaged, match in (
        (content[:-1], "train-images-idx3-ubyte is cut short"),
        (content + b"x", "too long"),
        (content[:-1] + bytes([content[-1] ^ 1]), "SHA-256 must be"),
        (b"", "is not an IDX file"),
    ):
        image_file.write_bytes(damaged)
        with pytest.raises(UserError, match=match):
            read_user_files(folder, entry)
    image_file.unlink()
    with pytest.raises(UserError, match="has no train-images-idx3-ubyte"):
        read_user_files(folder, entry)


def test_idx_of_other_shape_is_refused_even_if_its_hash_is_expected(tmp_path, tiny_entry):
    contents = idx_contents()
    contents["train-images-idx3-ubyte"] = idx_bytes(np.zeros((19, 28, 28)))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    folder = write_idx_folder(tmp_path / "idx", contents)
    with pytest.raises(UserError, match=r"must be 20 images of \(28, 28\)"):
        read_user_files(folder, tiny_entry("mnist", idx_sha256=hashes))


def test_npz_with_the_known_content_needs_no_caveat(tmp_path, tiny_entry):
    (train, train_labels), (test, test_labels) = grey_images(20, seed=1), grey_images(10, seed=2)
    np.savez(tmp_path / "m.npz", x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    assert read_user_files(tmp_path / "m.npz", tiny_entry("mnist")).spec.note == ""
    np.savez(tmp_path / "m.npz", x_train=train[::-1], y_train=train_labels, x_test=test, y_test=test_labels)
    note = read_user_files(tmp_path / "m.npz", tiny_entry("mnist")).spec.note
    assert note == "only numbers and shapes of the images could be checked against the original MNIST"


def test_jpeg_tree_of_cifar10_is_called_a_copy(tmp_path, tiny_entry):
    path = write_zip(tmp_path / "c.zip", tree_contents(CIFAR10, kind="JPEG"))
    dataset = read_user_files(path, tiny_entry("cifar10"))
    assert dataset.spec.note == "JPEG copy of CIFAR-10: pixels differ slightly from the original"
    assert dataset.spec.class_names == CIFAR10
    assert dataset.spec.licence == "free for research (Krizhevsky 2009)"
    assert np.bincount(dataset.train.labels).tolist() == [2] * 10


def test_fashion_tree_by_name_and_by_number(tmp_path, tiny_entry):
    entry = tiny_entry("fashion_mnist")
    by_name = tree_contents([name.replace("/", " ") for name in FASHION_MNIST], shape=(28, 28))
    by_number = tree_contents(DIGITS, shape=(28, 28))
    datasets = [
        read_user_files(write_folder(tmp_path / name, contents), entry)
        for name, contents in (("name", by_name), ("number", by_number))
    ]
    for dataset in datasets:
        assert dataset.spec.class_names == FASHION_MNIST
        assert (dataset.train.images[:, 0, 0, 0] == 10 * dataset.train.labels).all()


def test_colour_files_of_a_grey_data_set_become_grey(tmp_path, tiny_entry):
    path = write_folder(tmp_path / "f", tree_contents(DIGITS, shape=(28, 28, 3)))
    assert read_user_files(path, tiny_entry("mnist")).spec.image_shape == (28, 28, 1)


def test_parts_and_strangers_are_refused(tmp_path, tiny_entry):
    entry = tiny_entry("cifar10")
    with pytest.raises(UserError, match="is not the whole of cifar10: 20 training images, found 10"):
        read_user_files(write_folder(tmp_path / "part", tree_contents(CIFAR10, num_train=1)), entry)
    with pytest.raises(UserError, match=r"images must have shape \(32, 32, 3\), found \(16, 16, 3\)"):
        read_user_files(write_folder(tmp_path / "small", tree_contents(CIFAR10, shape=(16, 16, 3))), entry)
    with pytest.raises(UserError, match=r"one folder for each class, named airplane"):
        read_user_files(write_folder(tmp_path / "other", tree_contents(["a", "b"])), entry)
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(UserError, match=r"x.txt is no source of cifar10: give an .npz file"):
        read_user_files(tmp_path / "x.txt", entry)
    with pytest.raises(UserError, match="give a folder of its IDX files"):
        read_user_files(tmp_path / "x.txt", tiny_entry("mnist"))
