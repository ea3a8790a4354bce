import numpy as np
import pytest

from ocm_tf.data import is_prepared, load, prepare
from ocm_tf.data.transforms import TRANSFORMS, apply_transform, shrink, split_transform
from ocm_tf.errors import UserError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("digits", ("digits", None)),
        ("digits:inverted", ("digits", "inverted")),
        ("digits:inverted:transposed", ("digits:inverted", "transposed")),
        ("npz:/a/b.npz:transposed", ("npz:/a/b.npz", "transposed")),
        ("folder:/a/inverted", ("folder:/a/inverted", None)),
        ("folder:inverted", ("folder:inverted", None)),
        (":inverted", (":inverted", None)),
    ],
)
def test_a_transform_is_told_from_the_name(name, parts):
    assert split_transform(name) == parts


def test_transformed_digits_are_the_digits_changed():
    digits, inverted, transposed = load("digits"), load("digits:inverted"), load("digits:transposed")
    for part in ("train", "test"):
        original, negative, turned = (getattr(dataset, part) for dataset in (digits, inverted, transposed))
        np.testing.assert_array_equal(negative.images.astype(int) + original.images, 255)
        np.testing.assert_array_equal(turned.images[:, 2, 5], original.images[:, 5, 2])
        np.testing.assert_array_equal(negative.labels, original.labels)
        np.testing.assert_array_equal(turned.labels, original.labels)
    assert inverted.spec.name == "digits:inverted"
    assert inverted.spec.note.endswith("; grey values or colours inverted")


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_undoes_itself(transform):
    digits = load("digits")
    again = load(f"digits:{transform}:{transform}")
    np.testing.assert_array_equal(again.train.images, digits.train.images)


def test_transposing_exchanges_height_and_width(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    arrays = {"train_images": images, "train_labels": [0, 1], "test_images": images, "test_labels": [0, 1]}
    np.savez(tmp_path / "wide.npz", **arrays)
    dataset = apply_transform(load(f"npz:{tmp_path}/wide.npz"), "transposed")
    assert dataset.spec.image_shape == (4, 3, 1) == dataset.test.images.shape[1:]


def test_a_transformed_data_set_is_prepared_with_its_original(data_dir):
    assert is_prepared("digits:inverted") and not is_prepared("mnist:inverted")
    lines = []
    spec = prepare("digits:inverted", report=lines.append)
    assert spec.name == "digits:inverted" and lines[0].startswith("digits: needs no preparation")


def test_shrinking_averages_areas_and_keeps_the_labels():
    digits = load("digits")
    small = shrink(digits, 4)
    mean = digits.test.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(small.test.images[..., 0], mean, atol=0.5)
    np.testing.assert_array_equal(small.train.labels, digits.train.labels)
    assert small.spec.image_shape == (4, 4, 1) and small.spec.note.endswith("shrunk to 4x4")
    with pytest.raises(ValueError, match="new_size must be from 1 to 8, found 12"):
        shrink(digits, 12)


def test_an_unknown_transform_is_refused():
    with pytest.raises(UserError, match=r"no dataset named 'digits:flipped'.*each also with :inverted or :transposed"):
        load("digits:flipped")
