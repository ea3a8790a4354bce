"""Checks the tables and figures of the ablation studies on results written here."""

import json

import matplotlib.image
import matplotlib.text
import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import ablation_plots
from ocm_tf.experiments.ocm_studies import STUDIES
from tests.experiments.test_plots import script  # noqa: F401


def write_result(root, study, x, seed, nll, own=None, memory=144, components=1, **more):
    """Writes the results of one run of a study."""
    setting = STUDIES[study].setting
    results = {
        "dataset": "mnist", "preset": "small", "seed": seed, "metrics": {"nll": nll}, "paper": {},
        "changes": {"kernel": "laplace_code", setting: x if own is None else own}, "memory_samples": memory,
        "num_components": components, "wall_seconds": 20.0, "finished": True,
    }  # fmt: skip
    path = root / study / f"{study}={x:g}-seed{seed}"
    path.mkdir(parents=True)
    (path / "results.json").write_text(json.dumps(results | more))


@pytest.fixture
def root(tmp_path):
    """Two studies: one of two seeds with a point missing and a run unfinished, one of a growing model."""
    for seed, shift in ((0, 0.0), (1, 2.0)):
        write_result(tmp_path, "stm_size", 300, seed, 143.0 + shift, own=75, memory=192)
        write_result(tmp_path, "stm_size", 512, seed, 139.0 + shift, own=128, memory=120 + seed)
    write_result(tmp_path, "stm_size", 700, 0, 138.5, own=175, memory=1104)
    (tmp_path / "stm_size" / "stm_size=700-seed1").mkdir()
    write_result(tmp_path, "lambda_2", 5, 0, 130.0, own=7.5, components=9)
    write_result(tmp_path, "lambda_2", 5, 1, 131.0, own=7.5, components=8)
    write_result(tmp_path, "lambda_2", 30, 0, 140.0, own=45.0)
    return tmp_path


def texts_of(figure):
    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text)]


def study(root, name):
    return ablation_plots.collect_study(STUDIES[name], root / name)


def test_the_table_has_a_line_for_each_published_point(root):
    page = ablation_plots.study_table(study(root, "stm_size"))
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert lines[0] == (
        "| short-term memory M (samples), paper | ours | LTM | N | NLL | seconds | n | paper, LTM | paper, NLL |"
    )
    # Seeds 143 and 145, and 139 and 141: deviation sqrt(2).
    assert lines[2:] == [
        "| 300 | 75 | 192 | 1 | 144.00 ± 1.41 | 20 | 2 | 1,204 | 142.9 (doubtful) |",
        "| 400 | – | – | – | – | – | 0 | 1,609 | 129.5 (doubtful) |",
        "| 512 | 128 | 120 | 1 | 140.00 ± 1.41 | 20 | 2 | 1,605 | 132.1 |",
        "| 600 | – | – | – | – | – | 0 | 1,444 | 133.1 |",
        "| 700 | 175 | 1,104 | 1 | 138.50 | 20 | 1 | 1,324 | 135.1 |",
    ]
    assert "mnist · preset small · seed 0, 1. Varied: `short_term_capacity`; " in page
    assert "`kernel=laplace_code`" in page and "`short_term_capacity=" not in page
    assert all(f"- {caution}\n" in page for caution in STUDIES["stm_size"].cautions)
    assert page.endswith("\nNot finished: stm_size=700-seed1.\n")


def test_the_table_of_a_growing_model_has_the_published_components(root):
    lines = ablation_plots.study_table(study(root, "lambda_2")).splitlines()
    assert "| 5 | 7.5 | 144 | 8.5 | 130.50 ± 0.71 | 20 | 2 | 30 | 96.5 |" in lines
    assert any(line.endswith("| paper, N | paper, NLL |") for line in lines)


def test_the_figure_has_ours_and_the_papers_points_on_axes_of_their_own(root):
    figure = ablation_plots.plot_study(study(root, "stm_size"))
    upper, lower, paper_upper, paper_lower = figure.axes
    ours = [axis.containers[0].lines[0] for axis in (upper, lower)]
    assert [list(line.get_xdata()) for line in ours] == [[0, 2, 4], [0, 2, 4]]
    assert list(ours[0].get_ydata()) == [192, 120.5, 1104] and list(ours[1].get_ydata()) == [144, 140, 138.5]
    assert list(paper_upper.lines[0].get_ydata()) == [1204, 1609, 1605, 1444, 1324]
    assert list(paper_lower.lines[0].get_ydata()) == [142.9, 129.5, 132.1, 133.1, 135.1]
    hollow = [line.get_xdata()[0] for line in paper_lower.lines[1:] if line.get_markerfacecolor() == "white"]
    assert hollow == [0, 1]
    texts = texts_of(figure)
    assert {"paper, full scale (right axis)", "paper, doubtful", "300\n(75)", "400"} <= set(texts)
    assert "paper, LTM (samples)" in texts and "NLL (nats)" in texts
    assert "paper, doubtful" not in texts_of(ablation_plots.plot_study(study(root, "lambda_2")))


def test_the_figure_names_values_once_where_ours_are_the_papers(tmp_path):
    write_result(tmp_path, "alpha", 5, 0, 140.0)
    figure = ablation_plots.plot_study(study(tmp_path, "alpha"))
    assert "kernel width alpha" in texts_of(figure) and "5" in texts_of(figure)


def test_all_files_are_drawn_from_results_alone_and_the_same_by_figures(root, script, capsys):  # noqa: F811
    ablation_plots.draw_schedule(root)
    paths, missing = ablation_plots.draw_studies(root)
    expected = ["stm_size.md", "figures/stm_size.png", "lambda_2.md", "figures/lambda_2.png", "figures/overview.png"]
    expected += ["schedule.md", "figures/schedule.png"]
    assert paths == [root / name for name in expected]
    assert [(run.label, run.seed) for run in missing] == [("stm_size=700", 1)]
    for path in paths:
        if path.suffix == ".png":
            assert matplotlib.image.imread(path)[..., :3].std() > 0.05, f"{path.name} is nearly blank"
    before = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    (root / "schedule.md").touch()
    script.main([str(root)])
    assert {path: path.read_bytes() for path in paths} == before
    output = capsys.readouterr().out.splitlines()
    assert output == [*map(str, paths), f"left out in {root}: stm_size=700-seed1 (not finished)"]


def test_the_overview_has_both_panels_of_every_study(root):
    results = [study(root, name) for name in ("stm_size", "lambda_2")]
    figure = ablation_plots.plot_overview(results)
    assert len(figure.axes) == 8
    assert {STUDIES["stm_size"].title, STUDIES["lambda_2"].title} <= set(texts_of(figure))


def test_a_study_without_a_finished_run_is_left_out(tmp_path):
    (tmp_path / "alpha" / "alpha=5-seed0").mkdir(parents=True)
    paths, missing = ablation_plots.draw_studies(tmp_path)
    assert paths == [] and len(missing) == 1
    assert ablation_plots.holds_studies(tmp_path) and not ablation_plots.holds_studies(tmp_path / "alpha")


def test_runs_that_cannot_be_compared_are_refused(root):
    write_result(root, "stm_size", 400, 0, 141.0, preset="tiny")
    with pytest.raises(UserError, match="stm_size are of several presets"):
        study(root, "stm_size")
    write_result(root, "lambda_2", 10, 0, 141.0, changes={})
    with pytest.raises(UserError, match=r"lambda_2=10-seed0 in .* does not tell its expansion_threshold"):
        study(root, "lambda_2")


def test_the_schedule_stands_beside_the_published_sizes():
    rows = [(study.name, x, size, published) for study, x, size, published in ablation_plots.schedule_rows()]
    assert rows == [
        ("stm_size", 300, 1204, 1204), ("stm_size", 400, 1609, 1609), ("stm_size", 512, 1609, 1605),
        ("stm_size", 600, 1444, 1444), ("stm_size", 700, 1324, 1324), ("batch_size", 10, 1720, 1610),
        ("batch_size", 30, 1680, 1604), ("batch_size", 64, 1609, 1680), ("batch_size", 80, 1670, 1670),
        ("batch_size", 100, 1585, 1606), ("batch_size", 120, 1605, 1605),
    ]  # fmt: skip
    table = ablation_plots.schedule_table()
    assert "| `short_term_capacity` | 512 | 1,609 | 1,605 | +4 |" in table and "6 of 11 values agree" in table
    sizes, published = ablation_plots.plot_schedule().axes[1].lines
    np.testing.assert_array_equal(sizes.get_ydata(), [1720, 1680, 1609, 1670, 1585, 1605])
    np.testing.assert_array_equal(published.get_ydata(), [1610, 1604, 1680, 1670, 1606, 1605])
