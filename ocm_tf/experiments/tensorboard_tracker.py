"""The log that TensorBoard reads."""

import shutil

from tensorboard.summary import Writer

from ocm_tf.experiments.tracking import group_of


class TensorBoardTracker:
    """Writes a run's numbers as TensorBoard scalars, tagged `stage/metric` or `stage/experience_N/metric`.

    What an earlier session wrote is dropped with the first number, as is what was written before `close`.

    Args:
        directory: where the event files go; made when the first number comes.
        about: not used; `config.json` lies beside.
    """

    def __init__(self, directory, about=None):
        self.directory = directory
        self._writer = None

    def write(self, step, stage, experience, values):
        """Writes numbers of one step.

        Args:
            step: number of batches seen, or what counts the rows of that stage.
            stage: word for what the run was doing.
            experience: number of the experience, or None.
            values: `{metric: number}`.
        """
        if self._writer is None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self._writer = Writer(str(self.directory))
        for name, value in values.items():
            self._writer.add_scalar(f"{group_of(stage, experience)}/{name}", float(value), int(step))

    def close(self):
        """Writes what is left and ends the log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
