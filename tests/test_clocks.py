"""Checks that a clock which is set back disturbs nothing: only clocks that never go back decide over anything."""

import re

import pytest

from tests.killed_runs import ROOT

# Who reads the clock of the wall, and why it may.
READERS = {
    "ocm_tf/data/unfinished.py": "compares it with the times of files, to remove leftovers a day old",
    "ocm_tf/experiments/run_directory.py": "writes down when a run began, and reads it nowhere",
}
WALL_CLOCK = re.compile(r"\btime\.(time|time_ns|localtime|gmtime|ctime)\(|\b(datetime|date)\.(now|utcnow|today)\(")


@pytest.mark.fault("system clock set back", "inspection: intervals and estimates take time.monotonic alone")
def test_only_monotonic_clocks_decide():
    files = [path for part in ("ocm_tf", "scripts") for path in (ROOT / part).rglob("*.py")]
    readers = {str(path.relative_to(ROOT)) for path in files if WALL_CLOCK.search(path.read_text(encoding="utf-8"))}
    assert len(files) > 100 and readers == set(READERS)
    monotonic = {path.name for path in files if "time.monotonic()" in path.read_text(encoding="utf-8")}
    assert monotonic >= {
        "checkpoint.py",
        "experience_checkpoint.py",
        "progress.py",
        "run_directory.py",
        "sweep_jobs.py",
    }
