"""Checks a run on generative latent replay: what it measures, leaves behind and takes up again."""

import dataclasses
import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest

import ocm_tf
from ocm_tf import data
from ocm_tf.callbacks import Interrupted
from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.core50 import read_core50_files
from ocm_tf.data.storage import write_dataset
from ocm_tf.errors import UserError
from ocm_tf.experiments import glr, glr_models, parse_arguments, read_metrics
from ocm_tf.experiments.glr_config import COSTS, METHODS, ROTATED_PRESETS
from ocm_tf.experiments.glr_evaluation import Evaluator
from ocm_tf.experiments.glr_recorder import GLRRecorder
from ocm_tf.experiments.glr_streams import load_experiences
from ocm_tf.models import GenerativeLatentReplay, Joint, LatentReplay
from tests.core50_files import image_contents, list_contents, make_entry
from tests.data.data_files import write_folder
from tests.models.tiny_experiences import EXPERIENCES, learn, make_classifier
from tests.signals import raise_and_wait

SHORT = ["num_experiences=2", "num_train=120", "num_test=50", "epochs=3", "margin=0", "buffer_size=40"]
SHORT += ["batch_size=16", "minibatches_per_step=4", "patience=3", "learning_rate=0.2", "measure_train=true"]


def parse(*argv, settings=()):
    texts = {"script": "glr_rotated_mnist", "description": "", "costs": COSTS, "presets": ROTATED_PRESETS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv), "--set", *SHORT, *settings], **texts)


def run(output, *flags, settings=(), quiet=True):
    arguments = dataclasses.replace(parse("--output", output, *flags, settings=settings), quiet=quiet)
    return glr.run(arguments, say=lambda line: None)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run of generative latent replay that draws in every step."""
    path = tmp_path_factory.mktemp("runs") / "short"
    run(path, settings=["sampling=per_batch"])
    return path


def test_a_run_leaves_all_its_files(finished):
    results, observed = read_json(finished / "results.json"), np.load(finished / "observations.npz")
    metrics, matrix = results["metrics"], observed["accuracy_matrix"]
    assert matrix.shape == (2, 2) and metrics["average_accuracy"] == pytest.approx(100 * matrix[1].mean())
    assert metrics["forgetting"] == pytest.approx(100 * (matrix[0, 0] - matrix[1, 0])) == -metrics["backward_transfer"]
    assert metrics["forward_transfer"] == pytest.approx(100 * matrix[0, 1])
    assert metrics["learning_accuracy"] == pytest.approx(50 * (matrix[0, 0] + matrix[1, 1]))
    assert metrics["accuracy_task_2"] == pytest.approx(100 * matrix[1, 1])
    assert metrics["average_loss"] == pytest.approx(observed["loss_matrix"][1].mean())
    assert np.isnan(observed["train_accuracy_matrix"]).tolist() == [[False, True], [False, False]]
    # Two generators of ten classes on latents of 100 values.
    assert metrics["state_bytes"] == results["memory_bytes"] == 2 * 10 * (201 * 4 + 8)
    assert observed["state_bytes"].tolist() == [8120, 16240]
    # The latents of an experience, and those drawn for the four minibatches of a step with label and experience.
    assert metrics["transient_bytes"] == 120 * 100 * 4 + 4 * 16 * (100 * 4 + 8)
    seconds = {name: metrics[f"seconds_{name}"] for name in ("train", "fit", "sample", "evaluate")}
    assert min(seconds.values()) >= 0 and sum(seconds.values()) <= results["wall_seconds"]
    np.testing.assert_allclose(observed["minibatch_shares"], [[1, 0], [0.5, 0.5]])
    figures = {path.stem for path in (finished / "figures").iterdir()}
    assert figures >= {"stream_images", "accuracy_over_time", "accuracy_matrix", "replay_shares", "replayed_latents"}


def test_rows_tell_stream_and_experience(finished):
    rows, observed = read_metrics(finished / "metrics.csv"), np.load(finished / "observations.npz")
    for stage, matrix in (("test", "accuracy_matrix"), ("train", "train_accuracy_matrix")):
        chosen = (rows["stage"] == stage) & (rows["metric"] == "eval_accuracy")
        places, values = (rows["step"][chosen], rows["experience"][chosen]), rows["value"][chosen]
        np.testing.assert_array_equal(observed[matrix][places], values)
    forgotten = rows["value"][(rows["stage"] == "test") & (rows["metric"] == "forgetting")]
    matrix = observed["accuracy_matrix"]
    assert forgotten.tolist() == [matrix[0, 0] - matrix[1, 0]]
    before = rows["value"][(rows["metric"] == "val_accuracy") & (rows["experience"] == 0)]
    assert len(before) <= 3 and before[0] < before[-1]


def test_the_saved_model_predicts_as_measured(finished):
    model, observed = ocm_tf.load_model(finished), np.load(finished / "observations.npz")
    experiences, _ = load_experiences(parse().config)
    for index, experience in enumerate(experiences):
        logits, probabilities = model.predict(experience.test.images, verbose=0), model.classify(experience.test.images)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(probabilities / probabilities[:, :1], np.exp(logits - logits[:, :1]), rtol=1e-3)
        predicted = logits.argmax(axis=1)
        assert np.mean(predicted == experience.test.labels) == observed["accuracy_matrix"][1, index]


def test_a_run_stopped_within_an_experience_ends_as_one_never_stopped(finished, tmp_path, monkeypatch, capsys):
    original = GLRRecorder.on_epoch_end

    def stop_in_second(recorder, epoch, logs=None):
        original(recorder, epoch, logs)
        if recorder.model.experience_index == 1 and epoch == 1:
            raise_and_wait(signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(GLRRecorder, "on_epoch_end", stop_in_second)
        run(tmp_path, "--checkpoint-seconds", 0, settings=["sampling=per_batch"])
    assert (tmp_path / "checkpoint" / "state-1.npz").exists() and not (tmp_path / "results.json").exists()
    run(tmp_path, "--resume", settings=["sampling=per_batch"], quiet=False)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "  loss " in last and "  experience 2/2  samples kept 0  generators 1  ETA " in last
    ours, theirs = (read_json(path / "results.json")["metrics"] for path in (tmp_path, finished))
    timed = {name for name in ours if name.startswith("seconds")}
    assert {name: ours[name] for name in ours.keys() - timed} == {name: theirs[name] for name in theirs.keys() - timed}
    assert (tmp_path / "metrics.csv").read_text() == (finished / "metrics.csv").read_text()
    weights = [ocm_tf.load_model(path).get_weights() for path in (tmp_path, finished)]
    for our, their in zip(*weights, strict=True):
        np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize(
    ("kind", "settings", "num_kept"),
    [
        (Joint, {}, 30),
        (LatentReplay, {"buffer_size": 12}, 12),
        # Its buffer holds what was drawn.
        (GenerativeLatentReplay, {"buffer_size": 12, "sampling": "static"}, 0),
    ],
)
def test_samples_kept_are_those_of_the_stream(kind, settings, num_kept):
    assert glr.num_kept(learn(make_classifier(kind, **settings), 0, epochs=1)) == num_kept


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_whole_run_whose_model_predicts(method, tmp_path):
    metrics = run(tmp_path, settings=[f"method={method}"])
    assert 10 < metrics["average_accuracy"] <= 100
    shares = np.load(tmp_path / "observations.npz").get("minibatch_shares")
    assert (shares is None) == (method in ("naive", "ewc", "joint"))
    images = data.load("digits").test.images[:7]
    assert ocm_tf.load_model(tmp_path).predict(images, verbose=0).shape == (7, 10)


@pytest.mark.slow
def test_generated_latents_hold_off_forgetting(tmp_path):
    settings = ["num_experiences=3", "num_train=1000", "num_test=none", "epochs=20", "batch_size=16"]
    settings += ["buffer_size=1000"]
    naive, generative = (
        run(tmp_path / method, settings=[*settings, f"method={method}"])
        for method in ("naive", "generative_latent_replay")
    )
    assert generative["average_accuracy"] > naive["average_accuracy"] + 5
    assert generative["forgetting"] < naive["forgetting"] - 10


def test_a_pretrained_backbone_is_trained_once_and_frozen(tmp_path):
    settings = ["pretrained_on=digits:inverted", "num_experiences=1", "epochs=1"]
    run(tmp_path, settings=settings)
    kept = np.load(tmp_path / "checkpoint" / "pretrained.npz")
    model = ocm_tf.load_model(tmp_path)
    assert model.pretrained and len(kept.files) == len(model.backbone.weights) == 2
    for index, weight in enumerate(model.backbone.get_weights()):
        np.testing.assert_array_equal(weight, kept[str(index)])
    # What is kept is taken over as it is, without the data set.
    config = dataclasses.replace(parse(settings=settings).config, pretrained_on="no such data set")
    weights = glr_models.pretrained_backbone(config, 10, 0, tmp_path / "checkpoint" / "pretrained.npz")
    np.testing.assert_array_equal(weights[0], kept["0"])


def test_latents_are_computed_once_and_only_when_final(monkeypatch):
    model = learn(make_classifier(LatentReplay, buffer_size=8), epochs=1)
    evaluator, train = Evaluator(model), EXPERIENCES[0].train
    before = evaluator.measure("first", train)
    logits = np.asarray(model(train.images))
    assert before[0] == np.mean(logits.argmax(axis=1) == train.labels)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(30), train.labels]
    assert before[1] == pytest.approx(losses.mean(), rel=1e-5)
    learn(model, 0, epochs=2)
    after = evaluator.measure("first", train)
    assert after != before
    # The images are not looked at again.
    assert evaluator.measure("first", SimpleNamespace(labels=train.labels)) == after
    learn(model, 1, epochs=2)
    assert evaluator._sums_of_latents.experimental_get_tracing_count() == 1
    assert evaluator.measure("first", train)[0] == np.mean(
        np.asarray(model(train.images)).argmax(axis=1) == train.labels
    )


def test_validation_measures_on_training_images_that_the_stream_lacks():
    whole, chosen = (
        load_experiences(parse(settings=[f"validation={flag}", "num_train=none", "num_test=none"]).config)[0][0]
        for flag in ("false", "true")
    )
    known = sorted(image.tobytes() for image in whole.train.images)
    assert sorted(image.tobytes() for image in [*chosen.train.images, *chosen.test.images]) == known


@pytest.mark.parametrize("stream", ["NI", pytest.param("NC", marks=pytest.mark.slow)])
def test_core50_has_one_test_set(stream, tmp_path, monkeypatch):
    """Runs on a made-up CORe50 in its real layout, of images large enough for a LeNet."""
    shape = (12, 12, 3)
    entry = dataclasses.replace(make_entry(), image_shape=shape)
    monkeypatch.setitem(CATALOGUE, "core50", entry)
    folder = write_folder(tmp_path / "files", {**image_contents(shape=shape), **list_contents()})
    write_dataset(read_core50_files(folder, entry), entry, tmp_path / "data", "path")
    settings = ["dataset=core50", f"stream={stream}", "network=lenet", "num_train=9", "measure_train=false"]
    run(tmp_path / "run", "--data-dir", tmp_path / "data", settings=settings)
    results, observed = read_json(tmp_path / "run" / "results.json"), np.load(tmp_path / "run" / "observations.npz")
    assert observed["accuracy_matrix"].shape == (2, 1)
    assert "forgetting" not in results["metrics"]
    assert results["metrics"]["average_incremental_accuracy"] == pytest.approx(100 * observed["accuracy_matrix"].mean())
    assert len(observed["class_names"]) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["dataset=core50", "stream=NI"], "dataset core50 is not in .*: run python -m ocm_tf.data prepare core50"),
        (["num_train=99999"], "num_train must lie in 1..1500, got 99999"),
        (["network=lenet"], "input_shape must be at least 12x12"),
        (["cut=conv9"], "layer_name must be one of .* got 'conv9'"),
        (["match_bytes=latent_replay"], "match_bytes is for the methods replay and latent_replay"),
        (["network=alexnet_small", "weights=nowhere.npz"], "nowhere.npz is missing"),
    ],
)
def test_mistakes_are_told_in_one_line_before_anything_is_written(settings, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path / "new", "--data-dir", tmp_path, settings=settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_paper_preset_starts_on_images_of_the_right_shape(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 10
    images = rng.integers(0, 256, (20, 28, 28, 1)).astype(np.uint8)
    parts = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "mnist.npz", **parts)
    texts = {"script": "glr_rotated_mnist", "description": "", "costs": COSTS, "presets": ROTATED_PRESETS}
    for preset in ("paper", "release"):
        argv = ["--preset", preset, "--quiet", "--output", tmp_path / preset, "--dataset", f"npz:{tmp_path}/mnist.npz"]
        argv += ["--set", "num_experiences=2", "epochs=1", "buffer_size=100"]
        glr.run(parse_arguments(list(map(str, argv)), **texts), say=lambda line: None)
        model = ocm_tf.load_model(tmp_path / preset)
        assert model.latent_dim == 2304 and model.backbone.layers[1].name == "rescaling"
        assert model.is_frozen and len(model.generators) == 2
    # Only then is the dropout a part of what was frozen.
    assert model.backbone.layers[-1].name == "dropout1" and model.backbone_dropout
