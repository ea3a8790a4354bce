"""Saving a run of experiences as it goes, so that one killed at any moment can be resumed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from ocm_tf.callbacks.checkpoint import Checkpoint, first_whole
from ocm_tf.callbacks.interruption import Interrupted
from ocm_tf.errors import UserError
from ocm_tf.files import DamagedFileError, read_archive, read_json, write_atomically, write_json
from ocm_tf.models.loading import load
from ocm_tf.types import Logs, PathLike

if TYPE_CHECKING:
    from ocm_tf.models.continual_classifier import ContinualClassifier

logger = logging.getLogger("ocm_tf")


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

    The directory holds `experience-<i>.keras` and `experience.json` of the experience learned last, the same of the one
    before it (`experience.previous.json`), then `state-<i>.npz` of the one at hand and the state before it,
    `state-<i>.previous.npz`. Where the newest of these is damaged, a run goes on from the one before it.

    Args:
        directory: where the files go; made when first needed.
        stateful: callbacks and other objects; those with `get_state() -> dict` and `set_state(dict)` are saved, and the
            list `variables` of those that have one.
        every_seconds: shortest time between two saves within an experience.

    Attributes:
        position: Keras steps done, over all experiences.
    """

    def __init__(self, directory: PathLike, stateful: Sequence[Any] = (), every_seconds: float = 30.0) -> None:
        super().__init__(directory, stateful, every_seconds)
        self._about = self.directory / "experience.json"
        self._about_before = self.directory / "experience.previous.json"
        self._states_of_begin: list[Any] | None = None

    def load(self) -> keras.Model | None:
        """Loads the model as it was after the experience learned last.

        `stateful` take up their states of then, unless `resume` has newer ones for them.

        Returns:
            model: the compiled model, or None if there is none.

        Raises:
            DamagedFileError: if the files of the last two experiences are damaged.
        """
        found, was_damaged = first_whole((self._about, self._about_before), self._read, "experience")
        if was_damaged:
            # They are of an experience that the model has yet to reach again.
            self._remove_states()
        return None if found is None else self._take_up(*found)

    def _read(self, about_path):
        try:
            about = _checked(read_json(about_path))
            return about, read_archive(self._model_path(about["experience"]), load)
        except UserError as error:
            raise DamagedFileError(f"{about_path} or its model is damaged ({error})") from error

    def _take_up(self, about, model):
        self._name_files(about["experience"] + 1)
        self.position, self._states_of_begin = about["position"], about["states"]
        # A state within the next experience is newer; what it holds, such as rows of a table, must not be cut off.
        if not self._newest.exists() and not self._previous.exists():
            self._restore_begin()
        return model

    def _restore_begin(self):
        try:
            for item, state in zip(self._with_state(), self._states_of_begin, strict=True):
                item.set_state(state)
        # Each item fails in its own way on a state that is none.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DamagedFileError(
                f"{self._about} holds a state that is none, --overwrite starts anew: {error}"
            ) from error

    def resume(self, model: ContinualClassifier) -> int:
        """Puts back the state within the experience at hand, if one was saved.

        Args:
            model: the model, ready for the first epoch of the experience.

        Returns:
            Number of epochs done.

        Raises:
            UserError: if the state was made by another configuration.
            DamagedFileError: if all states of the first experience are damaged.
        """
        self.extra = {}
        try:
            self.restore(model)
        except DamagedFileError:
            if self._states_of_begin is None:
                raise
            logger.warning("no state within this experience is whole; beginning it anew")
            self._restore_begin()
            self._remove_states()
        return self.extra.get("num_epochs", 0)

    def _remove_states(self):
        for path in self.directory.glob("state-*.npz"):
            path.unlink()

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
        if self._about.exists():
            os.replace(self._about, self._about_before)
        write_json(self._about, about)
        self._states_of_begin = states
        for path in (self._newest, self._previous, self._model_path(index - 2)):
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
