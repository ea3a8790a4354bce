"""Checks the command lines on generative latent replay: one run, comparisons, studies, mistakes."""

import runpy
import sys
from pathlib import Path

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import glr, glr_script
from ocm_tf.experiments.glr_config import COMPARED, COSTS, ROTATED_PRESETS
from ocm_tf.experiments.glr_studies import STUDIES

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def made(monkeypatch):
    """The arguments of the runs that a script would make."""
    made = []
    monkeypatch.setattr(glr, "run", lambda arguments, say=print: made.append(arguments))
    monkeypatch.setattr(glr_script, "draw_comparison", lambda path, order: ([], []))
    return made


def call(*argv, entry=glr_script.main):
    return entry("glr_rotated_mnist", "", ROTATED_PRESETS, COSTS, ["--preset", "tiny", *map(str, argv)])


def test_a_method_names_its_run_and_wins_over_the_preset(made):
    call("--method", "latent_replay", "--seed", 3)
    assert made[0].config.method == "latent_replay" and made[0].output.name == "latent-replay-tiny-seed3"
    assert made[0].changes == {"method": "latent_replay"}
    call()
    assert made[1].config == ROTATED_PRESETS["tiny"] and made[1].output.name == "tiny-seed0"


@pytest.mark.slow
def test_a_comparison_runs_everything_for_every_seed(made, tmp_path):
    assert call("--compare", "--seeds", 0, 2, "--output", tmp_path) == 0
    assert [run.output.name for run in made] == [f"{label}-seed{seed}" for seed in (0, 2) for label in COMPARED]
    assert {run.config.method for run in made[: len(COMPARED)]} == {changes["method"] for changes in COMPARED.values()}
    released = made[list(COMPARED).index("glr-released")].config
    assert (released.generator, released.sampling, released.collect) == ("component_labelled", "static", "first_epoch")
    call("--compare", "methods", "--only", "glr", "naive")
    assert [run.output.parts[-2:] for run in made[-2:]] == [
        ("methods-tiny", "glr-seed0"), ("methods-tiny", "naive-seed0"),
    ]  # fmt: skip


def test_studies_have_a_directory_each(made, tmp_path):
    call("--study", "sampling", "label_mode", "--seeds", 1, "--output", tmp_path, entry=glr_script.ablations)
    assert [run.output.relative_to(tmp_path).as_posix() for run in made] == [
        f"{study}/{label}-seed1" for study in ("sampling", "label_mode") for label in STUDIES[study](made[0].config)
    ]
    assert [run.config.sampling for run in made[:3]] == ["per_experience", "per_batch", "static"]


@pytest.mark.parametrize(
    ("flags", "message", "entry"),
    [
        (["--seeds", "1"], "--seeds and --only go with --compare", glr_script.main),
        (["--compare", "--only", "nave"], "unknown label 'nave'; did you mean 'naive'", glr_script.main),
        (["--compare", "--method", "ewc"], "--compare names what is compared by --only", glr_script.main),
        (["--compare", "--set", "method=ewc"], "the comparison varies method", glr_script.main),
        (["--study", "sampling", "--set", "sampling=static"], "study sampling varies sampling", glr_script.ablations),
        (["--study", "freeze"], "unknown study 'freeze'; did you mean 'freeze_depth'", glr_script.ablations),
        (["--set", "stream=NI"], "stream=NI does not go with dataset=digits", glr_script.main),
    ],
)
def test_mistakes_are_told_in_one_line(flags, message, entry, made, capsys):
    try:
        call(*flags, entry=entry)
    except UserError as error:
        text = str(error)
    except SystemExit:
        text = capsys.readouterr().err.strip()
    assert message in text and "\n" not in text and not made


def test_help_says_what_the_studies_vary(capsys):
    with pytest.raises(SystemExit):
        call("--help", entry=glr_script.ablations)
    text = capsys.readouterr().out
    assert all(f"  {name}: " in text for name in STUDIES)


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("glr_*.py")))
def test_every_script_explains_itself(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "presets and what they cost:\n  tiny" in text and "Armstrong, Thakur and Clifton, 2022" in text
