"""Checks of every family of scripts that a run killed at random moments and resumed ends as one never killed."""

import signal

import pytest

from tests.killed_runs import RUNS, assert_same_run, finish, run_through_stops

STOPS = [signal.SIGKILL, None, signal.SIGKILL]


def marked(name):
    killed = pytest.mark.fault(f"killed: {name}", "SIGKILL at a random moment, resumed", times=2)
    interrupted = pytest.mark.fault(f"interrupted: {name}", "SIGTERM or SIGINT at a random moment, resumed")
    return pytest.param(RUNS[name], marks=[killed, interrupted], id=name)


@pytest.mark.slow
@pytest.mark.parametrize("run", [marked(name) for name in RUNS])
def test_a_run_that_is_stopped_and_resumed_ends_as_one_never_stopped(run, tmp_path, straight):
    output, expected = tmp_path / "stopped", straight(run)
    run_through_stops(run, output, STOPS)
    status, errors = finish(run.command(output, "--resume"))
    assert status == 0, errors
    assert_same_run(output, expected)
