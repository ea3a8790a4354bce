"""Checks the report on made-up runs: means over seeds beside the paper's values, and what was not run."""

import itertools
import json

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.published import published_tables
from ocm_tf.experiments.report import report


def write_run(
    path, nll, paper=None, script="ocm_split_mnist", dataset="mnist", finished=True, metric="nll", noted=None, **changes
):
    path.mkdir(parents=True)
    seed = int(path.name.rpartition("seed")[2])
    results = {
        "experiment": script, "preset": "small", "seed": seed, "dataset": dataset, "changes": changes,
        "metrics": {metric: nll, "nll_class_0": 1.0}, "paper": noted or {metric: paper, "num_components": None},
        "memory_samples": 100, "memory_bytes": 78400, "num_components": 1, "wall_seconds": 10.0 * (seed + 1),
        "finished": finished,
    }  # fmt: skip
    command = f"python scripts/{script}.py --study alpha --seeds 0 --quiet --output runs/a --threads 1"
    config = {"data_source": "from somewhere", "command": command, "git": {"commit": "0123456789abcdef"}}
    (path / "results.json").write_text(json.dumps(results))
    (path / "config.json").write_text(json.dumps(config))


def row_of(text, label):
    lines = (line for line in text.splitlines() if line.startswith(f"| {label} |"))
    (line,) = (line for line in lines if not line.endswith("| not run |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_averages_over_seeds_beside_the_papers_values(tmp_path):
    folder = tmp_path / "ocm_split_mnist" / "small"
    write_run(folder / "vae-elbo-ocm-seed0", 140.0, 132.07, variant_alpha=[1, 2])
    write_run(folder / "vae-elbo-ocm-seed1", 144.0, 132.07)
    write_run(folder / "reservoir-seed0", 130.0)
    write_run(folder / "joint-seed0", 110.0, finished=False)
    text = report(tmp_path)
    assert row_of(text, "vae-elbo-ocm") == ["vae-elbo-ocm", "142 ± 2.83", "132.07", "100", "1,600", "1", "1", "15", "2"]
    assert row_of(text, "reservoir") == ["reservoir", "130", "–", "100", "–", "1", "–", "10", "1"]
    assert "joint" not in text
    assert "The paper's Table 1, Split MNIST." in text
    assert "Preset small; seeds 0, 1; data mnist (from somewhere). Commits 0123456789." in text
    assert "python scripts/ocm_split_mnist.py --preset small --seed 0 --set variant_alpha=1,2" in text
    _, _, missing = text.partition("Table 1, Split MNIST, rows not run here:")
    rows = [
        line.split(" | ")[0] for line in missing.partition("\n\nTable")[0].splitlines() if line.endswith("| not run |")
    ]
    assert rows[:4] == ["| vae-elbo-random", "| vae-iwvae-ocm", "| vae-elbo-ocm-cos", "| dynamic-elbo-ocm"]
    assert "| vae-iwvae-ocm | 127.11 | 1,600 | 1 | not run |" in missing


def test_says_of_every_published_table_what_was_not_run(tmp_path):
    write_run(tmp_path / "a-seed0", 1.0, script="something_else", dataset="digits", metric="some_metric")
    text = report(tmp_path)
    parts = text.split("\n\n")
    said = [
        (head, [line.split(" | ")[0].removeprefix("| ") for line in rows.splitlines()[2:]])
        for head, rows in itertools.pairwise(parts)
        if head.endswith(", rows not run here:")
    ]
    assert said == [(f"{table.title}, rows not run here:", list(table.rows)) for table in published_tables()]
    assert "| method | some metric | nll class 0 |" in text


def test_studies_give_their_own_command_and_the_value_of_the_setting_varied(tmp_path):
    folder = tmp_path / "ocm_ablations" / "small" / "lambda_1"
    write_run(folder / "lambda_1=0.8-seed0", 148.0, 132.07, script="ocm_ablations", transfer_threshold=0.8)
    text = report(tmp_path)
    assert "\npython scripts/ocm_ablations.py --study alpha --seeds 0 --threads 1\n" in text
    cells = ["lambda_1=0.8", "148", "180", "100", "64", "1", "1", "10", "1"]
    assert row_of(text, "lambda_1=0.8") == cells
    write_run(folder.with_name("alpha") / "alpha=10-seed0", 140.0, script="ocm_ablations")
    write_run(folder.with_name("alpha") / "alpha=5-seed0", 148.0, script="ocm_ablations")
    text = report(tmp_path)
    assert text.index("| alpha=5 |") < text.index("| alpha=10 |"), "in the order of the figure"


def test_choices_of_the_dominant_task_are_averaged_for_each_seed(tmp_path):
    for name, accuracy in (("1-seed0", 60.0), ("2-seed0", 80.0), ("1-seed1", 62.0), ("2-seed1", 82.0)):
        write_run(
            tmp_path / "set" / f"ocm-dominant{name}", accuracy, script="ocm_imbalanced", metric="average_accuracy"
        )
    assert row_of(report(tmp_path), "ocm")[1] == "71 ± 1.41"


def test_a_row_whose_values_a_run_notes_under_another_label_was_run(tmp_path):
    folder = tmp_path / "ocm_cross_domain" / "small"
    noted = {"nll": 201.31, "memory_samples": 2000, "num_components": 1}
    dataset = "mnist+fashion_mnist+omniglot"
    write_run(folder / "similar-seed0", 214.0, script="ocm_cross_domain", dataset=dataset, noted=noted)
    write_run(folder / "other-seed0", 214.0, 201.31, script="ocm_cross_domain", dataset="mnist")
    text = report(tmp_path)
    missing = text.partition("Table 3, cross domain, rows not run here:")[2].partition("\n\nTable")[0]
    assert "| vae-iwvae-ocm |" in missing
    assert "| vae-elbo-ocm |" not in missing
    assert row_of(text, "similar")[2] == "201.31"


def test_studies_stand_with_their_paper_and_other_scripts_behind_all(tmp_path):
    write_run(tmp_path / "a-seed0", 1.0, script="glr_ablations")
    write_run(tmp_path / "b-seed0", 1.0, script="something_else")
    lines = report(tmp_path).splitlines()
    heads = ["## GLR", "### glr_ablations", "## DEMC", "## Mnemonics", "## Others", "### something_else"]
    places = [next(place for place, line in enumerate(lines) if line.startswith(head)) for head in heads]
    assert places == sorted(places)


def test_a_value_that_was_not_found_is_told_from_a_method_the_paper_lacks(tmp_path, monkeypatch):
    from ocm_tf.experiments import report as module
    from ocm_tf.experiments.published import PublishedTable

    rows = {"known": {"nll": 3.0}, "unknown": {"nll": None}}
    table = PublishedTable("paper", "Table 9", "ocm_split_mnist", "mnist", rows)
    monkeypatch.setattr(module, "published_tables", lambda: [table])
    for label in ("known", "unknown", "ours"):
        write_run(tmp_path / "set" / f"{label}-seed0", 2.5, 3.0 if label == "known" else None)
    text = report(tmp_path)
    assert [row_of(text, label)[2] for label in ("known", "unknown", "ours")] == ["3", "not found", "–"]


def test_a_published_value_counts_for_its_own_data_set_only(tmp_path):
    write_run(tmp_path / "tiny" / "vae-elbo-ocm-seed0", 24.0, dataset="digits")
    assert row_of(report(tmp_path), "vae-elbo-ocm") == ["vae-elbo-ocm", "24", "100", "1", "10", "1"]


def test_refuses_a_directory_without_runs_and_a_damaged_file(tmp_path):
    with pytest.raises(UserError, match="holds no finished run"):
        report(tmp_path)
    write_run(tmp_path / "a-seed0", 1.0)
    (tmp_path / "a-seed0" / "results.json").write_text('{"finished": true}')
    with pytest.raises(UserError, match="lacks experiment, preset, seed, metrics, paper, wall_seconds"):
        report(tmp_path)
