"""The study of the expansion threshold: how many experts, and how good, for thresholds from nothing to very high."""

import pathlib

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import compared_runs, plots, tables
from ocm_tf.experiments.plots import BLUE, INK
from ocm_tf.experiments.run_records import read_results
from ocm_tf.files import write_atomically

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)
"""Factors on the threshold of the settings."""

_PREFIX = "threshold-x"
_MEASURES = {"num_experts": "experts", "average_accuracy": "average accuracy (%)"}


def label_of(scale):
    """Returns what the runs of a factor are called."""
    return f"{_PREFIX}{scale:g}"


def holds_threshold_study(directory):
    """Tells whether a directory is the output of a study of the threshold."""
    return any(pathlib.Path(directory).glob(f"{_PREFIX}*-seed*"))


def collect_study(root):
    """Reads the finished runs of a study.

    Args:
        root: path of the directory that holds them.

    Returns:
        points: list of `(scale, metrics)`, sorted by scale.
        missing: names of the runs that have not finished.
        about: one line that says what the runs have in common.

    Raises:
        UserError: if no run has finished.
    """
    root = pathlib.Path(root)
    rows = [row for row in compared_runs.collect(root) if row.label.startswith(_PREFIX)]
    missing = [row for row in rows if not row.finished]
    finished = [row for row in rows if row.finished]
    if not finished:
        raise UserError(f"no run of the study in {root} has finished")
    points = []
    for row in finished:
        metrics = read_results(root / row.name / "results.json")["metrics"]
        scale = float(row.label.removeprefix(_PREFIX))
        points.append((scale, {**metrics, "num_components": row.num_components}))
    return sorted(points, key=lambda point: point[0]), missing, compared_runs.describe_runs(finished)


def study_table(points):
    """Writes a study as a Markdown table, one line for each factor; mean ± standard deviation over n seeds."""
    heads = ["factor", "threshold", "components", *_MEASURES.values(), "routing (%)", "n"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---:|" * len(heads)]
    for scale in sorted({scale for scale, _ in points}):
        runs = [metrics for other, metrics in points if other == scale]

        def cell(name, runs=runs):
            return tables.format_mean(np.array([metrics.get(name, np.nan) for metrics in runs]))

        cells = [cell(name) for name in ("threshold", "num_components", *_MEASURES, "routing_accuracy")]
        lines.append(tables.table_line([f"{scale:g}", *cells, str(len(runs))]))
    return "\n".join(lines) + "\n"


@plots.styled
def plot_study(points, about):
    """Draws experts and accuracy against the factor on the threshold: a dot for each seed, a line through the means."""
    figure = plots.new_figure("Experts and accuracy against the threshold", about, 8, 6)
    panels = figure.subplots(2, 1, sharex=True)
    scales = np.array([scale for scale, _ in points])
    for axis, (name, head), colour in zip(panels, _MEASURES.items(), (INK, BLUE), strict=True):
        values = np.array([metrics[name] for _, metrics in points])
        axis.plot(scales, values, "o", color=colour, alpha=0.35, markersize=5, label="one seed")
        means = [values[scales == scale].mean() for scale in np.unique(scales)]
        axis.plot(np.unique(scales), means, color=colour, marker="D", markersize=4, label="mean")
        axis.set_ylabel(head)
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", color="#e6e6e6")
    panels[0].yaxis.set_major_locator(plots.whole_ticks(5))
    panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    panels[1].set_ylim(top=105)
    thresholds = [metrics["threshold"] / scale for scale, metrics in points if scale > 0 and "threshold" in metrics]
    meaning = f" (1 is a threshold of {np.mean(thresholds):.1f} on average)" if thresholds else ""
    panels[1].set_xlabel(f"factor on the threshold{meaning}")
    figure.align_ylabels()
    return figure


def draw_threshold_study(root):
    """Writes `threshold.md` and `figures/threshold.png` beside the runs of a study.

    Args:
        root: path of the directory that holds the run directories.

    Returns:
        paths: list of the files written.
        missing: list of the `ComparedRun` that have not finished, which the table names.

    Raises:
        UserError: as `collect_study`.
    """
    root = pathlib.Path(root)
    points, missing, about = collect_study(root)
    text = study_table(points)
    if missing:
        text += "\n" + compared_runs.describe_missing(missing)
    table, picture = root / "threshold.md", root / "figures" / "threshold.png"
    write_atomically(table, lambda path: path.write_text(text, encoding="utf-8"))
    plots.save_figure(plot_study(points, about), picture)
    return [table, picture], missing
