"""Saving a run of experiences as it goes, so that one killed at any moment can be resumed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras

from ocm_tf.callbacks.checkpoint import Checkpoint
from ocm_tf.callbacks.interruption import Interrupted
from ocm_tf.errors import UserError
from ocm_tf.files import read_json, write_atomically, write_json
from ocm_tf.models.loading import load
from ocm_tf.types import Logs

if TYPE_CHECKING:
    from ocm_tf.models.continual_classifier import ContinualClassifier


class ExperienceCheckpoint(Checkpoint):
    """Saves a `ContinualClassifier` after every experience, and within one between epochs.

    It must be the last of the callbacks. A run resumed goes on bit for bit like one never stopped, given the same
    machine and thread count; at most what came since the last epoch is done again:

        checkpoint = ExperienceCheckpoint(run.checkpoint_path, stateful=[*callbacks, run])
        model = checkpoint.load() or build_model()
        with checkpoint:
            for experience in experiences[model.experience_index:]:
                model.fit_experience(experience, callbacks=[*callbacks, checkpoint], resume=checkpoint.resume)

    Within the `with` block a signal leaves `fit` at the end of the step, by `Interrupted`.

    The directory holds `experience-<i>.keras` and `experience.json` of the experience learned last, then
    `state-<i>.npz` of the one at hand and the one before it, `state-<i>.previous.npz`.

    Args:
        directory: where the files go; made when first needed.
        stateful: callbacks and other objects; those with `get_state() -> dict` and `set_state(dict)` are saved, and the
            list `variables` of those that have one.
        every_seconds: shortest time between two saves within an experience.

    Attributes:
        position: Keras steps done, over all experiences.
    """

    def load(self) -> keras.Model | None:
        """Loads the model as it was after the experience learned last.

        `stateful` take up their states of then, unless `resume` has newer ones for them.

        Returns:
            model: the compiled model, or None if there is none.

        Raises:
            UserError: if a file is damaged.
        """
        about_path = self.directory / "experience.json"
        if not about_path.exists():
            return None
        try:
            about = _checked(read_json(about_path))
            model = load(self._model_path(about["experience"]))
            self._name_files(about["experience"] + 1)
            # A state within the next experience is newer; what it holds, such as rows of a table, must not be cut off.
            if not self._newest.exists() and not self._previous.exists():
                for item, state in zip(self._with_state(), about["states"], strict=True):
                    item.set_state(state)
        # Each item fails in its own way on a state that is none.
        except (UserError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{about_path} or its model is damaged, --overwrite starts anew: {error}") from error
        self.position = about["position"]
        return model

    def resume(self, model: ContinualClassifier) -> int:
        """Puts back the state within the experience at hand, if one was saved.

        Args:
            model: the model, ready for the first epoch of the experience.

        Returns:
            Number of epochs done.

        Raises:
            UserError: if all states are damaged or were made by another configuration.
        """
        self.extra = {}
        self.restore(model)
        return self.extra.get("num_epochs", 0)

    def on_experience_begin(self, experience: Any) -> None:
        self._name_files(self.model.experience_index)
        self._last_save = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        restored = self._restored_in_fit
        super().on_epoch_begin(epoch, logs)
        if restored:
            # The sums of the epoch before came back too.
            self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.position += 1
        if self._watcher.received is not None:
            raise Interrupted(self._watcher.received, self.position)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # What follows the last epoch is saved with the experience.
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if is_last or time.monotonic() - self._last_save < self.every_seconds:
            return
        self.extra, self._in_fit = {"num_epochs": epoch + 1}, True
        self.save()
        self._in_fit = False

    def on_train_end(self, logs: Logs = None) -> None:
        """Leaves saving to the end of the experience."""

    def on_experience_end(self, experience: Any) -> None:
        index = self.model.experience_index - 1
        write_atomically(self._model_path(index), self.model.save)
        states = [item.get_state() for item in self._with_state()]
        about = {"experience": index, "position": self.position, "states": states}
        write_json(self.directory / "experience.json", about)
        for path in (self._newest, self._previous, self._model_path(index - 1)):
            path.unlink(missing_ok=True)

    def _name_files(self, index):
        # By the experience, so that none is ever taken for a state of the next.
        self._newest, self._previous = (self.directory / f"state-{index}{end}" for end in (".npz", ".previous.npz"))

    def _model_path(self, index):
        return self.directory / f"experience-{index}.keras"

    def _with_state(self):
        return [item for item in self.stateful if hasattr(item, "get_state")]


def _checked(about):
    """Returns the content of `experience.json` if it is of the kinds that `on_experience_end` writes."""
    for name in ("experience", "position"):
        if type(about.get(name)) is not int or about[name] < 0:
            raise UserError(f"{name} must be a whole number from 0 on, found {about.get(name)!r:.40}")
    if not isinstance(about.get("states"), list):
        raise UserError("states must be a list")
    return about
