"""Compares finished runs of continual classifiers over seeds: a table and figures, from their run directories alone."""

import dataclasses
import pathlib

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.compared_runs import RUN_NAME
from ocm_tf.experiments.glr_studies import STUDIES
from ocm_tf.experiments.plots import GREY
from ocm_tf.experiments.run_records import read_results
from ocm_tf.experiments.tables import format_mean, table_line
from ocm_tf.files import write_atomically

_PAPER = "paper: AlexNet with ImageNet weights, 60,000 images"
_MARKERS = "osD^vPX*<>hp"


@dataclasses.dataclass(frozen=True)
class Group:
    """The finished runs of one label.

    Attributes:
        label: name of the setting.
        runs: list of `RunFiles`, one a seed.
    """

    label: str
    runs: list

    def values(self, metric):
        """Returns a metric of all runs as a float array, nan where a run did not measure it."""
        return np.array([run.results["metrics"].get(metric, np.nan) for run in self.runs], float)

    def paper(self, metric):
        """Returns the published value, nan if there is none."""
        value = self.runs[0].results["paper"].get(metric)
        return np.nan if value is None else float(value)

    @property
    def accuracies_over_time(self):
        """Mean over seeds and learned experiences of the accuracy in percent, one value after each experience."""
        rows = [_so_far(run.observations["accuracy_matrix"]) for run in self.runs]
        return 100 * np.mean(rows, axis=0)


def _so_far(matrix):
    if matrix.shape[1] == 1:
        return matrix[:, 0]
    return np.array([row[: index + 1].mean() for index, row in enumerate(matrix)])


def collect(root, order=()):
    """Reads the finished runs below a directory, whose names are `<label>-seed<k>`.

    Args:
        root: path of the directory.
        order: labels in the order wanted; others follow by name.

    Returns:
        groups: list of `Group`.
        missing: names of the runs that have not finished.

    Raises:
        UserError: if no run has finished, or they are of different data sets or presets.
    """
    finished, missing = {}, []
    for path in sorted(pathlib.Path(root).glob("*-seed*")):
        name = RUN_NAME.fullmatch(path.name)
        if not name or not path.is_dir():
            continue
        run = plots.RunFiles(path)
        if (path / "results.json").exists() and run.results.get("finished"):
            finished.setdefault(name["label"], []).append(run)
        else:
            missing.append(path.name)
    if not finished:
        raise UserError(f"no run in {root} has finished")
    runs = [run for each in finished.values() for run in each]
    kinds = {(run.results["experiment"], run.results["dataset"], run.results["preset"]) for run in runs}
    if len(kinds) > 1:
        raise UserError(f"the runs in {root} cannot be compared: {' and '.join(sorted(map(str, kinds)))}")
    labels = [label for label in order if label in finished] + sorted(set(finished) - set(order))
    return [Group(label, finished[label]) for label in labels], missing


def comparison_table(groups):
    """Writes the groups as a Markdown table, one line for each: mean ± standard deviation over n seeds."""
    heads = ["label", "average accuracy (%)", "forgetting (points)", "loss (nats)", "state (bytes)",
             "transient (bytes)", "samples kept", "accuracy in the paper (a)", "seconds", "n"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for group in groups:
        kept = np.mean([run.results["memory_samples"] for run in group.runs])
        cells = [
            group.label,
            format_mean(group.values("average_accuracy")),
            format_mean(group.values("forgetting")),
            format_mean(group.values("average_loss")),
            f"{group.values('state_bytes').mean():,.0f}",
            f"{group.values('transient_bytes').mean():,.0f}",
            f"{kept:,.0f}",
            f"{group.paper('average_accuracy'):.2f}",
            f"{np.mean([run.results['wall_seconds'] for run in group.runs]):,.0f}",
            str(len(group.runs)),
        ]
        lines.append(table_line(cells))
    return "\n".join(lines) + f"\n\n(a) {_PAPER.removeprefix('paper: ')}: for orientation, not for comparison.\n"


def closed_gap(groups, label):
    """Computes which part of the gap from the authors' form of GLR to latent replay another form closes.

    closed = (label - released) / (latent_replay - released), of mean accuracies

    Args:
        groups: list of `Group`.
        label: label of the other form.

    Returns:
        float, or None without these three.
    """
    means = {group.label: group.values("average_accuracy").mean() for group in groups}
    if not {label, "glr-released", "latent-replay"} <= means.keys():
        return None
    return float((means[label] - means["glr-released"]) / (means["latent-replay"] - means["glr-released"]))


@plots.styled
def plot_over_time(groups):
    """Draws the mean accuracy on the experiences learned so far, after each; None if a run has no observations left."""
    if not all((run.path / "observations.npz").exists() for group in groups for run in group.runs):
        return None
    figure = plots.new_figure("Accuracy on all experiences learned so far", describe(groups), 9, 5)
    axis = figure.subplots()
    for (colour, marker), group in zip(_looks(groups), groups, strict=True):
        values = group.accuracies_over_time
        axis.plot(np.arange(1, len(values) + 1), values, marker=marker, color=colour, label=group.label)
    axis.set_xlabel("experiences learned")
    axis.set_ylabel("mean accuracy (%)")
    axis.xaxis.set_major_locator(plots.whole_ticks())
    axis.grid(axis="y", color="#e6e6e6")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@plots.styled
def plot_by_bytes(groups):
    """Draws the final accuracy against the bytes kept, with the line of those that nothing smaller surpasses."""
    figure = plots.new_figure("What the bytes kept are worth", describe(groups), 9, 5)
    axis = figure.subplots()
    points = []
    for (colour, marker), group in zip(_looks(groups), groups, strict=True):
        accuracies, kept = group.values("average_accuracy"), group.values("state_bytes").mean()
        deviation = accuracies.std(ddof=1) if len(accuracies) > 1 else None
        axis.errorbar(kept, accuracies.mean(), deviation, color=colour, marker=marker, linestyle="", capsize=3,
                      markersize=8, label=group.label)  # fmt: skip
        points.append((kept, accuracies.mean()))
    front = pareto_front(points)
    axis.plot(*zip(*front, strict=True), drawstyle="steps-post", color=GREY, linewidth=1, zorder=1)
    # A method that keeps nothing has a place too.
    axis.set_xscale("symlog", linthresh=1e4)
    axis.set_xlim(left=-1e3)
    axis.set_xlabel("state kept between experiences (bytes, logarithmic above 10,000)")
    axis.set_ylabel("average accuracy (%)")
    axis.grid(color="#e6e6e6")
    axis.set_axisbelow(True)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def pareto_front(points):
    """Returns the points (size, value) that no other of at most their size surpasses, by size.

    Args:
        points: list of pairs of numbers.
    """
    front = []
    for size, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((size, value))
    return front


@plots.styled
def plot_by_number(groups):
    """Draws the final accuracy against the number that labels end in, such as a buffer's size; one line a method."""
    methods = {}
    for group in groups:
        method, _, number = group.label.rpartition("-")
        if method and number.isdigit():
            methods.setdefault(method, []).append((int(number), group))
    methods = {method: sorted(points, key=lambda point: point[0]) for method, points in methods.items()}
    if not methods or min(map(len, methods.values())) < 3:
        return None
    figure = plots.new_figure("Accuracy by the number of replayed samples", describe(groups), 8, 4.8)
    axis = figure.subplots()
    for colour, (method, points) in zip(plots.sequence(len(methods), "tab10"), methods.items(), strict=True):
        numbers = [number for number, _ in points]
        values = [group.values("average_accuracy") for _, group in points]
        deviations = [value.std(ddof=1) if len(value) > 1 else 0 for value in values]
        axis.errorbar(numbers, [value.mean() for value in values], deviations, color=colour, marker="o", capsize=3,
                      label=method)  # fmt: skip
        published = [group.paper("average_accuracy") for _, group in points]
        if not np.isnan(published).all():
            axis.plot(numbers, published, "s--", color=colour, markerfacecolor="white", label=f"{method}, {_PAPER}")
    axis.set_xscale("log")
    axis.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axis.minorticks_off()
    axis.set_xlabel("replayed samples")
    axis.set_ylabel("average accuracy (%)")
    axis.grid(axis="y", color="#e6e6e6")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


def describe(groups):
    """Says in one line what the runs have in common and which seeds they had."""
    runs = [run for group in groups for run in group.runs]
    first = runs[0].results
    seeds = sorted({run.results["seed"] for run in runs})
    return f"{first['experiment']} · {first['dataset']} · preset {first['preset']} · seed {', '.join(map(str, seeds))}"


def _looks(groups):
    """Returns a colour and a marker for each group, both distinct as far as there are enough."""
    colours = plots.sequence(len(groups), "tab20" if len(groups) > 10 else "tab10")
    return [(colour, _MARKERS[index % len(_MARKERS)]) for index, colour in enumerate(colours)]


_FIGURES = {"over_time": plot_over_time, "by_bytes": plot_by_bytes, "by_number": plot_by_number}


def draw_comparison(root, order=()):
    """Writes `comparison.md` and the figures of a directory of runs beside them.

    Args:
        root: path of the directory that holds the run directories.
        order: see `collect`.

    Returns:
        paths: list of the files written.
        missing: names of the runs that have not finished, which the table names but does not count.

    Raises:
        UserError: as `collect`.
    """
    root = pathlib.Path(root)
    groups, missing = collect(root, order)
    text = comparison_table(groups)
    for label in ("glr", "glr-per-batch", "glr-best"):
        gap = closed_gap(groups, label)
        if gap is not None:
            text += f"\n{label} closes {100 * gap:.0f} % of the gap from glr-released to latent-replay.\n"
    if missing:
        text += f"\nNot finished: {', '.join(missing)}.\n"
    table = root / "comparison.md"
    write_atomically(table, lambda path: path.write_text(text, encoding="utf-8"))
    paths = [table]
    for name, plot in _FIGURES.items():
        figure = plot(groups)
        if figure is not None:
            paths.append(root / "figures" / f"{name}.png")
            plots.save_figure(figure, paths[-1])
    return paths, missing


def holds_continual_runs(root):
    """Tells whether a directory holds runs of continual classifiers side by side."""
    results = sorted(pathlib.Path(root).glob("*-seed*/results.json"))
    return bool(results) and str(read_results(results[0]).get("experiment")).startswith("glr_")


def studies_in(root):
    """Returns the directories below one that hold the runs of a study."""
    return [pathlib.Path(root) / name for name in STUDIES if holds_continual_runs(pathlib.Path(root) / name)]
