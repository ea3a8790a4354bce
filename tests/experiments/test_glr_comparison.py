"""Checks the tables and figures of continual classifiers side by side, from made-up results."""

import json

import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.glr_comparison import (
    closed_gap,
    collect,
    comparison_table,
    draw_comparison,
    holds_continual_runs,
    pareto_front,
    plot_by_number,
    studies_in,
)
from ocm_tf.experiments.glr_plots import FIGURES
from ocm_tf.files import save_arrays


def write_run(root, label, seed=0, accuracy=80.0, state_bytes=1000, paper=None, dataset="mnist", finished=True):
    path = root / f"{label}-seed{seed}"
    path.mkdir(parents=True)
    metrics = {"average_accuracy": accuracy, "forgetting": 10.0, "average_loss": 0.5}
    metrics |= {"state_bytes": state_bytes, "transient_bytes": 50}
    results = {"experiment": "glr_rotated_mnist", "preset": "small", "seed": seed, "dataset": dataset, "changes": {}}
    results |= {"metrics": metrics, "paper": {"average_accuracy": paper}, "memory_samples": 7, "wall_seconds": 3.0}
    (path / "results.json").write_text(json.dumps({**results, "finished": finished}))
    (path / "config.json").write_text(json.dumps({"script": "glr", "settings": {"method": "generative_latent_replay"}}))
    save_arrays(path / "observations.npz", {"accuracy_matrix": np.array([[0.9, 0.1], [0.6, 0.8]])})
    return path


@pytest.fixture
def root(tmp_path):
    for seed, accuracy in ((0, 70.0), (1, 74.0)):
        write_run(tmp_path, "glr-released", seed, accuracy, 2000)
        write_run(tmp_path, "glr", seed, accuracy + 6, 200, paper=87.83)
        write_run(tmp_path, "latent-replay", seed, accuracy + 10, 1800)
    write_run(tmp_path, "naive", 0, finished=False)
    return tmp_path


def test_the_table_has_means_over_seeds_in_the_order_given(root):
    groups, missing = collect(root, ["latent-replay", "glr"])
    assert [group.label for group in groups] == ["latent-replay", "glr", "glr-released"] and missing == ["naive-seed0"]
    lines = comparison_table(groups).splitlines()
    assert lines[3] == "| glr | 78.00 ± 2.83 | 10.00 ± 0.00 | 0.50 ± 0.00 | 200 | 50 | 7 | 87.83 | 3 | 2 |"
    assert "| 80.00" not in lines[3] and "–" in lines[2]


def test_the_closed_gap_is_the_share_of_the_way_to_latent_replay(root):
    groups, _ = collect(root)
    assert closed_gap(groups, "glr") == pytest.approx(0.6)
    assert closed_gap(groups, "glr-best") is None


def test_the_mean_over_time_is_of_what_was_learned(root):
    groups, _ = collect(root)
    np.testing.assert_allclose(groups[0].accuracies_over_time, [90, 70])


def test_nothing_smaller_surpasses_a_point_of_the_front():
    points = [(0, 20), (5, 60), (5, 50), (7, 55), (9, 61), (9, 90)]
    assert pareto_front(points) == [(0, 20), (5, 60), (9, 90)]


def test_all_is_drawn_beside_the_runs(root):
    paths, missing = draw_comparison(root)
    assert [path.name for path in paths] == ["comparison.md", "over_time.png", "by_bytes.png"]
    assert missing == ["naive-seed0"]
    text = (root / "comparison.md").read_text()
    assert "glr closes 60 % of the gap" in text and "glr-best" not in text and "Not finished: naive-seed0" in text
    assert all(path.stat().st_size > 0 for path in paths)
    assert holds_continual_runs(root) and not holds_continual_runs(root / "figures")


def test_the_table_needs_the_results_alone(root):
    next(root.glob("glr-seed*/observations.npz")).unlink()
    paths, _ = draw_comparison(root)
    assert [path.name for path in paths] == ["comparison.md", "by_bytes.png"]


def test_sizes_are_drawn_if_labels_end_in_them(tmp_path):
    for size in (100, 1000, 5000):
        write_run(tmp_path / "buffer_size", f"glr-{size}", accuracy=70 + size / 1000, paper=80)
    groups, _ = collect(tmp_path / "buffer_size")
    axis = plot_by_number(groups).axes[0]
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[100, 70.1], [1000, 71], [5000, 75]])
    assert studies_in(tmp_path) == [tmp_path / "buffer_size"]
    assert plot_by_number(groups[:2]) is None


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no run in .* has finished"):
        collect(tmp_path)
    write_run(tmp_path, "glr")
    write_run(tmp_path, "naive", dataset="digits")
    with pytest.raises(UserError, match=r"cannot be compared: .*digits.* and .*mnist"):
        collect(tmp_path)


def test_a_run_without_arrays_has_no_figure(tmp_path):
    path = write_run(tmp_path, "glr")
    save_arrays(path / "observations.npz", {"nothing": np.zeros(1)})
    run = plots.RunFiles(path)
    assert [name for name, plot in FIGURES.items() if plot(run) is not None] == []


def test_minibatches_are_stacked_to_a_whole(tmp_path):
    path = write_run(tmp_path, "glr")
    shares = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    save_arrays(path / "observations.npz", {"minibatch_shares": shares})
    bars = FIGURES["replay_shares"](plots.RunFiles(path)).axes[0].patches
    # Real and generated bars of each experience; those generated are hatched.
    heights = np.array([bar.get_height() for bar in bars]).reshape(3, 2, 3)
    np.testing.assert_allclose(heights.sum(axis=(0, 1)), 100)
    np.testing.assert_allclose(heights[:, 0].sum(axis=0), [100, 50, 50])
    assert [bar.get_hatch() for bar in bars[3:6]] == ["///"] * 3
