"""Checks the OCM experiment: settings, the parts built from them, a run's files, and how its script ends."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import Expansion, MemoryTransfer
from ocm_tf.errors import DivergedError, UserError
from ocm_tf.experiments import (
    ocm,
    ocm_comparison,
    ocm_config,
    ocm_schedule,
    ocm_script,
    parse_arguments,
    read_metrics,
    run_script,
    run_series,
)
from ocm_tf.experiments.ocm_config import PAPER, PRESETS, RELEASE, TINY, VARIANTS
from ocm_tf.memory import CooperativeMemory, PackedSampleBuffer, RandomReplacementMemory
from ocm_tf.models import VAE, VAEMixture
from tests import tiny

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "ocm_split_mnist.py"
JUMP = 1.5
# 400 images in 25 batches and five rounds.
SHORT = ["train_per_class=40", "test_per_class=10", "epochs_per_batch=1", "hidden_units=12", "latent_dim=2"]
SHORT += ["eval_samples=5", "expansion_samples=5", f"expansion_threshold={JUMP}"]
PACKED = ["memory=reservoir", "memory_bits=1", "augmentation=1", "augmented_share=0.5", "weight_average=0.9"]


def parse(*argv):
    texts = {"script": "ocm_split_mnist", "description": "", "costs": ocm_config.COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=PRESETS, **texts)


def config_of(*pairs):
    return parse("--set", *SHORT, *pairs).config


def run_in_process(output, *argv, settings=()):
    return ocm.run(parse("--output", output, "--set", *SHORT, *settings, *argv), say=lambda line: None)


def command(output, *flags, settings=SHORT):
    texts = ["--preset", "tiny", "--quiet", "--output", str(output), "--set", *settings, *flags]
    return [sys.executable, str(SCRIPT), *texts]


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def values_of(rows, stage, metric):
    """Returns steps and values of one metric in a table."""
    chosen = (rows["stage"] == stage) & (rows["metric"] == metric)
    return rows["step"][chosen], rows["value"][chosen]


# Settings -------------------------------------------------------------------------------------------------------------


def test_defaults_are_the_values_of_the_paper():
    expected = {
        "batch_size": 64, "short_term_capacity": 512, "alpha": 10.0, "transfer_threshold": 0.6, "max_transferred": 15,
        "limit": 2048, "expansion_threshold": 10.0, "max_components": 30, "epochs_per_batch": 100,
        "learning_rate": 1e-4, "beta_1": 0.5, "latent_dim": 50, "hidden_units": 200, "num_samples": 50,
        "eval_samples": 1000, "kernel": "rbf", "selection": "similar", "reference": "on_expand", "trigger": "ge",
    }  # fmt: skip
    assert {name: getattr(PAPER, name) for name in expected} == expected


def test_release_has_the_values_of_the_authors_code():
    expected = {
        "kernel": "laplace_code", "transfer_threshold": 0.35, "max_transferred": 14, "limit": 2560, "trigger": "gt",
        "seed_duplicate": True, "reference": "every_round", "order": "expand_first", "grey_input": True,
        "resample": True, "skip_first_round": True,
    }  # fmt: skip
    assert {name: getattr(RELEASE, name) for name in expected} == expected


@pytest.mark.parametrize(("capacity", "size"), [(300, 1204), (400, 1609), (512, 1609), (600, 1444), (700, 1324)])
def test_the_scheduled_size_is_the_published_one(capacity, size):
    config = dataclasses.replace(PAPER, short_term_capacity=capacity, trigger="gt", seed_duplicate=True)
    assert ocm_schedule.scheduled_long_term_size(config, 937) == size


def test_every_preset_and_variant_has_a_cost_or_a_name():
    assert ocm_config.COSTS.keys() == PRESETS.keys()
    for name, changes in VARIANTS.items():
        assert ocm_config.variant_of(dataclasses.replace(PAPER, **changes)) == name
    assert ocm_config.variant_of(dataclasses.replace(PAPER, memory="short_term")) is None


def test_tuning_sees_training_images_alone():
    digits = data.load("digits")
    stream, held_out = ocm.build_stream(config_of("validation=true", "train_per_class=none"), digits, 0)
    known = {image.tobytes() for image in digits.train.images}
    streamed = {image.tobytes() for image in stream.images_at(slice(None))}
    evaluated = {image.tobytes() for image in held_out.images}
    assert evaluated <= known and streamed <= known and not evaluated & streamed
    assert len(held_out.labels) == 100 and np.bincount(held_out.labels).tolist() == [10] * 10


def test_components_may_own_all_their_layers():
    own = ocm.build_model(config_of("share_layers=false"), (8, 8, 1), 0)
    single = ocm.build_model(config_of("dynamic=false"), (8, 8, 1), 0)
    shapes = [[weight.shape for weight in model.encoder.weights + model.decoder.weights] for model in (own, single)]
    assert shapes[0] == shapes[1]
    assert own.shared_encoder.weights == own.shared_decoder.weights == []
    own.grow()
    assert [weight.shape for weight in own.bank.read(0)] == shapes[1]


def test_an_importance_weighted_variant_takes_more_than_one_sample():
    stream = ocm_config.variant_changes("vae-iwvae-ocm", PRESETS["stream"])
    assert (stream["num_samples"], stream["kl"]) == (5, "sampled")
    assert ocm_config.variant_changes("vae-iwvae-ocm", PAPER)["num_samples"] == 50


def test_joint_training_makes_as_many_updates_as_ocm():
    counts = {}
    for name in ("vae-elbo-ocm", "joint"):
        changes = [f"{key}={value}" for key, value in VARIANTS[name].items()]
        config = config_of(*changes)
        model = ocm.build_model(config, (8, 8, 1), 0)
        stream, _ = ocm.build_stream(config, data.load("digits"), 0)
        rules = [rule for rule in ocm.build_rules(config, 0).values() if rule is not None]
        model.fit(stream.batches(config.arrival_size), epochs=1, verbose=0, callbacks=rules)
        counts[name] = int(model.optimizer.iterations.numpy())
    # The joint stream ends with its last whole arrival.
    expected = ocm_schedule.scheduled_updates(config, 25)
    assert counts["vae-elbo-ocm"] == expected
    assert expected - 50 < counts["joint"] <= expected


@pytest.mark.parametrize("changes", [{"stream": "pairs"}, {"num_passes": 2}, {"dynamic": True}])
def test_joint_training_refuses_what_does_not_go_with_it(changes):
    with pytest.raises(ValueError, match="memory=joint needs stream=shuffled"):
        dataclasses.replace(PAPER, **{**VARIANTS["joint"], **changes})


def test_paper_values_are_those_of_the_method_and_data_set():
    values = ocm_config.paper_values(PAPER)
    assert values == {"log_likelihood": -115.89, "nll": 115.89, "memory_samples": 1100, "num_components": 5}
    assert set(ocm_config.paper_values(TINY).values()) == {None}
    assert set(ocm_config.paper_values(dataclasses.replace(PAPER, when_full="reservoir")).values()) == {None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"expansion_samples": 0}, "expansion_samples must be at least 1, got 0"),
        ({"train_per_class": -1}, "train_per_class must be at least 1, got -1"),
        ({"long_term_limit": 0}, "long_term_limit must be at least 1, got 0"),
        ({"alpha": 0.0}, "alpha must be positive, got 0.0"),
        ({"learning_rate": -1.0}, "learning_rate must be positive, got -1.0"),
        ({"beta_1": 1.0}, r"beta_1 must lie in \[0, 1\), got 1.0"),
        ({"weight_average": 1.0}, r"weight_average must lie in \[0, 1\), got 1.0"),
        ({"memory_bits": 4, "memory": "short_term"}, "memory_bits=4 needs memory=cooperative or reservoir"),
        ({"memory_bits": 1, "likelihood": "gaussian"}, "memory_bits=1 needs .* likelihood=bernoulli"),
        ({"augmentation": -0.5}, "augmentation must not be negative, got -0.5"),
        ({"augmented_share": 0.0}, r"augmented_share must lie in \(0, 1\], got 0.0"),
        ({"max_transferred": -1}, "max_transferred must not be negative, got -1"),
        (
            {"memory": "random_replacement", "long_term_limit": 63},
            "long_term_limit must hold a batch of 64, got 63",
        ),
    ],
)
def test_settings_out_of_range_are_refused_before_the_run(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAPER, **changes)
    assert dataclasses.replace(PAPER, train_per_class=None, long_term_limit=None, max_transferred=0)


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "num_phases"), [("class_sorted", 10), ("pairs", 5), ("shuffled", 1)], ids=lambda value: str(value)
)
def test_the_stream_has_the_order_of_the_settings(order, num_phases):
    stream, test = ocm.build_stream(config_of(f"stream={order}"), data.load("digits"), seed=0)
    assert len(stream) == 400 and len(stream.truth.phase_starts) == num_phases
    assert np.bincount(test.labels).tolist() == [10] * 10
    labels = stream.truth.labels if order == "class_sorted" else stream.truth.labels // 2
    assert (np.diff(labels) >= 0).all() == (order != "shuffled")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_passes=2", "order class_sorted is read once; num_passes is 2"),
        ("train_per_class=1000", "1000 images per class wanted, the smallest class has"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        ocm.build_stream(config_of(setting), data.load("digits"), seed=0)


@pytest.mark.parametrize(
    ("kind", "short_term", "long_term"),
    [
        ("cooperative", 64, 256 + 10 + 16),
        ("reservoir", 64, 256 + 10 + 16),
        ("short_term", 64, None),
        ("newest", 16, None),
        ("random_replacement", None, 375),
        ("none", None, None),
    ],
)
def test_the_memory_is_that_of_the_settings(kind, short_term, long_term):
    memory = ocm.build_memory(config_of(f"memory={kind}", "seed_duplicate=true"), tiny.IMAGE_SHAPE, seed=0)
    capacities = [getattr(getattr(memory, part, None), "capacity", None) for part in ("short_term", "long_term")]
    assert capacities == [short_term, long_term]
    classes = {"random_replacement": RandomReplacementMemory, "none": type(None)}
    assert isinstance(memory, classes.get(kind, CooperativeMemory))
    if kind in ("cooperative", "reservoir"):
        assert memory.seed_long_term == (kind == "cooperative") and memory.seed_duplicate


def test_fewer_bits_hold_more_samples_of_which_as_many_are_replayed():
    config = config_of("memory=reservoir", "memory_bits=2", "long_term_limit=50")
    memory = ocm.build_memory(config, tiny.IMAGE_SHAPE, seed=0)
    assert isinstance(memory.long_term, PackedSampleBuffer) and memory.long_term.bits == 2
    assert config.long_term_capacity == 200 and memory.long_term.capacity == 200 + 10 + 16
    assert memory.replay_limit == 50


def test_a_model_that_does_not_grow_has_the_layers_of_one_that_does():
    single = ocm.build_model(config_of("dynamic=false"), tiny.IMAGE_SHAPE, seed=0)
    growing = ocm.build_model(config_of("dynamic=true"), tiny.IMAGE_SHAPE, seed=0)
    assert type(single) is VAE and type(growing) is VAEMixture
    shapes = [sorted(tuple(weight.shape) for weight in model.trainable_weights) for model in (single, growing)]
    assert shapes[0] == shapes[1]
    assert single.optimizer.epsilon == 1e-8 and single.optimizer.beta_1 == 0.5
    np.testing.assert_allclose(single.optimizer.learning_rate, 1e-3)


def test_the_rules_are_those_of_the_settings():
    rules = ocm.build_rules(config_of("order=expand_first", "alpha=3", "reference=on_expand"), seed=0)
    transfer, expansion = rules["transfer"], rules["expansion"]
    assert isinstance(transfer, MemoryTransfer) and isinstance(expansion, Expansion)
    assert (transfer.alpha, transfer.long_term_limit, transfer.max_transferred) == (3.0, 256, 10)
    assert expansion.keep_transferred is transfer and expansion.reference == "on_expand"
    assert ocm.build_rules(config_of(), seed=0)["expansion"].keep_transferred is None
    assert ocm.build_rules(config_of("memory=short_term", "dynamic=false"), 0) == {"transfer": None, "expansion": None}


@pytest.mark.parametrize("memory", ["none", "random_replacement"])
def test_growth_without_a_short_term_memory_is_refused(memory):
    with pytest.raises(ValueError, match=f"needs a short-term memory; memory={memory} has none"):
        ocm.build_rules(config_of(f"memory={memory}"), seed=0)


def test_the_evaluation_is_a_mean_over_images_and_over_those_of_each_class():
    model = tiny.make_vae()
    test = data.Split(tiny.make_images(7), np.array([0, 0, 0, 0, 0, 2, 2]))
    metrics = ocm.evaluate(model, test, 3, seed=5)
    bounds = model.log_likelihood(np.asarray(model.binarised(test.images, 5)), 3, seed=10)
    expected = {"log_likelihood": bounds.mean(), "nll": -bounds.mean()}
    expected |= {"nll_class_0": -bounds[:5].mean(), "nll_class_2": -bounds[5:].mean()}
    assert metrics.keys() == expected.keys()
    np.testing.assert_allclose(list(metrics.values()), list(expected.values()), rtol=1e-6)
    assert ocm.evaluate(model, test, 3, seed=5) == metrics != ocm.evaluate(model, test, 3, seed=6)


def test_parts_of_a_long_evaluation_have_draws_of_their_own(monkeypatch):
    monkeypatch.setattr(ocm, "_EVALUATED_TOGETHER", 2)
    seeds = []

    class Model:
        def binarised(self, images, seed):
            return images

        def routed_log_likelihood(self, images, num_samples, seed, routing_samples):
            seeds.append((len(images), seed))
            return -np.ones(len(images)), np.zeros(len(images), int)

    test = data.Split(tiny.make_images(5), np.zeros(5, int))
    assert ocm.evaluate(Model(), test, 3, seed=1)["nll"] == 1.0
    # A routed evaluation uses a seed and the one after it.
    assert seeds == [(2, 2), (2, 6), (1, 10)]


def test_an_evaluation_without_a_finite_bound_is_a_divergence():
    model = tiny.make_vae()
    model.decoder.weights[-1].assign(np.full(tiny.NUM_PIXELS, np.nan))
    test = data.Split(tiny.make_images(3), np.zeros(3, int))
    with pytest.raises(DivergedError, match="3 test images have no finite bound; lower the learning rate"):
        ocm.evaluate(model, test, 2, seed=0)


# A run ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run made by the script in a process of its own."""
    path = tmp_path_factory.mktemp("runs") / "short"
    process = subprocess.run(command(path), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    return path


def test_the_script_writes_all_files_of_a_run(finished):
    names = {path.name for path in finished.iterdir() if path.name[0] != "."}
    assert names == {
        "config.json", "metrics.csv", "results.json", "observations.npz", "model.keras", "model_card.md", "figures",
        "checkpoint",
    }  # fmt: skip
    assert len(list((finished / "figures").glob("*.png"))) >= 6
    config, results = read_json(finished / "config.json"), read_json(finished / "results.json")
    assert config["settings"]["hidden_units"] == 12 and config["seed"] == 0 and config["versions"]["keras"]
    expected = {"experiment": "ocm_split_mnist", "preset": "tiny", "seed": 0, "dataset": "digits", "finished": True}
    assert {name: results[name] for name in expected} == expected
    assert results["changes"]["train_per_class"] == 40
    assert results["metrics"]["nll"] == -results["metrics"]["log_likelihood"]
    assert {f"nll_class_{label}" for label in range(10)} <= results["metrics"].keys()
    assert results["paper"].keys() == {"log_likelihood", "nll", "memory_samples", "num_components"}
    assert results["memory_bytes"] == 64 * results["memory_samples"] and results["wall_seconds"] > 0


def test_the_saved_model_gives_the_results_of_the_run(finished):
    model, results = ocm_tf.load_model(finished), read_json(finished / "results.json")
    _, test = ocm.build_stream(config_of(), data.load("digits"), seed=0)
    assert ocm.evaluate(model, test, 5, seed=0) == results["metrics"]
    assert model.num_components == results["num_components"]
    assert len(model.memory.long_term) == results["memory_samples"]


def test_the_stored_samples_are_images_of_the_stream(finished):
    stream, _ = ocm.build_stream(config_of(), data.load("digits"), seed=0)
    memory = ocm_tf.load_model(finished).memory
    assert len(memory.short_term) > 0
    for buffer in (memory.short_term, memory.long_term):
        held = buffer.read()
        np.testing.assert_array_equal(held.images, stream.images_at(held.positions))
        # The model was told no label.
        assert (held.labels == -1).all()


def test_the_table_tells_of_every_batch_and_every_round(finished):
    rows, results = read_metrics(finished / "metrics.csv"), read_json(finished / "results.json")
    for metric in ("loss", "num_components", "short_term_size", "long_term_size"):
        assert values_of(rows, "train", metric)[0].tolist() == list(range(1, 26))
    steps, sizes = values_of(rows, "round", "long_term_size")
    assert steps.tolist() == [5, 10, 15, 20, 25]
    by_class = sum(values_of(rows, "round", f"long_term_class_{label}")[1] for label in range(10))
    np.testing.assert_array_equal(by_class, sizes)
    _, moved = values_of(rows, "round", "num_transferred")
    assert moved.tolist() == [0, 10, 10, 10, 10]
    _, expanded = values_of(rows, "round", "expanded")
    _, components = values_of(rows, "round", "num_components")
    np.testing.assert_array_equal(1 + np.cumsum(expanded), components)
    assert components[-1] == results["num_components"] and sizes[-1] == results["memory_samples"]
    _, bounds = values_of(rows, "round", "bound")
    # A round expands where the bound has jumped since the round before.
    np.testing.assert_array_equal(np.abs(np.diff(bounds)) > JUMP, expanded[1:])
    for metric in ("memory_bound", "test_bound"):
        tracked_steps, tracked = values_of(rows, "round", metric)
        assert tracked_steps.tolist() == [5, 10, 15, 20, 25] and np.isfinite(tracked).all()
    assert values_of(rows, "evaluate", "nll")[1].tolist() == [results["metrics"]["nll"]]


def test_observations_match_the_table(finished):
    with np.load(finished / "observations.npz") as stored:
        observations = dict(stored)
    assert observations["score_steps"].tolist() == [5, 10, 15, 20, 25]
    assert observations["score_picked"].sum(axis=1).tolist() == [0, 10, 10, 10, 10]
    assert observations["scores"].shape == (5, 80)
    assert observations["class_names"].tolist() == [str(digit) for digit in range(10)]
    assert observations["phase_starts"].tolist() == [40 * label // 16 for label in range(10)]
    for name in ("test_images", "test_inputs", "reconstructions", "generated"):
        assert observations[name].shape == (64, 8, 8, 1)
    stream, _ = ocm.build_stream(config_of(), data.load("digits"), seed=0)
    known = {image.tobytes() for image in stream.images_at(slice(None))}
    for grid, count in zip(observations["long_term_grids"], observations["long_term_counts"], strict=True):
        assert all(image.tobytes() in known for image in grid[:count])


@pytest.mark.slow
def test_a_run_stopped_after_its_last_batch_is_resumed_to_the_same_files(finished, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ocm, "evaluate", stop)
        run_in_process(tmp_path)
    assert not (tmp_path / "results.json").exists()
    ocm.run(parse("--output", tmp_path, "--resume", "--set", *SHORT), say=lambda line: None)
    assert read_json(tmp_path / "results.json")["metrics"] == read_json(finished / "results.json")["metrics"]
    assert (tmp_path / "metrics.csv").read_text() == (finished / "metrics.csv").read_text()
    with np.load(tmp_path / "observations.npz") as resumed, np.load(finished / "observations.npz") as expected:
        assert set(resumed) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(resumed[name], expected[name])


@pytest.mark.slow
def test_a_run_in_another_process_gives_the_same_numbers(finished, tmp_path):
    metrics = run_in_process(tmp_path / "again")
    assert metrics == read_json(finished / "results.json")["metrics"]
    assert (tmp_path / "again" / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["reservoir", "short_term", "newest", "random_replacement", "none"])
def test_every_kind_of_memory_makes_a_whole_run(tmp_path, memory):
    settings = [f"memory={memory}"] + ["dynamic=false"] * (memory in ("random_replacement", "none"))
    metrics = run_in_process(tmp_path / memory, settings=settings)
    assert np.isfinite(metrics["nll"])
    results = read_json(tmp_path / memory / "results.json")
    assert (results["memory_samples"] > 0) == (memory in ("reservoir", "random_replacement"))
    assert ocm_tf.load_model(tmp_path / memory).generate(2).shape == (2, 8, 8, 1)


# How the script ends --------------------------------------------------------------------------------------------------


def nan_file(directory):
    """Writes a data set whose pixels are not all numbers."""
    images = np.random.default_rng(0).random((20, 8, 8)).astype(np.float32)
    labels = np.arange(20) % 2
    images[3, 2, 2] = np.nan
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(directory / "broken.npz", **arrays)
    return directory / "broken.npz"


MISTAKES = {
    "unknown preset": (["--preset", "huge"], r"unknown preset 'huge'"),
    "unknown setting": (["--set", "batchsize=3"], r"unknown setting 'batchsize'; did you mean 'batch_size'"),
    "value of another type": (["--set", "batch_size=many"], r"batch_size=many: expected a whole number"),
    "unknown choice": (["--set", "kernel=linear"], r"kernel=linear: must be one of"),
    "unknown variant": (["--variant", "vae"], r"invalid choice: 'vae'"),
    "variant that refuses a setting": (
        ["--variant", "vae-elbo-random", "--set", "long_term_limit=3"],
        r"long_term_limit must hold a batch of 16, got 3",
    ),
    "seeds without compare": (["--seeds", "1"], r"--seeds and --only go with --compare"),
    "setting of a comparison": (
        ["--compare", "methods", "--set", "beta=2", "memory=newest"],
        "the comparison varies memory",
    ),
    "batch larger than the short-term memory": (
        ["--set", "batch_size=65", "--output", "{new}"],
        r"batch_size must lie in 1\.\.capacity=64, got 65",
    ),
    "finished run": (["--output", "{finished}", "--set", *SHORT], r"holds a finished run; --overwrite replaces it"),
    "finished run to be resumed": (
        ["--output", "{finished}", "--resume", "--set", *SHORT],
        r"holds a finished run; --overwrite replaces it",
    ),
    "output below a file": (["--output", "{file}/run"], r"cannot write .*: Not a directory"),
    "output with other things in it": (["--output", "{used}"], r"is not empty and is no run directory"),
    "pixels that are not numbers": (
        ["--set", "dataset=npz:{nan}", "--output", "{new}"],
        r"array 'train_images' must be finite, found NaN",
    ),
    "missing data": (["--set", "dataset=npz:{new}", "--output", "{new}"], r"there is nothing at"),
    "stream shorter than a batch": (
        ["--set", "train_per_class=1", "--output", "{new}"],
        r"The stream has 10 images, fewer than one batch of 16",
    ),
    "memory larger than the machine's": (
        ["--set", "short_term_capacity=1000000000000", "--output", "{new}"],
        r"a memory of 1,000,000,000,\d{3} samples x 80 bytes needs 80,000,000,\d{3},\d{3} bytes .* are free",
    ),
    "number below one": (["--set", "eval_samples=0"], r"eval_samples must be at least 1, got 0"),
    "settings that exclude each other": (
        ["--set", "objective=iwae", "kl=analytic", "--output", "{new}"],
        r"importance-weighted bound has no analytic KL term",
    ),
}


@pytest.fixture(scope="module")
def places(finished, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mistakes")
    (directory / "file").write_text("in the way")
    (directory / "used").mkdir()
    (directory / "used" / "thesis.tex").write_text("precious")
    found = {name: directory / name for name in ("file", "used", "new")}
    return {**found, "finished": finished, "nan": nan_file(directory)}


def mistaken_argv(name, places):
    argv = [word.format(**places) for word in MISTAKES[name][0]]
    return argv if "--preset" in argv else ["--preset", "tiny", *argv]


def assert_one_line(errors, pattern):
    assert errors.count("\n") == 1 and errors.endswith("\n"), errors
    assert errors.startswith(("error: ", "ocm_split_mnist.py: error: "))
    assert "Traceback" not in errors
    with pytest.raises(UserError, match=pattern):
        raise UserError(errors)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_one_line(name, places, capsys):
    before = (places["finished"] / "results.json").read_bytes()
    argv = mistaken_argv(name, places)
    try:
        status = run_script(lambda: ocm_script.main("ocm_split_mnist", "", PRESETS, ocm_config.COSTS, argv))
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert_one_line(capsys.readouterr().err, MISTAKES[name][1])
    assert (places["finished"] / "results.json").read_bytes() == before
    assert not places["new"].exists() or not (places["new"] / "config.json").exists()
    assert (places["used"] / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize(
    "name",
    [
        "unknown preset",
        "unknown setting",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "batch larger than the short-term memory",
                "finished run",
                "output below a file",
                "pixels that are not numbers",
            )
        ),
    ],
)
def test_a_mistake_ends_the_process_with_status_two(name, places):
    argv = mistaken_argv(name, places)
    process = subprocess.run([sys.executable, str(SCRIPT), *argv], capture_output=True, text=True)
    assert process.returncode == 2
    assert_one_line(process.stderr, MISTAKES[name][1])


def test_a_variant_changes_the_settings_but_for_those_named(monkeypatch):
    seen = []
    monkeypatch.setattr(ocm, "run", seen.append)
    argv = ["--preset", "tiny", "--variant", "vae-elbo-ocm-cos", "--set", "transfer_threshold=0.1"]
    ocm_script.main("ocm_split_mnist", "", PRESETS, ocm_config.COSTS, argv)
    config = seen[0].config
    assert (config.kernel, config.selection, config.dynamic) == ("cosine", "dissimilar", False)
    assert config.transfer_threshold == 0.1
    assert seen[0].output == Path("runs/ocm_split_mnist/vae-elbo-ocm-cos-tiny-seed0")
    assert seen[0].changes["kernel"] == "cosine"


def test_a_named_setting_wins_over_the_variant_even_where_it_is_the_presets(monkeypatch):
    seen = []
    monkeypatch.setattr(ocm, "run", seen.append)
    argv = ["--preset", "tiny", "--variant", "best", "--set", "weight_average=0"]
    ocm_script.main("ocm_split_mnist", "", PRESETS, ocm_config.COSTS, argv)
    assert (seen[0].config.weight_average, seen[0].config.augmentation) == (0, 1)


# The comparison -------------------------------------------------------------------------------------------------------


def test_a_comparison_runs_every_rule_with_every_seed_and_skips_what_is_finished(monkeypatch, tmp_path):
    made, drawn = [], []
    monkeypatch.setattr(ocm, "run", lambda arguments, say: made.append(arguments))
    monkeypatch.setattr(ocm_comparison, "draw_comparison", lambda path, labels: (drawn.append(labels), ([], None))[1])
    changes = {"selection": "similar", "dynamic": False}
    tiny.finish_run(run_series.varied(parse("--output", tmp_path), "similar-seed1", 1, changes))
    compared = ocm_comparison.compared_rules(only=["similar", "newest batch only"])
    _, failures = ocm_comparison.compare(parse("--output", tmp_path), [1, 2], compared, lambda line: None)
    assert failures == {}
    names = [arguments.output.name for arguments in made]
    assert names == [
        "newest-batch-only-seed1", "dynamic-newest-batch-only-seed1", "dynamic-similar-seed1",
        "newest-batch-only-seed2", "similar-seed2", "dynamic-newest-batch-only-seed2", "dynamic-similar-seed2",
    ]  # fmt: skip
    assert [arguments.config.dynamic for arguments in made] == [name.startswith("dynamic") for name in names]
    assert {arguments.seed for arguments in made} == {1, 2} and all(arguments.resume for arguments in made)
    assert made[0].config.memory == "newest" and made[0].changes["memory"] == "newest"
    assert drawn == [list(compared)]


@pytest.mark.parametrize(
    ("flags", "labels", "directory"),
    [
        (["--compare"], list(ocm_comparison.compared_rules()), "rules-tiny"),
        (["--compare", "rules", "--only", "random"], ["random", "dynamic-random"], "rules-tiny"),
        (["--compare", "methods", "--only", "joint", "best"], ["best", "joint"], "methods-tiny"),
    ],
)
def test_the_command_line_chooses_what_is_compared(monkeypatch, flags, labels, directory):
    calls = []
    monkeypatch.setattr(ocm_script, "compare", lambda *args, **options: (calls.append((*args, options)), ([], {}))[1])
    main = ocm_script.main
    assert main("ocm_split_mnist", "", PRESETS, ocm_config.COSTS, ["--preset", "tiny", "--seeds", "3", *flags]) == 0
    ((arguments, seeds, compared, options),) = calls
    assert (list(compared), seeds, arguments.output) == (labels, [3], Path("runs/ocm_split_mnist") / directory)
    # The table keeps its order whichever part of it is made.
    assert [name for name in options["order"] if name in compared] == labels


def test_compared_methods_are_the_variants_of_the_preset():
    compared = ocm_comparison.compared_methods(PRESETS["stream"])
    assert list(compared) == list(VARIANTS)
    for name, changes in compared.items():
        assert ocm_config.variant_of(dataclasses.replace(PRESETS["stream"], **changes)) == name


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="unknown rule 'nearest'; rules: newest batch only, "):
        ocm_comparison.compared_rules(only=["nearest"])
    with pytest.raises(UserError, match="unknown method 'nearest'; methods: vae-elbo-ocm, "):
        ocm_comparison.compared_methods(PAPER, ["nearest"])


# Whole runs of the tiny preset ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory):
    """Results of the tiny preset by name, each run once."""
    directory = tmp_path_factory.mktemp("tiny")
    changes = {
        "both memories": ["dynamic=false"],
        "short-term only": ["dynamic=false", "memory=short_term"],
        "dynamic": ["expansion_threshold=2"],
        "dynamic again": ["expansion_threshold=2"],
    }
    for name, settings in changes.items():
        ocm.run(parse("--output", directory / name, "--set", *settings), say=lambda line: None)
    return {name: directory / name for name in changes}


def results_of(path):
    return read_json(path / "results.json")


@pytest.mark.slow
def test_a_long_term_memory_keeps_what_the_short_term_one_forgets(tiny_runs):
    with_it, without = (results_of(tiny_runs[name])["metrics"]["nll"] for name in ("both memories", "short-term only"))
    assert with_it + 3 < without


@pytest.mark.slow
def test_the_long_term_memory_covers_the_classes(tiny_runs):
    assert results_of(tiny_runs["both memories"])["memory_samples"] == 186
    rows = read_metrics(tiny_runs["both memories"] / "metrics.csv")
    counts = [values_of(rows, "round", f"long_term_class_{label}")[1][-1] for label in range(10)]
    assert sum(counts) == 186 and np.count_nonzero(counts) >= 8


@pytest.mark.slow
def test_the_mixture_grows_and_explains_no_less(tiny_runs):
    results = results_of(tiny_runs["dynamic"])
    assert results["num_components"] >= 2
    assert results["metrics"]["nll"] <= results_of(tiny_runs["both memories"])["metrics"]["nll"]


@pytest.mark.slow
def test_a_run_is_reproducible_under_a_fixed_seed(tiny_runs):
    first, second = tiny_runs["dynamic"], tiny_runs["dynamic again"]
    assert results_of(first)["metrics"] == results_of(second)["metrics"]
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    loaded = [ocm_tf.load_model(path) for path in (first, second)]
    tiny.assert_same_values(loaded[0].weights, tiny.values_of(loaded[1].weights))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SHORT, [*SHORT, *PACKED, "epochs_per_batch=3"]])
def test_an_interrupted_run_that_is_resumed_ends_as_one_never_stopped(tmp_path, settings):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert subprocess.run(command(straight, settings=settings), capture_output=True).returncode == 0
    flags = ["--checkpoint-seconds", "0"]
    process = subprocess.Popen(command(stopped, *flags, settings=settings), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (stopped / "checkpoint" / "state.previous.npz").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("interrupted at batch ") and errors.endswith(" --resume\n")
    assert not (stopped / "results.json").exists()
    resumed = subprocess.run(command(stopped, *flags, "--resume", settings=settings), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert results_of(stopped)["metrics"] == results_of(straight)["metrics"]
    assert (stopped / "metrics.csv").read_bytes() == (straight / "metrics.csv").read_bytes()
    with np.load(stopped / "observations.npz") as ours, np.load(straight / "observations.npz") as theirs:
        assert ours.files == theirs.files
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name])
