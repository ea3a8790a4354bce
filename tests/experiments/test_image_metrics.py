"""Checks what a run measures on images, and the classifier that all runs on a data set share."""

import dataclasses

import numpy as np
import pytest

from ocm_tf import data
from ocm_tf.errors import UserError
from ocm_tf.experiments import image_metrics
from ocm_tf.metrics import ClassifierFeatures, classifier_features, frechet_distance
from tests import tiny


@pytest.fixture(scope="module")
def dataset():
    return data.load("digits")


@pytest.fixture
def short_training(monkeypatch):
    monkeypatch.setattr(classifier_features, "_MOST_STEPS", 2)


@pytest.fixture(scope="module")
def networks(dataset, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier_features, "_MOST_STEPS", 40)
        return image_metrics.load_feature_networks(dataset, tmp_path_factory.mktemp("data"), say=lambda line: None)


def test_the_classifier_is_trained_once_and_shared(dataset, tmp_path, short_training, monkeypatch):
    lines = []
    first = image_metrics.load_classifier(dataset, tmp_path, lines.append)
    (path,) = (tmp_path / image_metrics.FOLDER).iterdir()
    assert path.name.startswith("digits-") and path.suffix == ".keras" and len(lines) == 1
    monkeypatch.setattr(ClassifierFeatures, "train", None)
    second = image_metrics.load_classifier(dataset, tmp_path, lines.append)
    assert len(lines) == 1
    tiny.assert_same_values(second.network.weights, tiny.values_of(first.network.weights))


def test_other_images_and_another_recipe_have_a_classifier_of_their_own(dataset, tmp_path, monkeypatch):
    trained = []

    class Classifier:
        def save(self, path):
            path.write_bytes(b"")

    def train(images, labels, num_classes):
        trained.append((len(images), num_classes))
        return Classifier()

    monkeypatch.setattr(ClassifierFeatures, "train", train)
    few = data.Split(dataset.train.images[:100], dataset.train.labels[:100])
    # A path of the user's own, as `folder:PATH` and `npz:PATH` have it in their name.
    own = dataclasses.replace(dataset, train=few, spec=dataclasses.replace(dataset.spec, name="npz:/home/me/My.npz"))
    for which in (dataset, own):
        image_metrics.load_classifier(which, tmp_path, lambda line: None)
    monkeypatch.setattr(image_metrics, "RECIPE_VERSION", 7)
    image_metrics.load_classifier(dataset, tmp_path, lambda line: None)
    assert trained == [(1500, 10), (100, 10), (1500, 10)]
    names = sorted(path.name for path in (tmp_path / image_metrics.FOLDER).iterdir())
    assert len(names) == 3 and names[2].startswith("npz_home_me_my_npz-") and names[1].endswith("-v7.keras")


def test_a_damaged_classifier_is_reported_and_stays(dataset, tmp_path, short_training):
    image_metrics.load_classifier(dataset, tmp_path, lambda line: None)
    (path,) = (tmp_path / image_metrics.FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"digits-.*\.keras is damaged: delete it, the next run trains it anew"):
        image_metrics.load_classifier(dataset, tmp_path)
    assert path.stat().st_size == 1000


def test_a_directory_that_cannot_be_written_to_is_no_obstacle(dataset, tmp_path, short_training):
    (tmp_path / image_metrics.FOLDER).write_text("in the way")
    lines = []
    assert isinstance(image_metrics.load_classifier(dataset, tmp_path, lines.append), ClassifierFeatures)
    assert "cannot write" in lines[-1] and lines[-1].endswith("the next run trains the classifier anew")


def test_a_missing_file_of_weights_is_found_before_anything_is_trained(dataset, tmp_path):
    with pytest.raises(UserError, match="there is no file of Inception weights at"):
        image_metrics.load_feature_networks(dataset, tmp_path, tmp_path / "missing.h5")
    assert list(tmp_path.iterdir()) == []


class CopyingModel:
    """Reconstructs every image with a constant added, and generates images of one class."""

    def __init__(self, generated):
        self.generated = generated / np.float32(255)

    def binarised(self, images, seed):
        return images / np.float32(255)

    def reconstruct(self, images, seed):
        return np.clip(images + 0.1, 0, 1)

    def generate(self, num_images, seed):
        return np.random.default_rng(seed).permutation(self.generated)[:num_images]


def test_the_measures_are_those_of_the_images(dataset, networks, monkeypatch):
    monkeypatch.setattr(image_metrics, "_MEASURED_TOGETHER", 100)
    test, classifier = dataset.test, networks["classifier_frechet_distance"]
    metrics = image_metrics.measure_images(CopyingModel(dataset.train.images), test, networks, None, seed=3)
    assert metrics.keys() == {
        "mse", "psnr", "ssim", "classifier_frechet_distance", "reconstruction_classifier_frechet_distance",
        "classifier_accuracy",
    }  # fmt: skip
    images = test.images / np.float32(255)
    squares = ((np.clip(images + 0.1, 0, 1) - images) ** 2).mean(axis=(1, 2, 3))
    assert metrics["mse"] == pytest.approx(squares.mean(), rel=1e-5)
    assert metrics["psnr"] == pytest.approx(-10 * np.log10(squares).mean(), rel=1e-5)
    assert 0.5 < metrics["ssim"] < 1
    features, probabilities = classifier(images)
    # As many samples as test images.
    generated = CopyingModel(dataset.train.images).generate(297, 3)
    expected = frechet_distance(classifier(generated)[0], features)
    assert metrics["classifier_frechet_distance"] == pytest.approx(expected)
    assert metrics["classifier_accuracy"] == (probabilities.argmax(axis=1) == test.labels).mean() > 0.5


def test_samples_of_one_class_are_farther_from_the_test_images_than_samples_of_all(dataset, networks):
    train = dataset.train
    distances = [
        image_metrics.measure_images(CopyingModel(images), dataset.test, networks, 100, seed=0)[
            "classifier_frechet_distance"
        ]
        for images in (train.images, train.images[train.labels == 1])
    ]
    assert 2 * distances[0] < distances[1]


def test_a_network_of_inception_weights_adds_fid_and_inception_score(dataset, networks):
    # Whatever network stands behind the name: here one that is certain of ten classes in turn.
    def certain(images):
        return images.reshape(len(images), -1), np.eye(10)[np.arange(len(images)) % 10]

    metrics = image_metrics.measure_images(
        CopyingModel(dataset.test.images), dataset.test, {"fid": certain, **networks}, 100, seed=0
    )
    assert metrics["inception_score"] == pytest.approx(10) and metrics["inception_score_std"] == pytest.approx(0)
    assert {"fid", "reconstruction_fid", "classifier_frechet_distance"} <= metrics.keys()
    # A constant added to (nearly) all 64 pixels is all that tells the reconstructions apart.
    assert 0.1 < metrics["reconstruction_fid"] <= 64 * 0.1**2 + 1e-6


def test_measured_models_are_those_of_the_library(dataset, networks):
    model = tiny.make_vae(likelihood="gaussian")
    few = data.Split(dataset.test.images[:20], dataset.test.labels[:20])
    measured = [image_metrics.measure_images(model, few, networks, 15, seed) for seed in (1, 1, 2)]
    assert measured[0] == measured[1]
    assert measured[0]["mse"] == measured[2]["mse"]
    assert measured[0]["classifier_frechet_distance"] != measured[2]["classifier_frechet_distance"]
