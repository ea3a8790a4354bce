"""What finished runs of several settings over seeds have measured, read from their `results.json` and averaged."""

import dataclasses
import math
import pathlib
import re
from typing import NamedTuple

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import plots
from ocm_tf.experiments.run_records import read_results

# Runs that differ in the dominant task alone have one label; each seed counts once, by the mean over its tasks.
RUN_NAME = re.compile(r"(?P<label>.+?)(-dominant(?P<dominant>\d+))?-seed(?P<seed>\d+)")


class Beside(NamedTuple):
    """What a table shows beside the measure compared: the head of its column, and whether with its deviation."""

    heading: str
    with_deviation: bool = False


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
        beside: `{metric: Beside}`, what a table shows beside it, of what runs have measured.
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
            "forgetting": Beside("forgetting (%)"),
            "routing_accuracy": Beside("routing (%)"),
            "task_assisted_accuracy": Beside("task-assisted (%)"),
            "num_experts": Beside("experts"),
            "parameters": Beside("parameters"),
            "updates_to_target": Beside("updates to target"),
        },
    ),
    Measure(
        "nll",
        "nll_class_",
        "class",
        "NLL",
        "nats per image",
        "Negative log-likelihood after the stream",
        beside={
            "psnr": Beside("PSNR (dB)", with_deviation=True),
            "inception_score": Beside("inception score", with_deviation=True),
            "fid": Beside("FID", with_deviation=True),
            "classifier_frechet_distance": Beside("Frechet, samples", with_deviation=True),
            "reconstruction_classifier_frechet_distance": Beside("Frechet, reconstructions", with_deviation=True),
        },
    ),
)
"""What runs may be compared by; of those that a run has measured, the first is taken."""

_COUNTS = ("memory_samples", "memory_bytes", "num_components", "wall_seconds")


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
    memory_bytes: float = math.nan
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
    """The mean of the finished runs of one label over their seeds; `values` and `beside` hold one value a seed."""

    label: str
    measure: Measure
    values: np.ndarray
    part_values: dict
    beside: dict
    domain_nll: dict
    domain_stored: dict
    paper_value: float
    memory_samples: float
    memory_bytes: float
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
            memory_bytes=_number(results.get("memory_bytes")),
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
        by_seed.setdefault(run.seed, []).append(run)
    beside = shared_keys([run.beside for run in runs])
    parts = ("part_values", "domain_nll", "domain_stored")
    return Summary(
        label=label,
        measure=runs[0].measure,
        values=np.array([np.mean([run.value for run in of_seed]) for of_seed in by_seed.values()]),
        beside={
            name: np.array([np.mean([run.beside[name] for run in of_seed]) for of_seed in by_seed.values()])
            for name in beside
        },
        **{name: _means([getattr(run, name) for run in runs]) for name in parts},
        paper_value=runs[0].paper_value,
        **{name: float(np.mean([getattr(run, name) for run in runs])) for name in _COUNTS},
    )


def _means(rows):
    """Averages dicts of numbers over the keys that all of them have."""
    return {key: float(np.mean([row[key] for row in rows])) for key in shared_keys(rows)}


def shared_keys(rows):
    """Returns the keys that all of some dicts have, in the order of the first."""
    return [key for key in rows[0] if all(key in row for row in rows)]


def describe_runs(rows):
    """Says in one line what the finished runs have in common and which seeds they had."""
    finished = [row for row in rows if row.finished]
    presets = ", ".join(sorted({str(row.preset) for row in finished}))
    seeds = ", ".join(str(seed) for seed in sorted({row.seed for row in finished}))
    return f"{finished[0].dataset} · preset {presets} · seed {seeds}"


def describe_missing(rows):
    """Writes a line that names the runs that have not finished."""
    return "Not finished: " + ", ".join(row.name for row in rows) + ".\n"


def is_dynamic(summary):
    """Tells whether a label is of a model that grows or has grown, which the comparison colours apart."""
    return summary.label.startswith("dynamic") or summary.num_components > 1
