"""Checks what is shown, and how often, on a terminal and elsewhere."""

import io
import os
import pty
import re
import select

import numpy as np
import pytest

from ocm_tf.callbacks import progress as progress_module
from ocm_tf.callbacks.progress import Progress


class Clock:
    """Stands in for the module `time`: what matters here is what is made of the times."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def run_batches(progress, clock, seconds, logs=None):
    for batch, duration in enumerate(seconds):
        clock.now += duration
        progress.on_train_batch_end(batch, logs)


def test_the_line_shows_logs_status_and_time_left(clock):
    file = io.StringIO()
    status = {"LTM": 184, "N": np.int64(2), "note": "ok"}
    progress = Progress(937, start=118, status=lambda: status, file=file)
    run_batches(progress, clock, [30, 0.163], {"loss": np.float32(152.312)})
    line = "batch 120/937  12%  loss 152.3  LTM 184  N 2  note ok  ETA 0:02:13"
    assert progress.text({"loss": 152.312}) == line


def test_the_time_left_on_a_resume_counts_only_this_process(clock):
    progress = Progress(1000, start=900, file=io.StringIO())
    assert progress.seconds_left is None
    # The first batch holds the compiling, and is left out.
    run_batches(progress, clock, [60, 2, 2, 2])
    assert progress.seconds_left == pytest.approx(96 * 2)
    # Later batches are slower, and soon set the pace.
    run_batches(progress, clock, [4] * 60)
    assert progress.seconds_left == pytest.approx(36 * 4)


def test_elsewhere_than_on_a_terminal_a_line_comes_every_ten_seconds(clock):
    file = io.StringIO()
    run_batches(Progress(100, file=file), clock, [1] * 100)
    shown = [int(number) for number in re.findall(r"^batch (\d+)/100 ", file.getvalue(), re.MULTILINE)]
    assert shown == [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]
    assert "\x1b" not in file.getvalue() and "\r" not in file.getvalue()


def test_quiet_shows_nothing(clock):
    file = io.StringIO()
    progress = Progress(3, quiet=True, file=file)
    run_batches(progress, clock, [1] * 3)
    progress.on_train_end()
    assert file.getvalue() == ""


def test_on_a_terminal_a_bar_is_drawn_over_itself(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        progress = Progress(10, file=terminal)
        run_batches(progress, clock, [0.11] * 8 + [0.01] * 2, {"loss": 1.0})
        progress.on_train_end()
        output = ""
        # The system passes on what was written in its own time and in pieces.
        while select.select([reader], [], [], 1.0)[0]:
            output += os.read(reader, 1 << 20).decode()
    os.close(reader)
    draws = output.split("\r\x1b[K")[1:]
    assert len(draws) == 9
    plain = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", draw).strip() for draw in draws]
    assert plain[-1].endswith("━ batch 10/10  100%  loss 1  ETA 0:00:00")
    assert all(len(line) < 80 and "\n" not in line for line in plain)
    # Nothing hides the cursor, so nothing must be undone when an exception leaves fit.
    assert "\x1b[?25l" not in output
