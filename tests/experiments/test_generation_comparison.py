"""Checks the table and the figure that compare finished runs by several measures."""

import importlib.util
import json
import pathlib

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import generation_comparison as comparison

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def write(root, label, seed, sse, **more):
    metrics = {column.metric: 1.0 for column in comparison.COLUMNS} | {"sse": sse, **more}
    results = {"dataset": "digits", "preset": "tiny", "metrics": metrics, "memory_samples": 1200, "wall_seconds": 61.4}
    path = root / f"{label}-seed{seed}" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**results, "finished": True}))


@pytest.fixture
def runs(tmp_path):
    for seed, sse in ((0, 2.0), (1, 4.0)):
        write(tmp_path, "demc", seed, sse, num_clusters=5 + seed)
    write(tmp_path, "reservoir", 0, 1.5)
    (tmp_path / "strict-seed0").mkdir()
    return tmp_path


def test_the_table_has_means_and_deviations_in_the_order_wanted(runs):
    (_, table), missing = comparison.draw_generation_comparison(runs, ["demc", "reservoir"])
    lines = table.read_text().splitlines()
    assert lines[2].startswith("| demc | 1,200 | 5.5 | 3.00 ± 1.41 | 1.00 ± 0.00 |") and lines[2].endswith("| 61 | 2 |")
    assert lines[3].startswith("| reservoir | 1,200 | 0 | 1.50 | 1.00 |")
    assert missing == ["strict-seed0"] and "Not finished: strict-seed0." in lines[-1]
    # Without an order the best comes first.
    assert list(comparison.group(comparison.collect(runs)[0])) == ["reservoir", "demc"]


def test_figures_of_a_folder_of_runs_are_redrawn_by_the_script(runs, capsys):
    path = REPOSITORY / "scripts" / "figures.py"
    spec = importlib.util.spec_from_file_location("figures", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main([str(runs)])
    said = capsys.readouterr().out
    assert "comparison.png" in said and "strict-seed0 (not finished)" in said
    assert (runs / "figures" / "comparison.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(UserError, match="has finished"):
        comparison.draw_generation_comparison(tmp_path)
    assert not comparison.holds_generation_runs(tmp_path)
    write(tmp_path, "demc", 0, 1.0)
    assert comparison.holds_generation_runs(tmp_path)
    path = tmp_path / "ocm-seed0" / "results.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"metrics": {"nll": 1.0}}))
    with pytest.raises(UserError, match="lacks a value to compare"):
        comparison.collect(tmp_path)
