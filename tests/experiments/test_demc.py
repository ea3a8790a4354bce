"""Checks the DEMC experiments: settings, the parts built from them, runs, their figures and their scripts."""

import dataclasses
import importlib.util
import json
import pathlib
import signal

import numpy as np
import pytest

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import Interrupted
from ocm_tf.errors import UserError
from ocm_tf.experiments import demc, demc_plots, demc_script, figures, parse_arguments, plots
from ocm_tf.experiments.demc_config import (
    CIFAR10_PRESETS,
    COSTS,
    FASHION_PRESETS,
    MNIST_PRESETS,
    PAPER,
    SVHN_PRESETS,
    VARIANTS,
)
from ocm_tf.experiments.demc_metrics import task_errors
from ocm_tf.experiments.demc_recorder import DEMCRecorder
from tests.signals import raise_and_wait

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ALL_PRESETS = (MNIST_PRESETS, FASHION_PRESETS, SVHN_PRESETS, CIFAR10_PRESETS)
# 200 images in 25 batches; the temporary memory overflows every fourth batch or so.
SHORT = ["train_per_class=20", "test_per_class=10", "steps_per_batch=1", "width=0.1", "latent_dim=2"]
SHORT += [
    "batch_size=8",
    "minibatch_size=8",
    "temporary_capacity=24",
    "cluster_size=6",
    "max_clusters=4",
    "calibration=auto",
]


def parse(*argv):
    texts = {"script": "demc_split_mnist", "description": "", "costs": COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=MNIST_PRESETS, **texts)


def run_short(output, *flags, settings=()):
    return demc.run(parse("--output", output, *flags, "--set", *SHORT, *settings), say=lambda line: None)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# Settings -------------------------------------------------------------------------------------------------------------


def test_presets_have_costs_and_the_values_of_the_code():
    for presets in ALL_PRESETS:
        assert presets.keys() == COSTS.keys() and presets["tiny"].dataset == "digits"
    paper = [presets["paper"] for presets in ALL_PRESETS]
    assert [(config.networks, config.latent_dim) for config in paper] == [("28x28", 100)] * 2 + [("32x32", 200)] * 2
    for config in paper:
        assert (config.batch_size, config.minibatch_size, config.steps_per_batch) == (64, 64, 300)
        assert (config.temporary_capacity, config.cluster_size, config.kl_weight) == (1000, 64, 0.1)
        assert (config.learning_rate, config.penalty_weight, config.paths, config.reduce) == (1e-4, 10, "two", "min")
    release = [presets["release"] for presets in ALL_PRESETS]
    assert [config.threshold for config in release] == [28, 5, 25, 1.2]
    assert [config.paths for config in release] == ["two", "two", "single", "single"]
    assert all(config.reduce == "max" and not config.symmetric and config.prior == "uniform" for config in release)


def test_the_best_has_no_more_samples_and_updates_than_the_paper_s_method():
    for presets in ALL_PRESETS:
        small, best = presets["small"], presets["best"]
        assert best == dataclasses.replace(small, **VARIANTS["best"]) and best.memory == "reservoir"
        assert best.reservoir_size == small.temporary_capacity + small.max_clusters * small.cluster_size
        assert best.steps_per_batch == small.steps_per_batch


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"kl_weight": -0.1}, "kl_weight must be 0 or more, got -0.1"),
        ({"width": 0.0}, "width must be positive, got 0.0"),
        ({"weight_average": 1.0}, r"weight_average must lie in \[0, 1\), got 1.0"),
        ({"image_size": 10}, "image_size must be a multiple of 4, got 10"),
        ({"batch_size": 2000}, "temporary_capacity must be at least batch_size=2000, got 1000"),
        ({"cluster_size": 501}, "cluster_size must be at most half of temporary_capacity=1000, got 501"),
        ({"own_encoder_optimizer": True}, "own_encoder_optimizer is for paths=single, got paths=two"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAPER, **changes)


def test_the_reservoir_has_the_room_of_all_other_memories():
    config = dataclasses.replace(PAPER, temporary_capacity=100, max_clusters=5, cluster_size=8)
    assert config.reservoir_size == 140
    assert dataclasses.replace(config, reservoir_capacity=90).reservoir_size == 90
    memory = demc.build_memory(dataclasses.replace(config, memory="reservoir"), (8, 8, 1), 0)
    assert (memory.short_term.capacity, memory.short_term.policy, memory.long_term) == (140, "reservoir", None)


# Parts ----------------------------------------------------------------------------------------------------------------


def test_the_stream_keeps_the_order_of_the_data_set_inside_a_task():
    digits, config = data.load("digits"), MNIST_PRESETS["tiny"]
    stream, train, test = demc.build_stream(config, digits, seed=0)
    tasks = digits.train.labels // 2
    expected = np.concatenate([np.flatnonzero(tasks == task) for task in range(5)])
    np.testing.assert_array_equal(stream.images_at(slice(None)), digits.train.images[expected])
    assert len(train) == len(stream) and len(test) == len(digits.test)
    shuffled, _, _ = demc.build_stream(dataclasses.replace(config, shuffle=True), digits, seed=0)
    assert (shuffled.truth.labels != stream.truth.labels).any()
    np.testing.assert_array_equal(shuffled.truth.labels // 2, stream.truth.labels // 2)
    _, kept, held_out = demc.build_stream(dataclasses.replace(config, validation=True), digits, seed=0)
    assert len(kept) + len(held_out) == len(digits.train)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_model_and_the_memory_are_those_of_the_variant(name):
    config = dataclasses.replace(parse("--set", *SHORT).config, **VARIANTS[name])
    model = demc.build_model(config, (8, 8, 1), seed=0)
    for setting in ("paths", "own_encoder_optimizer", "extra_encoder_steps"):
        assert getattr(model, setting) == getattr(config, setting)
    expansion = demc.build_expansion(config, seed=0)
    assert (expansion is None) == (config.memory != "clusters") == (model.memory.long_term is None)
    if expansion is not None:
        for setting in ("selection", "query", "reduce", "statistics"):
            assert getattr(expansion, setting) == getattr(config, setting)
    rates = [model.optimizer, model.critic_optimizer, model.encoder_optimizer]
    expected = [config.learning_rate, config.critic_learning_rate, config.encoder_learning_rate]
    np.testing.assert_allclose([rate.learning_rate for rate in rates], expected)


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "demc-seed0"
    run_short(path)
    return path


def test_a_run_leaves_all_its_files(finished):
    results = read_json(finished / "results.json")
    metrics = results["metrics"]
    assert metrics["sse"] == pytest.approx(np.mean([metrics[f"sse_task_{task}"] for task in range(1, 6)]))
    assert metrics["forgetting_task_5"] == pytest.approx(0, abs=1e-9)
    assert 2 <= metrics["num_clusters"] <= 4 and 1 <= metrics["class_coverage"] <= 10
    assert sum(value for name, value in metrics.items() if name.startswith("cluster_0_class_")) == 6
    assert 0 <= results["memory_samples"] - 6 * metrics["num_clusters"] <= 24
    assert results["memory_bytes"] == 64 * results["memory_samples"] and results["paper"] == {}
    drawn = {path.stem for path in (finished / "figures").iterdir()}
    assert drawn == {*demc_plots.FIGURES, "reconstructions", "samples", "training"}


def test_the_saved_model_gives_the_results_and_its_clusters_are_of_the_stream(finished):
    model, results = ocm_tf.load_model(finished), read_json(finished / "results.json")
    config = parse("--set", *SHORT).config
    stream, _, test = demc.build_stream(config, data.load("digits"), seed=0)
    np.testing.assert_allclose(task_errors(model, test)["sse"].mean(), results["metrics"]["sse"], rtol=1e-5)
    held = model.memory.gather()
    np.testing.assert_array_equal(held.images, stream.images_at(held.positions.numpy()))


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_ends_as_one_never_stopped(finished, tmp_path, monkeypatch):
    original = DEMCRecorder.on_train_batch_end

    def stop_at_fourteen(recorder, batch, logs=None):
        original(recorder, batch, logs)
        if recorder.num_batches == 14:
            raise_and_wait(signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(DEMCRecorder, "on_train_batch_end", stop_at_fourteen)
        run_short(tmp_path)
    run_short(tmp_path, "--resume")
    assert read_json(tmp_path / "results.json")["metrics"] == read_json(finished / "results.json")["metrics"]
    assert (tmp_path / "metrics.csv").read_text() == (finished / "metrics.csv").read_text()


def test_figures_are_redrawn_from_the_files_and_others_have_none_of_them(finished, tmp_path):
    names = ["novelty", "clusters"]
    paths = figures.draw_all(finished, names)
    assert [path.stem for path in paths] == names and all(path.stat().st_size > 5000 for path in paths)
    run = plots.RunFiles(finished)
    run.observations.clear()
    run.metrics.clear()
    assert all(plot(run) is None for plot in demc_plots.FIGURES.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["temporary-only", "reservoir", "release-criterion", "elbo", "single-own-adam"])
def test_every_variant_makes_a_whole_run(tmp_path, name):
    pairs = [f"{key}={str(value).lower()}" for key, value in VARIANTS[name].items()]
    metrics = run_short(tmp_path, settings=pairs)
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.slow
def test_clusters_keep_what_the_temporary_memory_forgets(tmp_path):
    settings = ["steps_per_batch=15"]
    found = {}
    for memory in ("temporary", "clusters"):
        arguments = parse("--output", tmp_path / memory, "--set", f"memory={memory}", *settings)
        found[memory] = demc.run(arguments, say=lambda line: None)
    assert found["clusters"]["old_sse"] < found["temporary"]["old_sse"]
    assert found["clusters"]["class_coverage"] >= found["temporary"]["class_coverage"]
    assert found["clusters"]["class_entropy"] > found["temporary"]["class_entropy"]


# Scripts --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """Collects the arguments of runs instead of making them."""
    arguments = []
    monkeypatch.setattr(demc, "run", lambda each, say=print: arguments.append(each))
    monkeypatch.setattr(demc_script, "draw_generation_comparison", lambda path, order: ([], []))
    return arguments


def test_a_comparison_plans_every_variant_and_seed(made, tmp_path):
    flags = ["--preset", "tiny", "--compare", "paths", "--only", "strict", "elbo", "--seeds", "3", "4"]
    flags += ["--set", "kl_weight=0.5", "--output", str(tmp_path)]
    demc_script.main("demc_split_mnist", "", MNIST_PRESETS, flags)
    assert [run.output.name for run in made] == ["strict-seed3", "elbo-seed3", "strict-seed4", "elbo-seed4"]
    assert all(run.config.kl_weight == 0.5 for run in made) and made[-1].config.paths == "elbo"
    demc_script.main("demc_split_mnist", "", MNIST_PRESETS, ["--preset", "tiny", "--variant", "strict"])
    assert made[-1].config.paths == "strict" and made[-1].output.name == "strict-tiny-seed0"


def test_studies_vary_one_choice_each(made, tmp_path):
    argv = ["--preset", "tiny", "--study", "sizes", "statistics", "--output", str(tmp_path)]
    demc_script.main_of_studies("demc_ablations", "", MNIST_PRESETS, argv)
    assert [run.config.temporary_capacity for run in made[2:5]] == [40, 80, 160]
    assert [run.config.cluster_size for run in made[5:]] == [8, 16, 32]
    assert {run.output.parent.name for run in made} == {"sizes", "statistics"}
    assert made[1].config.statistics == "stale" and made[1].output.name == "statistics=stale-seed0"
    for changes in demc_script.studies_of(MNIST_PRESETS["paper"]).values():
        for change in changes.values():
            dataclasses.replace(MNIST_PRESETS["paper"], **change)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "1"], "--seeds and --only go with --compare"),
        (["--compare", "--variant", "strict"], "it does not go with --variant"),
        (["--compare", "--only", "strict"], "unknown variant 'strict'"),
        (["--compare", "paths", "--set", "paths=elbo"], "the comparison varies paths"),
    ],
)
def test_mistakes_are_told_in_one_line(flags, message):
    with pytest.raises(UserError, match=message):
        demc_script.main("demc_split_mnist", "", MNIST_PRESETS, ["--preset", "tiny", *flags])


def test_mistakes_in_studies_are_told_in_one_line():
    for flags, message in (
        (["--study", "none"], "unknown study 'none'"),
        (["--study", "reduce", "--set", "reduce=max"], "study reduce varies reduce, so it cannot be set"),
    ):
        with pytest.raises(UserError, match=message):
            demc_script.main_of_studies("demc_ablations", "", MNIST_PRESETS, ["--preset", "tiny", *flags])


@pytest.mark.parametrize("name", ["mnist", "fashion", "svhn", "cifar10"])
def test_scripts_are_thin_and_explain_themselves(name, capsys):
    path = REPOSITORY / "scripts" / f"demc_split_{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    presets = {"mnist": MNIST_PRESETS, "fashion": FASHION_PRESETS, "svhn": SVHN_PRESETS, "cifar10": CIFAR10_PRESETS}
    with pytest.raises(SystemExit) as leaving:
        demc_script.main(path.stem, script.DESCRIPTION, presets[name], ["--help"])
    text = capsys.readouterr().out
    assert leaving.value.code == 0 and "It sees no label, no task" in text and "temporary_capacity" in text
