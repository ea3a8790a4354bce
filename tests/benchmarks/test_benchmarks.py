import dataclasses
import json
import time

import numpy as np
import pytest
import readme
import run
from lines import LINES, Line
from measuring import Cost, Part, Worker, import_error, measure, median_cost, resident_mb
from table import COLUMNS, cells, component_line, evaluate, markdown

from ocm_tf.errors import UserError

LINE = Line("name", "label", "vae.step_1", "direct_vae.step_1", {"pythae": "peer_pythae.vae_1"}, gflop=2.0,
            min_ratio=2.0, min_share=0.5, min_peer=4.0)  # fmt: skip


def costs_of(*milliseconds):
    """Makes costs of which half is the system's."""
    return [Cost(value / 2, value / 2, 2 * value, 100.0 + value) for value in milliseconds]


def all_costs(**changes):
    costs = {"ours": costs_of(10, 20, 40), "yardstick": costs_of(20, 60, 40), "matmul": costs_of(2, 4, 12)}
    return {**costs, "pythae": costs_of(50, 100, 200), **changes}


def test_figures_of_a_line_by_hand():
    result = evaluate(LINE, all_costs())
    assert result["ours"] == {"user": 10, "system": 10, "wall": 40, "peak_mb": 120, "cpu": 20}
    assert result["ratio"] == 2.0  # of 2, 3 and 1
    assert result["peer_ratios"] == {"pythae": 5.0}
    assert result["gflop_per_cpu_second"] == 100.0  # 2 GFLOP in 20 ms
    assert result["peak_gflop_per_cpu_second"] == 250.0  # 1 GFLOP in 4 ms
    assert result["share"] == 0.4  # of 0.4, 0.4 and 0.6
    assert result["met"] is False
    assert result["rounds"]["yardstick"] == [20, 60, 40]


@pytest.mark.parametrize(
    ("targets", "met"),
    [
        ({"min_ratio": 2.0, "min_share": 0.4, "min_peer": 5.0}, True),
        ({"min_ratio": 2.1, "min_share": None, "min_peer": None}, False),
        ({"min_ratio": None, "min_share": None, "min_peer": 5.1}, False),
        ({"min_ratio": None, "min_share": None, "min_peer": None}, None),
    ],
)
def test_targets_are_held_against_ratio_share_and_peer(targets, met):
    assert evaluate(dataclasses.replace(LINE, **targets), all_costs())["met"] is met


def test_an_absent_peer_is_said_to_be_absent_and_decides_nothing():
    line = dataclasses.replace(LINE, min_share=None)
    result = evaluate(line, all_costs(pythae="not installed"))
    assert (result["absent"], result["peer_ratios"]) == ({"pythae": "not installed"}, {})
    assert result["met"] is True
    assert "pythae not installed" in cells(result)


def test_a_line_without_yardstick_or_work_leaves_its_cells_open():
    line = Line("name", "label", "vae.step_1")
    row = cells(evaluate(line, {"ours": [Cost(0.05, 0.0, 0.05)]}))
    assert row == ["label", "0.050", "0.050", "–", "–", "–", "–", "–", "–", "–", "–"]


def test_medians_are_taken_of_each_figure():
    assert median_cost([Cost(1, 9, 5, 2), Cost(3, 7, 1, 4), Cost(2, 8, 3, 3)]) == (2, 8, 3, 3)
    assert median_cost([Cost(1, 9, 5, None)]).peak_mb is None


def test_a_peer_that_cannot_be_imported_says_what_is_missing():
    assert import_error("no_such_module") == "No module named 'no_such_module'"
    assert import_error("lines") is None


def test_cost_is_weighted_and_the_peak_seen():
    held = resident_mb()
    cost = measure([Part(lambda: np.ones(2**23).sum(), 0.0), Part(lambda: time.sleep(0.01), 100.0)], held)
    assert cost.wall >= 1000
    assert cost.peak_mb is None or cost.peak_mb > 60


def test_names_are_one_of_a_kind_and_help_names_them(capsys):
    names = [line.name for line in LINES]
    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit):
        run.parse(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in [*names, run.COMPONENT])


@pytest.mark.parametrize("argv", [["--only", "no_such_line"], ["--rounds", "0"], ["--threads", "0"]])
def test_bad_arguments_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        run.parse(argv)
    assert stopped.value.code == 2


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "results.json"
    run.main(["--quick", "--rounds", "1", "--only", "step_1_fused", "memory", "mixture_sample", "--output", str(path)])
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_quick_run_writes_machine_settings_and_lines(quick_run):
    assert set(quick_run) == {"machine", "settings", "lines"}
    assert {"cpu", "cores", "versions", "threads", "images", "load_average_at_end"} <= set(quick_run["machine"])
    assert quick_run["settings"]["quick"] and quick_run["settings"]["threads"] == 1
    # In the order of the table, whatever the order of the command line.
    assert [line["name"] for line in quick_run["lines"]] == ["step_1_fused", "memory", "mixture_sample"]
    for line in quick_run["lines"]:
        assert line["ours"]["cpu"] >= 0 and line["ours"]["wall"] > 0
        assert len(line["rounds"]["ours"]) == len(line["rounds"]["yardstick"]) == 1
    step = quick_run["lines"][0]
    assert step["share"] > 0 and set(step["absent"]) | set(step["peer_ratios"]) == {"pythae"}


def test_the_readme_takes_the_table_between_its_markers(quick_run, tmp_path):
    path, document = tmp_path / "results.json", tmp_path / "README.md"
    path.write_text(json.dumps(quick_run), encoding="utf-8")
    document.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", encoding="utf-8")
    readme.main([str(path), "--readme", str(document)])
    written = document.read_text(encoding="utf-8")
    assert written == f"before\n{readme.BEGIN}\n{markdown(quick_run['lines'])}\n{readme.END}\nafter\n"
    readme.main([str(path), "--readme", str(document)])
    assert document.read_text(encoding="utf-8") == written
    assert {row.count("|") for row in markdown(quick_run["lines"]).splitlines()} == {len(COLUMNS) + 1}


@pytest.mark.parametrize("text", ["none", "<", "><", "<><>", "<>>"])
def test_a_document_without_both_markers_is_refused(text):
    with pytest.raises(UserError, match="once each"):
        readme.replaced_between(text, "<", ">", "new")


def test_the_sentence_on_components_says_whether_the_target_is_met():
    result = {"ours": {"beyond_weights_mb": 0.5, "traces": 0, "bank_mb": 30}, "at_most_mb": 1.5, "met": True}
    result["yardstick"] = {"beyond_weights_mb": 64.0, "traces": 72}
    assert "0.50 MB" in component_line(result) and "none: met" in component_line(result)
    assert "none: not met" in component_line({**result, "met": False})


@pytest.mark.slow
def test_every_kernel_runs_in_its_smallest_size(tmp_path):
    results = run.main(["--quick", "--rounds", "1", "--output", str(tmp_path / "results.json")])
    assert [line["name"] for line in results["lines"]] == [line.name for line in LINES]
    assert results["added_component"]["ours"]["traces"] == 0
    for line, result in zip(LINES, results["lines"], strict=True):
        assert (result["ratio"] is None) == (line.yardstick is None)
        assert set(result["absent"]) | set(result["peer_ratios"]) == set(line.peers)


@pytest.mark.slow
def test_a_kernel_that_fails_names_itself():
    with Worker() as worker, pytest.raises(RuntimeError, match=r"no_such_kernel.*failed: KeyError"):
        worker.measure("memories.no_such_kernel")
