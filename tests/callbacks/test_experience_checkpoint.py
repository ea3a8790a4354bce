"""Checks that a run of experiences goes on from a checkpoint as if it had never stopped."""

import json
import logging
import shutil
import signal

import keras
import numpy as np
import pytest

from ocm_tf.callbacks import BestState, ExperienceCheckpoint, Interrupted
from ocm_tf.files import DamagedFileError
from ocm_tf.models import EWC, GenerativeLatentReplay, LatentReplay
from tests.models.tiny_experiences import EXPERIENCES, make_classifier, make_parts
from tests.signals import raise_and_wait
from tests.tiny import optimizer_values

NUM_EXPERIENCES, EPOCHS = 2, 3
KINDS = {
    "ewc": (EWC, {}),
    "latents of the first epoch": (
        LatentReplay,
        {"buffer_size": 12, "collect": "first_epoch", "backbone_dropout": True, "minibatches_per_step": 2},
    ),
    "drawn in every step": (
        GenerativeLatentReplay,
        {"buffer_size": 12, "sampling": "per_batch", "minibatches_per_step": 2},
    ),
}


class StopAt(keras.callbacks.Callback):
    """Sends a signal at the end of an epoch, so that the next step is the last."""

    def __init__(self, experience, epoch):
        super().__init__()
        self.where = experience, epoch

    def on_epoch_end(self, epoch, logs=None):
        if (self.model.experience_index, epoch) == self.where:
            raise_and_wait(signal.SIGTERM)


def make_model(kind):
    model_kind, settings = KINDS[kind]
    return make_classifier(model_kind, make_parts(backbone_dropout=0.3, head_dropout=0.3), **settings)


def learn(kind, directory, stop=None):
    """Learns what is left of two experiences; returns the model and its `BestState`."""
    best_state = BestState(patience=EPOCHS, margin=0)
    checkpoint = ExperienceCheckpoint(directory, [best_state], every_seconds=0)
    model = checkpoint.load() or make_model(kind)
    with checkpoint:
        for experience in EXPERIENCES[model.experience_index : NUM_EXPERIENCES]:
            callbacks = [best_state, *([stop] if stop else []), checkpoint]
            model.fit_experience(experience, EPOCHS, callbacks, resume=checkpoint.resume)
    return model, best_state


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("latents of the first epoch", (0, 1)),
        ("drawn in every step", (1, 0)),
        pytest.param("ewc", (1, 1), marks=pytest.mark.slow),
    ],
)
def test_a_run_stopped_within_an_experience_ends_as_one_never_stopped(kind, where, tmp_path):
    model, best_state = learn(kind, tmp_path / "whole")
    with pytest.raises(Interrupted):
        learn(kind, tmp_path / "stopped", StopAt(*where))
    assert (tmp_path / "stopped" / f"state-{where[0]}.npz").exists()
    resumed, best_resumed = learn(kind, tmp_path / "stopped")
    for ours, theirs in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for parts in (resumed.state_arrays(), model.state_arrays()), (optimizer_values(resumed), optimizer_values(model)):
        ours, theirs = (list(part.values()) for part in parts)
        assert len(ours) == len(theirs) > 0
        for array, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert best_resumed.accuracies == best_state.accuracies and len(best_state.accuracies) == EPOCHS + 1


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The files after two experiences, learned without a stop, and the weights."""
    directory = tmp_path_factory.mktemp("learned")
    return directory, learn("ewc", directory)[0].get_weights()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The files of a run stopped behind the second epoch of the second experience."""
    directory = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Interrupted):
        learn("ewc", directory, StopAt(1, 1))
    return directory


def warnings_of(caplog):
    """Returns the lines this library has logged; TensorFlow has its own to say about models made one after another."""
    return [record.message for record in caplog.records if record.name == "ocm_tf"]


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-50])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_files_are_of_the_last_two_experiences(learned):
    tmp_path, _ = learned
    models = {"experience-0.keras", "experience-1.keras"}
    assert {path.name for path in tmp_path.iterdir()} == {*models, "experience.json", "experience.previous.json"}
    about = json.loads((tmp_path / "experience.json").read_text())
    # A Keras step holds a whole epoch of these.
    assert about["experience"] == 1 and about["position"] == 2 * EPOCHS
    checkpoint = ExperienceCheckpoint(tmp_path, [BestState()])
    assert checkpoint.load().experience_index == 2 and checkpoint.position == 2 * EPOCHS


@pytest.mark.fault("damaged model of the last experience", "file cut off, a bit flipped, note half written")
@pytest.mark.parametrize(
    ("name", "damage"),
    [("experience-1.keras", cut_off), ("experience-1.keras", flip_a_bit), ("experience.json", cut_off)],
)
def test_falls_back_on_the_experience_before(name, damage, learned, tmp_path, caplog):
    shutil.copytree(learned[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "state-2.npz").write_bytes(b"of an experience still to come")
    damage(tmp_path / name)
    with caplog.at_level(logging.WARNING, "ocm_tf"):
        resumed, best_state = learn("ewc", tmp_path)
    (message,) = warnings_of(caplog)
    assert name in message and message.endswith("; going on from the experience before it")
    assert not (tmp_path / "state-2.npz").exists()
    assert resumed.experience_index == NUM_EXPERIENCES and len(best_state.accuracies) == EPOCHS + 1
    for ours, theirs in zip(resumed.get_weights(), learned[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.fault("damaged states within an experience", "newest cut off, then the one before it too")
@pytest.mark.parametrize(("names", "line"), [
    (("state-1.npz",), "going on from the checkpoint before it"),
    (("state-1.npz", "state-1.previous.npz"), "no state within this experience is whole; beginning it anew"),
])  # fmt: skip
def test_falls_back_on_older_states_of_an_experience(names, line, learned, stopped, tmp_path, caplog):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    for name in names:
        cut_off(tmp_path / name)
    with caplog.at_level(logging.WARNING, "ocm_tf"):
        resumed, _ = learn("ewc", tmp_path)
    assert [line in message for message in warnings_of(caplog)] == [True]
    for ours, theirs in zip(resumed.get_weights(), learned[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_gives_up_if_nothing_is_whole(learned, tmp_path):
    shutil.copytree(learned[0], tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("experience-*.keras"):
        cut_off(path)
    with pytest.raises(DamagedFileError, match=r"no experience is whole, so --overwrite .*-1\.keras.*-0\.keras"):
        ExperienceCheckpoint(tmp_path, [BestState()]).load()
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "state-0.npz").write_bytes(b"half")
    with pytest.raises(DamagedFileError, match="no checkpoint is whole"):
        learn("ewc", tmp_path / "started")


def test_without_files_there_is_no_model(tmp_path):
    assert ExperienceCheckpoint(tmp_path / "nothing").load() is None
