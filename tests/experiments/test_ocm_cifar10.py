"""Checks OCM on Split CIFAR10: its presets, its network, and a whole run on small grey images."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from ocm_tf.experiments import ocm, ocm_config, ocm_schedule, ocm_script, parse_arguments, run_script
from ocm_tf.experiments.ocm_cifar10_config import COSTS, PAPER, PRESETS, TINY
from ocm_tf.metrics import classifier_features
from ocm_tf.models import VAE, VAEMixture
from ocm_tf.networks import MLP, GaussianEncoder
from tests import tiny

SHORT = ["train_per_class=40", "test_per_class=10", "epochs_per_batch=1", "hidden_units=2", "latent_dim=2"]
SHORT += ["eval_samples=5", "expansion_samples=5", "expansion_threshold=0.5", "image_samples=40"]


def parse(*argv):
    texts = {"script": "ocm_split_cifar10", "description": "", "costs": COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=PRESETS, **texts)


# Settings -------------------------------------------------------------------------------------------------------------


def test_the_values_of_the_paper_are_those_of_its_companion():
    expected = {
        "dataset": "cifar10", "stream": "pairs", "network": "deep_mlp", "hidden_units": 200, "latent_dim": 200,
        "likelihood": "gaussian", "beta": 0.01, "learning_rate": 5e-5, "batch_size": 64, "epochs_per_batch": 100,
        "short_term_capacity": 512, "image_metrics": True,
    }  # fmt: skip
    assert {name: getattr(PAPER, name) for name in expected} == expected
    assert PRESETS["release"] == PAPER and COSTS.keys() == PRESETS.keys()


def test_the_long_term_memory_ends_near_the_published_size():
    assert ocm_schedule.scheduled_long_term_size(PAPER, 781) == 544


@pytest.mark.parametrize(
    ("variant", "values"),
    [
        ("vae-elbo-random", (3.84, 116.26, 1000, 1)),
        ("vae-elbo-ocm", (4.13, 98.76, 500, 1)),
        ("dynamic-elbo-ocm", (4.16, 92.99, 400, 3)),
    ],
)
def test_paper_values_are_those_of_table_2(variant, values):
    config = dataclasses.replace(PAPER, **ocm_config.VARIANTS[variant])
    assert tuple(ocm_config.paper_values(config).values()) == values
    names = ["inception_score", "fid", "memory_samples", "num_components"]
    assert list(ocm_config.paper_values(config)) == names


def test_best_keeps_whole_values_of_colours():
    changes = ocm_config.variant_changes("best", PAPER)
    assert changes["memory_bits"] == 8 and ocm_config.VARIANTS["best"]["memory_bits"] == 1
    assert ocm_config.variant_of(dataclasses.replace(PAPER, **changes)) == "best"


def test_one_buffer_alone_has_the_papers_thousand_samples():
    assert dataclasses.replace(PAPER, **ocm_config.VARIANTS["vae-elbo-random"]).limit == 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_samples": 1}, "image_samples must be at least 2, got 1"),
        ({"image_metrics": False, "inception_weights": "w.h5"}, "set image_metrics=true as well"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAPER, **changes)


# Network --------------------------------------------------------------------------------------------------------------


def test_the_deep_network_has_the_companions_layers():
    assert ocm.layer_units(PAPER) == ((2000, 1500, 1000), (600, 300, 200), "relu")
    assert ocm.layer_units(ocm_config.PAPER) == ((200,), (200,), "tanh")


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_deep_network_is_the_same_whether_it_grows_or_not(dynamic):
    config = dataclasses.replace(TINY, hidden_units=2, latent_dim=3, dynamic=dynamic)
    model = ocm.build_model(config, (4, 4, 3), seed=0)
    shapes = [tuple(weight.shape) for weight in model.trainable_weights if len(weight.shape) == 2]
    encoder = [(48, 20), (20, 15), (15, 10), (10, 6), (6, 3), (3, 2), (2, 3), (2, 3)]
    decoder = [(3, 2), (2, 3), (3, 6), (6, 10), (10, 15), (15, 20), (20, 48)]
    assert sorted(shapes) == sorted(encoder + decoder)
    parts = [model.encoder.hidden, model.decoder]
    parts += [model.shared_encoder, model.shared_decoder] if dynamic else []
    layers = [layer for part in parts for layer in part.dense_layers]
    # Only the last layer of the decoder gives plain numbers.
    names = [keras.activations.serialize(layer.activation) for layer in layers]
    assert sorted(names) == ["linear"] + 12 * ["relu"]
    images = tiny.make_images(5).reshape(-1)[: 5 * 48].reshape(5, 4, 4, 3)
    assert math.isfinite(model.train_on_batch(images))


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_usual_network_and_its_initial_weights_are_those_of_the_layers_named(dynamic):
    config = dataclasses.replace(ocm_config.TINY, hidden_units=12, latent_dim=2, dynamic=dynamic)
    keras.utils.set_random_seed(5)
    model = ocm.build_model(config, tiny.IMAGE_SHAPE, seed=5)
    keras.utils.set_random_seed(5)
    if dynamic:
        expected = VAEMixture(
            shared_encoder=MLP((12,), output_activation="tanh"),
            encoder=GaussianEncoder(2, (12,)),
            shared_decoder=MLP((12,), output_activation="tanh"),
            decoder=MLP((12, 64), "relu"),
            image_shape=tiny.IMAGE_SHAPE,
            latent_dim=2,
        )
    else:
        encoder, decoder = GaussianEncoder(2, (12, 12)), MLP((12, 12, 64), ("tanh", "relu"))
        expected = VAE(encoder, decoder, image_shape=tiny.IMAGE_SHAPE, latent_dim=2)
    expected.build((None, *tiny.IMAGE_SHAPE))
    tiny.assert_same_values(model.trainable_weights, tiny.values_of(expected.trainable_weights))
    images = tiny.make_binary_images(3)
    np.testing.assert_array_equal(model(images), expected(images))


# A run ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run with a classifier that has hardly learned."""
    path = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier_features, "_MOST_STEPS", 5)
        arguments = parse("--output", path / "short", "--data-dir", path / "data", "--set", *SHORT)
        ocm.run(arguments, say=lambda line: None)
    return path / "short"


def test_a_run_measures_images_and_likelihoods(finished):
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    images = {"mse", "psnr", "ssim", "classifier_accuracy"}
    images |= {"classifier_frechet_distance", "reconstruction_classifier_frechet_distance"}
    classes = {f"nll_class_{label}" for label in range(10)}
    assert results["metrics"].keys() == images | classes | {"nll", "log_likelihood"}
    assert 0 < results["metrics"]["mse"] < 1
    # Half of 64 pixels times log(pi) is the Gaussian's constant: what is left are squared errors and the KL term.
    assert results["metrics"]["nll"] > 32 * math.log(math.pi)


def test_a_gaussian_model_is_shown_without_a_copy_of_its_inputs(finished):
    with np.load(finished / "observations.npz") as stored:
        assert "test_inputs" not in stored and stored["reconstructions"].shape == (64, 8, 8, 1)
        assert stored["phase_starts"].tolist() == [80 * pair // 16 for pair in range(5)]
    assert {"reconstructions.png", "samples.png"} <= {path.name for path in (finished / "figures").iterdir()}


def test_the_flag_of_weights_asks_for_image_metrics(monkeypatch):
    seen = []
    monkeypatch.setattr(ocm, "run", seen.append)
    argv = ["--preset", "tiny", "--inception-weights", "some.h5", "--set", "image_metrics=false"]
    ocm_script.main("ocm_split_cifar10", "", PRESETS, COSTS, argv)
    assert seen[0].config.image_metrics and seen[0].config.inception_weights == "some.h5"
    assert seen[0].changes == {"inception_weights": "some.h5", "image_metrics": True}


def test_missing_weights_end_the_script_before_the_run(tmp_path, capsys):
    argv = ["--preset", "tiny", "--output", tmp_path / "run", "--inception-weights", tmp_path / "missing.h5"]
    main = ocm_script.main
    status = run_script(lambda: main("ocm_split_cifar10", "", PRESETS, COSTS, list(map(str, argv))))
    errors = capsys.readouterr().err
    assert status == 2 and errors.count("\n") == 1
    assert errors.startswith("error: there is no file of Inception weights at ")
    assert not (tmp_path / "run").exists()


def test_the_script_says_what_each_preset_costs_and_how_distances_compare(capsys):
    path = Path(__file__).parents[2] / "scripts" / "ocm_split_cifar10.py"
    spec = importlib.util.spec_from_file_location("ocm_split_cifar10", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with pytest.raises(SystemExit):
        ocm_script.main("ocm_split_cifar10", script.DESCRIPTION, PRESETS, COSTS, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "must never be compared with a FID" in text
    for name, cost in COSTS.items():
        assert f"{name} {cost}" in text
