"""The directory that holds all of one run."""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import shlex
import shutil
import socket
import time
from pathlib import Path

from ocm_tf.errors import UserError
from ocm_tf.experiments.environment import describe_environment
from ocm_tf.experiments.metrics_table import MetricsTable
from ocm_tf.experiments.model_card import model_card
from ocm_tf.experiments.run_records import read_config, read_results
from ocm_tf.experiments.tracking import TRACKERS, tracker_classes
from ocm_tf.files import remove_leftovers, reporting_unwritable, write_atomically, write_json

# Told apart by this key from any other directory that holds a config.json.
MARK = "ocm_tf_run"
WRITTEN_SUFFIXES = {".json", ".csv", ".npz", ".keras"}
WRITTEN_DIRECTORIES = {"checkpoint", "figures", *TRACKERS}


class RunDirectory:
    """The files of one run, and the guard that keeps two runs from mixing in them.

    Use it as a context manager once it is open:

        with RunDirectory(arguments.output).open(arguments, data_source="mnist 3.0.1, from TFDS") as run:
            checkpoint = Checkpoint(run.checkpoint_path, stateful=[*callbacks, run])
            ...
            write_atomically(run.model_path, model.save)
            run.write_results({"nll": nll}, paper={"nll": 115.9})

    It is one of the `stateful` objects of a checkpoint: its state is the length of `metrics.csv` and the time
    taken.

    Args:
        path: the directory; `open` makes it.

    Attributes:
        metrics: `MetricsTable` of `metrics.csv`.
        resumed: whether the run goes on from an unfinished one.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_path, self.results_path = self.path / "config.json", self.path / "results.json"
        self.model_path, self.figures_path = self.path / "model.keras", self.path / "figures"
        self.checkpoint_path, self.card_path = self.path / "checkpoint", self.path / "model_card.md"
        self.metrics = MetricsTable(self.path / "metrics.csv")
        self.resumed = False
        self._identity, self._lock, self._seconds_before, self._opened = None, None, 0.0, time.monotonic()

    def is_finished(self, arguments):
        """Tells whether the directory holds a finished run of just these arguments; touches nothing.

        Raises:
            UserError: if a run of other settings has finished there, so that its results are not taken for these.
        """
        if not self._is_finished():
            return False
        saved, run = self._saved_config(), _describe_run(arguments)
        # A run of an older version lacks the settings that came since.
        known = {name: value for name, value in run["settings"].items() if name in saved["settings"]}
        differences = _differences(saved, {**run, "settings": known})
        if differences:
            raise UserError(
                f"{self.path} holds a finished run of other settings ({'; '.join(differences)}); --overwrite replaces "
                "it, --output DIR makes another"
            )
        return True

    def open(self, arguments, *, data_source, jit_compile=False):
        """Makes the directory, or takes up an unfinished run, and locks it against other processes.

        Args:
            arguments: `Arguments`, as the command line gave them.
            data_source: one line on where the data comes from.
            jit_compile: whether XLA compiles the training step.

        Returns:
            the run directory itself.

        Raises:
            UserError: if the directory holds a run that neither `resume` nor `overwrite` allows to be
                touched, holds something else, is in use, cannot be written to, or if the run to be resumed
                had other settings; or if the package of a tracker is missing.
        """
        trackers = tracker_classes(arguments.track)
        with reporting_unwritable(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("a+", encoding="utf-8")
        try:
            self._acquire_lock()
            remove_leftovers(self.path)
            saved = self._saved_config()
            self._check(saved, arguments)
            if saved is not None and arguments.overwrite:
                self._clear()
            self.resumed = saved is not None and arguments.resume
            self._write_config(saved if self.resumed else None, arguments, data_source, jit_compile)
            about = self._saved_config()
            self.metrics.trackers = [tracker(self.path / name, about) for name, tracker in trackers.items()]
        except BaseException:
            self.close()
            raise
        self._opened = time.monotonic()
        return self

    def close(self):
        """Closes `metrics.csv` and the trackers, and lets other processes in."""
        try:
            self.metrics.close()
            for tracker in self.metrics.trackers:
                tracker.close()
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def wall_seconds(self):
        """Time taken so far, in seconds, summed over all resumes."""
        return self._seconds_before + time.monotonic() - self._opened

    def get_state(self):
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        # A checkpoint must never know of rows that a power cut can still take away.
        self.metrics.flush(sync=True)
        return {"rows": self.metrics.position, "wall_seconds": self.wall_seconds}

    def set_state(self, state):
        """Takes up the state of `get_state`: later rows of `metrics.csv` are dropped."""
        self.metrics.rewind(state["rows"])
        self._seconds_before, self._opened = state["wall_seconds"], time.monotonic()

    def write_results(self, metrics, paper=None, memory_samples=None, memory_bytes=None, num_components=None):
        """Writes `model_card.md`, then `results.json`, which marks the run as finished; so it comes last.

        Args:
            metrics: `{name: number}`, what the run measured.
            paper: `{name: number or None}`, the paper's values for the same names.
            memory_samples: number of samples kept at the end.
            memory_bytes: bytes they take.
            num_components: number of components of a model that grows.

        Raises:
            ValueError: if a number is not finite.
            UserError: if the file cannot be written.
        """
        self.metrics.flush()
        results = {
            **self._identity,
            "metrics": metrics,
            "paper": {} if paper is None else paper,
            "memory_samples": memory_samples,
            "memory_bytes": memory_bytes,
            "num_components": num_components,
            "wall_seconds": round(self.wall_seconds, 3),
            "finished": True,
        }
        card = model_card(self._saved_config(), results)
        write_atomically(self.card_path, lambda path: path.write_text(card, encoding="utf-8"))
        write_json(self.results_path, results)

    def _acquire_lock(self):
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            owner = self._lock.read().strip()
            raise UserError(f"{self.path} is in use by process {owner}") from None
        except OSError:
            return  # Some network file systems know no locks; a run there goes on unguarded.
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()} on {socket.gethostname()}")
        self._lock.flush()

    def _saved_config(self):
        """Returns the content of `config.json`, or None if the directory is empty."""
        if not any(path.name[0] != "." for path in self.path.iterdir()):
            return None
        with contextlib.suppress(UserError):
            return read_config(self.config_path, required=(MARK, "settings", "resumes"))
        raise UserError(f"{self.path} is not empty and is no run directory; choose another one with --output")

    def _check(self, saved, arguments):
        if saved is None or arguments.overwrite:
            return
        if self._is_finished():
            raise UserError(f"{self.path} holds a finished run; --overwrite replaces it, --output DIR makes another")
        if not arguments.resume:
            raise UserError(f"{self.path} holds an unfinished run; use --resume to go on or --overwrite to replace it")
        differences = _differences(saved, _describe_run(arguments))
        if differences:
            raise UserError(f"{self.path} cannot be resumed, it has other settings: {'; '.join(differences)}")

    def _is_finished(self):
        return self.results_path.exists() and read_results(self.results_path, required=("finished",))["finished"]

    def _clear(self):
        """Removes what a run writes; notes and other things of the user's stay."""
        with reporting_unwritable(self.path):
            # First, so that a clearing cut short does not look like a finished run.
            self.results_path.unlink(missing_ok=True)
            self.card_path.unlink(missing_ok=True)
            for path in self.path.iterdir():
                if path.is_dir() and not path.is_symlink() and path.name in WRITTEN_DIRECTORIES:
                    shutil.rmtree(path)
                elif path.suffix in WRITTEN_SUFFIXES and not path.is_dir() and path != self.config_path:
                    path.unlink()

    def _write_config(self, saved, arguments, data_source, jit_compile):
        run = _describe_run(arguments)
        self._identity = {
            "experiment": run["script"],
            **{key: run[key] for key in ("preset", "seed", "dataset")},
            "changes": arguments.changes,
        }
        session = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": shlex.join(arguments.command),
            "data_source": data_source,
            "jit_compile": bool(jit_compile),
            "strategy": arguments.strategy,
            **describe_environment(),
        }
        if saved is None:
            config = {MARK: 1, **run, "changes": arguments.changes, **session, "resumes": []}
        else:
            config = {**saved, "resumes": [*saved["resumes"], session]}
        write_json(self.config_path, config)


def _describe_run(arguments):
    settings = dataclasses.asdict(arguments.config)
    run = {"script": arguments.script, "preset": arguments.preset, "seed": arguments.seed}
    return {**run, "dataset": settings.get("dataset"), "settings": settings}


def _differences(saved, run):
    """Returns one line for each of the first three values that differ."""
    run = json.loads(json.dumps(run))  # Tuples come back from JSON as lists.
    before, now = ({**config, **config["settings"]} for config in (saved, run))
    names = [name for name in {**run, **run["settings"], **saved["settings"]} if name != "settings"]
    missing = "not there"
    return [
        f"{name} was {before.get(name, missing)!r}, now {now.get(name, missing)!r}"
        for name in names
        if before.get(name, missing) != now.get(name, missing)
    ][:3]
