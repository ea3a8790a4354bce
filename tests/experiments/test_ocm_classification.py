"""Checks the OCM classification experiment: settings, budgets, the parts built from them, runs and their scripts."""

import dataclasses
import json
import signal

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import Interrupted, MemoryTransfer, ReservoirTransfer
from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm, ocm_classification, ocm_classification_script, parse_arguments, read_metrics
from ocm_tf.experiments.ocm_classification_config import (
    COSTS,
    IMBALANCED_PRESETS,
    PAPER,
    PRESETS,
    TINY,
    VARIANTS,
    dominant_choices,
    for_dataset,
    for_stream,
    paper_values,
    variant_of,
)
from ocm_tf.experiments.ocm_recorder import OCMRecorder
from ocm_tf.models import ClassifierMixture, OnlineClassifier
from tests import tiny
from tests.signals import raise_and_wait

# 200 images in 20 batches and ten rounds.
SHORT = ["train_per_class=20", "test_per_class=10", "steps_per_batch=1", "hidden_units=8", "latent_dim=2"]
SHORT += ["classifier_units=8", "eval_samples=2", "expansion_samples=2", "expansion_threshold=0.5"]
SHORT += ["short_term_capacity=20", "memory_budget=60", "max_components=3"]


def parse(*argv, presets=PRESETS):
    texts = {"script": "ocm_classification", "description": "", "costs": COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=presets, **texts)


def config_of(*pairs, presets=PRESETS):
    return for_dataset(parse("--set", *SHORT, *pairs, presets=presets).config)


def run_variant(output, variant, *flags, settings=()):
    pairs = [f"{name}={str(value).lower()}" for name, value in VARIANTS[variant].items()]
    arguments = parse("--output", output, *flags, "--set", *SHORT, *pairs, *settings)
    return ocm_classification.run(arguments, say=lambda line: None)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"classifier_units": (400, 400), "memory_budget": 2000, "classes_per_task": 2, "limit": 1489}),
        ("cifar10", {"classifier": "resnet", "memory_budget": 1000, "classes_per_task": 2, "likelihood": "gaussian"}),
        ("cifar100", {"classifier": "resnet", "memory_budget": 5000, "classes_per_task": 5, "max_transferred": 45}),
    ],
)
def test_a_data_set_brings_the_values_of_the_paper(dataset, expected):
    num_images = 60_000 if dataset == "mnist" else 50_000
    config = for_dataset(dataclasses.replace(PAPER, dataset=dataset))
    config = for_stream(config, num_images // config.batch_size)
    assert {name: getattr(config, name) for name in expected} == expected
    assert (config.resnet_blocks, config.resnet_width, config.batch_size) == ((2, 2, 2, 2), 64, 10)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"classifier_units": (100, 100), "memory_budget": 3000, "num_dominant": 2000, "num_other": 200}),
        ("cifar10", {"memory_budget": 1000, "num_dominant": 4000, "num_other": 400}),
        ("cifar100", {"memory_budget": 5000, "num_dominant": 2500, "num_other": 1000}),
    ],
)
def test_an_imbalanced_stream_has_values_of_its_own(dataset, expected):
    config = for_dataset(dataclasses.replace(IMBALANCED_PRESETS["paper"], dataset=dataset))
    assert {name: getattr(config, name) for name in expected} == expected
    assert dominant_choices(dataset) == ((1, 5, 10, 15, 20) if dataset == "cifar100" else (1, 2, 3, 4, 5))


def test_what_the_user_set_stays():
    config = for_dataset(dataclasses.replace(PAPER, memory_budget=700, classifier_units=(7,), classes_per_task=5))
    assert (config.memory_budget, config.classifier_units, config.classes_per_task) == (700, (7,), 5)


def test_a_data_set_without_values_needs_them_set():
    with pytest.raises(UserError, match="celeb_a has no value of its own for classes_per_task, classifier, likelihood"):
        for_dataset(dataclasses.replace(TINY, dataset="celeb_a"))
    with pytest.raises(UserError, match="cifar10 has no value of its own for classifier_units"):
        for_dataset(dataclasses.replace(PAPER, dataset="cifar10", classifier="mlp"))


def test_presets_have_costs_and_variants_have_names():
    assert COSTS.keys() == PRESETS.keys() == IMBALANCED_PRESETS.keys()
    for name, changes in VARIANTS.items():
        assert variant_of(dataclasses.replace(PAPER, **changes)) == name
    for changes in ({"memory": "reservoir"}, {"clear_long_term": False}, {"warm_start": True}):
        assert variant_of(dataclasses.replace(PAPER, **changes)) is None


def test_paper_values_are_those_of_the_variant_the_data_set_and_the_stream():
    assert paper_values(PAPER) == {"average_accuracy": 94.02, "num_components": None}
    reservoir = dataclasses.replace(PAPER, dataset="cifar10", **VARIANTS["reservoir"])
    assert paper_values(reservoir)["average_accuracy"] == 42.48
    imbalanced = IMBALANCED_PRESETS["paper"]
    assert paper_values(imbalanced) == {"average_accuracy": 88.3, "num_components": 7}
    for config in (TINY, *(dataclasses.replace(PAPER, **VARIANTS[name]) for name in ("ocm", "dynamic-best"))):
        assert set(paper_values(config).values()) == {None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dominant": 0}, "dominant must be at least 1, got 0"),
        ({"resnet_width": 0}, "resnet_width must be at least 1, got 0"),
        ({"classifier_units": ()}, r"classifier_units must name sizes of at least 1, got \(\)"),
        ({"resnet_blocks": (2, 0)}, r"resnet_blocks must name sizes of at least 1, got \(2, 0\)"),
        ({"classifier_learning_rate": 0.0}, "classifier_learning_rate must be positive, got 0.0"),
        ({"num_passes": 2}, "is read once; num_passes is 2"),
        ({"weight_average": 0.9}, "weight_average is for density estimation alone, got 0.9"),
        ({"max_transferred": -1}, "max_transferred must not be negative, got -1"),
        ({"memory_budget": 500}, "memory_budget must be at least 510 for a short-term memory of 500, got 500"),
        (
            {"memory_budget": 600, "long_term_limit": 101},
            r"\(500\) and long_term_limit \(101\) exceed memory_budget=600",
        ),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAPER, **changes)


# Budget ---------------------------------------------------------------------------------------------------------------


@hypothesis.settings(max_examples=25)
@given(
    batch_size=st.integers(1, 7),
    capacity=st.integers(7, 20),
    spare=st.integers(0, 30),
    cap=st.integers(0, 9),
    trigger=st.sampled_from(["ge", "gt"]),
    memory=st.sampled_from(["cooperative", "reservoir"]),
)
def test_what_is_held_never_exceeds_the_budget(batch_size, capacity, spare, cap, trigger, memory):
    settings = {"batch_size": batch_size, "short_term_capacity": capacity, "trigger": trigger, "memory": memory}
    settings |= {"max_transferred": cap, "dynamic": False, "selection": "random"}
    config = dataclasses.replace(TINY, **settings, memory_budget=10_000)
    budget = config.short_term_size + max(batch_size, cap if memory == "cooperative" else 1) + spare
    config = dataclasses.replace(config, memory_budget=budget)
    model = tiny.StandIn(ocm.build_memory(config, (1, 1, 1), seed=0))
    rule = ocm.build_rules(config, seed=0)["transfer"] or ReservoirTransfer(config.limit)
    assert isinstance(rule, MemoryTransfer) == (memory == "cooperative")
    most = []

    def note(_):
        most.append(len(model.memory.short_term) + len(model.memory.long_term))

    tiny.drive(model, [rule], num_samples=12 * batch_size, batch_size=batch_size, after=note)
    assert max(most) <= budget
    for buffer in (model.memory.short_term, model.memory.long_term):
        tiny.assert_aligned(buffer.read())


def test_transfer_fills_the_memory_evenly_over_the_stream():
    config = for_stream(for_dataset(PAPER), 6000)
    # 120 rounds of 500 samples for the 1500 that the short-term memory leaves of 2000.
    assert config.max_transferred == 12
    assert for_stream(dataclasses.replace(for_dataset(PAPER), max_transferred=3), 6000).max_transferred == 3
    assert for_stream(dataclasses.replace(for_dataset(PAPER), **VARIANTS["finetune"]), 6000).max_transferred is None
    assert for_stream(for_dataset(dataclasses.replace(PAPER, dataset="cifar10")), 5000).max_transferred == 5


# Parts ----------------------------------------------------------------------------------------------------------------


def test_the_stream_is_that_of_the_settings():
    stream, test = ocm_classification.build_stream(config_of(), data.load("digits"), seed=0)
    assert stream.truth.phase_starts.tolist() == [0, 40, 80, 120, 160]
    assert np.bincount(test.labels).tolist() == [10] * 10
    pairs = ["train_per_class=none", "dominant=3", "num_other=30"]
    config = config_of(*pairs, presets=IMBALANCED_PRESETS)
    stream, _ = ocm_classification.build_stream(config, data.load("digits"), seed=0)
    assert np.bincount(stream.truth.labels // 2).tolist() == [30, 30, 200, 30, 30]


def test_validation_images_are_training_images_that_the_stream_lacks():
    digits = data.load("digits")
    config = config_of("validation=true", "train_per_class=none", "test_per_class=none")
    stream, held_out = ocm_classification.build_stream(config, digits, seed=0)
    known = sorted(image.tobytes() for image in digits.train.images)
    assert sorted(image.tobytes() for image in [*stream.images_at(slice(None)), *held_out.images]) == known
    assert 0.09 < len(held_out.labels) / len(known) < 0.11


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_is_that_of_the_variant(variant):
    changes = VARIANTS[variant]
    config = for_stream(dataclasses.replace(config_of(), **changes), 20)
    model = ocm_classification.build_model(config, tiny.IMAGE_SHAPE, 10, seed=0)
    is_mixture, grows = variant in ("dynamic-ocm", "ocm", "dynamic-best"), variant.startswith("dynamic")
    assert type(model) is (ClassifierMixture if is_mixture else OnlineClassifier)
    if is_mixture:
        assert model.max_components == (3 if grows else 1)
        assert model.optimizer.epsilon == 1e-8
    optimizer = model.classifier_optimizer if is_mixture else model.optimizer
    np.testing.assert_allclose(optimizer.learning_rate, 0.05)
    assert (model.memory is None) == (variant == "finetune")
    rules = ocm.build_rules(config, seed=0)
    assert [name for name, rule in rules.items() if rule] == {
        "dynamic-ocm": ["transfer", "expansion"], "ocm": ["transfer"], "reservoir": [], "finetune": [],
        "dynamic-best": ["expansion"],
    }[variant]  # fmt: skip
    if grows:
        expansion = rules["expansion"]
        expected = ("best", "highest", 5.0) if variant == "dynamic-best" else ("mean", "on_expand", 0.5)
        assert (expansion.components, expansion.reference, expansion.threshold) == expected
        assert expansion.clear_long_term


def test_the_classifiers_are_those_of_the_paper():
    mlp = ocm_classification.build_classifier(for_dataset(PAPER), 10)
    mlp.build((None, 28, 28, 1))
    assert mlp.count_params() == 784 * 400 + 400 + 400 * 400 + 400 + 400 * 10 + 10
    small = ocm_classification.build_classifier(for_dataset(IMBALANCED_PRESETS["paper"]), 10)
    assert small.units == (100, 100, 10)
    resnet = ocm_classification.build_classifier(for_dataset(dataclasses.replace(PAPER, dataset="cifar100")), 100)
    assert (resnet.blocks, resnet.width, resnet.num_classes) == ((2, 2, 2, 2), 64, 100)


class Routed:
    """Two components of which the second answers for dark images; both say that an image is of its first pixel."""

    num_components = 2

    def binarised(self, images, seed):
        return images / 255

    def route(self, images, num_samples, seed):
        return (images.reshape(len(images), -1)[:, 1] < 0.5).astype(np.int64)

    def classify(self, images, routes):
        np.testing.assert_array_equal(routes, self.route(images / 255, 1, 0))
        return np.eye(4)[images.reshape(len(images), -1)[:, 0]]


def test_accuracies_and_shares_are_of_their_classes_and_tasks():
    said, labels, dark = [0, 0, 1, 0, 3, 3], [0, 0, 1, 1, 2, 3], [0, 1, 1, 1, 0, 0]
    images = np.stack([said, 255 - 255 * np.array(dark)], axis=1).astype(np.uint8).reshape(-1, 1, 2, 1)
    test = data.Split(images, np.array(labels))
    metrics = ocm_classification.evaluate(Routed(), test, config_of("classes_per_task=2"), seed=0)
    assert metrics == pytest.approx(
        {
            "average_accuracy": 62.5, "accuracy": 100 * 4 / 6, "accuracy_task_1": 75, "accuracy_task_2": 50,
            "accuracy_class_0": 100, "accuracy_class_1": 50, "accuracy_class_2": 0, "accuracy_class_3": 100,
            "routing_component_0_class_0": 50, "routing_component_1_class_0": 50,
            "routing_component_0_class_1": 0, "routing_component_1_class_1": 100,
            "routing_component_0_class_2": 100, "routing_component_1_class_2": 0,
            "routing_component_0_class_3": 100, "routing_component_1_class_3": 0,
        }
    )  # fmt: skip


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run of Dynamic-OCM."""
    path = tmp_path_factory.mktemp("runs") / "short"
    run_variant(path, "dynamic-ocm")
    return path


def test_a_run_leaves_all_its_files(finished):
    results = read_json(finished / "results.json")
    metrics = results["metrics"]
    expected = {"average_accuracy", "accuracy", *(f"accuracy_task_{task}" for task in range(1, 6))}
    assert expected <= metrics.keys()
    tasks = [metrics[f"accuracy_task_{task}"] for task in range(1, 6)]
    assert metrics["average_accuracy"] == pytest.approx(np.mean(tasks))
    assert 1 < results["num_components"] <= 3 and results["paper"]["average_accuracy"] is None
    assert results["memory_samples"] + 20 <= 60
    shares = [
        [metrics[f"routing_component_{k}_class_{c}"] for c in range(10)] for k in range(results["num_components"])
    ]
    np.testing.assert_allclose(np.sum(shares, axis=0), 100)
    figures = {path.stem for path in (finished / "figures").iterdir()}
    assert {"task_accuracy", "routing", "training", "memory_classes", "bound"} <= figures
    # The data set's own values are written down.
    settings = read_json(finished / "config.json")["settings"]
    assert settings["classifier"] == "mlp" and settings["classes_per_task"] == 2


def test_the_saved_model_gives_the_results_and_holds_true_labels(finished):
    model, results = ocm_tf.load_model(finished), read_json(finished / "results.json")
    stream, test = ocm_classification.build_stream(config_of(), data.load("digits"), seed=0)
    assert ocm_classification.evaluate(model, test, config_of(), seed=0) == results["metrics"]
    for buffer in (model.memory.short_term, model.memory.long_term):
        held = buffer.read()
        np.testing.assert_array_equal(held.images, stream.images_at(held.positions))
        np.testing.assert_array_equal(held.labels, stream.truth.labels[held.positions])


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_ends_as_one_never_stopped(finished, tmp_path, monkeypatch):
    original = OCMRecorder.on_train_batch_end

    def stop_at_nine(recorder, batch, logs=None):
        original(recorder, batch, logs)
        if recorder.num_batches == 9:
            raise_and_wait(signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(OCMRecorder, "on_train_batch_end", stop_at_nine)
        run_variant(tmp_path, "dynamic-ocm")
    assert not (tmp_path / "results.json").exists()
    run_variant(tmp_path, "dynamic-ocm", "--resume")
    assert read_json(tmp_path / "results.json")["metrics"] == read_json(finished / "results.json")["metrics"]
    assert (tmp_path / "metrics.csv").read_text() == (finished / "metrics.csv").read_text()


def test_finetuning_forgets_all_but_the_last_task(tmp_path):
    metrics = run_variant(tmp_path, "finetune", settings=["train_per_class=none", "steps_per_batch=none"])
    assert np.mean([metrics[f"accuracy_task_{task}"] for task in range(1, 5)]) < 10
    assert metrics["accuracy_task_5"] > 50
    assert read_json(tmp_path / "results.json")["memory_samples"] == 0
    assert ocm_tf.load_model(tmp_path).memory is None


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["ocm", "reservoir", "dynamic-best"])
def test_every_variant_makes_a_whole_run(tmp_path, variant):
    metrics = run_variant(tmp_path, variant)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert rows["step"].max() == 20 and np.isfinite(metrics["average_accuracy"])
    assert 0 < read_json(tmp_path / "results.json")["memory_samples"] <= 40


@pytest.mark.slow
def test_a_memory_keeps_what_finetuning_forgets(tmp_path):
    settings = ["train_per_class=none", "steps_per_batch=10", "memory_budget=200", "classifier_units=100"]
    accuracies = [
        run_variant(tmp_path / variant, variant, settings=settings)["average_accuracy"]
        for variant in ("finetune", "reservoir")
    ]
    assert accuracies[0] + 40 < accuracies[1]


# Scripts --------------------------------------------------------------------------------------------------------------


def call(*argv, presets=PRESETS, imbalanced=False):
    argv = ["--preset", "tiny", *map(str, argv)]
    ocm_classification_script.main("ocm_classification", "", presets, argv, imbalanced)


def test_all_dominant_tasks_are_run_for_every_variant_and_seed(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(ocm_classification, "run", lambda arguments, say: made.append(arguments))
    monkeypatch.setattr(ocm_classification_script, "draw_comparison", lambda path, order: ([], []))
    flags = ["--all-dominant", "--seeds", 3, 4, "--only", "finetune", "ocm"]
    call(*flags, "--output", tmp_path, presets=IMBALANCED_PRESETS, imbalanced=True)
    names = [arguments.output.name for arguments in made]
    assert names == [
        f"{name}-dominant{dominant}-seed{seed}"
        for seed in (3, 4)
        for dominant in (1, 2, 3, 4, 5)
        for name in ("ocm", "finetune")
    ]
    assert [arguments.config.dominant for arguments in made[:4]] == [1, 1, 2, 2]
    assert made[1].config.memory == "none" and made[1].config.stream == "imbalanced" and made[-1].seed == 4


def test_a_finished_run_of_a_comparison_is_not_made_again(tmp_path, capsys):
    argv = ["--preset", "tiny", "--compare", "--only", "finetune", "--quiet", "--output", str(tmp_path)]
    argv += ["--set", *SHORT]
    for said in ("[1/1] finetune-seed0\n", "[1/1] finetune-seed0: finished before\n"):
        assert ocm_classification_script.main("ocm_classification", "", PRESETS, argv) == 0
        assert said in capsys.readouterr().out


def test_a_variant_and_a_dominant_task_change_the_settings(monkeypatch):
    seen = []
    monkeypatch.setattr(ocm_classification, "run", seen.append)
    call("--variant", "reservoir", "--dominant", 4, presets=IMBALANCED_PRESETS, imbalanced=True)
    assert (seen[0].config.dominant, seen[0].config.memory, seen[0].config.dynamic) == (4, "reservoir", False)
    assert seen[0].changes == {"dominant": 4, "memory": "reservoir", "dynamic": False}
    assert seen[0].output.name == "reservoir-tiny-seed0"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "1"], "--seeds and --only go with --compare"),
        (["--compare", "--variant", "ocm"], "a comparison runs all variants"),
        (["--compare", "--only", "omc"], "unknown variant 'omc'; did you mean 'ocm'"),
        (["--all-dominant", "--dominant", "2"], "--all-dominant runs all choices"),
        (["--all-dominant", "--set", "dominant=2"], "the comparison varies dominant, so it cannot be set"),
        (["--compare", "--set", "memory=none"], "the comparison varies memory, so it cannot be set"),
        (["--dominant", "0"], "dominant must be at least 1, got 0"),
        (["--dominant", "6", "--output", "{new}"], r"dominant must name one of the phases 1\.\.5, got 6"),
        (["--set", "num_other=400", "--output", "{new}"], "400 images wanted of phase 2, which has"),
        (["--set", "memory_budget=41", "max_transferred=9", "--output", "{new}"], "memory_budget must be at least 50"),
        (
            ["--dataset", "svhn_cropped", "--output", "{new}"],
            "svhn_cropped has no value of its own for classes_per_task",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(flags, message, tmp_path, capsys):
    argv = [flag.format(new=tmp_path / "new") for flag in flags]
    try:
        call(*argv, presets=IMBALANCED_PRESETS, imbalanced=True)
    except UserError as error:
        text = str(error)
    except SystemExit:
        text = capsys.readouterr().err.strip()
    assert "\n" not in text
    with pytest.raises(UserError, match=message):
        raise UserError(text)
    assert not (tmp_path / "new" / "config.json").exists()
