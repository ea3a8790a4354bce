"""Compares finished runs of several settings over seeds: a table and a figure."""

import math
import pathlib

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.compared_runs import (
    collect,
    describe_missing,
    describe_runs,
    is_dynamic,
    shared_keys,
    summarise,
)
from ocm_tf.experiments.plots import BLUE, GREY, INK, VERMILION
from ocm_tf.experiments.tables import format_count, format_mean, table_line
from ocm_tf.files import write_atomically


def comparison_table(rows, order=None):
    """Writes the finished runs as a Markdown table, one line per label.

    Args:
        rows: list of `ComparedRun`.
        order: see `summarise`.

    Returns:
        table: str; what is compared is mean ± standard deviation over n seeds, and so are the measures of images; the
            other numbers are means. A stream of several domains has a column for each.

    Raises:
        UserError: if no run has finished.
    """
    summaries = summarise(rows, order)
    measure = _measure_of(summaries)
    domains = shared_keys([summary.domain_nll for summary in summaries])
    # Samples need not take equal room, so that their number is not the budget.
    in_bytes = any(not math.isnan(summary.memory_bytes) for summary in summaries)
    heads = ["label", "memory (samples)", *(["memory (kB)"] if in_bytes else [])]
    heads += ["components", f"{measure.short} ({measure.unit})", "paper, full scale"]
    beside = [name for name in measure.beside if any(name in summary.beside for summary in summaries)]
    heads += [measure.beside[name].heading for name in beside]
    heads += [f"{name}: NLL (stored)" for name in domains] + ["seconds", "n"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for summary in summaries:
        cells = [
            summary.label,
            f"{summary.memory_samples:,.0f}",
            *([f"{summary.memory_bytes / 1000:,.0f}"] if in_bytes else []),
            format_count(summary.num_components),
            format_mean(summary.values),
            f"{summary.paper_value:.2f}",
            *(_format_beside(measure.beside[name], summary.beside.get(name)) for name in beside),
            *(f"{summary.domain_nll[name]:.2f} ({summary.domain_stored[name]:,.0f})" for name in domains),
            f"{summary.wall_seconds:,.0f}",
            str(len(summary.values)),
        ]
        lines.append(table_line(cells))
    return "\n".join(lines) + "\n"


def _format_beside(column, values):
    if values is None:
        return "nan"
    return format_mean(values) if column.with_deviation else format_count(values.mean())


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
    if not shared_keys(parts):
        kind, parts = measure.part_name, [summary.part_values for summary in summaries]
    columns = shared_keys(parts)
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
    # No wider than the panel, which would shrink by what stands out.
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, columnspacing=1, handlelength=1, handletextpad=0.3)


def _draw_map(figure, axis, values, kind, names, measure):
    """Draws each label's values for a class, task or domain, coloured against the best label, as some are harder."""
    from matplotlib.colors import PowerNorm

    badness = measure.worst_to_best * values
    behind_best = badness - badness.min(axis=0)
    # The square root keeps small differences visible beside a setting that fails.
    colours = PowerNorm(0.5, vmin=0, vmax=max(behind_best.max(), 1))
    mesh = axis.imshow(behind_best, aspect="auto", cmap="YlOrBr", norm=colours)
    unit = "points" if measure.unit == "%" else measure.unit.split()[0]
    figure.colorbar(mesh, ax=axis, label=f"{unit} behind the best of the column", pad=0.02)
    ticks = np.arange(0, len(names), -(-len(names) // 20))
    slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(ticks, [names[i] for i in ticks], **slant)
    short = measure.short.removeprefix("average ")
    axis.set_title(f"{short} per {kind}", loc="left")
    axis.tick_params(left=False, labelleft=False)
    axis.spines[:].set_visible(False)
    if len(names) <= 20:
        for (row, column), value in np.ndenumerate(values):
            dark = colours(behind_best[row, column]) > 0.6
            axis.text(
                column, row, f"{value:.0f}" if values.max() >= 100 else f"{value:.1f}",
                ha="center", va="center", fontsize=9.5, color="white" if dark else INK,
            )  # fmt: skip


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
