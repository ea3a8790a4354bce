"""Checks what a grid consists of, what of it is finished, and the errors of a grid that is none."""

import json

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.sweep import is_finished, plan, read_sweep


@pytest.fixture
def scripts(tmp_path):
    for name in ("ocm_split_mnist", "glr_core50", "figures"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        (tmp_path / "scripts" / f"{name}.py").touch()
    return tmp_path / "scripts"


def make_results(run, *arguments, finished=True):
    run.output.mkdir(parents=True)
    (run.output / "results.json").write_text(json.dumps({"finished": finished}))
    command = " ".join(["python", "scripts/ocm_split_mnist.py", *arguments])
    (run.output / "config.json").write_text(json.dumps({"command": command}))


def test_a_grid_is_all_seeds_times_all_values(scripts, tmp_path):
    entry = {
        "script": "ocm_split_mnist",
        "preset": "small",
        "seeds": [0, 3],
        "flags": {"variant": ["reservoir", "best"], "quiet-plots": True},
        "set": {"learning_rate": [0.001, "5e-4"], "dynamic": False, "track_bounds": None},
    }
    runs = plan([entry], scripts, tmp_path / "out")
    assert len(runs) == 8
    assert [run.name for run in runs[:3]] == [
        "ocm_split_mnist/reservoir-learning_rate=0.001-seed0",
        "ocm_split_mnist/reservoir-learning_rate=5e-4-seed0",
        "ocm_split_mnist/best-learning_rate=0.001-seed0",
    ]
    assert runs[0].command == (
        str(scripts / "ocm_split_mnist.py"), "--preset", "small", "--seed", "0", "--variant", "reservoir",
        "--quiet-plots", "--set", "learning_rate=0.001", "dynamic=false", "track_bounds=none",
    )  # fmt: skip
    assert runs[-1].output == tmp_path / "out/ocm_split_mnist/best-learning_rate=5e-4-seed3"


def test_a_label_is_a_directory_name(scripts, tmp_path):
    entry = {"script": "ocm_split_mnist", "set": {"dataset": ["folder:../mine", "digits"]}}
    runs = plan([entry], scripts, tmp_path)
    assert runs[0].output == tmp_path / "ocm_split_mnist" / "dataset=folder_.._mine-seed0"
    assert plan([{"script": "glr_core50"}], scripts, tmp_path)[0].name == "glr_core50/default-seed0"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("ocm_split_mnist", "a mapping with a script"),
        ({"preset": "small"}, "a mapping with a script"),
        ({"script": "ocm_split_mnits"}, "did you mean 'ocm_split_mnist'"),
        ({"script": "figures"}, "unknown script"),
        ({"script": "ocm_split_mnist", "seed": 1}, "did you mean 'seeds'"),
        ({"script": "ocm_split_mnist", "seeds": [-1]}, "whole numbers"),
        ({"script": "ocm_split_mnist", "seeds": []}, "whole numbers"),
        ({"script": "ocm_split_mnist", "flags": {"output": "x"}}, "sets --output itself"),
        ({"script": "ocm_split_mnist", "set": ["a"]}, "a mapping of names"),
        ({"script": "ocm_split_mnist", "set": {"a": []}}, "a value or a list of values"),
        ({"script": "ocm_split_mnist", "set": {"a": [[1]]}}, "a value or a list of values"),
    ],
)
def test_refuses_what_is_no_entry(scripts, tmp_path, entry, message):
    with pytest.raises(UserError, match=message):
        plan([entry], scripts, tmp_path)


def test_refuses_two_runs_in_one_directory(scripts, tmp_path):
    entries = [{"script": "ocm_split_mnist", "set": {"alpha": value}} for value in (1, 2)]
    with pytest.raises(UserError, match="two runs of the grid would be ocm_split_mnist/default-seed0"):
        plan(entries, scripts, tmp_path)


def test_a_finished_run_is_told_by_its_command(scripts, tmp_path):
    entry = {"script": "ocm_split_mnist", "preset": "tiny", "set": {"alpha": 2}}
    (run,) = plan([entry], scripts, tmp_path / "out")
    assert not is_finished(run)
    make_results(run, "--threads 1 --set alpha=2 --seed 0 --output x --preset tiny --resume")
    assert is_finished(run)
    (other,) = plan([{**entry, "set": {"alpha": 3}}], scripts, tmp_path / "out")
    with pytest.raises(UserError, match=r"holds a run of other arguments .*alpha=2"):
        is_finished(other)


def test_a_run_cut_short_is_not_finished_and_a_damaged_one_is_an_error(scripts, tmp_path):
    (run,) = plan([{"script": "ocm_split_mnist"}], scripts, tmp_path / "out")
    make_results(run, finished=False)
    assert not is_finished(run)
    (run.output / "results.json").write_text("{")
    with pytest.raises(UserError, match=r"results\.json is not readable JSON"):
        is_finished(run)


def test_reads_a_grid_from_yaml(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("- script: ocm_split_mnist\n  seeds: [0, 1]\n  set: {alpha: [1, 2]}\n")
    entries = read_sweep(path)
    assert entries == [{"script": "ocm_split_mnist", "seeds": [0, 1], "set": {"alpha": [1, 2]}}]
    path.write_text("runs:\n- script: glr_core50\n")
    assert read_sweep(path) == [{"script": "glr_core50"}]


@pytest.mark.parametrize("text", ["", "just words", "{a: 1}", "[]", "- a: [", "- !!python/object/apply:os.getcwd []"])
def test_refuses_yaml_that_is_no_grid(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"grid.yaml (holds no list|is not readable)"):
        read_sweep(path)
    with pytest.raises(UserError, match="is missing"):
        read_sweep(tmp_path / "none.yaml")
