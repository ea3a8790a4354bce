"""Checks the TFDSViT experiment: settings, the parts built from them, what is measured, runs and their scripts."""

import dataclasses
import json
import signal
import types

import numpy as np
import pytest

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import EnergyExpansion, Interrupted, IntervalExpansion
from ocm_tf.errors import UserError
from ocm_tf.experiments import parse_arguments, read_metrics, tfdsvit, tfdsvit_script, threshold_study
from ocm_tf.experiments.tfdsvit_config import COSTS, PRESETS, VARIANTS, TFDSViTConfig
from ocm_tf.experiments.tfdsvit_recorder import TFDSViTRecorder
from ocm_tf.networks import GaussianAutoencoder, LinearAutoencoder
from tests import tiny
from tests.signals import raise_and_wait

# 200 images in 25 batches.
SHORT = ["train_per_class=20", "test_per_class=10", "steps_per_batch=1", "embed_dim=4", "head_dim=3", "head_units=6"]
SHORT += ["vae_units=6", "latent_dim=2", "memory_capacity=16", "block_size=8", "threshold_scale=0.57"]


def parse(*argv, stream="mnist"):
    texts = {"script": "tfdsvit_split_mnist", "description": "", "costs": COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=PRESETS[stream], **texts)


def run_short(output, *flags, settings=(), quiet=True):
    arguments = dataclasses.replace(parse("--output", output, *flags, "--set", *SHORT, *settings), quiet=quiet)
    return tfdsvit.run(arguments, say=lambda line: None)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", PRESETS)
def test_the_released_values_are_those_of_the_code(stream):
    released, paper = PRESETS[stream]["release"], PRESETS[stream]["paper"]
    expected = {
        "mnist": {"threshold": 18.0, "memory_capacity": 2000, "num_heads": 6, "latent_dim": 50, "head_units": (200,)},
        "cifar10": {"threshold": 110.0, "memory_capacity": 1000, "num_heads": 6, "latent_dim": 200, "gates": "gumbel"},
        "cifar100": {"threshold": 40.0, "memory_capacity": 5000, "num_heads": 12, "classes_per_task": 5, "kta": False},
    }[stream]
    work = {"mnist": (10, None, 30), "cifar10": (50, 200, 30), "cifar100": (50, 100, 30)}[stream]
    assert {name: getattr(released, name) for name in expected} == expected
    assert (released.batch_size, released.steps_per_batch, released.epochs_per_batch) == work
    assert (released.learning_rate, released.vae_learning_rate, released.kl_weight) == (1e-4, 1e-4, 1.0)
    assert released.vae == ("mlp" if stream == "mnist" else "linear")
    assert not released.freeze_trunk
    assert (paper.freeze_trunk, paper.kta, paper.energy_block, paper.include_current) == (True, True, "newest", False)


def test_presets_have_costs():
    assert all(presets.keys() == COSTS.keys() for presets in PRESETS.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "num_heads must be even and at least 2, got 5"),
        ({"embed_dim": 0}, "embed_dim must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"threshold": -1.0}, "threshold must not be negative, got -1.0"),
        ({"memory_capacity": 127}, "memory_capacity must hold two blocks, 128 samples, got 127"),
        ({"head_units": (3, 0)}, r"head_units must name sizes of at least 1, got \(3, 0\)"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TFDSViTConfig(**changes)


# Parts ----------------------------------------------------------------------------------------------------------------


def test_the_stream_is_that_of_the_paper():
    digits = data.load("digits")
    stream, test = tfdsvit.build_stream(parse("--set", *SHORT).config, digits)
    assert stream.truth.phase_starts.tolist() == [0, 40, 80, 120, 160]
    assert np.bincount(test.labels).tolist() == [10] * 10
    # Inside a task images come in the order of the data set.
    of_first_task = [label for label in digits.train.labels if label < 2]
    labels = stream.truth.labels[:40]
    assert labels[:15].tolist() == of_first_task[:15]


@pytest.mark.parametrize(("vae", "kind"), [("conv", GaussianAutoencoder), ("linear", LinearAutoencoder)])
def test_the_vaes_are_those_of_the_settings(vae, kind):
    config = parse("--set", *SHORT, f"vae={vae}").config
    autoencoder = tfdsvit.build_autoencoder(config, (8, 8, 3))
    assert isinstance(autoencoder, kind)
    autoencoder.build((None, 8, 8, 3))
    images = np.full((2, 8, 8, 3), 0.5, np.float32)
    outputs = autoencoder(images, np.zeros((2, autoencoder.noise_dim), np.float32))[0]
    assert outputs.shape == images.shape
    assert 0 < float(np.min(outputs)) < float(np.max(outputs)) < 1


def test_the_authors_distortion_keeps_shape_and_range():
    images = np.random.default_rng(0).random((3, 8, 8, 3)).astype(np.float32)
    distorted = np.asarray(tfdsvit.build_augmentation(0)(images, training=True))
    assert distorted.shape == images.shape
    assert 0 <= distorted.min() < distorted.max() <= 1
    assert not np.allclose(distorted, images)


def test_the_expansion_is_that_of_the_variant():
    config = parse("--set", *SHORT).config
    kinds = {name: tfdsvit.build_expansion(dataclasses.replace(config, **VARIANTS[name]), 0) for name in VARIANTS}
    assert isinstance(kinds.pop("interval"), IntervalExpansion)
    assert all(type(expansion) is EnergyExpansion for expansion in kinds.values())
    assert kinds["finetune"].threshold == 0
    assert (kinds["tfdsvit"].threshold, kinds["tfdsvit"].scale, kinds["tfdsvit"].block_size) == ("auto", 0.57, 8)
    with pytest.raises(ValueError, match="no 4 whole patches along each side"):
        tfdsvit.build_model(config, (8, 6, 1), 10, 0)


def test_routes_are_judged_by_what_a_component_learned_and_with_help_by_the_task():
    labels = np.array([0, 1, 2, 3])
    losses = np.array([[1.0, 2], [3, 1], [5, 4], [2, 3.5]])

    class Known:
        kl_weight, num_components, num_experts = 1.0, 2, 1

        def losses_of(self, images, seed):
            return losses, np.zeros_like(losses)

        def classify(self, images, routes):
            # Component 0 knows the classes 0 and 1, component 1 the others.
            answers = np.where((labels >= 2) == (routes == 1), labels, 9)
            return np.eye(10)[answers]

    model = Known()
    layer = types.SimpleNamespace(trainable_variables=[np.zeros((2, 3))])
    model.trunk = model.head = model.autoencoder = layer
    model.kta, model.num_superseded_heads = True, lambda component: 3 * component
    learned = np.zeros((2, 10), bool)
    learned[0, :2] = learned[1, 1:4] = True
    config = types.SimpleNamespace(classes_per_task=2)
    metrics = tfdsvit.evaluate(model, types.SimpleNamespace(images=labels, labels=labels), learned, config, 0)
    # Routes are 0, 1, 1, 0: of the first task image 0 is right, of the second image 2.
    assert (metrics["average_accuracy"], metrics["accuracy_task_1"], metrics["accuracy_task_2"]) == (50, 50, 50)
    # Component 1 has seen class 1 too.
    assert metrics["routing_accuracy"] == 75
    # Mean losses: 2 against 1.5 for the first task, 3.5 against 3.75 for the second.
    assert metrics["task_assisted_accuracy"] == 0
    assert (metrics["parameters"], metrics["parameters_without_vaes"]) == (6 + 3 + 12 + 12, 21)


def test_the_recorder_counts_arrivals_and_makes_the_accuracy_matrix():
    config, digits = parse("--set", *SHORT, "batch_size=50").config, data.load("digits")
    stream, test = tfdsvit.build_stream(config, digits)
    recorder = TFDSViTRecorder(None, stream, test, config, None, 0)
    recorder.set_model(types.SimpleNamespace(num_components=2))
    recorder.num_batches, recorder.trained = 4, [0, 0, 1, 1]
    counts = recorder._arrivals()
    assert counts.sum(axis=0).tolist() == [20] * 10
    assert counts[0].sum() == counts[1].sum() == 100
    # The boundary between the components lies inside the third task.
    learned = recorder.component_classes().tolist()
    assert learned[0][:4] == learned[1][6:] == [True] * 4
    assert learned[1][:4] == learned[0][6:] == [False] * 4
    recorder.accuracies = [[90.0], [80.0, 70.0], [60.0] * 3, [50.0] * 4, [1.0] * 5]
    matrix = recorder.accuracy_matrix({f"accuracy_task_{i}": 10.0 * i for i in range(1, 6)})
    np.testing.assert_allclose(matrix[-1], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (matrix[1, 0], matrix[1, 1], np.isnan(matrix[1, 2])) == (0.8, 0.7, True)


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("tfdsvit") / "run"
    return output, run_short(output)


def test_a_run_leaves_all_its_files(finished):
    output, metrics = finished
    results = read_json(output / "results.json")
    assert results["metrics"] == metrics
    assert results["paper"] == {"average_accuracy": None}
    assert results["num_components"] >= 3
    assert metrics["num_experts"] == (results["num_components"] + 1) // 2
    assert 0 < metrics["parameters_without_vaes"] < metrics["parameters"]
    assert {path.stem for path in (output / "figures").glob("*.png")} >= {"experts", "energy", "task_accuracy",
                                                                         "routing", "training"}  # fmt: skip
    table = read_metrics(output / "metrics.csv")
    grown = table["step"][(table["metric"] == "expanded") & (table["value"] == 1)]
    assert len(grown) == results["num_components"] - 1
    # Sixteen fill the memory, the third batch of eight is above.
    assert grown[0] == 3
    sizes = table["value"][table["metric"] == "memory_size"]
    assert sizes.max() <= 16
    energies, taus = (table["value"][table["metric"] == name] for name in ("energy", "threshold"))
    taus = taus[: len(energies)]
    steps = table["step"][table["metric"] == "energy"]
    assert set(steps[energies > taus]) == set(grown[1:])
    # Both outcomes of the test are among them.
    assert 0 < len(grown[1:]) < len(steps)


def test_the_saved_model_gives_the_results(finished):
    output, metrics = finished
    model, test = ocm_tf.load_model(output), tfdsvit.build_stream(parse("--set", *SHORT).config, data.load("digits"))[1]
    correct = model.classify(test.images, seed=0).argmax(axis=1) == test.labels
    assert 100 * correct.mean() == pytest.approx(metrics["accuracy"])
    assert model.num_components == read_json(output / "results.json")["num_components"]


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_ends_as_one_never_stopped(finished, tmp_path, monkeypatch, capsys):
    whole, expected = finished
    after_batch = TFDSViTRecorder.on_train_batch_end

    def stop(recorder, batch, logs=None):
        after_batch(recorder, batch, logs)
        if recorder.num_batches == 11:
            raise_and_wait(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TFDSViTRecorder, "on_train_batch_end", stop)
        with pytest.raises(Interrupted):
            run_short(tmp_path / "run")
    assert run_short(tmp_path / "run", "--resume", quiet=False) == expected
    last = capsys.readouterr().err.splitlines()[-1]
    assert all(f"  {name} " in last for name in ("loss", "N", "experts", "memory")) and "ETA 0:00:00" in last
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    ours, theirs = ocm_tf.load_model(tmp_path / "run"), ocm_tf.load_model(whole)
    tiny.assert_same_values(ours.weights, tiny.values_of(theirs.weights))


@pytest.mark.slow
@pytest.mark.parametrize("stream", PRESETS)
def test_every_variant_makes_a_whole_run(tmp_path, stream):
    for variant, changes in VARIANTS.items():
        settings = [f"{name}={str(value).lower()}" for name, value in changes.items()]
        arguments = parse("--output", tmp_path / variant, "--set", *SHORT, *settings, stream=stream)
        metrics = tfdsvit.run(arguments, say=lambda line: None)
        grows = variant != "finetune"
        assert (read_json(tmp_path / variant / "results.json")["num_components"] > 1) == grows
        assert np.isfinite(list(metrics.values())).all()


@pytest.mark.slow
def test_growing_keeps_what_finetuning_forgets(tmp_path):
    accuracies = {}
    for variant in ("tfdsvit", "finetune"):
        settings = [f"{name}={value}" for name, value in VARIANTS[variant].items()]
        flags = ["--set", *settings] if settings else []
        arguments = parse("--output", tmp_path / variant, *flags)
        accuracies[variant] = tfdsvit.run(arguments, say=lambda line: None)["average_accuracy"]
    # Fine-tuning knows the last task of five.
    assert accuracies["finetune"] < 40
    assert accuracies["tfdsvit"] > accuracies["finetune"] + 25


# Series and scripts ---------------------------------------------------------------------------------------------------


def call(*argv):
    return tfdsvit_script.main("tfdsvit_split_mnist", "", "mnist", ["--preset", "tiny", "--quiet", *map(str, argv)])


def test_a_comparison_runs_the_variants_over_the_seeds(monkeypatch, tmp_path, capsys):
    seen = []

    def run(arguments, say):
        seen.append((arguments.output.name, arguments.config.expansion, arguments.config.kta))
        accuracy = 20.0 if arguments.config.expansion == "none" else 80.0 + arguments.seed
        metrics = {"average_accuracy": accuracy, "accuracy_task_1": accuracy, "forgetting": 3.0, "num_experts": 2}
        tiny.finish_run(arguments, metrics, num_components=4, memory_samples=9)

    monkeypatch.setattr(tfdsvit, "run", run)
    assert call("--compare", "--seeds", 0, 1, "--only", "tfdsvit", "finetune", "--output", tmp_path) == 0
    names = [f"{variant}-seed{seed}" for seed in (0, 1) for variant in ("tfdsvit", "finetune")]
    assert [name for name, _, _ in seen] == names
    assert [expansion for _, expansion, _ in seen] == ["energy", "none"] * 2
    table = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "| tfdsvit | 9 | 4 | 80.50 ± 0.71 | – | 3 | 2 |" in table
    assert table in capsys.readouterr().out
    assert (tmp_path / "figures" / "comparison.png").stat().st_size > 1000


def test_the_study_runs_every_factor_and_draws_experts_and_accuracy(monkeypatch, tmp_path):
    def run(arguments, say):
        scale = arguments.config.threshold_scale
        metrics = {"average_accuracy": 90 - 10 * scale, "num_experts": 6 - scale, "threshold": 40 * scale}
        tiny.finish_run(arguments, {**metrics, "routing_accuracy": 50.0}, num_components=3, memory_samples=9)

    monkeypatch.setattr(tfdsvit, "run", run)
    assert call("--study", "threshold", "--output", tmp_path) == 0
    table = (tmp_path / "threshold.md").read_text(encoding="utf-8")
    assert "| 0.5 | 20.00 | 3.00 | 5.50 | 85.00 | 50.00 | 1 |" in table
    assert len(table.splitlines()) == 2 + len(threshold_study.SCALES)
    assert threshold_study.holds_threshold_study(tmp_path)
    figure = threshold_study.plot_study(*threshold_study.collect_study(tmp_path)[::2])
    experts, accuracy = figure.axes
    np.testing.assert_allclose(experts.lines[1].get_ydata(), [6 - scale for scale in threshold_study.SCALES])
    np.testing.assert_allclose(accuracy.lines[1].get_xdata(), threshold_study.SCALES)
    assert "threshold of 40.0" in accuracy.get_xlabel()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--compare", "--study", "threshold"], "choose one"),
        (["--seeds", "1"], "--seeds and --only go with --compare or --study"),
        (["--compare", "--variant", "gumbel"], "does not go with --variant"),
        (["--compare", "--only", "gumble"], "unknown variant 'gumble'; did you mean 'gumbel'"),
        (["--study", "threshold", "--set", "threshold_scale=2"], "varies threshold_scale, so it cannot be set"),
        (["--study", "threshold", "--set", "expansion=none"], "leave expansion as it is"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, message, tmp_path):
    with pytest.raises(UserError, match=message):
        call(*flags, "--output", tmp_path)
