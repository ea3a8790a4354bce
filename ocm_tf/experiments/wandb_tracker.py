"""The log that Weights & Biases reads."""

import hashlib
import os
import shutil

import wandb

from ocm_tf.experiments.tracking import group_of


class WandbTracker:
    """Writes a run's numbers as a Weights & Biases run, named `stage/metric` or `stage/experience_N/metric`.

    Offline, unless the user's WANDB_MODE says otherwise: `wandb sync DIRECTORY/wandb/offline-run-*` sends it. As with
    TensorBoard, the log begins anew with the first number; but the run has the same id in all sessions, and online
    what the server has already is not sent again.

    Args:
        directory: where its files go; made when the first number comes.
        about: content of `config.json`, shown beside the run.
    """

    def __init__(self, directory, about):
        self.directory, self.about = directory, about
        self._run, self._groups, self._num_written = None, set(), 0

    def write(self, step, stage, experience, values):
        """Writes numbers of one step; arguments as for `TensorBoardTracker.write`."""
        if self._run is None:
            self._open()
        self._num_written += 1
        group = group_of(stage, experience)
        if group not in self._groups:
            # Stages count in ways of their own, and W&B's step must never go back.
            self._run.define_metric(f"{group}/*", step_metric=f"{group}/step")
            self._groups.add(group)
        if self._num_written >= self._run.starting_step:
            numbers = {f"{group}/{name}": float(value) for name, value in values.items()}
            self._run.log({f"{group}/step": int(step), **numbers}, step=self._num_written)

    def _open(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ocm_tf"),
            name=f"{self.about['script']}-{self.directory.parent.name}",
            id=hashlib.sha256(f"{self.directory.resolve()} {self.about['started']}".encode()).hexdigest()[:12],
            resume="allow",
            config=self.about,
            dir=str(self.directory),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._groups, self._num_written = set(), 0

    def close(self):
        """Writes what is left and ends the log."""
        if self._run is not None:
            self._run.finish()
            self._run = None
