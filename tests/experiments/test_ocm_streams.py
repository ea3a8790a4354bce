"""Checks OCM's streams of several domains: presets, what enters a stream, and whole runs."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ocm_tf import data
from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm, ocm_config, ocm_schedule, ocm_streams, parse_arguments, read_metrics
from ocm_tf.experiments.ocm_comparison import DOMAIN_RULES, compared_rules
from ocm_tf.experiments.ocm_config import VARIANTS
from tests import tiny

ROOT = Path(__file__).parents[2]
TWO, THREE = "digits+digits:inverted", "digits+digits:inverted+digits:transposed"
# 40 of each of 20 classes are 50 batches and ten rounds.
SHORT = ["train_per_class=40", "test_per_class=10", "epochs_per_batch=1", "hidden_units=12", "latent_dim=2"]
SHORT += ["eval_samples=5", "expansion_samples=5", "max_components=4"]
SCRIPTS = {
    "ocm_split_fashion": (ocm_streams.SPLIT_FASHION, ocm_streams.SPLIT_FASHION_COSTS),
    "ocm_mnist_to_fashion": (ocm_streams.MNIST_TO_FASHION, ocm_streams.MNIST_TO_FASHION_COSTS),
    "ocm_cross_domain": (ocm_streams.CROSS_DOMAIN, ocm_streams.CROSS_DOMAIN_COSTS),
}


def parse(*argv, script="ocm_mnist_to_fashion"):
    presets, costs = SCRIPTS[script]
    argv = ["--preset", "tiny", "--quiet", *map(str, argv)]
    return parse_arguments(argv, script=script, description="", presets=presets, costs=costs)


def config_of(*pairs, script="ocm_mnist_to_fashion"):
    return parse("--set", *SHORT, *pairs, script=script).config


def streams_of(*pairs, seed=0, **script):
    config = config_of(*pairs, **script)
    return ocm.build_domains(config, data.load_domains(config.dataset), seed)


def run(path, *argv):
    return ocm.run(parse("--output", path, "--set", *SHORT, *argv), say=lambda line: None)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# Presets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "dataset", "release"),
    [
        ("ocm_split_fashion", "fashion_mnist", {"max_components": 10}),
        ("ocm_mnist_to_fashion", "mnist+fashion_mnist", {"max_components": 10}),
        (
            "ocm_cross_domain",
            "mnist+fashion_mnist+omniglot",
            {"max_components": 10, "expansion_threshold": 0.5, "check_every": 31, "unsorted": ("omniglot",)},
        ),
    ],
)
def test_presets_are_those_of_split_mnist_but_for_the_stream(script, dataset, release):
    presets, costs = SCRIPTS[script]
    assert presets.keys() == costs.keys() == ocm_config.PRESETS.keys()
    assert {config.dataset for name, config in presets.items() if name != "tiny"} == {dataset}
    assert presets["release"] == dataclasses.replace(ocm_config.RELEASE, dataset=dataset, **release)
    unsorted = {name: value for name, value in release.items() if name == "unsorted"}
    assert presets["paper"] == dataclasses.replace(ocm_config.PAPER, dataset=dataset, **unsorted)
    assert presets["tiny"].dataset.startswith("digits")


@pytest.mark.parametrize("script", ["ocm_mnist_to_fashion", "ocm_cross_domain"])
def test_the_small_preset_reaches_its_limit_where_the_full_stream_does(script):
    def share_at_limit(config, num_images):
        """Returns how far into MNIST and Fashion-MNIST the long-term memory is full."""
        unlimited = dataclasses.replace(config, long_term_limit=10**6)
        num_batches = num_images // config.batch_size
        sizes = [ocm_schedule.scheduled_long_term_size(unlimited, number) for number in range(num_batches)]
        return np.searchsorted(sizes, config.limit) / num_batches

    presets, _ = SCRIPTS[script]
    # The paper's sizes hold for the trigger of the authors' code.
    paper = dataclasses.replace(presets["paper"], trigger="gt", seed_duplicate=True)
    full = share_at_limit(paper, 120_000)
    # Among the classes 2 and 3 of Fashion-MNIST.
    assert 0.6 < full < 0.7 and share_at_limit(presets["small"], 4000) == pytest.approx(full, abs=0.05)


@pytest.mark.parametrize(
    ("script", "nlls", "sizes"),
    [
        ("ocm_split_fashion", (250.74, 247.90, 237.69, None, 280.54), (1600, 1600, 1300, None, 3000)),
        ("ocm_mnist_to_fashion", (215.62, 224.34, 187.49, None, 247.46), (2000, 2000, 1400, None, 3000)),
        ("ocm_cross_domain", (201.31, 204.35, 177.29, None, 239.71), (2000, 2000, 1500, None, 3000)),
    ],
)
def test_paper_values_are_those_of_tables_one_and_three(script, nlls, sizes):
    paper = SCRIPTS[script][0]["paper"]
    methods = ("vae-elbo-ocm", "vae-iwvae-ocm", "dynamic-elbo-ocm", "vae-elbo-ocm-cos", "vae-elbo-random")
    values = [ocm_config.paper_values(dataclasses.replace(paper, **VARIANTS[method])) for method in methods]
    assert tuple(value["nll"] for value in values) == nlls
    assert tuple(value["memory_samples"] for value in values) == sizes
    assert values[2]["num_components"] == {"ocm_cross_domain": 11}.get(script, 10)


def test_the_comparison_of_domains_refills_a_full_memory_too():
    made = compared_rules(DOMAIN_RULES, ["similar refilled"])
    assert list(made) == ["similar-refilled", "dynamic-similar-refilled"]
    config = dataclasses.replace(ocm_streams.CROSS_DOMAIN["release"], **made["dynamic-similar-refilled"])
    assert ocm.build_rules(config, 0)["transfer"].when_full == "reservoir"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_explains_itself(script):
    process = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "no label" in process.stdout and "presets and what they cost" in process.stdout


# Streams --------------------------------------------------------------------------------------------------------------


def test_domains_follow_one_another_each_sorted_by_class():
    stream, test = streams_of()
    truth = stream.truth
    assert len(stream) == 800 and truth.labels.tolist() == np.repeat(np.arange(20), 40).tolist()
    assert truth.phase_starts.tolist() == list(range(0, 800, 40)) and truth.domain_starts.tolist() == [0, 400]
    assert truth.class_names[0] == "digits 0" and truth.class_names[19] == "digits:inverted 9"
    np.testing.assert_array_equal(255 - stream.images_at(slice(None))[:400], stream.images_at(slice(None))[400:])
    assert np.bincount(test.labels).tolist() == [10] * 20
    np.testing.assert_array_equal(255 - test.images[:100], test.images[100:])


def test_a_single_data_set_makes_the_stream_it_made_before():
    stream, test = streams_of(script="ocm_split_fashion")
    alone, test_alone = ocm.build_stream(config_of(script="ocm_split_fashion"), data.load("digits"), 0)
    np.testing.assert_array_equal(stream.images_at(slice(None)), alone.images_at(slice(None)))
    np.testing.assert_array_equal(test.labels, test_alone.labels)
    assert stream.truth.class_names == tuple("0123456789") and stream.truth.domain_names == ("digits",)


def test_an_unsorted_domain_comes_in_stored_order_and_has_a_number_of_its_own():
    stream, test = streams_of("unsorted=digits:inverted", "train_unsorted=300", "test_unsorted=1000")
    stored = data.load("digits:inverted")
    assert stream.truth.phase_starts.tolist() == [*range(0, 400, 40), 400] and len(stream) == 700
    np.testing.assert_array_equal(stream.truth.labels[400:], stored.train.labels[::5] + 10)
    np.testing.assert_array_equal(stream.images_at(slice(None))[400:], stored.train.images[::5])
    # A test set with fewer images is taken whole.
    np.testing.assert_array_equal(test.labels[100:], stored.test.labels + 10)


def test_joint_training_mixes_the_domains_and_passes_over_each_image_as_often_as_said():
    stream, _ = streams_of("stream=shuffled", "num_passes=2")
    domains = stream.truth.class_domains[stream.truth.labels]
    assert len(stream) == 1600 and stream.truth.domain_names == ("digits", "digits:inverted")
    assert np.bincount(stream.truth.labels).tolist() == [80] * 20
    assert 300 < domains[:800].sum() < 500


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        (["dataset=digits+digit"], UserError, "no dataset named 'digit': did you mean 'digits'"),
        (["num_passes=2"], ValueError, "order class_sorted is read once"),
        (["train_per_class=1000"], ValueError, "1000 images per class wanted"),
    ],
)
def test_domains_that_cannot_be_had_are_refused(pairs, error, message):
    with pytest.raises(error, match=message):
        streams_of(*pairs)


# Evaluation -----------------------------------------------------------------------------------------------------------


def test_the_mean_of_all_images_weighs_each_alike():
    stream, test = streams_of("unsorted=digits:inverted", "test_unsorted=40")
    model = tiny.make_vae()
    metrics = ocm.evaluate(model, test, 3, seed=5, truth=stream.truth)
    nlls = -model.log_likelihood(np.asarray(model.binarised(test.images, 5)), 3, seed=10)
    expected = {"nll": nlls.mean(), "nll_digits": nlls[:100].mean(), "nll_digits:inverted": nlls[100:].mean()}
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-6), name
    assert (metrics["num_test_digits"], metrics["num_test_digits:inverted"]) == (100, 40)
    assert metrics["routed_digits_component_0"] == metrics["routed_digits:inverted_component_0"] == 1.0


def test_as_many_images_of_each_domain_are_shown():
    stream, test = streams_of(script="ocm_cross_domain")
    shown = ocm.show(tiny.make_vae(), test, 0, stream.truth)["test_images"]
    known = [{image.tobytes() for image in test.images[start : start + 100]} for start in (0, 100, 200)]
    assert [sum(image.tobytes() in images for image in shown) for images in known] == [21, 21, 22]


# Whole runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run over two domains that grows."""
    path = tmp_path_factory.mktemp("runs") / "short"
    run(path)
    return path


def test_a_run_tells_of_each_domain(finished):
    results, rows = read_json(finished / "results.json"), read_metrics(finished / "metrics.csv")
    metrics = results["metrics"]
    assert results["dataset"] == TWO and results["num_components"] > 1
    assert metrics["nll"] == pytest.approx((metrics["nll_digits"] + metrics["nll_digits:inverted"]) / 2)
    for domain in ("digits", "digits:inverted"):
        shares = [metrics[f"routed_{domain}_component_{k}"] for k in range(results["num_components"])]
        assert sum(shares) == pytest.approx(1)
    stored = [metrics["stored_digits"], metrics["stored_digits:inverted"]]
    assert sum(stored) == results["memory_samples"]
    names = ("stored_digits", "stored_digits:inverted", "long_term_size")
    first, second, size = (rows["value"][(rows["metric"] == name) & (rows["stage"] == "round")] for name in names)
    np.testing.assert_array_equal(first + second, size)
    assert len(size) == 10 and first.max() > 0 and second.max() > 0
    source = read_json(finished / "config.json")["data_source"]
    assert source.count("1,500 training and 297 test images") == 2
    figures = {path.stem for path in (finished / "figures").iterdir()}
    assert {"domain_memory", "domain_routing", "domain_nll", "memory_classes"} <= figures
    with np.load(finished / "observations.npz") as stored:
        assert stored["domain_names"].tolist() == ["digits", "digits:inverted"]
        assert stored["domain_starts"].tolist() == [0, 25] and len(stored["class_names"]) == 20


@pytest.mark.slow
def test_a_run_over_two_domains_resumes_to_the_same_numbers(finished, tmp_path, monkeypatch):
    batches_seen = []
    record = ocm.OCMRecorder.on_train_batch_end

    def stop(self, batch, logs=None):
        record(self, batch, logs)
        batches_seen.append(batch)
        # In the second domain, after its first rounds.
        if len(batches_seen) == 37:
            raise KeyboardInterrupt

    monkeypatch.setattr(ocm, "draw_all", lambda path: [])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ocm.OCMRecorder, "on_train_batch_end", stop)
        run(tmp_path, "--checkpoint-seconds", "0")
    ocm.run(parse("--output", tmp_path, "--resume", "--set", *SHORT), say=lambda line: None)
    assert read_json(tmp_path / "results.json")["metrics"] == read_json(finished / "results.json")["metrics"]
    assert (tmp_path / "metrics.csv").read_text() == (finished / "metrics.csv").read_text()


@pytest.mark.parametrize(("when_full", "later"), [("stop", 0), ("reservoir", 1)])
def test_a_memory_that_stops_at_its_limit_never_sees_later_domains(tmp_path, monkeypatch, when_full, later):
    monkeypatch.setattr(ocm, "draw_all", lambda path: [])
    settings = ["dynamic=false", "long_term_limit=40", f"when_full={when_full}", "train_per_class=32"]
    metrics = run(tmp_path, *settings)
    assert 40 <= metrics["stored_digits"] + metrics["stored_digits:inverted"] < 50
    assert (metrics["stored_digits:inverted"] > 0) == later
    assert (metrics["stored_classes_digits:inverted"] > 0) == later


def test_shapes_that_differ_end_the_run_before_it_begins(tmp_path):
    names = []
    for size in (28, 32):
        images, labels = np.zeros((4, size, size), np.uint8), np.arange(4) % 2
        path = tmp_path / f"{size}.npz"
        np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
        names.append(f"npz:{path}")
    with pytest.raises(UserError, match="images of all domains must have one shape"):
        run(tmp_path / "run", f"dataset={'+'.join(names)}")
    assert not (tmp_path / "run").exists()
