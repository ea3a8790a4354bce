import numpy as np
import pytest
from data_files import image_bytes, write_folder, write_zip
from scipy.io import savemat

from ocm_tf.data import load, omniglot, prepare
from ocm_tf.data.catalogue import find_entry
from ocm_tf.data.omniglot import first_of_each, read_omniglot_files, shrink
from ocm_tf.data.storage import write_dataset
from ocm_tf.data.tfds_access import import_tfds, quiet_tfds
from ocm_tf.errors import UserError

ENTRY = find_entry("omniglot")


def drawing(drawer):
    """Draws dark ink on white paper, as many lines from the top as the drawer's number says."""
    image = np.full((105, 105), 255, np.uint8)
    image[: 2 * drawer] = 0
    return image


def characters(alphabets, num_characters=2, top="images_background/"):
    return {
        f"{top}{alphabet}/character{character:02d}/{character:04d}_{drawer:02d}.png": image_bytes(drawing(drawer))
        for alphabet in alphabets
        for character in range(1, num_characters + 1)
        for drawer in range(1, 21)
    }


def test_ink_is_bright_and_averaged_by_area():
    small = shrink(np.stack([drawing(15), drawing(0)])[..., None])
    assert small.shape == (2, 28, 28, 1)
    # 30 rows of 105 are eight new rows of 3.75, to the pixel.
    assert (small[0, :8] == 255).all()
    assert (small[0, 8:] == 0).all()
    assert (small[1] == 0).all()
    assert shrink(drawing(1)[None, ..., None])[0, 0, 0, 0] == round(255 * 2 / 3.75)


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_drawers_are_split_alike_for_every_character(tmp_path, write):
    path = write(tmp_path / "small.zip", characters(["Latin", "Greek"]))
    dataset = read_omniglot_files(path, ENTRY)
    assert dataset.spec.class_names == ("Greek", "Latin")
    assert dataset.train.labels.tolist() == [0] * 30 + [1] * 30
    assert dataset.test.labels.tolist() == [0] * 10 + [1] * 10
    ink = dataset.test.images.astype(int).sum(axis=(1, 2, 3)) / (255 * 28 * 28 / 105)
    assert np.rint(ink / 2).astype(int).tolist() == [16, 17, 18, 19, 20] * 4
    assert "2 of the 50 alphabets stand in for Omniglot" in dataset.spec.note


def test_the_five_alphabets_of_small_1_are_named(tmp_path):
    path = write_folder(tmp_path / "f", characters(sorted(omniglot.SMALL_1), 1, top="images_background_small1/"))
    note = read_omniglot_files(path, ENTRY).spec.note
    assert note.startswith("the five alphabets of background small 1 stand in for Omniglot")


def test_repeated_drawings_count_once(tmp_path):
    contents = characters(["Latin"]) | characters(["Latin"], top="images_background_small1/")
    assert len(read_omniglot_files(write_folder(tmp_path / "f", contents), ENTRY).train) == 30


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no alphabet/character"):
        read_omniglot_files(write_folder(tmp_path / "a", {"x.png": b""}), ENTRY)
    contents = characters(["Latin"])
    contents.popitem()
    with pytest.raises(UserError, match=r"Latin/character02 must have one drawing of each .* found 19"):
        read_omniglot_files(write_folder(tmp_path / "b", contents), ENTRY)
    contents = characters(["Latin"]) | {"images_background/Latin/character01/0001_01.png": image_bytes(np.eye(9) > 0)}
    with pytest.raises(UserError, match="must be 105x105, found 9x9"):
        read_omniglot_files(write_folder(tmp_path / "c", contents), ENTRY)
    with pytest.raises(UserError, match="is no source of Omniglot"):
        read_omniglot_files(tmp_path / "x.npz", ENTRY)


@pytest.fixture
def mat_arrays(monkeypatch):
    """Arrays of a small chardata.mat with 100 training and 50 test images."""
    monkeypatch.setattr(omniglot, "NUM_MAT_TRAIN", 100)
    monkeypatch.setattr(omniglot, "NUM_MAT_TEST", 50)
    generator = np.random.default_rng(0)
    alphabets = np.eye(50)
    return {
        "data": generator.random((784, 100)),
        "target": np.concatenate([alphabets, alphabets], axis=1),
        "testdata": generator.random((784, 50)),
        "testtarget": alphabets,
    }


def test_chardata_is_stored_column_by_column(tmp_path, mat_arrays):
    path = tmp_path / "chardata.mat"
    savemat(path, mat_arrays)
    dataset = read_omniglot_files(path, ENTRY)
    assert dataset.train.images.shape == (100, 28, 28, 1)
    expected = np.rint(mat_arrays["data"][:, 7].reshape(28, 28, order="F") * 255)
    np.testing.assert_array_equal(dataset.train.images[7, ..., 0], expected)
    assert dataset.train.labels.tolist() == list(range(50)) * 2
    assert "24,345/8,070 split" in dataset.spec.note


def test_wrong_chardata_is_refused(tmp_path, mat_arrays):
    path = tmp_path / "chardata.mat"
    for name, array, match in (
        ("data", mat_arrays["data"].T, "'data' must hold numbers in shape"),
        ("data", mat_arrays["data"] * np.nan, "'data' must have values from 0 to 1"),
        ("testdata", mat_arrays["testdata"] * 2, "'testdata' must have values from 0 to 1"),
        ("target", mat_arrays["target"] * 0, "'target' must hold one 1 in each column"),
    ):
        savemat(path, {**mat_arrays, name: array})
        with pytest.raises(UserError, match=match):
            read_omniglot_files(path, ENTRY)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(UserError, match="has no array 'data'"):
        read_omniglot_files(path, ENTRY)
    path.write_bytes(b"MATLAB" * 30)
    with pytest.raises(UserError, match="cannot be read as a MATLAB file"):
        read_omniglot_files(path, ENTRY)


def test_first_of_each_marks_in_order():
    groups = np.array([2, 1, 2, 2, 1, 1])
    assert first_of_each(groups, 2).tolist() == [True, True, True, False, True, False]


def test_prepared_variant_says_what_it_is(tmp_path, data_dir):
    path = write_zip(tmp_path / "small.zip", characters(["Latin", "Greek"]))
    spec = prepare("omniglot", source=str(path))
    dataset = load("omniglot")
    assert dataset.spec == spec
    assert dataset.spec.source == "the user's small.zip"
    assert "stand in" in dataset.spec.note
    assert dataset.spec.class_names == ("Greek", "Latin")
    assert (data_dir / "omniglot_28x28" / "1.0.0").is_dir()
    assert not (data_dir / "omniglot").exists()
    assert np.bincount(dataset.train.labels).tolist() == [30, 30]


def test_reads_omniglot_as_tfds_stores_it(data_dir):
    tfds = import_tfds()
    features = tfds.builder("omniglot", data_dir=str(data_dir)).info.features
    features["alphabet"].names = [f"alphabet {i}" for i in range(50)]
    features["label"].names = [f"character {i}" for i in range(1623)]

    def examples(alphabets):
        for alphabet in alphabets:
            for drawer in range(1, 21):
                image = np.repeat(drawing(drawer)[..., None], 3, axis=2)
                example = {"image": image, "alphabet": alphabet, "alphabet_char_id": 0, "label": alphabet}
                yield f"{alphabet}_{drawer}", example

    with quiet_tfds(tfds):
        # The parts of TFDS have no alphabet in common.
        parts = {"train": list(examples(range(30))), "test": list(examples(range(30, 50)))}
        tfds.dataset_builders.store_as_tfds_dataset("omniglot", "3.0.0", features, parts, data_dir=data_dir)
    dataset = load("omniglot")
    assert np.bincount(dataset.train.labels).tolist() == [15] * 50
    assert np.bincount(dataset.test.labels).tolist() == [5] * 50
    assert dataset.spec.class_names[:2] == ("alphabet 0", "alphabet 1")
    assert dataset.spec.source == "TensorFlow Datasets, omniglot 3.0.0"
    assert "all of Omniglot" in dataset.spec.note
    sums = dataset.train.images[dataset.train.labels == 3].sum(axis=(1, 2, 3), dtype=int)
    assert len(set(sums.tolist())) == 15

    # A variant that this package prepared goes first, since a user asked for it by name.
    write_dataset(dataset, ENTRY, data_dir, "path")
    assert load("omniglot").spec.source == dataset.spec.source
    assert (data_dir / "omniglot_28x28").exists()
