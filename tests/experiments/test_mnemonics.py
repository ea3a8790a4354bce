"""Checks the Mnemonics experiments: settings, phases, models, runs, resuming, scripts."""

import dataclasses
import json
import signal

import numpy as np
import pytest

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import Interrupted
from ocm_tf.errors import UserError
from ocm_tf.experiments import mnemonics, parse_arguments, read_metrics
from ocm_tf.experiments.mnemonics_config import (
    COMPARISONS,
    COSTS,
    IMAGENET_PRESETS,
    PAPER,
    PRESETS,
    RELEASE,
    STUDIES,
    SUBSET_PRESETS,
    for_dataset,
    published_values,
)
from ocm_tf.experiments.mnemonics_recorder import MnemonicsRecorder
from ocm_tf.experiments.mnemonics_script import main, main_ablations
from ocm_tf.models import IncrementalClassifier, Mnemonics
from tests.signals import raise_and_wait

SHORT = ["train_per_class=6", "test_per_class=4", "epochs=1", "milestones=1", "outer_steps=2", "inner_steps=2"]
SHORT += ["batch_size=64", "base_classes=4", "classes_per_phase=6"]


def parse(*argv, presets=PRESETS):
    texts = {"script": "mnemonics_cifar100", "description": "", "costs": COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=presets, **texts)


def config_of(*pairs):
    return parse("--set", *SHORT, *pairs).config


def run(output, *flags, settings=(), quiet=True):
    arguments = parse("--output", output, *flags, "--set", *SHORT, *settings)
    return mnemonics.run(dataclasses.replace(arguments, quiet=quiet), say=lambda line: None)


# Settings -------------------------------------------------------------------------------------------------------------


def test_the_paper_has_its_values():
    cifar, subset, full = PAPER, SUBSET_PRESETS["paper"], IMAGENET_PRESETS["paper"]
    assert (cifar.epochs, cifar.milestones, cifar.batch_size, cifar.weight_decay) == (160, (80, 120), 128, 0.0005)
    assert (cifar.network, cifar.base_classes, cifar.classes_per_phase, cifar.order_seed) == ("resnet32", 50, 10, 1993)
    assert (cifar.exemplar_start, cifar.exemplars_per_class, cifar.outer_epochs) == ("random", 20, 50)
    assert (subset.epochs, subset.milestones, subset.weight_decay, subset.choose_classes) == (90, (30, 60), 0.0001, 100)
    assert (full.network, full.base_classes, full.classes_per_phase) == ("resnet18", 500, 100)
    assert (full.balanced_epochs, full.less_forget_base, subset.balanced_epochs) == (20, 10.0, 0)
    assert (RELEASE.exemplar_loss, RELEASE.total_exemplars, RELEASE.mirror) == ("proto", 2000, "channels")


def test_published_numbers_stand_only_beside_their_protocol():
    released = dataclasses.replace(RELEASE, exemplars="herding")
    assert published_values(released)["average_accuracy"] == 54.21
    plain = dataclasses.replace(released, weight_transfer=False, classes_per_phase=2)
    assert published_values(plain) == {
        "average_accuracy": 45.75,
        "average_accuracy_fc": 45.75,
        "forgetting_fc": 39.86,
        "average_accuracy_nme": 48.47,
        "forgetting_nme": 36.32,
    }
    for change in ({"method": "lucir"}, {"total_exemplars": None}, {"dataset": "cifar10"}, {"base_classes": 40}):
        assert published_values(dataclasses.replace(released, **change)) == {}


@pytest.mark.parametrize("table", [*COMPARISONS.values(), *STUDIES.values()])
def test_all_that_is_compared_is_allowed_in_a_small_run(table):
    configs = [dataclasses.replace(PRESETS["small"], **changes) for changes in table.values()]
    assert len(set(configs)) == len(configs) > 1


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("epochs=0", "epochs must be at least 1"),
        ("inner_learning_rate=0", "inner_learning_rate must be positive"),
        ("test_share=1.0", "test_share must lie between 0 and 1"),
        ("exemplars=best", "exemplars=best: must be one of"),
        ("new_weight=2", "new_weight must lie in 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(pair, message, capsys):
    with pytest.raises(SystemExit):
        config_of(pair)
    assert message in capsys.readouterr().err


def test_larger_images_bring_their_own_small_run_but_not_what_is_named():
    config = dataclasses.replace(PRESETS["small"], dataset="fashion_mnist", epochs=7)
    filled = for_dataset(config, named={"epochs"})
    assert (filled.train_per_class, filled.balanced_epochs, filled.epochs, filled.test_share) == (300, 20, 7, None)
    assert for_dataset(PAPER) is PAPER


# Parts ----------------------------------------------------------------------------------------------------------------


def test_phases_bring_new_classes_in_the_shuffled_order():
    digits, config = data.load("digits"), config_of()
    experiences = mnemonics.build_experiences(config, digits, seed=2)
    order = np.arange(10)
    np.random.RandomState(1995).shuffle(order)
    assert experiences[0].class_names == tuple(digits.spec.class_names[label] for label in order)
    assert [sorted(set(experience.train.labels)) for experience in experiences] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert [len(experience.train) for experience in experiences] == [24, 36]
    joint = mnemonics.build_experiences(dataclasses.replace(config, method="joint"), digits, seed=2)
    assert len(joint[1].train) == 60 and len(joint[1].test) == len(experiences[1].test)


def test_classes_that_do_not_add_up_are_a_mistake_of_the_user(tmp_path):
    with pytest.raises(UserError, match="base_classes=4 and phases of 5 do not add up to the 10 classes"):
        run(tmp_path / "run", settings=["classes_per_phase=5"])


def test_images_held_out_for_tuning_are_neither_trained_on_nor_of_the_test_set():
    digits, config = data.load("digits"), dataclasses.replace(PRESETS["small"], held_out=True)
    tuned = mnemonics.build_experiences(config, digits, seed=3)
    real = mnemonics.build_experiences(dataclasses.replace(config, held_out=False), digits, seed=3)

    def images(experiences, name):
        return {image.tobytes() for phase in experiences for image in getattr(phase, name).images}

    kept, held_out, train, test = (images(e, name) for e in (tuned, real) for name in ("train", "test"))
    assert kept | held_out == train
    assert not held_out & test
    assert not kept & held_out
    assert all((phase.test.labels == label).sum() > 20 for phase in tuned for label in set(phase.train.labels))


def test_pooled_images_are_split_anew_by_class():
    digits = data.load("digits")
    pooled, other = (mnemonics.pooled_anew(digits, 0.3, seed) for seed in (0, 1))
    counts = np.bincount(np.concatenate([digits.train.labels, digits.test.labels]))
    assert np.bincount(pooled.test.labels).tolist() == np.round(0.3 * counts).astype(int).tolist()
    assert len(pooled.train) + len(pooled.test) == 1797
    assert (pooled.test.images != other.test.images).any()


def made_up(num_classes, side, per_class=1):
    labels = np.repeat(np.arange(num_classes), per_class)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side, 3)).astype(np.uint8)
    spec = data.DatasetSpec("made up", (side, side, 3), tuple(map(str, range(num_classes))), "made up", "none")
    return data.Dataset(data.Split(images, labels), data.Split(images, labels), spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "num_classes", "num_seen"),
    [(PAPER, 100, 50), (SUBSET_PRESETS["paper"], 120, 50), (RELEASE, 100, 50)],
)
def test_paper_presets_make_models_of_data_of_their_kind(config, num_classes, num_seen):
    # Small images instead of 224x224: the networks take any.
    experiences = mnemonics.build_experiences(config, made_up(num_classes, 32), seed=0)
    model = mnemonics.build_model(config, experiences, seed=0)
    assert isinstance(model, Mnemonics)
    assert [int(phase.train.labels.max()) + 1 for phase in experiences] == list(range(num_seen, 101, 10))
    assert model.latent_dim == (512 if config.network == "resnet18" else 64)
    images = np.asarray(experiences[0].train.images[:2])
    assert model.features_of(images).shape == (2, model.latent_dim)
    assert model.memory.capacity == (
        2000 if config.total_exemplars is None else 2090
    )  # the ceiling of 2000 / classes, times classes


@pytest.mark.slow
def test_the_paper_preset_starts(tmp_path):
    config = dataclasses.replace(PAPER, epochs=1, outer_epochs=1, batch_size=16)
    experiences = mnemonics.build_experiences(config, made_up(100, 32, per_class=3), seed=0)
    model = mnemonics.build_model(dataclasses.replace(config, exemplars_per_class=2), experiences, seed=0)
    for experience in experiences[:2]:
        model.fit_experience(experience, epochs=1)
    assert len(model.memory) == 2 * 60 and np.isfinite(model.memory.read().images).all()


# Runs -----------------------------------------------------------------------------------------------------------------


def test_a_run_shows_its_progress_and_leaves_its_numbers_figures_and_model(tmp_path, capsys):
    metrics = run(tmp_path / "run", quiet=False)
    first = capsys.readouterr().err.splitlines()[0]
    assert "  loss " in first and "  phase 1/2  exemplars 0  ETA " in first
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["metrics"] == metrics and results["finished"] and results["memory_samples"] == 20
    for classifier in ("fc", "nme"):
        curve = [metrics[f"accuracy_{classifier}_phase_{phase}"] for phase in (0, 1)]
        assert metrics[f"average_accuracy_{classifier}"] == pytest.approx(np.mean(curve))
        assert metrics[f"last_accuracy_{classifier}"] == curve[1]
    table = read_metrics(tmp_path / "run" / "metrics.csv")
    seen = table["value"][table["metric"] == "num_seen"]
    assert seen.tolist() == [4, 10]
    figures = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures == {"phase_accuracy", "exemplar_map", "exemplar_images"}
    model = ocm_tf.load_model(tmp_path / "run")
    assert isinstance(model, Mnemonics)
    digits = data.load("digits")
    order = np.arange(10)
    np.random.RandomState(1993).shuffle(order)
    images, labels = digits.test.images, np.argsort(order)[digits.test.labels]
    rows = np.concatenate([np.flatnonzero(digits.test.labels == label)[:4] for label in range(10)])
    predicted = model.predict(images[rows], verbose=0).argmax(axis=1)
    assert 100 * np.mean(predicted == labels[rows]) == pytest.approx(metrics["last_accuracy_fc"])


class InterruptedAt(MnemonicsRecorder):
    """Sends the process a signal, as Ctrl-C does, behind a phase."""

    def record(self, model, experience, step):
        super().record(model, experience, step)
        if experience.index == 0:
            raise_and_wait(signal.SIGINT)


# A checkpoint tells its states apart by the names of their classes.
InterruptedAt.__name__ = MnemonicsRecorder.__name__


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_numbers_of_one_never_stopped(tmp_path, monkeypatch):
    settings = ["epochs=2", "minibatches_per_step=1", "batch_size=16"]
    whole = run(tmp_path / "whole", settings=settings)
    with monkeypatch.context() as patched:
        patched.setattr(mnemonics, "MnemonicsRecorder", InterruptedAt)
        with pytest.raises(Interrupted):
            run(tmp_path / "broken", settings=settings)
    resumed = run(tmp_path / "broken", "--resume", settings=settings)
    assert resumed == whole
    first, second = (ocm_tf.load_model(tmp_path / name) for name in ("whole", "broken"))
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lucir", "bic", "joint"])
def test_every_method_makes_a_run(tmp_path, method):
    metrics = run(tmp_path / method, settings=[f"method={method}", "exemplars=herding", "fine_tuned_head=true"])
    assert 0 <= metrics["average_accuracy"] <= 100
    assert ("average_accuracy_nme" in metrics) == (method != "joint")
    assert isinstance(ocm_tf.load_model(tmp_path / method), IncrementalClassifier)


# Scripts --------------------------------------------------------------------------------------------------------------


def test_help_names_presets_and_studies(capsys):
    for script, text in ((main, "mnemonics-previous"), (main_ablations, "inner_steps=20")):
        with pytest.raises(SystemExit) as ended:
            script("mnemonics", "What it does.", PRESETS, ["--help"])
        assert ended.value.code == 0
        output = capsys.readouterr().out
        assert "What it does." in output and "order_seed" in output
        assert text in output or script is main


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--seeds", "1"], "--seeds and --only go with --compare"),
        (["--compare", "exemplars", "--only", "herdin"], "did you mean 'herding'"),
        (
            ["--compare", "exemplars", "--set", "exemplars=random"],
            "the comparison varies exemplars, so it cannot be set",
        ),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(argv, message):
    with pytest.raises(UserError, match=message):
        main("mnemonics_cifar100", "", PRESETS, argv)


def test_unknown_studies_are_refused():
    with pytest.raises(UserError, match="unknown study 'starts'; did you mean 'start'"):
        main_ablations("mnemonics_ablations", "", PRESETS, ["--study", "starts"])
