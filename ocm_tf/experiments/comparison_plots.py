"""Compares finished runs of several settings over seeds, from their `results.json`: a table and a figure."""

import dataclasses
import math
import pathlib
import re

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, GREY, INK, VERMILION
from ocm_tf.experiments.run_records import read_results
from ocm_tf.files import write_atomically

# Runs that differ in the dominant task alone have one label; each seed counts once, by the mean over its tasks.
RUN_NAME = re.compile(r"(?P<label>.+?)(-dominant(?P<dominant>\d+))?-seed(?P<seed>\d+)")


@dataclasses.dataclass(frozen=True)
class Measure:
    """What a comparison compares.

    Attributes:
        metric: its name in `results.json`.
        part: prefix of the metrics for the parts that it is a mean of.
        part_name: what a part is called.
        short: its short name.
        unit: its unit.
        title: what the figure is called.
        higher_is_better: whether the best is the highest.
        beside: `{metric: head of its column}` of what a table shows beside it, of what runs have measured.
    """

    metric: str
    part: str
    part_name: str
    short: str
    unit: str
    title: str
    higher_is_better: bool = False
    beside: dict = dataclasses.field(default_factory=dict)

    @property
    def worst_to_best(self):
        """Factor by which values are multiplied for the lowest to be the best."""
        return -1 if self.higher_is_better else 1


MEASURES = (
    Measure(
        "average_accuracy",
        "accuracy_task_",
        "task",
        "average accuracy",
        "%",
        "Average accuracy after the stream",
        higher_is_better=True,
        beside={
            "forgetting": "forgetting (%)",
            "routing_accuracy": "routing (%)",
            "task_assisted_accuracy": "task-assisted (%)",
            "num_experts": "experts",
            "parameters": "parameters",
            "updates_to_target": "updates to target",
        },
    ),
    Measure("nll", "nll_class_", "class", "NLL", "nats per image", "Negative log-likelihood after the stream"),
)
"""What runs may be compared by; of those that a run has measured, the first is taken."""


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison; the counts and the time are NaN where the run did not tell them."""

    label: str
    seed: int
    finished: bool
    dominant: int | None = None
    dataset: str | None = None
    preset: str | None = None
    measure: Measure | None = None
    value: float | None = None
    part_values: dict = dataclasses.field(default_factory=dict)
    beside: dict = dataclasses.field(default_factory=dict)
    domain_nll: dict = dataclasses.field(default_factory=dict)
    domain_stored: dict = dataclasses.field(default_factory=dict)
    paper_value: float = math.nan
    memory_samples: float = math.nan
    num_components: float = math.nan
    wall_seconds: float = math.nan
    changes: dict = dataclasses.field(default_factory=dict)

    @property
    def name(self):
        """The name of the run's directory."""
        dominant = "" if self.dominant is None else f"-dominant{self.dominant}"
        return f"{self.label}{dominant}-seed{self.seed}"


@dataclasses.dataclass(frozen=True)
class Summary:
    """The mean of the finished runs of one label over their seeds."""

    label: str
    measure: Measure
    values: np.ndarray
    part_values: dict
    beside: dict
    domain_nll: dict
    domain_stored: dict
    paper_value: float
    memory_samples: float
    num_components: float
    wall_seconds: float

    @property
    def std(self):
        """The standard deviation over seeds (n - 1 in the denominator), None for a single one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else None


def collect(runs_root):
    """Reads the runs under a directory, whose names are `<label>-seed<k>` or `<label>-dominant<i>-seed<k>`.

    Args:
        runs_root: path of the directory that holds the run directories.

    Returns:
        rows: list of `ComparedRun`, sorted by label, then by seed; unfinished runs are among them.

    Raises:
        UserError: if there is no such run, a file is corrupt, or the runs measured different things.
    """
    runs_root = pathlib.Path(runs_root)
    names = [RUN_NAME.fullmatch(path.name) for path in runs_root.glob("*-seed*") if path.is_dir()]
    rows = [_read_run(runs_root / name[0], name) for name in names if name]
    if not rows:
        raise UserError(f"{runs_root} holds no run directory named <label>-seed<number>")
    finished = [row for row in rows if row.finished]
    for measured in ({str(row.dataset) for row in finished}, {row.measure.short for row in finished}):
        if len(measured) > 1:
            raise UserError(f"the runs in {runs_root} cannot be compared: they measure {', '.join(sorted(measured))}")
    return sorted(rows, key=lambda row: (row.label, row.seed, row.dominant or 0))


def _read_run(path, name):
    """Reads the results of one run, which are not there before it ends."""
    which = {"label": name["label"], "seed": int(name["seed"])}
    which["dominant"] = None if name["dominant"] is None else int(name["dominant"])
    results = read_results(path / "results.json") if (path / "results.json").exists() else {}
    if not results.get("finished"):
        return ComparedRun(**which, finished=False)
    try:
        metrics = results["metrics"]
        measure = next((measure for measure in MEASURES if measure.metric in metrics), MEASURES[-1])
        parts = plots.class_numbers(metrics, measure.part)
        domains = [name.removeprefix("num_test_") for name in metrics if name.startswith("num_test_")]
        return ComparedRun(
            **which,
            finished=True,
            dataset=results["dataset"],
            preset=results["preset"],
            measure=measure,
            value=float(metrics[measure.metric]),
            part_values={part: float(metrics[f"{measure.part}{part}"]) for part in parts},
            beside={name: float(metrics[name]) for name in measure.beside if name in metrics},
            domain_nll={name: float(metrics[f"nll_{name}"]) for name in domains},
            domain_stored={name: float(metrics.get(f"stored_{name}", 0)) for name in domains},
            paper_value=_number(results["paper"].get(measure.metric)),
            changes=results.get("changes", {}),
            **{name: _number(results[name]) for name in ("memory_samples", "num_components", "wall_seconds")},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path / 'results.json'} lacks a value to compare ({error})") from None


def _number(value):
    return math.nan if value is None else float(value)


def summarise(rows, order=None):
    """Averages the finished runs of each label.

    Args:
        rows: list of `ComparedRun`.
        order: list of labels in the order wanted; the labels it does not name follow, those of one component
            before dynamic ones, the best mean first.

    Returns:
        summaries: list of `Summary`, none for a label without a finished run.
    """
    finished = {}
    for row in rows:
        if row.finished:
            finished.setdefault(row.label, []).append(row)
    summaries = [_summary(label, runs) for label, runs in finished.items()]
    summaries.sort(key=lambda summary: (is_dynamic(summary), _badness(summary)))
    order = list(order or [])
    # Sorting is stable: labels beyond the given order keep the order of the line above.
    return sorted(summaries, key=lambda summary: [*order, summary.label].index(summary.label))


def _badness(summary):
    return summary.measure.worst_to_best * summary.values.mean()


def _summary(label, runs):
    by_seed = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).append(run.value)
    parts = ("part_values", "beside", "domain_nll", "domain_stored")
    return Summary(
        label=label,
        measure=runs[0].measure,
        values=np.array([np.mean(values) for values in by_seed.values()]),
        **{name: _means([getattr(run, name) for run in runs]) for name in parts},
        paper_value=runs[0].paper_value,
        memory_samples=float(np.mean([run.memory_samples for run in runs])),
        num_components=float(np.mean([run.num_components for run in runs])),
        wall_seconds=float(np.mean([run.wall_seconds for run in runs])),
    )


def _means(rows):
    """Averages dicts of numbers over the keys that all of them have."""
    return {key: float(np.mean([row[key] for row in rows])) for key in _shared_keys(rows)}


def _shared_keys(rows):
    return [key for key in rows[0] if all(key in row for row in rows)]


def comparison_table(rows, order=None):
    """Writes the finished runs as a Markdown table, one line per label.

    Args:
        rows: list of `ComparedRun`.
        order: see `summarise`.

    Returns:
        table: str; what is compared is mean ± standard deviation over n seeds, the other numbers are means. A stream
            of several domains has a column for each.

    Raises:
        UserError: if no run has finished.
    """
    summaries = summarise(rows, order)
    measure = _measure_of(summaries)
    domains = _shared_keys([summary.domain_nll for summary in summaries])
    heads = ["label", "memory (samples)", "components", f"{measure.short} ({measure.unit})", "paper, full scale"]
    beside = [name for name in measure.beside if any(name in summary.beside for summary in summaries)]
    heads += [measure.beside[name] for name in beside]
    heads += [f"{name}: NLL (stored)" for name in domains] + ["seconds", "n"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for summary in summaries:
        cells = [
            summary.label,
            f"{summary.memory_samples:,.0f}",
            format_count(summary.num_components),
            format_mean(summary.values),
            f"{summary.paper_value:.2f}",
            *(format_count(summary.beside.get(name, math.nan)) for name in beside),
            *(f"{summary.domain_nll[name]:.2f} ({summary.domain_stored[name]:,.0f})" for name in domains),
            f"{summary.wall_seconds:,.0f}",
            str(len(summary.values)),
        ]
        lines.append(table_line(cells))
    return "\n".join(lines) + "\n"


def format_count(mean):
    """Writes the mean of counts, with one decimal where it is no whole number."""
    return f"{mean:,.1f}".removesuffix(".0")


def format_mean(values):
    """Writes mean ± standard deviation (n - 1 in the denominator) of an array, the mean alone of a single value."""
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation}"


def table_line(cells):
    """Writes one line of a Markdown table, with a dash for what is not a number."""
    return "| " + " | ".join("–" if cell == "nan" else cell for cell in cells) + " |"


@plots.styled
def plot_comparison(rows, order=None, class_names=None):
    """Draws the mean of each label over its seeds and the paper's, beside its domains or parts that all labels have.

    Args:
        rows: list of `ComparedRun`.
        order: see `summarise`.
        class_names: list of str; classes are numbered by default.

    Returns:
        figure: Matplotlib figure.

    Raises:
        UserError: if no run has finished.
    """
    summaries = summarise(rows, order)
    measure = _measure_of(summaries)
    kind, parts = "domain", [summary.domain_nll for summary in summaries]
    if not _shared_keys(parts):
        kind, parts = measure.part_name, [summary.part_values for summary in summaries]
    columns = _shared_keys(parts)
    width = 7 + (min(3 + 0.5 * len(columns), 10) if columns else 0)
    height = max(2.4 + 0.46 * len(summaries), 3.4)
    figure = plots.new_figure(measure.title, describe_runs(rows), width, height)
    panels = figure.subplots(
        1, 2 if columns else 1, squeeze=False, sharey=True, width_ratios=[6, width - 6] if columns else None
    )[0]
    _draw_points(panels[0], summaries, measure)
    if columns:
        numbered = kind == "class" and class_names is not None
        names = [str(class_names[column] if numbered else column) for column in columns]
        values = np.array([[part[column] for column in columns] for part in parts])
        _draw_map(figure, panels[1], values, kind, names, measure)
    return figure


def _measure_of(summaries):
    if not summaries:
        raise UserError("no run of this comparison has finished")
    return summaries[0].measure


def describe_runs(rows):
    """Says in one line what the finished runs have in common and which seeds they had."""
    finished = [row for row in rows if row.finished]
    presets = ", ".join(sorted({str(row.preset) for row in finished}))
    seeds = ", ".join(str(seed) for seed in sorted({row.seed for row in finished}))
    return f"{finished[0].dataset} · preset {presets} · seed {seeds}"


def _draw_points(axis, summaries, measure):
    """Draws mean and deviation per label, with the seeds under them as faint dots, and the paper's values."""
    for y, summary in enumerate(summaries):
        values, mean = summary.values, summary.values.mean()
        colour = VERMILION if is_dynamic(summary) else BLUE
        axis.plot(values, np.full(len(values), y + 0.25), "o", color=colour, alpha=0.35, markersize=4)
        axis.errorbar(mean, y, xerr=summary.std, color=colour, marker="D", markersize=5, capsize=3)
        axis.annotate(
            f"{mean:.1f}", (mean, y), xytext=(0, 6), textcoords="offset points",
            ha="center", fontsize=9, color=colour,
        )  # fmt: skip
        axis.plot(summary.paper_value, y, "|", color=INK, markersize=14, markeredgewidth=2)
    axis.set_yticks(range(len(summaries)), [summary.label for summary in summaries])
    axis.set_ylim(len(summaries) - 0.5, -0.5)
    axis.grid(axis="y", color="#e6e6e6")
    axis.set_axisbelow(True)
    axis.margins(x=0.08)
    better = "higher" if measure.higher_is_better else "lower"
    axis.set_xlabel(f"{measure.short} ({measure.unit}, {better} is better)")
    kinds = {is_dynamic(summary) for summary in summaries}
    for dynamic, name, colour in ((False, "one component", BLUE), (True, "dynamic", VERMILION)):
        if dynamic in kinds:
            axis.plot([], [], "D", color=colour, label=name)
    axis.plot([], [], "o", color=GREY, alpha=0.4, label="one seed")
    if not all(math.isnan(summary.paper_value) for summary in summaries):
        axis.plot([], [], "|", color=INK, markersize=10, markeredgewidth=2, label="paper, full scale")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, columnspacing=1.2, handletextpad=0.3)


def _draw_map(figure, axis, values, kind, names, measure):
    """Draws each label's values for a class, task or domain, coloured against the best label, as some are harder."""
    from matplotlib.colors import PowerNorm

    badness = measure.worst_to_best * values
    behind_best = badness - badness.min(axis=0)
    # The square root keeps small differences visible beside a setting that fails.
    colours = PowerNorm(0.5, vmin=0, vmax=max(behind_best.max(), 1))
    mesh = axis.imshow(behind_best, aspect="auto", cmap="YlOrBr", norm=colours)
    figure.colorbar(mesh, ax=axis, label=f"{measure.unit.split()[0]} behind the best", pad=0.02)
    ticks = np.arange(0, len(names), -(-len(names) // 20))
    slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(ticks, [names[i] for i in ticks], **slant)
    short = measure.short.removeprefix("average ")
    axis.set_title(f"{short} per {kind}, coloured against the best of its column", loc="left")
    axis.tick_params(left=False, labelleft=False)
    axis.spines[:].set_visible(False)
    if len(names) <= 20:
        for (row, column), value in np.ndenumerate(values):
            dark = colours(behind_best[row, column]) > 0.6
            axis.text(
                column, row, f"{value:.0f}" if values.max() >= 100 else f"{value:.1f}",
                ha="center", va="center", fontsize=9.5, color="white" if dark else INK,
            )  # fmt: skip


def describe_missing(rows):
    """Writes a line that names the runs that have not finished."""
    return "Not finished: " + ", ".join(row.name for row in rows) + ".\n"


def is_dynamic(summary):
    """Tells whether a label is of a model that grows or has grown, which the comparison colours apart."""
    return summary.label.startswith("dynamic") or summary.num_components > 1


def draw_comparison(runs_root, order=None):
    """Writes `comparison.md` and `figures/comparison.png` beside the runs of a comparison.

    Args:
        runs_root: path of the directory that holds the run directories.
        order: see `summarise`.

    Returns:
        paths: list of the two files written.
        missing: list of the `ComparedRun` that have not finished, which the table names but does not count.

    Raises:
        UserError: as `collect`, or if no run has finished.
    """
    runs_root = pathlib.Path(runs_root)
    rows = collect(runs_root)
    missing = [row for row in rows if not row.finished]
    figure = plot_comparison(rows, order, _class_names(runs_root, rows))
    text = comparison_table(rows, order)
    if missing:
        text += "\n" + describe_missing(missing)
    picture, table = runs_root / "figures" / "comparison.png", runs_root / "comparison.md"
    plots.save_figure(figure, picture)
    write_atomically(table, lambda path: path.write_text(text, encoding="utf-8"))
    return [picture, table], missing


def _class_names(runs_root, rows):
    """Finds the class names in the first finished run that stored them."""
    for row in rows:
        path = runs_root / row.name
        if row.finished and (path / "observations.npz").exists():
            return plots.RunFiles(path).observations.get("class_names")
    return None
