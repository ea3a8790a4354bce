"""Checks tables and figures of comparisons with exemplars, from result files made by hand."""

import numpy as np
import pytest
from scipy import stats

from ocm_tf.errors import UserError
from ocm_tf.experiments import RunDirectory
from ocm_tf.experiments.mnemonics_comparison import (
    by_label,
    collect,
    comparison_table,
    difference_table,
    draw_incremental_comparison,
    is_incremental_comparison,
    paired_difference,
)
from ocm_tf.files import save_arrays
from tests.experiments.test_mnemonics import parse


def make_run(root, label, seed, last, forgetting, with_nme=True):
    arguments = parse("--output", root / f"{label}-seed{seed}", "--seed", seed)
    rng = np.random.default_rng(seed)
    with RunDirectory(arguments.output).open(arguments, data_source="none") as directory:
        for phase, seen in enumerate((4, 7, 10)):
            values = {"num_seen": seen, "accuracy_fc": last + 10 * (2 - phase)}
            values |= {"accuracy_nme": last + 5} if with_nme else {}
            directory.metrics.append(phase, "evaluate", phase, values)
        metrics = {"average_accuracy": last + 10, "average_accuracy_fc": last + 10, "last_accuracy_fc": last}
        metrics |= {"forgetting_fc": forgetting} | ({"last_accuracy_nme": last + 5} if with_nme else {})
        arrays = {"class_names": np.array(list("abcdefghij"))}
        for phase in (0, 2):
            arrays |= {
                f"phase_{phase}_features": rng.normal(size=(30, 4)),
                f"phase_{phase}_labels": np.repeat(np.arange(3), 10),
                f"phase_{phase}_exemplar_features": rng.normal(size=(8, 4)),
                f"phase_{phase}_exemplar_labels": np.repeat(np.arange(4), 2),
                f"phase_{phase}_exemplar_margins": rng.normal(size=8),
            }
        save_arrays(arguments.output / "observations.npz", arrays)
        directory.write_results(metrics, memory_samples=20)


@pytest.fixture
def runs_root(tmp_path):
    for seed, last in enumerate((60.0, 64.0, 71.0)):
        make_run(tmp_path, "herding", seed, last, 30.0)
        make_run(tmp_path, "better", seed, last + seed + 1, 30.0 - seed)
    make_run(tmp_path, "joint", 0, 90.0, 1.0, with_nme=False)
    (tmp_path / "herding-seed7").mkdir()
    return tmp_path


def test_a_paired_difference_has_the_interval_of_students_t():
    values, baseline = np.array([3.0, 5.0, 4.0]), np.array([2.0, 3.0, 5.0])
    mean, half_width, num_higher = paired_difference(values, baseline)
    low, high = stats.ttest_rel(values, baseline).confidence_interval()
    assert mean == pytest.approx(2 / 3) and num_higher == 2
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))
    assert np.isnan(paired_difference([1.0], [0.0])[1])


def test_runs_are_grouped_in_the_order_wanted(runs_root):
    runs, missing = collect(runs_root)
    assert missing == ["herding-seed7"]
    groups = by_label(runs, ["herding"])
    assert {label: sorted(group) for label, group in groups.items()} == {
        "herding": [0, 1, 2],
        "better": [0, 1, 2],
        "joint": [0],
    }


def test_the_table_has_means_and_what_is_not_measured_is_a_dash(runs_root):
    table = comparison_table(collect(runs_root)[0], ["herding", "better", "joint"]).splitlines()
    assert table[0].startswith("| label | head, average | head, last | head, forgetting | NME, last |")
    assert table[2].startswith("| herding | 75.00 ± 5.57 | 65.00 ± 5.57 | 30.00 ± 0.00 | 70.00 ± 5.57 | – | 20 |")
    assert table[4].startswith("| joint | 100.00 | 90.00 | 1.00 | – | – | 20 |")


def test_differences_are_of_pairs(runs_root):
    table = difference_table(collect(runs_root)[0], ["herding", "better", "joint"]).splitlines()
    assert table[0].startswith("| minus herding |")
    # Differences 1, 2, 3: the deviations of the runs themselves do not matter.
    assert "+2.00 ± 2.48 (3/3 up)" in table[2] and "-1.00 ± 2.48 (0/3 up)" in table[2]
    assert table[3].startswith("| joint | +30.00 (1/1 up) |") and " – " in table[3]


def test_files_are_drawn_beside_the_runs(runs_root):
    assert is_incremental_comparison(runs_root)
    paths, missing = draw_incremental_comparison(runs_root, ["herding"])
    assert [path.name for path in paths] == ["comparison.md", "comparison.png", "curves.png", "exemplar_maps.png"]
    assert all(path.exists() for path in paths) and missing == ["herding-seed7"]
    text = paths[0].read_text()
    assert "Paired differences" in text and "Not finished: herding-seed7" in text


def test_bars_and_tables_need_the_results_alone(runs_root):
    for path in [*runs_root.glob("*/metrics.csv"), *runs_root.glob("*/observations.npz")]:
        path.unlink()
    paths, _ = draw_incremental_comparison(runs_root)
    assert [path.name for path in paths] == ["comparison.md", "comparison.png"]


def test_a_directory_without_runs_is_a_mistake_of_the_user(tmp_path):
    assert not is_incremental_comparison(tmp_path)
    with pytest.raises(UserError, match="no finished run"):
        collect(tmp_path)
