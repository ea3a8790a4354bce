"""Checks the series of the ablation studies: what is planned, skipped, resumed and reported."""

import dataclasses
import json
from pathlib import Path

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm, ocm_ablations, ocm_config, parse_arguments, run_script
from ocm_tf.experiments.ocm_config import PRESETS
from ocm_tf.experiments.ocm_studies import STUDIES
from tests.experiments.test_ocm import SHORT
from tests.tiny import finish_run


def parse(*argv):
    texts = {"script": "ocm_ablations", "description": "", "costs": ocm_config.COSTS}
    return parse_arguments(["--preset", "tiny", "--quiet", *map(str, argv)], presets=PRESETS, **texts)


def main(*argv):
    argv = ["--preset", "tiny", "--quiet", *map(str, argv)]
    return run_script(lambda: ocm_ablations.main("ocm_ablations", "", PRESETS, ocm_config.COSTS, argv))


def plan(*argv, studies=("stm_size",), seeds=(0,)):
    return ocm_ablations.plan_studies(parse(*argv), [STUDIES[name] for name in studies], seeds)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_value_of_every_study_is_a_run_of_each_seed():
    planned = plan("--output", "all", studies=("lambda_1", "lambda_2"), seeds=(1, 2))
    assert len(planned) == 2 * (5 + 6)
    assert planned[0].output == Path("all/lambda_1/lambda_1=0.4-seed1")
    assert planned[-1].output == Path("all/lambda_2/lambda_2=30-seed2")
    assert [arguments.seed for arguments in planned] == [1] * 11 + [2] * 11
    assert [arguments.config.transfer_threshold for arguments in planned[:6]] == [0.4, 0.5, 0.6, 0.7, 0.8, 0.6]
    assert [arguments.config.expansion_threshold for arguments in planned[5:11]] == [1, 2, 3, 4, 5, 6]
    assert not planned[0].config.dynamic and planned[-1].config.dynamic
    # 500 of M = 512 is 62.5 of M = 64, and Python rounds halves to even.
    assert planned[-1].config.short_term_capacity == 62 and planned[-1].changes["short_term_capacity"] == 62
    assert all(arguments.resume for arguments in planned)


def test_settings_of_the_user_win_and_set_the_scale():
    planned = plan("--set", "kernel=rbf", "short_term_capacity=256", "beta=2")
    assert {(arguments.config.kernel, arguments.config.beta) for arguments in planned} == {("rbf", 2.0)}
    assert [arguments.config.short_term_capacity for arguments in planned] == [150, 200, 256, 300, 350]
    with pytest.raises(UserError, match="study alpha varies alpha, so it cannot be set"):
        plan("--set", "alpha=3", studies=("stm_size", "alpha"))


@pytest.fixture
def two_points():
    """The batch-size study of two values, the second of them larger than the memory."""
    study = STUDIES["batch_size"]
    return dataclasses.replace(study, points=(study.points[2], study.points[2]._replace(x=1000)))


def test_a_series_resumes_an_interrupted_run_outlives_a_failed_one_and_skips_a_finished_one(
    two_points, tmp_path, monkeypatch
):
    arguments, said = parse("--output", tmp_path, "--set", *SHORT), []

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ocm, "evaluate", stop)
        ocm_ablations.run_studies(arguments, [two_points], [0], said.append)
    first, second = (tmp_path / "batch_size" / f"batch_size={x}-seed0" for x in (64, 1000))
    assert (first / "config.json").exists() and not (first / "results.json").exists() and not second.exists()

    failures = ocm_ablations.run_studies(arguments, [two_points], [0], said.append)
    assert len(read_json(first / "config.json")["resumes"]) == 1
    results = read_json(first / "results.json")
    assert results["experiment"] == "ocm_ablations" and results["changes"]["batch_size"] == 16
    assert list(failures) == ["batch_size=1000-seed0"]
    assert "batch_size must lie in 1..capacity=64, got 250" in failures["batch_size=1000-seed0"]

    failures = ocm_ablations.run_studies(arguments, [two_points], [0], said.append)
    assert list(failures) == ["batch_size=1000-seed0"]
    assert "[1/2] batch_size=64-seed0: finished before" in said
    assert len(read_json(first / "config.json")["resumes"]) == 1


def test_the_script_makes_runs_tables_and_figures_and_tells_what_failed(tmp_path, monkeypatch, capsys):
    def run(arguments, say):
        if arguments.config.transfer_threshold == 0.8:
            raise UserError("training has diverged")
        finish_run(arguments, {"nll": 100 + arguments.seed}, memory_samples=64, num_components=1)

    monkeypatch.setattr(ocm, "run", run)
    assert main("--study", "lambda_1", "schedule", "--seeds", 0, 2, "--output", tmp_path) == 1
    output = capsys.readouterr()
    assert output.err.splitlines()[0].startswith("2 run(s) failed") and "lambda_1=0.8-seed2: training" in output.err
    names = ["lambda_1.md", "figures/lambda_1.png", "schedule.md", "figures/schedule.png"]
    assert output.out.splitlines()[-4:] == [str(tmp_path / name) for name in names]
    assert "| 0.5 | 0.5 | 64 | 1 | 101.00 ± 1.41 |" in (tmp_path / "lambda_1.md").read_text()
    monkeypatch.setattr(ocm, "run", lambda arguments, say: finish_run(arguments, {"nll": 180.0}, memory_samples=64))
    assert main("--study", "lambda_1", "--seeds", 0, 2, "--output", tmp_path) == 0
    assert "| 0.8 | 0.8 | 64 | – | 180.00 ± 0.00 |" in (tmp_path / "lambda_1.md").read_text()


def test_the_schedule_needs_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ocm, "run", None)
    assert main("--study", "schedule", "--output", tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path}/schedule.md", f"{tmp_path}/figures/schedule.png"]


def test_all_studies_are_made_by_default_below_the_preset(monkeypatch):
    seen = []
    monkeypatch.setattr(ocm_ablations, "draw_schedule", lambda root: [])
    monkeypatch.setattr(ocm_ablations, "draw_studies", lambda root: ([], []))
    monkeypatch.setattr(ocm_ablations, "run_studies", lambda *arguments: seen.append(arguments) or {})
    assert main("--seed", 3) == 0
    ((arguments, studies, seeds),) = seen
    assert arguments.output == Path("runs/ocm_ablations/tiny")
    assert studies == list(STUDIES.values()) and seeds == [3]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--study", "lambda1"], "unknown study 'lambda1'; did you mean 'lambda_1'? studies: stm_size, "),
        (["--study", "alpha", "--set", "alpha=3"], "study alpha varies alpha, so it cannot be set"),
        (
            ["--study", "batch_size", "--set", "batch_size=1"],
            "batch_size=10-seed0: batch_size must be at least 1, got 0",
        ),
        (["--study", "alpha", "--seeds", "-1"], "is not a whole number from 0"),
    ],
)
def test_a_mistake_ends_in_one_line_before_any_run(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ocm, "run", None)
    try:
        status = main(*argv, "--output", tmp_path / "new")
    except SystemExit as end:
        status = end.code
    errors = capsys.readouterr().err
    assert status == 2 and message in errors and errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_help_tells_values_and_costs(capsys):
    with pytest.raises(SystemExit) as end:
        main("--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "small: 75, 100, 128, 150, 175" in text and "--study NAME" in text
