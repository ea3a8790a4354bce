"""The table of numbers that a run writes as it goes, `metrics.csv`."""

import csv
import itertools
import operator
import os
import time
from pathlib import Path

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.files import reporting_unwritable

COLUMNS = ("step", "stage", "experience", "metric", "value")
HEADER = ",".join(COLUMNS) + "\n"
FLUSH_SECONDS = 1.0


class MetricsTable:
    """Appends rows to a CSV file, `step,stage,experience,metric,value`, and can go back to an earlier length.

    The table begins empty: what an earlier run left in the file is dropped at the first write, but for the
    rows that `rewind` keeps. So a run that is resumed writes each row once. Trackers are told the same rows.

    Args:
        path: the file; made at the first write.

    Attributes:
        position: number of rows, not counting the header.
        trackers: list of trackers, see `tracker_classes`; to be closed by whoever made them.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.position, self.trackers = 0, []
        self._file = None
        self._last_flush = time.monotonic()

    def append(self, step, stage, experience, values):
        """Appends one row for each value.

        Args:
            step: number of batches seen.
            stage: word for what the run was doing, such as `"train"` or `"test"`.
            experience: number of the experience the values speak of, or None.
            values: `{metric: number}`; NaN is allowed.

        Raises:
            ValueError: if a name holds a comma, a quote or a line break.
            UserError: if the file cannot be written.
        """
        for text in (stage, *values):
            if set(text) & set(',"\r\n'):
                raise ValueError(f"names in metrics.csv hold no comma, quote or line break, got {text!r}")
        where = f"{int(step)},{stage},{'' if experience is None else int(experience)}"
        rows = [f"{where},{name},{float(value)!r}\n" for name, value in values.items()]
        with reporting_unwritable(self.path):
            self._open()
            self._file.writelines(rows)
        self.position += len(rows)
        if values:
            self._track(step, stage, experience, values)
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def flush(self, sync=False):
        """Hands all rows to the system; with `sync` they are on the disk on return."""
        with reporting_unwritable(self.path):
            self._open()
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
        self._last_flush = time.monotonic()

    def rewind(self, position):
        """Keeps the first `position` rows of the file and drops the others.

        Raises:
            UserError: if the file is no such table or holds fewer rows.
        """
        self.close()
        with reporting_unwritable(self.path):
            length = _length_of(self.path, position)
            self._file = self.path.open("r+", encoding="utf-8", newline="")
            self._file.truncate(length)
            self._file.seek(length)
        if position != self.position:
            self._track_again()
        self.position = position

    def _track(self, *row):
        for tracker in self.trackers:
            tracker.write(*row)

    def _track_again(self):
        """Has the trackers begin anew with the rows in the file."""
        for tracker in self.trackers:
            tracker.close()
        table = read_metrics(self.path)
        rows = zip(*(table[name].tolist() for name in COLUMNS), strict=True)
        for (step, stage, experience), group in itertools.groupby(rows, operator.itemgetter(0, 1, 2)):
            values = {metric: value for *_, metric, value in group}
            self._track(step, stage, None if experience < 0 else experience, values)

    def close(self):
        """Writes what is left and closes the file, but not the trackers."""
        if self._file is not None:
            file, self._file = self._file, None
            with reporting_unwritable(self.path):
                file.close()

    def _open(self):
        if self._file is None:
            if self.position:
                raise ValueError(f"{self.path} is closed")
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._file.write(HEADER)


def _length_of(path, position):
    """Returns the number of bytes that the header and the first `position` rows take."""
    length = 0
    try:
        with path.open("rb") as file:
            for row in range(position + 1):
                line = file.readline()
                if row == 0 and line != HEADER.encode():
                    raise UserError(f"{path} is no table of metrics: its first line is not {HEADER.strip()}")
                # The last line of a killed run may be cut off.
                if not line.endswith(b"\n"):
                    raise UserError(f"{path} holds {row - 1} rows, but the checkpoint counts {position}")
                length += len(line)
    except FileNotFoundError:
        raise UserError(f"{path} is missing, but the checkpoint counts {position} rows in it") from None
    return length


def read_metrics(path):
    """Reads a table of metrics.

    Args:
        path: the file.

    Returns:
        dict of equally long arrays: `step` int, `stage` str, `experience` int (-1 for none), `metric` str,
        `value` float.

    Raises:
        UserError: if the file is missing or no such table.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            lines = file.readlines()
        # A number cut off may still be one.
        if lines and not lines[-1].endswith("\n"):
            raise ValueError("its last line is cut off")
        header, *rows = csv.reader(lines, strict=True)
        if tuple(header) != COLUMNS:
            raise ValueError(f"its first line is not {HEADER.strip()}")
        step, stage, experience, metric, value = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
        return {
            "step": np.array(step, np.int64),
            "stage": np.array(stage, str),
            "experience": np.array([number or -1 for number in experience], np.int64),
            "metric": np.array(metric, str),
            "value": np.array(value, np.float64),
        }
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, OverflowError, csv.Error) as error:
        raise UserError(f"{path} is no table of metrics ({error})") from None
