"""How far a run has come, shown while it runs."""

import collections
import datetime
import numbers
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import keras
from rich.console import Console
from rich.progress_bar import ProgressBar

from ocm_tf.types import Logs

BAR_SECONDS, LINE_SECONDS = 0.1, 10.0
# Steps grow slower as a memory fills, so that only recent ones tell how long the rest will take.
NUM_RECENT = 50


class Progress(keras.callbacks.Callback):
    """Shows a progress bar with the time left on a terminal, and a plain line every ten seconds elsewhere.

    Of all the library this callback alone prints; it writes to standard error.

    Args:
        total_batches: number of batches of the whole run.
        start: number of batches done before, in a run that is resumed.
        quiet: whether to show nothing.
        status: called when a line is due; returns `{name: value}` of more to show, such as the size of a
            memory.
        file: where to write instead of standard error.
    """

    def __init__(
        self,
        total_batches: int,
        start: int = 0,
        quiet: bool = False,
        status: Callable[[], Mapping[str, Any]] | None = None,
        file: TextIO | None = None,
    ) -> None:
        super().__init__()
        self.total_batches, self.start, self.quiet, self.status = total_batches, start, quiet, status
        self.file = file or sys.stderr
        self.console = Console(file=self.file, highlight=False)
        self.on_terminal = self.file.isatty() and not self.console.is_dumb_terminal
        self.done = start
        self._recent: collections.deque[tuple[int, float]] = collections.deque(maxlen=NUM_RECENT)
        self._last_shown: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time the rest will take at the pace of the recent batches, or None before there is a pace."""
        if len(self._recent) < 2:
            return None
        (first, began), (last, ended) = self._recent[0], self._recent[-1]
        return (self.total_batches - self.done) * (ended - began) / (last - first)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.done += 1
        now = time.monotonic()
        # The first batch is only a start: its time went into compiling.
        self._recent.append((self.done, now))
        if self.quiet:
            return
        interval = BAR_SECONDS if self.on_terminal else LINE_SECONDS
        if self._last_shown is None or now - self._last_shown >= interval or self.done == self.total_batches:
            self._last_shown = now
            self._show(self.text(logs))

    def on_train_end(self, logs: Logs = None) -> None:
        if self.on_terminal and not self.quiet:
            print(file=self.file)

    def text(self, logs: Logs = None) -> str:
        """Composes the line, for example `batch 120/937  13%  loss 152.3  LTM 184  N 2  ETA 0:02:13`."""
        percent = 100 * self.done // max(self.total_batches, 1)
        fields = {**(logs or {}), **(self.status() if self.status else {})}
        values = [f"{name} {_short(value)}" for name, value in fields.items()]
        left = self.seconds_left
        eta = "-" if left is None else datetime.timedelta(seconds=round(left))
        return "  ".join([f"batch {self.done}/{self.total_batches}", f"{percent:2d}%", *values, f"ETA {eta}"])

    def _show(self, text):
        if not self.on_terminal:
            print(text, file=self.file, flush=True)
            return
        # Drawn anew over itself: a live display would have to be stopped when an exception leaves `fit`.
        self.file.write("\r\x1b[K")
        room = self.console.width - 1
        bar_width = min(room - len(text) - 1, 40)
        if bar_width > 4:
            self.console.print(ProgressBar(total=self.total_batches, completed=self.done, width=bar_width))
            text = " " + text
        self.file.write(text[:room])
        self.file.flush()


def _short(value):
    return str(value) if isinstance(value, str | numbers.Integral) else f"{float(value):.4g}"
