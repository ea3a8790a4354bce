"""Compares runs with exemplars over paired seeds, from their run directories alone: tables and figures."""

import dataclasses
import pathlib

import numpy as np
from scipy.special import stdtrit

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.compared_runs import RUN_NAME
from ocm_tf.experiments.mnemonics_plots import draw_map, explain_map, recorded_phases
from ocm_tf.experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, VERMILION
from ocm_tf.experiments.run_records import read_results
from ocm_tf.experiments.tables import format_mean, table_line
from ocm_tf.files import write_atomically

COLUMNS = {
    "average_accuracy_fc": "head, average",
    "last_accuracy_fc": "head, last",
    "forgetting_fc": "head, forgetting",
    "average_accuracy_nme": "NME, average",
    "last_accuracy_nme": "NME, last",
    "forgetting_nme": "NME, forgetting",
    "exemplar_margin": "margin",
}
"""What the table shows of the metrics of a run."""

_DRAWN = {"last_accuracy_fc": "accuracy after the last phase (%)", "forgetting_fc": "forgetting (points)"}
_LINES = (INK, BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", GREY)


@dataclasses.dataclass(frozen=True)
class IncrementalRun:
    """A finished run of a comparison."""

    label: str
    seed: int
    path: pathlib.Path
    results: dict

    @property
    def metrics(self):
        """The metrics by name."""
        return self.results["metrics"]


def collect(root):
    """Reads the runs below a directory, named `<label>-seed<k>`.

    Args:
        root: the directory.

    Returns:
        runs: list of finished `IncrementalRun`, by label and seed.
        missing: names of the directories of unfinished ones.

    Raises:
        UserError: if none has finished.
    """
    runs, missing = [], []
    for path in sorted(pathlib.Path(root).glob("*-seed*")):
        name = RUN_NAME.fullmatch(path.name)
        if not name or not path.is_dir():
            continue
        results = read_results(path / "results.json") if (path / "results.json").exists() else {}
        if results.get("finished"):
            runs.append(IncrementalRun(name["label"], int(name["seed"]), path, results))
        else:
            missing.append(path.name)
    if not runs:
        raise UserError(f"{root} holds no finished run named <label>-seed<number>")
    return sorted(runs, key=lambda run: (run.label, run.seed)), missing


def by_label(runs, order=()):
    """Groups runs, `{label: {seed: run}}`, the labels in the order given and others behind."""
    labels = sorted({run.label for run in runs}, key=lambda label: ([*order, label].index(label), label))
    return {label: {run.seed: run for run in runs if run.label == label} for label in labels}


def comparison_table(runs, order=()):
    """Writes the runs as a Markdown table, a line for each label: mean ± standard deviation over seeds.

    Args:
        runs: list of `IncrementalRun`.
        order: labels in the order wanted.

    Returns:
        str.
    """
    groups = by_label(runs, order)
    shown = [name for name in COLUMNS if any(name in run.metrics for run in runs)]
    heads = ["label", *(COLUMNS[name] for name in shown), "published, head average", "exemplars", "seconds", "n"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for label, group in groups.items():
        first = next(iter(group.values())).results
        published = first["paper"].get("average_accuracy")
        cells = [_mean_cell(group, name) for name in shown]
        seconds = np.mean([run.results["wall_seconds"] for run in group.values()])
        published = "nan" if published is None else f"{published:.2f}"
        cells += [published, f"{first['memory_samples']:,}", f"{seconds:,.0f}", str(len(group))]
        lines.append(table_line([label, *cells]))
    return "\n".join(lines) + "\n"


def _mean_cell(group, metric):
    values = np.array([run.metrics[metric] for run in group.values() if metric in run.metrics])
    return format_mean(values) if len(values) else "nan"


def paired_difference(values, baseline, confidence=0.95):
    """Computes the mean difference of pairs and the half-width of its confidence interval, by Student's t.

    Args:
        values: float array of shape `(n,)`.
        baseline: float array of the same shape, each value's partner.
        confidence: of the interval.

    Returns:
        mean: float.
        half_width: float; nan for a single pair.
        num_higher: int, in how many pairs the value is the higher one.
    """
    differences = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    half_width = np.nan
    if len(differences) > 1:
        quantile = stdtrit(len(differences) - 1, (1 + confidence) / 2)
        half_width = float(quantile * differences.std(ddof=1) / np.sqrt(len(differences)))
    return float(differences.mean()), half_width, int(np.sum(differences > 0))


def difference_table(runs, order=(), baseline=None):
    """Writes the paired differences to the baseline as a Markdown table: mean ± half a 95 % interval, and pairs higher.

    Args:
        runs: list of `IncrementalRun`.
        order: labels in the order wanted.
        baseline: a label; None takes the first.

    Returns:
        str; empty if there is nothing to compare with.
    """
    groups = by_label(runs, order)
    baseline = baseline if baseline in groups else next(iter(groups))
    shown = [name for name in COLUMNS if name in next(iter(groups[baseline].values())).metrics]
    heads = [f"minus {baseline}", *(COLUMNS[name] for name in shown), "pairs"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for label, group in groups.items():
        seeds = sorted(group.keys() & groups[baseline].keys())
        if label == baseline or not seeds:
            continue
        cells = [_difference_cell(group, groups[baseline], seeds, name) for name in shown]
        lines.append(table_line([label, *cells, str(len(seeds))]))
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _difference_cell(group, baseline, seeds, metric):
    pairs = [(group[seed].metrics.get(metric), baseline[seed].metrics[metric]) for seed in seeds]
    if any(value is None for value, _ in pairs):
        return "nan"
    mean, half_width, num_higher = paired_difference(*zip(*pairs, strict=True))
    interval = "" if np.isnan(half_width) else f" ± {half_width:.2f}"
    return f"{mean:+.2f}{interval} ({num_higher}/{len(pairs)} up)"


@plots.styled
def plot_curves(runs, order=()):
    """Draws the mean accuracy over all classes seen after each phase, by the head and by the nearest class mean.

    Returns None where a table of metrics is not there any more.
    """
    if not all((run.path / "metrics.csv").exists() for run in runs):
        return None
    groups = by_label(runs, order)
    figure = plots.new_figure("Accuracy after each phase", describe(runs), 11, 4.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axis, classifier, title in zip(panels, ("fc", "nme"), ("head", "nearest class mean"), strict=True):
        for (label, group), colour in zip(groups.items(), _LINES * len(groups), strict=False):
            curves = [_curve(run, classifier) for run in group.values()]
            style = "--" if label == "joint" else "-"
            if all(curve is not None for curve in curves):
                seen, values = curves[0][0], np.array([curve[1] for curve in curves])
                mean = values.mean(axis=0)
                axis.plot(seen, mean, "o" + style, color=colour, label=label, markersize=4)
                if len(values) > 1:
                    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
                    axis.fill_between(seen, mean - error, mean + error, color=colour, alpha=0.12)
        axis.set_title(title, loc="left")
        axis.set_xlabel("classes seen")
    panels[0].set_ylabel("accuracy (%)")
    panels[0].legend(loc="lower left")
    return figure


def _curve(run, classifier):
    files = plots.RunFiles(run.path)
    _, seen = files.series("evaluate", "num_seen")
    _, values = files.series("evaluate", f"accuracy_{classifier}")
    return (seen, values) if len(values) == len(seen) else None


@plots.styled
def plot_bars(runs, order=()):
    """Draws last accuracy and forgetting of the head for each label: the mean, its standard error, and each seed."""
    groups = by_label(runs, order)
    figure = plots.new_figure("After the last phase", describe(runs), 11, max(3.4, 2 + 0.42 * len(groups)))
    for axis, (metric, title) in zip(figure.subplots(1, 2, sharey=True), _DRAWN.items(), strict=True):
        for place, group in enumerate(groups.values()):
            values = np.array([run.metrics[metric] for run in group.values()])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
            axis.barh(place, values.mean(), xerr=error, color=BLUE, alpha=0.75, height=0.6, ecolor=INK)
            axis.plot(values, np.full(len(values), place), "o", color=INK, alpha=0.5, markersize=3)
        axis.set_xlabel(title)
        axis.set_yticks(range(len(groups)), list(groups))
    axis.invert_yaxis()
    return figure


@plots.styled
def plot_maps(runs, order=()):
    """Draws the exemplars of one seed, a column for each kind of exemplars, the first phase above the last."""
    groups = by_label([run for run in runs if (run.path / "observations.npz").exists()], order)
    shown = {label: group[min(group)] for label, group in groups.items()}
    files = {label: plots.RunFiles(run.path) for label, run in shown.items()}
    files = {label: run for label, run in files.items() if len(recorded_phases(run)) > 1}
    if not files:
        return None
    subtitle = describe([shown[label] for label in files])
    figure = plots.new_figure("Exemplars among the images of their classes", subtitle, max(8, 4 * len(files)), 8.4)
    axes = figure.subplots(2, len(files), squeeze=False)
    for column, (label, run) in zip(axes.T, files.items(), strict=True):
        phases = recorded_phases(run)
        for axis, phase in zip(column, (phases[0], phases[-1]), strict=True):
            draw_map(axis, run, phase, label)
    explain_map(figure)
    return figure


def describe(runs):
    """Says in one line what the runs have in common and which seeds they had."""
    datasets, presets = ({str(run.results[name]) for run in runs} for name in ("dataset", "preset"))
    seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
    return f"{', '.join(sorted(datasets))} · preset {', '.join(sorted(presets))} · seed {seeds}"


def is_incremental_comparison(root):
    """Tells whether the runs below a directory are of this kind."""
    results = [path for path in pathlib.Path(root).glob("*-seed*/results.json") if RUN_NAME.fullmatch(path.parent.name)]
    return bool(results) and "average_accuracy_fc" in read_results(results[0]).get("metrics", {})


def draw_incremental_comparison(root, order=(), baseline=None):
    """Writes `comparison.md` and figures beside the runs of a comparison.

    Args:
        root: the directory that holds the run directories.
        order: labels in the order wanted.
        baseline: label to which differences are taken; None takes the first.

    Returns:
        paths: list of the files written.
        missing: names of runs that have not finished.

    Raises:
        UserError: if no run has finished.
    """
    root = pathlib.Path(root)
    runs, missing = collect(root)
    text = comparison_table(runs, order)
    differences = difference_table(runs, order, baseline)
    if differences:
        text += f"\nPaired differences, mean over seeds ± half a 95 % interval (Student's t):\n\n{differences}"
    if missing:
        text += f"\nNot finished: {', '.join(missing)}\n"
    paths = [root / "comparison.md"]
    write_atomically(paths[0], lambda path: path.write_text(text, encoding="utf-8"))
    drawn = {"comparison": plot_bars, "curves": plot_curves, "exemplar_maps": plot_maps}
    for name, plot in drawn.items():
        figure = plot(runs, order)
        if figure is not None:
            paths.append(root / "figures" / f"{name}.png")
            plots.save_figure(figure, paths[-1])
    return paths, missing
