"""Checks the models shipped with the repository, how they get there, and the figure drawn of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from ocm_tf.errors import UserError
from ocm_tf.experiments import gallery
from ocm_tf.experiments.gallery_figure import draw_gallery
from ocm_tf.experiments.saved_models import predict_labels

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "results" / "gallery"
MOST_BYTES = 3_000_000


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def loaded():
    """Returns every shipped model and its images, by name."""
    return {exhibit.path.name: (exhibit.load(), exhibit.images()) for exhibit in gallery.exhibits(SHIPPED)}


def test_all_is_there_and_small():
    assert [exhibit.path.name for exhibit in gallery.exhibits(SHIPPED)] == list(gallery.ENTRIES)
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < MOST_BYTES
    for name, entry in gallery.ENTRIES.items():
        config, card = read_json(SHIPPED / name / "config.json"), (SHIPPED / name / "model_card.md").read_text()
        assert (config["script"], config["preset"]) == (entry.script, "tiny") and config["git"]["dirty"] is False
        assert config["command"] in card and "/root" not in config["command"]


@pytest.mark.parametrize("name", gallery.ENTRIES)
def test_a_shipped_model_does_what_its_kind_can(loaded, name):
    model, shown = loaded[name]
    images = shown["images"]
    assert len(images) == len(shown["labels"]) == 10 * gallery.PER_CLASS
    if hasattr(model, "generate"):
        assert model.memory is None  # no training sample is shipped
        generated, reconstructed = model.generate(5), model.reconstruct(images)
        assert generated.shape == (5, *images.shape[1:]) and 0 <= generated.min() < generated.max() <= 1
        grey = images / 255
        # Better than the mean image for all.
        assert np.square(reconstructed - grey).mean() < 0.9 * np.square(grey.mean(axis=0) - grey).mean()
    else:
        correct = predict_labels(model, images) == shown["labels"]
        results = read_json(SHIPPED / name / "results.json")
        assert 100 * correct.mean() == pytest.approx(results["metrics"]["average_accuracy"], abs=25)


def test_the_figure_is_drawn_from_the_shipped_files_alone(tmp_path):
    process = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "gallery.py"), "--output", str(tmp_path / "gallery.png")],
        capture_output=True, text=True, cwd=tmp_path, env={"PATH": "", "TFDS_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    picture = imread(tmp_path / "gallery.png")
    assert min(picture.shape[:2]) > 1000
    # Wrong answers are red.
    reddish = (picture[..., 0] > 0.7) & (picture[..., 1] < 0.5) & (picture[..., 2] < 0.2)
    assert reddish.any()


def test_a_gallery_that_lacks_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"lacks ocm_single, .* --train makes them"):
        draw_gallery(tmp_path, tmp_path / "gallery.png")


def test_a_failed_script_is_named(tmp_path):
    with pytest.raises(UserError, match="ocm_split_mnist has failed"):
        gallery.train(["ocm_single"], tmp_path / "runs", tmp_path / "gallery", tmp_path, say=lambda line: None)


def test_images_are_those_of_the_run():
    turned, own, plain = map(gallery.shown_images, ("glr_rotated_mnist", "mnemonics_cifar100", "demc_split_mnist"))
    assert not np.array_equal(turned["images"], plain["images"])
    for shown in (turned, own, plain):
        assert shown["images"].shape == (10 * gallery.PER_CLASS, 8, 8, 1)
        assert sorted(shown["class_names"]) == [str(digit) for digit in range(10)]
        # A column is a class.
        np.testing.assert_array_equal(shown["labels"], np.tile(np.arange(10), gallery.PER_CLASS))
    # Classes numbered in the order of their arrival.
    assert own["class_names"].tolist() != plain["class_names"].tolist()


@pytest.mark.slow
def test_a_model_is_trained_and_put_into_the_gallery(tmp_path):
    gallery.train(["ocm_single"], tmp_path / "runs", tmp_path / "gallery", REPOSITORY / "scripts", lambda line: None)
    made = {path.name for path in (tmp_path / "gallery" / "ocm_single").iterdir()}
    assert made == {"config.json", "results.json", "model_card.md", "images.npz", "model.keras"}
    card = (tmp_path / "gallery" / "ocm_single" / "model_card.md").read_text()
    assert "nothing of its training images but the weights" in card
    shutil.rmtree(tmp_path / "runs")
    model = gallery.Exhibit(tmp_path / "gallery" / "ocm_single").load()
    assert model.memory is None and model.generate(2).shape == (2, 8, 8, 1)
