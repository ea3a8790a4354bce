"""Checks the run directory: what it holds, and whom it keeps out."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.environment import PACKAGE, describe_checkout
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.settings import parse_arguments, setting


@dataclasses.dataclass(frozen=True)
class Settings:
    dataset: str = setting("digits", "name of the dataset")
    batch_size: int = setting(64, "samples that arrive at once")
    widths: tuple[int, ...] = setting((30, 20), "units of the hidden layers")
    threshold: float | None = setting(None, "a threshold")


def parse(path, *argv):
    options = dict(script="ocm", description="", presets={"small": Settings()}, costs={"small": "nothing"})
    return parse_arguments(["--output", str(path), *argv], **options)


def open_run(path, *argv):
    arguments = parse(path, *argv)
    return RunDirectory(arguments.output).open(arguments, data_source="scikit-learn")


def finish(run):
    run.write_results({"nll": 1.5})
    run.close()


def test_config_says_what_the_run_was_made_with(tmp_path):
    with open_run(tmp_path / "a" / "b", "--seed", "4", "--set", "batch_size=8"):
        pass
    config = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    expected = {"dataset": "digits", "batch_size": 8, "widths": [30, 20], "threshold": None}
    assert config["settings"] == expected and config["changes"] == {"batch_size": 8}
    run = {"script": "ocm", "preset": "small", "seed": 4, "dataset": "digits"}
    assert {name: config[name] for name in run} == run
    assert config["data_source"] == "scikit-learn" and config["jit_compile"] is False
    assert config["strategy"] == "single"
    assert set(config["versions"]) == {"python", "tensorflow", "keras", "numpy", "ocm_tf"}
    assert set(config["threads"]) == {"intra_op", "inter_op", "cores"} and config["device"]
    assert config["command"].endswith("--seed 4 --set batch_size=8")
    assert config["started"].endswith("+00:00") and config["resumes"] == [] and "git" in config


def test_results_have_the_agreed_keys(tmp_path):
    with open_run(tmp_path, "--seed", "2") as run:
        run.metrics.append(1, "train", None, {"loss": 2})
        run.write_results({"nll": 1.5}, {"nll": 1.4, "fid": None}, 100, 6400, 3)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results.pop("wall_seconds") >= 0
    assert results == {
        "experiment": "ocm", "preset": "small", "seed": 2, "dataset": "digits", "changes": {},
        "metrics": {"nll": 1.5}, "paper": {"nll": 1.4, "fid": None}, "memory_samples": 100,
        "memory_bytes": 6400, "num_components": 3, "finished": True,
    }  # fmt: skip
    assert (tmp_path / "metrics.csv").read_text().endswith("1,train,,loss,2.0\n")


def test_results_refuse_nan(tmp_path):
    with open_run(tmp_path) as run, pytest.raises(ValueError, match=r"metrics\.nll = nan"):
        run.write_results({"nll": float("nan")})
    assert not (tmp_path / "results.json").exists()


def test_a_finished_run_is_only_overwritten_on_demand(tmp_path):
    finish(open_run(tmp_path))
    before = (tmp_path / "results.json").read_bytes()
    for argv in ([], ["--resume"]):
        with pytest.raises(UserError, match="finished run; --overwrite"):
            open_run(tmp_path, *argv)
    assert (tmp_path / "results.json").read_bytes() == before
    open_run(tmp_path, "--overwrite", "--set", "batch_size=1").close()
    assert not (tmp_path / "results.json").exists()
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["batch_size"] == 1


def test_an_unfinished_run_needs_a_decision(tmp_path):
    open_run(tmp_path).close()
    with pytest.raises(UserError, match="unfinished run; use --resume"):
        open_run(tmp_path)
    with open_run(tmp_path, "--resume") as run:
        assert run.resumed
    resumes = json.loads((tmp_path / "config.json").read_text())["resumes"]
    assert [resume["command"].endswith("--resume") for resume in resumes] == [True]
    with open_run(tmp_path, "--overwrite") as run:
        assert not run.resumed


def test_resume_starts_what_is_not_there(tmp_path):
    with open_run(tmp_path / "new", "--resume") as run:
        assert not run.resumed


def test_resume_names_the_settings_that_differ(tmp_path):
    open_run(tmp_path, "--set", "widths=30,20").close()
    with pytest.raises(UserError, match=r"settings: batch_size was 64, now 8; threshold was None, now 0\.5"):
        open_run(tmp_path, "--resume", "--set", "batch_size=8", "threshold=0.5")
    with pytest.raises(UserError, match="seed was 0, now 1"):
        open_run(tmp_path, "--resume", "--seed", "1")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["settings"]["beta"] = config["settings"].pop("threshold")
    path.write_text(json.dumps(config))
    renamed = "threshold was 'not there', now None; beta was None, now 'not there'"
    with pytest.raises(UserError, match=renamed):
        open_run(tmp_path, "--resume")


def test_overwrite_removes_what_a_run_wrote_and_nothing_else(tmp_path):
    run = open_run(tmp_path)
    for directory in ("checkpoint", "figures", "mine"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "file.npz").touch()
    for name in ("model.keras", "observations.npz", "notes.txt", ".state.1.partial.npz"):
        (tmp_path / name).touch()
    run.metrics.append(1, "train", None, {"loss": 1})
    finish(run)
    open_run(tmp_path, "--overwrite").close()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"config.json", "notes.txt", "mine/file.npz", ".lock"}


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize("name", ["thesis.txt", "config.json", "results.json"])
def test_never_touches_what_is_no_run_directory(tmp_path, flags, name):
    (tmp_path / name).write_text('{"learning_rate": 1, "finished": true}')
    with pytest.raises(UserError, match="not empty and is no run directory"):
        open_run(tmp_path, *flags)
    assert {path.name for path in tmp_path.iterdir()} == {name, ".lock"}


def test_an_unreadable_result_is_not_taken_for_unfinished(tmp_path):
    finish(open_run(tmp_path))
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UserError, match=r"results\.json is not readable"):
        open_run(tmp_path, "--resume")


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"cannot write {tmp_path / 'file' / 'run'}: Not a directory"):
        open_run(tmp_path / "file" / "run")


def test_keeps_a_second_process_out(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_run_directory import open_run, UserError\n"
        "try: open_run(sys.argv[1], '--resume')\n"
        "except UserError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    with open_run(tmp_path):
        found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert found.startswith(f"{tmp_path} is in use by process {os.getpid()} on ")
    open_run(tmp_path, "--resume").close()


def test_tells_a_finished_run_of_the_same_settings_from_one_of_others(tmp_path):
    def is_finished(*argv):
        return RunDirectory(tmp_path).is_finished(parse(tmp_path, *argv))

    assert not is_finished()
    run = open_run(tmp_path, "--set", "batch_size=8")
    assert not is_finished("--set", "batch_size=8") and not is_finished()
    finish(run)
    assert is_finished("--set", "batch_size=8")
    with pytest.raises(UserError, match=r"finished run of other settings \(batch_size was 8, now 64\); --overwrite"):
        is_finished()
    with pytest.raises(UserError, match=r"other settings \(seed was 0, now 1\)"):
        is_finished("--set", "batch_size=8", "--seed", "1")


def test_a_finished_run_of_an_older_version_is_taken_for_one_of_the_defaults(tmp_path):
    finish(open_run(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["settings"]["threshold"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert RunDirectory(tmp_path).is_finished(parse(tmp_path))


def test_the_time_adds_up_over_resumes(tmp_path):
    with open_run(tmp_path) as run:
        run.metrics.append(1, "train", None, {"loss": 1})
        state = json.loads(json.dumps(run.get_state()))
        run.metrics.append(2, "train", None, {"loss": 1})
    state["wall_seconds"] += 100
    with open_run(tmp_path, "--resume") as run:
        run.set_state(state)
        assert 100 <= run.wall_seconds < 160 and run.metrics.position == 1
        finish(run)
    assert json.loads((tmp_path / "results.json").read_text())["wall_seconds"] >= 100


def test_finds_the_commit_only_of_its_own_checkout(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package, installed = tmp_path / "package", tmp_path / "site-packages" / "package"
    for directory in (package, installed):
        directory.mkdir(parents=True)
        (directory / "__init__.py").touch()
    assert describe_checkout(package) is None
    git("init")
    git("add", "package")
    git("commit", "-m", "first")
    assert describe_checkout(package) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert describe_checkout(installed) is None
    (package / "new.py").touch()
    assert describe_checkout(package)["dirty"]
