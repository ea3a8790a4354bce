"""Checks what the figures of a TFDSViT run show."""

import numpy as np
import pytest

from ocm_tf.experiments import plots, tfdsvit_plots
from tests.experiments.test_plots import edit_observations, write_run


@pytest.fixture
def run_files(tmp_path):
    """A run of 23 batches of 64 and two classes, of which the second follows the first."""
    path = write_run(tmp_path / "run", num_rounds=2, num_classes=2)
    return path, plots.RunFiles(path)


def test_experts_and_components_stand_above_the_classes_as_they_arrive(run_files):
    _, run = run_files
    upper, lower = tfdsvit_plots.plot_experts(run).axes[:2]
    experts = upper.lines[1]
    assert experts.get_label() == "experts (trunks)"
    np.testing.assert_array_equal(experts.get_ydata(), run.series("train", "num_experts")[1])
    counts = np.ma.getdata(lower.collections[0].get_array()).reshape(2, -1)
    labels = run.observations["stream_labels"]
    assert counts.sum(axis=1).tolist() == np.bincount(labels).tolist()
    # All columns are whole batches.
    assert set(counts.sum(axis=0)) == {64}


def test_the_energy_stands_beside_its_threshold(run_files):
    _, run = run_files
    axis = tfdsvit_plots.plot_energy(run).axes[0]
    energies, threshold = axis.lines[:2]
    np.testing.assert_array_equal(energies.get_ydata(), run.series("round", "energy")[1])
    assert set(threshold.get_ydata()) == {42.0}
    assert threshold.get_label() == "threshold: 42.0"


def test_a_run_of_another_kind_has_no_such_figures(run_files):
    path, _ = run_files
    edit_observations(path, stream_labels=None)
    table = (path / "metrics.csv").read_text()
    (path / "metrics.csv").write_text("".join(line for line in table.splitlines(True) if ",energy," not in line))
    assert tfdsvit_plots.plot_experts(plots.RunFiles(path)) is None
    assert tfdsvit_plots.plot_energy(plots.RunFiles(path)) is None
