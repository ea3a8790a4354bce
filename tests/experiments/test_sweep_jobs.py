"""Checks that a sweep runs scripts as jobs, reports what failed, makes only what is missing, and stops cleanly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.sweep import plan
from ocm_tf.experiments.sweep_jobs import make_all, make_executor

REPOSITORY = Path(__file__).parents[2]

# Stands for a script that follows the contract of run directories, without the seconds that TensorFlow takes to start.
SCRIPT = """
import argparse, json, pathlib, signal, sys, time
parser = argparse.ArgumentParser()
for name in ("--preset", "--seed", "--output", "--set", "--threads"):
    parser.add_argument(name)
for name in ("--resume", "--quiet"):
    parser.add_argument(name, action="store_true")
arguments = parser.parse_args()
output = pathlib.Path(arguments.output)
output.mkdir(parents=True, exist_ok=True)
if arguments.set == "fail=1":
    sys.exit("some lines\\nerror: fail must be 0\\n")
if arguments.set == "wait=1":
    def stop(*_):
        (output / "saved").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    (output / "started").touch()
    time.sleep(60)
with (output / "calls").open("a") as calls:
    calls.write("x")
command = " ".join(["python", *sys.argv])
(output / "config.json").write_text(json.dumps({"command": command}))
if arguments.set != "silent=1":
    (output / "results.json").write_text(json.dumps({"finished": True}))
"""


@pytest.fixture
def scripts(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "ocm_short.py").write_text(SCRIPT)
    return tmp_path / "scripts"


def test_makes_what_is_missing_and_reports_what_failed(scripts, tmp_path):
    entry = {"script": "ocm_short", "preset": "tiny", "seeds": [0], "set": {"fail": [0, 1]}}
    silent = {"script": "ocm_short", "set": {"silent": 1}}
    runs, said = plan([entry, silent], scripts, tmp_path), []
    executor = make_executor("local", tmp_path / "jobs")
    failures = make_all(runs, executor, 2, ["--threads", "1"], said.append)
    assert failures == {
        "ocm_short/fail=1-seed0": "error: fail must be 0",
        "ocm_short/default-seed0": "ended without results",
    }
    assert len(said) == 3 and said[0].startswith("[1/3] ocm_short/") and "ETA" in said[0] and "ETA" not in said[2]
    make_all(runs[:1], executor, 2, [], said.append)
    assert said[-1] == "1 of 1 runs finished before"
    assert (runs[0].output / "calls").read_text() == "x"


def test_a_worker_that_dies_stops_no_other(scripts, tmp_path):
    (scripts / "ocm_dying.py").write_text("import os\nos.kill(os.getppid(), 9)\n")
    runs = plan([{"script": "ocm_dying"}, {"script": "ocm_short"}], scripts, tmp_path)
    failures = make_all(runs, make_executor("local", tmp_path / "jobs"), 1, [], lambda line: None)
    assert list(failures) == ["ocm_dying/default-seed0"]
    assert (runs[1].output / "results.json").exists()


def test_a_stopped_sweep_lets_its_runs_save_their_state(scripts, tmp_path):
    script = scripts / "sweep.py"
    script.write_text((REPOSITORY / "scripts" / "sweep.py").read_text())
    command = [sys.executable, str(script), "ocm_short", "--set", "wait=1", "--output", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    output = tmp_path / "out" / "ocm_short" / "default-seed0"
    _wait_for(output / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert process.stderr.read().endswith("interrupted; the same command goes on\n")
    _wait_for(output / "saved")


def _wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)


def test_a_cluster_that_is_not_there_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="cannot use cluster slurm"):
        make_executor("slurm", tmp_path)


@pytest.mark.slow
def test_a_real_script_runs_as_a_job(tmp_path):
    entry = {"script": "ocm_split_mnist", "preset": "tiny", "set": {"train_per_class": 20, "eval_samples": 10}}
    runs = plan([entry], REPOSITORY / "scripts", tmp_path)
    executor = make_executor("local", tmp_path / "jobs")
    assert make_all(runs, executor, 1, ["--threads", "1"]) == {}
    assert (runs[0].output / "model.keras").exists()
    assert make_all(runs, executor, 1, ["--threads", "1"]) == {}
