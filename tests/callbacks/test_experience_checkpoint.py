"""Checks that a run of experiences goes on from a checkpoint as if it had never stopped."""

import json
import signal

import keras
import numpy as np
import pytest

from ocm_tf.callbacks import BestState, ExperienceCheckpoint, Interrupted
from ocm_tf.errors import UserError
from ocm_tf.models import EWC, GenerativeLatentReplay, LatentReplay
from tests.models.tiny_experiences import EXPERIENCES, make_classifier, make_parts
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
            signal.raise_signal(signal.SIGTERM)


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


def test_files_are_of_the_experience_learned_last(tmp_path):
    learn("ewc", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"experience-1.keras", "experience.json"}
    about = json.loads((tmp_path / "experience.json").read_text())
    # A Keras step holds a whole epoch of these.
    assert about["experience"] == 1 and about["position"] == 2 * EPOCHS
    checkpoint = ExperienceCheckpoint(tmp_path, [BestState()])
    assert checkpoint.load().experience_index == 2 and checkpoint.position == 2 * EPOCHS
    (tmp_path / "experience-1.keras").write_bytes(b"cut off")
    with pytest.raises(UserError, match="is damaged, --overwrite starts anew"):
        checkpoint.load()


def test_without_files_there_is_no_model(tmp_path):
    assert ExperienceCheckpoint(tmp_path / "nothing").load() is None
