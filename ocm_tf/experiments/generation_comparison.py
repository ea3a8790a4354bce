"""Compares finished runs that generate images, from their `results.json`: a table and bars of several measures."""

import pathlib
from typing import NamedTuple

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.compared_runs import RUN_NAME
from ocm_tf.experiments.plots import BLUE, INK
from ocm_tf.experiments.run_records import read_results
from ocm_tf.experiments.tables import format_count, format_mean, table_line
from ocm_tf.files import write_atomically


class Column(NamedTuple):
    """A measure of the comparison: its name in `results.json`, its heading, and whether it is drawn too."""

    metric: str
    heading: str
    drawn: bool = False


COLUMNS = (
    Column("sse", "SSE", True),
    Column("old_sse", "SSE, old tasks", True),
    Column("forgetting", "forgetting (SSE)"),
    Column("classifier_frechet_distance", "Frechet, samples", True),
    Column("reconstruction_classifier_frechet_distance", "Frechet, reconstructions", True),
    Column("class_coverage", "classes sampled"),
    Column("class_entropy", "entropy (nats)", True),
    Column("probe_accuracy", "probe (%)"),
    Column("knn_accuracy", "5-NN (%)", True),
)


class Run(NamedTuple):
    """One finished run: label, seed, and the content of its `results.json`."""

    label: str
    seed: int
    results: dict

    def value(self, metric):
        """Returns a metric as a float, NaN if the run has none."""
        value = self.results["metrics"].get(metric)
        return np.nan if value is None else float(value)


def collect(runs_root):
    """Reads the finished runs below a directory, whose names are `<label>-seed<k>`.

    Args:
        runs_root: path of the directory.

    Returns:
        runs: list of `Run`, by label, then seed.
        missing: list of the names of run directories that have not finished.

    Raises:
        UserError: if a file is corrupt or lacks what is compared.
    """
    runs, missing = [], []
    for path in sorted(pathlib.Path(runs_root).glob("*-seed*")):
        name = RUN_NAME.fullmatch(path.name)
        if name is None or not path.is_dir():
            continue
        if not (path / "results.json").exists():
            missing.append(path.name)
            continue
        results = read_results(path / "results.json")
        if COLUMNS[0].metric not in results.get("metrics", {}):
            raise UserError(f"{path / 'results.json'} lacks a value to compare ({COLUMNS[0].metric!r})")
        runs.append(Run(name["label"], int(name["seed"]), results))
    return sorted(runs, key=lambda run: (run.label, run.seed)), missing


def holds_generation_runs(runs_root):
    """Tells whether the first finished run below a directory has the measures of this comparison."""
    for path in sorted(pathlib.Path(runs_root).glob("*-seed*/results.json")):
        return COLUMNS[0].metric in read_results(path).get("metrics", {})
    return False


def group(runs, order=None):
    """Returns `{label: runs}`, in the order given, then by the mean of the first measure.

    Args:
        runs: list of `Run`.
        order: list of labels, or None.
    """
    groups = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    order = list(order or [])
    by_value = sorted(groups, key=lambda label: np.mean([run.value(COLUMNS[0].metric) for run in groups[label]]))
    return {label: groups[label] for label in sorted(by_value, key=lambda label: [*order, label].index(label))}


def comparison_table(runs, order=None):
    """Writes finished runs as a Markdown table, one line per label: means ± standard deviations over seeds."""
    heads = ["label", "memory (samples)", "clusters", *(column.heading for column in COLUMNS), "seconds", "n"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for label, members in group(runs, order).items():
        clusters = np.mean([np.nan_to_num(run.value("num_clusters")) for run in members])
        cells = [
            label,
            f"{np.mean([run.results['memory_samples'] for run in members]):,.0f}",
            format_count(clusters),
            *(format_mean(np.array([run.value(column.metric) for run in members])) for column in COLUMNS),
            f"{np.mean([run.results['wall_seconds'] for run in members]):,.0f}",
            str(len(members)),
        ]
        lines.append(table_line(cells))
    return "\n".join(lines) + "\n"


@plots.styled
def plot_comparison(runs, order=None):
    """Draws a panel of bars for each measure that is drawn, with the seeds as dots."""
    groups, drawn = group(runs, order), [column for column in COLUMNS if column.drawn]
    settings = {str(run.results.get("dataset")) for run in runs}, {str(run.results.get("preset")) for run in runs}
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
    subtitle = f"{', '.join(sorted(settings[0]))} · preset {', '.join(sorted(settings[1]))} · seed {seeds}"
    figure = plots.new_figure("Reconstruction, generation and latents", subtitle, 13, 2.6 + 0.62 * len(groups))
    for axis, column in zip(figure.subplots(2, -(-len(drawn) // 2), sharey=True).flat, drawn, strict=True):
        for place, members in enumerate(groups.values()):
            values = np.array([run.value(column.metric) for run in members])
            axis.barh(place, values.mean(), color=BLUE, alpha=0.75, height=0.7)
            axis.plot(values, np.full(len(values), place), "o", color=INK, markersize=3)
        axis.set_title(column.heading, loc="left")
        axis.set_yticks(range(len(groups)), list(groups))
        axis.set_ylim(len(groups) - 0.5, -0.5)
    return figure


def draw_generation_comparison(runs_root, order=None):
    """Writes `comparison.md` and `figures/comparison.png` beside the runs of a comparison.

    Args:
        runs_root: path of the directory that holds the run directories.
        order: list of labels in the order wanted; others follow.

    Returns:
        paths: list of the two files written.
        missing: list of the names of runs that have not finished, which the table names.

    Raises:
        UserError: as `collect`, or if no run has finished.
    """
    runs_root = pathlib.Path(runs_root)
    runs, missing = collect(runs_root)
    if not runs:
        raise UserError(f"no run in {runs_root} has finished")
    text = comparison_table(runs, order)
    if missing:
        text += f"\nNot finished: {', '.join(missing)}.\n"
    picture, table = runs_root / "figures" / "comparison.png", runs_root / "comparison.md"
    plots.save_figure(plot_comparison(runs, order), picture)
    write_atomically(table, lambda path: path.write_text(text, encoding="utf-8"))
    return [picture, table], missing
