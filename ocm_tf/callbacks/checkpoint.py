"""Saving a run as it goes, so that one killed at any moment can be resumed."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import keras
from keras.src.random.seed_generator import global_seed_generator

from ocm_tf.callbacks.interruption import Interrupted, SignalWatcher
from ocm_tf.callbacks.training_state import restore_state, save_state
from ocm_tf.files import DamagedFileError
from ocm_tf.types import Logs, PathLike

logger = logging.getLogger("ocm_tf")


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of training every so often, at the end of `fit`, and on Ctrl-C or SIGTERM.

    It must be the last of the callbacks, so that the others have done their work on a batch when it is saved.
    A run resumed from a checkpoint goes on bit for bit like one never stopped, given the same machine and
    thread count:

        checkpoint = Checkpoint(run.checkpoint_path, stateful=[*callbacks, run])
        position = checkpoint.restore(model)
        with checkpoint:
            model.fit(stream.batches(64, start=position), callbacks=[*callbacks, checkpoint])

    Within the `with` block a signal is acted on at the end of the batch: the state is saved and `Interrupted`
    leaves `fit`. A signal that came after the last batch does so at the end of the block.

    The directory holds `state.npz` and, from the second time on, `state.previous.npz`, which stands in when
    the newer one is damaged. Both hold the samples in memory.

    Args:
        directory: where the files go; made when first needed.
        stateful: callbacks and other objects; those with `get_state() -> dict` and `set_state(dict)` are
            saved.
        every_seconds: shortest time from the end of one save to the start of the next within `fit`.

    Attributes:
        position: number of batches done, over all calls of `fit`.
        extra: dict of values fit for JSON that the caller wants to have back on a resume.
    """

    def __init__(self, directory: PathLike, stateful: Sequence[Any] = (), every_seconds: float = 30.0) -> None:
        super().__init__()
        self.directory, self.stateful, self.every_seconds = Path(directory), list(stateful), every_seconds
        self.position = 0
        self.extra: dict[str, Any] = {}
        self._newest, self._previous = self.directory / "state.npz", self.directory / "state.previous.npz"
        self._watcher = SignalWatcher()
        self._in_fit = self._restored_in_fit = False
        self._last_save = time.monotonic()
        # Made now, as its seed is drawn from Python's generator, which a save must leave alone.
        global_seed_generator()

    def restore(self, model: keras.Model) -> int:
        """Puts back the newest whole checkpoint, if there is one.

        Args:
            model: made, built and compiled like the one saved.

        Returns:
            position: number of batches done; 0 if there is no checkpoint.

        Raises:
            UserError: if the checkpoint was made by another configuration.
            DamagedFileError: if all checkpoints are damaged.
        """
        self.set_model(model)
        about = self._restore_newest_whole()
        if about is not None:
            self.position, self.extra = about["position"], about["extra"]
            self._restored_in_fit = about["in_fit"]
        return self.position

    def save(self) -> None:
        """Saves the state now.

        Raises:
            UserError: if the files cannot be written; the older ones stay as they were.
        """
        about = {"position": self.position, "in_fit": self._in_fit, "extra": self.extra}
        fresh = self.directory / "state.fresh.npz"
        save_state(fresh, self.model, self.stateful, about)
        if self._newest.exists():
            os.replace(self._newest, self._previous)
        os.replace(fresh, self._newest)
        self._last_save = time.monotonic()

    def _restore_newest_whole(self):
        def read(path):
            return _checked(path, restore_state(path, self.model, self.stateful))

        about, _ = first_whole((self._newest, self._previous), read, "checkpoint")
        return about

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self._restored_in_fit:
            # `fit` has reset the metrics, and what ran since `restore` may have drawn random numbers.
            self._restore_newest_whole()
            self._restored_in_fit = False

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.position += 1
        signal_number = self._watcher.received
        if signal_number is None and time.monotonic() - self._last_save < self.every_seconds:
            return
        # After the last batch there is no fit to go back into.
        self._in_fit = self.params.get("steps") != batch + 1
        self.save()
        self._in_fit = False
        if signal_number is not None:
            raise Interrupted(signal_number, self.position)

    def on_train_end(self, logs: Logs = None) -> None:
        self.save()

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._watcher.stop()
        if kind is None and self._watcher.received is not None:
            raise Interrupted(self._watcher.received, self.position)


def first_whole(paths: Sequence[Path], read: Callable[[Path], Any], kind: str) -> tuple[Any, bool]:
    """Reads the newest of several files that is whole; it takes the place of the newest, so that it is kept.

    Args:
        paths: the files, the newest first; they need not exist.
        read: returns what a file holds, or raises `DamagedFileError`.
        kind: what the files are, for messages.

    Returns:
        content: what `read` returned; None if there is no file.
        was_damaged: bool, whether a newer file was passed over.

    Raises:
        DamagedFileError: if there are files, but none is whole.
    """
    damages = []
    for path in filter(Path.exists, paths):
        try:
            content = read(path)
        except DamagedFileError as damage:
            damages.append(str(damage))
            continue
        if damages:
            logger.warning("%s; going on from the %s before it", damages[0], kind)
            # Otherwise the next save would keep the damaged one as the one to fall back on.
            os.replace(path, paths[0])
        return content, bool(damages)
    if damages:
        raise DamagedFileError(f"no {kind} is whole, so --overwrite must start anew: {'; '.join(damages)}")
    return None, False


def _checked(path, about):
    """Returns what a checkpoint says of the run if it is of the kinds that `Checkpoint.save` writes."""
    kinds = {"position": int, "in_fit": bool, "extra": dict}
    for name, kind in kinds.items():
        if type(about.get(name)) is not kind:
            raise DamagedFileError(f"{path} holds no {name} of a run")
    if about["position"] < 0:
        raise DamagedFileError(f"{path} holds the position {about['position']}, which no run has")
    return about
