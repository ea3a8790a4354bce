import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocm_tf.data import load
from ocm_tf.data.npz_file import read_npz
from ocm_tf.errors import UserError

IMAGES = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2)
LABELS = np.array([0, 1, 0, 1])


@pytest.fixture
def save(tmp_path):
    def save(**changes):
        arrays = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES, "test_labels": LABELS}
        path = tmp_path / "data.npz"
        np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
        return path

    return save


def test_loads_by_name(save):
    dataset = load(f"npz:{save()}")
    np.testing.assert_array_equal(dataset.train.images[..., 0], IMAGES)
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    assert dataset.spec.class_names == ("0", "1")
    assert dataset.spec.image_shape == (2, 2, 1)
    assert dataset.spec.source == "the user's data.npz"


def test_accepts_the_names_and_shapes_of_keras(tmp_path):
    path = tmp_path / "keras.npz"
    colour = np.repeat(IMAGES[..., None], 3, axis=3)
    labels = LABELS[:, None].astype(np.uint8)
    np.savez_compressed(path, x_train=colour, y_train=labels, x_test=colour, y_test=labels)
    dataset = read_npz(path, "name", ("cat", "dog"))
    assert dataset.spec.image_shape == (2, 2, 3)
    assert dataset.spec.class_names == ("cat", "dog")
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]


def test_floats_from_0_to_1_are_scaled_and_rounded(save):
    images = np.zeros((4, 2, 2), np.float32)
    images[0] = [[0, 1], [0.5, 0.1]]
    dataset = read_npz(save(train_images=images), "name")
    assert dataset.train.images[0, ..., 0].tolist() == [[0, 255], [128, 26]]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint16])
def test_whole_numbers_of_any_type_are_kept(save, dtype):
    np.testing.assert_array_equal(
        read_npz(save(train_images=IMAGES.astype(dtype)), "name").train.images[..., 0], IMAGES
    )


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("train_images", np.full((4, 2, 2), np.nan), "'train_images' must be finite, found NaN"),
        ("train_images", np.full((4, 2, 2), np.inf), "'train_images' must be finite"),
        ("train_images", np.full((4, 2, 2), -0.5), "'train_images' must have values from 0 to 255, found -0.5"),
        ("train_images", np.full((4, 2, 2), 256), "must have values from 0 to 255, found 256 to 256"),
        ("train_images", np.full((4, 2, 2), 1.5), "found fractions up to 1.5"),
        ("train_images", np.zeros((4, 4)), r"must have shape .*, found \(4, 4\)"),
        ("train_images", np.zeros((4, 2, 2, 2)), r"found \(4, 2, 2, 2\)"),
        ("train_images", np.zeros((0, 2, 2)), r"found \(0, 2, 2, 1\)"),
        ("train_images", np.full((4, 2, 2), "a"), "whole numbers from 0 to 255 or floats from 0 to 1, found <U1"),
        ("train_images", np.zeros((4, 2, 2), complex), "found complex128"),
        ("test_images", np.zeros((4, 2, 3)), "training and test images must have one shape"),
        ("train_labels", np.array([0.0, 1, 0, 1]), "'train_labels' must hold whole numbers .*, found float64"),
        ("train_labels", np.array([0, 1, 0]), r"must have shape \(4,\) to match the images, found \(3,\)"),
        ("train_labels", np.array([0, -1, 0, 1]), "must have labels from 0, found -1 to 1"),
        ("train_labels", np.array([1, 2, 1, 2]), "found no 0: number the classes from 0"),
        ("train_labels", np.array([0, 1, 0, 2**62]), "found no 2"),
        ("test_labels", np.array([0, 0, 0, 0]), "'test_labels' must use every label from 0 to 1, found no 1"),
        ("test_labels", np.array([0, 1, 2, 0]), "has label 2, which no training image has"),
        ("test_labels", None, "must hold the arrays test_images and test_labels or x_test and y_test"),
        ("train_images", np.array([{}, {}], object), "found Python objects, which are never loaded"),
    ],
)
def test_refuses(save, name, array, match):
    with pytest.raises(UserError, match=match):
        read_npz(save(**{name: array}), "name")


def test_labels_beyond_the_known_classes_are_refused(save):
    with pytest.raises(UserError, match="must have labels from 0 to 0, found 0 to 1"):
        read_npz(save(), "name", ("only",))


def test_an_array_that_claims_more_than_it_has_is_refused(tmp_path, save):
    path = tmp_path / "hostile.npz"
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 100, 100)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(save()) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, stream.getvalue() if name == "train_images.npy" else source.read(name))
    with pytest.raises(UserError, match=r"'train_images' is damaged: .* needs 10000000000 bytes, found 0"):
        read_npz(path, "name")


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_npz(tmp_path / "none.npz", "name")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError, match=r"not a whole .npz file"):
        read_npz(tmp_path / "text.npz", "name")
    with pytest.raises(UserError, match="there is nothing at"):
        load(f"npz:{tmp_path}/none.npz")
    with pytest.raises(UserError, match="names no path"):
        load("npz:")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 1500), position=st.integers(0, 1500), value=st.integers(0, 255))
def test_damage_gives_a_user_error_or_valid_data(save, tmp_path, cut, position, value):
    content = bytearray(save().read_bytes())
    content = content[: max(len(content) - cut, 0)]
    if position < len(content):
        content[position] = value
    (tmp_path / "damaged.npz").write_bytes(content)
    try:
        dataset = read_npz(tmp_path / "damaged.npz", "name")
    except UserError:
        return
    assert dataset.train.images.dtype == np.uint8
