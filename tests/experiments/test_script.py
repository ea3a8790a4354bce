"""Checks how scripts end: in one line where the user can mend it, with a traceback where only we can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocm_tf.callbacks.interruption import Interrupted
from ocm_tf.errors import UserError
from ocm_tf.experiments.script import resume_command, run_script

ROOT = Path(__file__).parents[2]


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such dataset"), 2, "error: no such dataset"),
        (KeyboardInterrupt(), 130, "interrupted; resume with: python a.py --seed 1 --resume"),
        (Interrupted(2, 12), 130, "interrupted at batch 12; resume with: python a.py --seed 1 --resume"),
        (Interrupted(15, 12), 143, "interrupted at batch 12; resume with: python a.py --seed 1 --resume"),
        (OSError(28, "No space left on device", "/x/y"), 2, "error: No space left on device: /x/y"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
    ],
)
def test_ends_with_one_line(capsys, monkeypatch, error, status, line):
    monkeypatch.setattr(sys, "argv", ["a.py", "--seed", "1"])
    assert run_script(raising(error)) == status
    assert capsys.readouterr() == ("", line + "\n")


@pytest.mark.parametrize("error", [ValueError("bug"), OSError(5, "Input/output error"), SystemExit(2)])
def test_everything_else_passes_through(error):
    with pytest.raises(type(error)) as caught:
        run_script(raising(error))
    assert caught.value is error


def test_returns_the_status_of_the_script(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    levels = []
    assert run_script(lambda: levels.append(os.environ["TF_CPP_MIN_LOG_LEVEL"])) == 0
    assert levels == ["2"]
    assert run_script(lambda: 3) == 3


def test_the_command_to_resume_never_overwrites():
    argv = ["scripts/a.py", "--overwrite", "--set", "name=two words", "--resume"]
    assert resume_command(argv) == "python scripts/a.py --set 'name=two words' --resume"


def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys; from ocm_tf.experiments import run_script\nsys.exit(run_script(lambda: print('x\\n' * 100_000)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(timeout=30), process.stderr.read()) == (141, b"")
    process.stderr.close()
