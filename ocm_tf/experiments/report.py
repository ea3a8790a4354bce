"""The results of many runs as one text, each number beside the paper's, from the files of the runs alone."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments.compared_runs import RUN_NAME
from ocm_tf.experiments.published import published_tables
from ocm_tf.experiments.run_records import read_config, read_results
from ocm_tf.experiments.settings import format_value

# What is reported of a run beyond the metrics for which its paper has values, by the beginning of the script's name.
REPORTED = {
    "ocm_split_cifar10": ("nll", "classifier_frechet_distance_samples"),
    "ocm": ("nll", "average_accuracy"),
    "glr": ("average_accuracy", "forgetting", "state_bytes"),
    "demc": ("sse", "old_sse", "classifier_frechet_distance", "reconstruction_classifier_frechet_distance",
             "class_coverage"),
    "tfdsvit": ("average_accuracy", "forgetting", "routing_accuracy", "num_experts", "num_components"),
    "mnemonics": ("average_accuracy_fc", "last_accuracy_fc", "forgetting_fc", "average_accuracy_nme",
                  "last_accuracy_nme", "forgetting_nme"),
}  # fmt: skip

_UNITS = {
    "nll": "NLL (nats per image)",
    "average_accuracy": "average accuracy (%)",
    "classifier_frechet_distance_samples": "classifier Fréchet distance of samples",
    "forgetting": "forgetting (points)",
    "average_loss": "loss (nats)",
    "state_bytes": "state (bytes)",
    "memory_samples": "samples kept",
    "num_components": "components",
    "routing_accuracy": "images routed to a component that learned their class (%)",
    "num_experts": "experts",
    "sse": "SSE",
    "old_sse": "SSE, old tasks",
    "classifier_frechet_distance": "classifier Fréchet distance of samples",
    "reconstruction_classifier_frechet_distance": "of reconstructions",
    "class_coverage": "classes sampled",
    "average_accuracy_fc": "head: average accuracy (%)",
    "last_accuracy_fc": "head: last phase (%)",
    "forgetting_fc": "head: forgetting (points)",
    "average_accuracy_nme": "NME: average accuracy (%)",
    "last_accuracy_nme": "NME: last phase (%)",
    "forgetting_nme": "NME: forgetting (points)",
}
# The NLL is the log-likelihood with its sign changed.
_LEFT_OUT = {"log_likelihood"}


@dataclasses.dataclass(frozen=True)
class ReportedRun:
    """One finished run.

    Attributes:
        folder: path of the directory that holds the run and those it is compared with.
        label: what the run is called there, without its seed.
        results: content of `results.json`.
        config: content of `config.json`, empty if there is none.
    """

    folder: Path
    label: str
    results: dict
    config: dict

    def value(self, metric):
        """Returns a number of the run by its name, or None."""
        value = self.results["metrics"].get(metric)
        return self.results.get(metric) if value is None else value


def collect(root):
    """Reads all finished runs below a directory.

    Args:
        root: path of the directory.

    Returns:
        list of `ReportedRun`, sorted by path.

    Raises:
        UserError: if there is none, or a file is damaged.
    """
    paths = sorted(Path(root).rglob("results.json"))
    runs = [run for run in map(_read, paths) if run is not None]
    if not runs:
        raise UserError(f"{root} holds no finished run")
    return runs


_REQUIRED = ("experiment", "preset", "seed", "metrics", "paper", "wall_seconds", "finished")


def _read(path):
    results = read_results(path, _REQUIRED)
    if not results["finished"]:
        return None
    config_path = path.with_name("config.json")
    config = read_config(config_path, required=("data_source", "command")) if config_path.exists() else {}
    match = RUN_NAME.fullmatch(path.parent.name)
    return ReportedRun(path.parent.parent, match["label"] if match else path.parent.name, results, config)


def report(root):
    """Writes the report on all runs below a directory.

    Args:
        root: path of the directory.

    Returns:
        Markdown text: for each script and each directory of runs a table, one row for each label, those of the paper's
        table first, mean and standard deviation over seeds; the paper's values beside them, "not found" where the
        paper's value is unknown and a dash where it has no such row; and the rows of the paper's tables that were not
        run.

    Raises:
        UserError: as `collect`.
    """
    root, runs = Path(root), collect(root)
    tables, lines = published_tables(), ["# Results", "", _PREFACE]
    scripts = {run.results["experiment"]: [] for run in runs}
    for run in runs:
        scripts[run.results["experiment"]].append(run)
    known = list(dict.fromkeys(table.script for table in tables))
    papers = {_family(table.script): table.paper for table in tables}
    others = dict.fromkeys(map(_family, sorted(scripts)))
    order = [*papers, *others]
    paper = None
    # Scripts of which no table was published follow those of their paper.
    for script in sorted([*known, *sorted(set(scripts) - set(known))], key=lambda name: order.index(_family(name))):
        of_script = [table for table in tables if table.script == script]
        if papers.get(_family(script)) != paper:
            paper = papers.get(_family(script))
            lines += ["", f"## {paper or 'Others'}"]
        lines += ["", f"### {script}"]
        for folder in dict.fromkeys(run.folder for run in scripts.get(script, ())):
            together = [run for run in scripts[script] if run.folder == folder]
            lines += ["", *_section(folder.relative_to(root), together, of_script)]
        lines += _not_run(of_script, scripts.get(script, []))
    return "\n".join(lines) + "\n"


def _family(script):
    return script.partition("_")[0]


_PREFACE = (
    "Written by `python scripts/report.py results` from the files of the runs. Mean ± standard deviation (n - 1) over "
    "seeds. The papers' values are of their own, mostly far larger scale: the preset says which is ours."
)


def _section(name, runs, tables):
    """Returns the lines on the runs of one directory."""
    datasets = sorted({str(run.results.get("dataset")) for run in runs})
    published = next((table for table in tables if [table.dataset] == datasets), None)
    metrics = _metrics(runs, published)
    heads = ["method"]
    for metric in metrics:
        heads += [_UNITS.get(metric, metric.replace("_", " "))]
        heads += ["paper"] if _has_paper(metric, runs, published) else []
    heads += ["seconds", "n"]
    lines = [f"#### {name}", ""]
    if published is not None:
        lines[2:] = [f"The paper's {published.title}.", ""]
    lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    by_label = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    papers = list(published.rows) if published else []
    for label in sorted(by_label, key=lambda label: papers.index(label) if label in papers else len(papers)):
        cells, same = [label], by_label[label]
        for metric in metrics:
            cells.append(_mean(_by_seed(same, metric)))
            if _has_paper(metric, runs, published):
                cells.append(_paper_value(metric, label, same[0], published))
        cells += [f"{np.mean([run.results['wall_seconds'] for run in same]):,.0f}", str(len(_seeds(same)))]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *_origin(runs, datasets, by_label)]


def _metrics(runs, published):
    """Names what is reported of runs: the paper's metrics that were measured, and the script's own."""
    script = runs[0].results["experiment"]
    own = next((names for prefix, names in REPORTED.items() if script.startswith(prefix)), ())
    papers = [name for row in (published.rows.values() if published else ()) for name in row]
    papers += [name for run in runs for name, value in run.results["paper"].items() if value is not None]
    names = dict.fromkeys([*own, *papers, "memory_samples", "num_components"])
    chosen = [name for name in names if name not in _LEFT_OUT and any(run.value(name) is not None for run in runs)]
    if any(name in runs[0].results["metrics"] for name in chosen):
        return chosen
    # A script of which nothing is known: what it measured first.
    return [*list(runs[0].results["metrics"])[:3], *chosen]


def _has_paper(metric, runs, published):
    in_table = published is not None and any(metric in row for row in published.rows.values())
    return in_table or any(run.results["paper"].get(metric) is not None for run in runs)


def _paper_value(metric, label, run, published):
    # The row comes first: a run of a study notes the value of its method, the row that of the setting varied.
    row = (published.rows if published else {}).get(label, {})
    if metric in row:
        return "not found" if row[metric] is None else _number(row[metric])
    value = run.results["paper"].get(metric)
    return "–" if value is None else _number(value)


def _not_run(tables, runs):
    """Returns a table for each of the paper's tables with rows of which there is no run, with the paper's values."""
    lines = []
    for table in tables:
        made = [run for run in runs if run.results.get("dataset") == table.dataset]
        missing = {label: row for label, row in table.rows.items() if not any(_is_of(run, label, row) for run in made)}
        if not missing:
            continue
        metrics = [
            name for name in dict.fromkeys(name for row in missing.values() for name in row) if name not in _LEFT_OUT
        ]
        heads = ["method", *(f"paper: {_UNITS.get(name, name.replace('_', ' '))}" for name in metrics), "here"]
        lines += ["", f"{table.title}, rows not run here:", "", f"| {' | '.join(heads)} |"]
        lines += ["|---|" + "---:|" * len(metrics) + "---|"]
        for label, row in missing.items():
            cells = [
                "–" if name not in row else "not found" if row[name] is None else _number(row[name]) for name in metrics
            ]
            lines.append(f"| {' | '.join([label, *cells])} | not run |")
    return lines


def _is_of(run, label, row):
    """Whether a run makes a row of the paper's tables: by its label, or by the values that it notes from there."""
    noted = run.results["paper"]
    known = {name: value for name, value in row.items() if value is not None}
    return run.label == label or (bool(known) and all(noted.get(name) == value for name, value in known.items()))


def _origin(runs, datasets, by_label):
    """Returns the lines that say where the numbers of one directory come from."""
    presets = sorted({str(run.results["preset"]) for run in runs})
    seeds = ", ".join(map(str, _seeds(runs)))
    lines = [
        f"Preset {', '.join(presets)}; seeds {seeds}; data {', '.join(datasets)}{_sources(runs)}.{_versions(runs)}"
    ]
    commands = [_command(same[0]) for same in by_label.values() if same[0].config]
    if commands:
        lines += ["", "<details><summary>commands, of single runs one seed of each</summary>", "", "```bash"]
        lines += [*dict.fromkeys(commands), "```", "", "</details>"]
    return lines


def _seeds(runs):
    return sorted({run.results["seed"] for run in runs})


def _sources(runs):
    sources = sorted({run.config["data_source"] for run in runs if run.config})
    return f" ({'; '.join(sources)})" if sources else ""


def _versions(runs):
    commits = sorted({(run.config.get("git") or {}).get("commit", "")[:10] for run in runs if run.config} - {""})
    return f" Commits {', '.join(commits)}." if commits else ""


def _command(run):
    """Returns the command that makes a run alone, or the study it is of, without what says only where it goes."""
    if run.results["experiment"].endswith("_ablations"):
        # These scripts make whole studies; what a study varies cannot be set.
        return _without_places(shlex.split(run.config["command"]))
    settings = [f"{name}={_setting(value)}" for name, value in run.results.get("changes", {}).items()]
    command = ["python", f"scripts/{run.results['experiment']}.py", "--preset", str(run.results["preset"])]
    command += ["--seed", str(run.results["seed"])]
    return shlex.join([*command, *(["--set", *settings] if settings else [])])


def _without_places(command):
    kept, words = [], iter(command)
    for word in words:
        if word == "--output":
            next(words)
        elif word not in ("--quiet", "--resume", "--overwrite"):
            kept.append(word)
    return shlex.join(kept)


def _setting(value):
    # A tuple comes back from JSON as a list.
    return format_value(tuple(value) if isinstance(value, list) else value)


def _by_seed(runs, metric):
    """Returns one value for each seed: what else the runs of a label differ in, the dominant task, is averaged over."""
    values = {seed: [run.value(metric) for run in runs if run.results["seed"] == seed] for seed in _seeds(runs)}
    return [np.mean(of_seed) for of_seed in values.values() if None not in of_seed]


def _mean(values):
    values = np.array(values, float)
    if not len(values):
        return "–"
    # Counts are often the same for all seeds, where a deviation would say nothing.
    deviation = f" ± {_number(values.std(ddof=1), values.mean())}" if np.ptp(values) else ""
    return f"{_number(values.mean())}{deviation}"


def _number(value, like=None):
    """Writes a number with as many decimals as its size, or that of `like`, calls for."""
    size = abs(value if like is None else like)
    if size >= 1000 or (float(value).is_integer() and like is None):
        return f"{value:,.0f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.4f}"
