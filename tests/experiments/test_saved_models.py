"""Checks the scripts that use a saved model: images drawn, reconstructed and measured, and clear refusals."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ocm_tf.data import Split
from ocm_tf.errors import UserError
from ocm_tf.experiments import saved_models
from ocm_tf.files import load_arrays
from ocm_tf.models import OnlineClassifier
from tests.tiny import IMAGE_SHAPE, make_images, make_mixture, make_vae

REPOSITORY = Path(__file__).parents[2]


def make_classifier():
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    model = OnlineClassifier(keras.Sequential(layers), IMAGE_SHAPE, minibatch_size=4)
    model.build((None, *IMAGE_SHAPE))
    return model


def test_names_what_a_model_can_do_and_refuses_the_rest():
    vae, classifier = make_vae(), make_classifier()
    assert saved_models.abilities(vae) == ["generate", "reconstruct", "log_likelihood"]
    assert saved_models.abilities(classifier) == ["classify"]
    saved_models.require(vae, "generate", "x")
    with pytest.raises(UserError, match="x holds a OnlineClassifier, which cannot generate; it can: classify"):
        saved_models.require(classifier, "generate", "x")


def test_refuses_images_of_another_shape():
    model = make_vae()
    saved_models.require_shape(model, make_images(2), "x")
    with pytest.raises(UserError, match=r"x takes images of shape \(8, 8, 1\), the data set has \(28, 28, 1\)"):
        saved_models.require_shape(model, np.zeros((1, 28, 28, 1), np.uint8), "x")


def test_writes_what_the_model_draws(tmp_path):
    model = make_mixture()
    model.grow()
    saved_models.generate(model, 70, 5, tmp_path / "a.npz", "title")
    images = load_arrays(tmp_path / "a.npz")["images"]
    np.testing.assert_array_equal(images, model.generate(70, seed=5))
    saved_models.generate(model, 3, 5, tmp_path / "a.png", "title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"ends in .png or .npz"):
        saved_models.generate(model, 3, 5, tmp_path / "a.jpg", "title")


def test_reconstructions_lie_beside_their_images(tmp_path):
    model, images = make_vae(), make_images(7)
    saved_models.reconstruct(model, images, tmp_path / "a.npz", "title")
    arrays = load_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(arrays["images"], images)
    np.testing.assert_allclose(arrays["reconstructions"], model.reconstruct(images), atol=1e-6)


def test_measures_what_a_generative_model_can():
    model, images = make_vae(), make_images(9)
    metrics = saved_models.evaluate(model, Split(images, np.zeros(9, np.int64)), num_samples=5, seed=1)
    inputs = np.asarray(model.binarised(images, 1))
    assert metrics["nll"] == pytest.approx(-float(np.mean(model.log_likelihood(inputs, 5, seed=1))))
    errors = (images / 255 - model.reconstruct(images)) ** 2
    assert metrics["mse"] == pytest.approx(float(errors.mean()), rel=1e-4)
    assert set(metrics) == {"nll", "mse", "psnr"}  # the window of SSIM is larger than these images


def test_measures_the_accuracy_of_a_classifier():
    model, images = make_classifier(), make_images(12)
    labels = np.asarray(model.classify(images)).argmax(axis=1)
    labels[0] = (labels[0] + 1) % 3
    metrics = saved_models.evaluate(model, Split(images, labels), num_samples=1, seed=0)
    assert metrics["accuracy"] == pytest.approx(100 * 11 / 12)
    assert metrics[f"accuracy_class_{labels[0]}"] < 100


def test_refuses_a_classifier_whose_labels_are_not_those_of_the_data_set():
    model, images = make_classifier(), make_images(2)
    model.has_own_labels = True
    with pytest.raises(UserError, match="OnlineClassifier numbers classes by the order of their arrival"):
        saved_models.evaluate(model, Split(images, np.zeros(2, np.int64)), num_samples=1, seed=0)


def run_script(name, *arguments):
    command = [sys.executable, str(REPOSITORY / "scripts" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)


def test_the_scripts_work_on_a_file_and_say_what_is_wrong(tmp_path):
    path = tmp_path / "model.keras"
    make_vae().save(path)
    done = run_script("evaluate", path, "--dataset", "digits", "--limit", "10", "--samples", "2")
    assert json.loads(done.stdout)["num_images"] == 10 and done.stderr == ""
    failed = run_script("generate", tmp_path / "none.keras")
    assert failed.returncode == 2 and failed.stderr == f"error: There is no model file {tmp_path / 'none.keras'}.\n"
