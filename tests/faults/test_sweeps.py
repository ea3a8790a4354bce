"""Checks a sweep one of whose runs is killed."""

import os
import signal
import sys

import pytest

from tests.killed_runs import PATIENCE_SECONDS, ROOT, RUNS, assert_same_run, finish, start, wait_until

RUN = RUNS["ocm, dynamic"]


@pytest.mark.slow
@pytest.mark.fault("a job of a sweep dies", "SIGKILL of one of two runs, then the same sweep again")
def test_a_sweep_goes_on_without_a_run_that_dies_and_makes_it_the_next_time(tmp_path, straight):
    command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), RUN.script, "--preset", "tiny", "--seeds", "0", "1"]
    command += ["--output", str(tmp_path), "--set", *RUN.settings]
    dying, other = (tmp_path / RUN.script / f"tiny-seed{seed}" for seed in (0, 1))
    sweep = start(command)
    wait_until((dying / "config.json").exists, sweep)
    os.kill(int((dying / ".lock").read_text().split()[0]), signal.SIGKILL)
    _, errors = sweep.communicate(timeout=PATIENCE_SECONDS)
    assert sweep.returncode == 1 and f"{RUN.script}/tiny-seed0: " in errors, errors
    assert (other / "results.json").exists() and not (dying / "results.json").exists()
    other_results = (other / "results.json").stat()
    status, errors = finish(command)
    assert status == 0, errors
    assert (other / "results.json").stat() == other_results
    assert_same_run(dying, straight(RUN))
