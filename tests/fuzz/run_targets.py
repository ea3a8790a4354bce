"""What runs leave and texts of the command line, which the library reads again, as targets of damage."""

import csv
import dataclasses
import io
import json
import math
import zipfile

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm_config, plots, report, sweep
from ocm_tf.experiments.metrics_table import COLUMNS, MetricsTable, read_metrics
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.settings import apply_settings, parse_arguments
from ocm_tf.files import load_arrays as load_named_arrays
from ocm_tf.files import save_arrays as save_named_arrays
from tests.fuzz.judging import Target, is_same
from tests.fuzz.mutations import altered, altered_json, altered_rows, damaged, in_place

# Runs -----------------------------------------------------------------------------------------------------------------


def arguments_of(folder, *argv):
    argv = ["--output", str(folder / "run-seed0"), "--preset", "tiny", *argv]
    return parse_arguments(
        argv, script="ocm_split_mnist", description="", presets=ocm_config.PRESETS, costs=ocm_config.COSTS
    )


def write_run(folder, finished=True):
    with RunDirectory(folder / "run-seed0").open(arguments_of(folder), data_source="scikit-learn") as run:
        for step in range(4):
            run.metrics.append(step, "train", None, {"loss": step / 3, "memory": 10 * step})
        run.metrics.append(4, "test", 1, {"nll": 1.25})
        if finished:
            run.write_results({"nll": 1.5, "nll_class_0": 1.25}, {"nll": 1.0, "mse": None}, 100, 6400, 3)


def _as_is(path):
    return json.loads(path.read_text(encoding="utf-8"))


def resumed_config_target():
    """Resumes an unfinished run, which takes up `config.json`."""

    def read(folder):
        arguments = arguments_of(folder, "--resume")
        with RunDirectory(arguments.output).open(arguments, data_source="scikit-learn") as run:
            return [run.resumed, _as_is(run.config_path)["settings"]]

    return Target(
        kind="config.json, of a run resumed",
        write=lambda folder: write_run(folder, finished=False),
        mutate=in_place(altered_json, "config.json"),
        read=read,
        is_right=is_same,
        cost=8,
    )


def finished_target(kind, read, *files):
    """Reads the files of a finished run; the reading of one is right if what it holds is of the documented kinds."""
    sound = {"results.json": _results_are_sound, "config.json": _config_is_sound}

    def is_right(folder, whole, reading):
        return all(sound[name](_as_is(folder / "run-seed0" / name)) for name in files)

    return Target(f"{' and '.join(files)}, {kind}", write_run, in_place(altered_json, *files), read, is_right)


def _config_is_sound(config):
    return (
        all(isinstance(config[name], str) for name in ("script", "preset", "data_source", "command") if name in config)
        and type(config.get("seed", 0)) is int
        and isinstance(config.get("changes", {}), dict)
    )


def _results_are_sound(results):
    numbers = [*results.get("metrics", {}).values(), *results.get("paper", {}).values()]
    numbers += [results.get(name) for name in ("memory_samples", "memory_bytes", "num_components", "wall_seconds")]
    texts = [results.get(name, "") for name in ("experiment", "preset")]
    return (
        all(isinstance(number, int | float | None) and not isinstance(number, bool) for number in numbers)
        and all(number is None or math.isfinite(number) for number in numbers)
        and None not in results.get("metrics", {}).values()
        and all(isinstance(text, str) for text in texts)
        and type(results.get("seed", 0)) is int
    )


def _is_finished(folder):
    # What is not known to have finished is not taken for finished, and so never taken for a result.
    arguments = arguments_of(folder)
    if not RunDirectory(arguments.output).is_finished(arguments):
        raise UserError(f"{folder} has not finished")
    run = sweep.SweepRun("run", (), folder / "run-seed0")
    return _raised(sweep.is_finished, run)


def _raised(function, *args):
    """Returns nothing of a function of which only the errors are of interest."""
    try:
        function(*args)
    except UserError as error:
        # A run made by hand has no command of the sweep's.
        if "other arguments" not in str(error):
            raise


def _figures(folder):
    run = plots.RunFiles(folder / "run-seed0")
    return run.subtitle, run.results


def _comparison(folder):
    from ocm_tf.experiments import (
        compared_runs,
        comparison_plots,
        generation_comparison,
        glr_comparison,
        mnemonics_comparison,
    )

    for kind in (generation_comparison, glr_comparison, mnemonics_comparison):
        holds = {"generation_comparison": "holds_generation_runs", "glr_comparison": "holds_continual_runs"}
        getattr(kind, holds.get(kind.__name__.rpartition(".")[2], "is_incremental_comparison"))(folder)
    rows = compared_runs.collect(folder)
    if not all(row.finished for row in rows):
        raise UserError(f"{folder} has not finished")
    return comparison_plots.comparison_table(rows)


def metrics_target():
    path = "run-seed0/metrics.csv"

    def is_right(folder, whole, reading):
        """Compares with the rows as the bytes have them."""
        header, *rows = csv.reader(io.StringIO((folder / path).read_bytes().decode(), newline=""))
        columns = [reading[name].tolist() for name in COLUMNS]
        found = [[int(row[0]), row[1], int(row[2] or -1), row[3], float(row[4])] for row in rows]
        read = [list(row) for row in zip(*columns, strict=True)]
        whole_file = (folder / path).read_bytes().endswith(b"\n")
        return whole_file and tuple(header) == COLUMNS and repr(found) == repr(read)

    return Target(
        kind="metrics.csv",
        write=write_run,
        mutate=in_place(altered_rows, "metrics.csv"),
        read=lambda folder: read_metrics(folder / path),
        is_right=is_right,
    )


def rewound_target():
    """Resumes `metrics.csv` at its third row; what lies behind is dropped, what lies before is kept as it is."""
    path = "run-seed0/metrics.csv"

    def read(folder):
        table = MetricsTable(folder / path)
        table.rewind(3)
        table.close()
        return (folder / path).read_bytes().count(b"\n")

    return Target("metrics.csv, of a run resumed", write_run, in_place(altered_rows, "metrics.csv"), read, is_same)


def observations_target():
    arrays = {"steps": np.arange(5), "images": np.zeros((2, 4, 4, 1), np.uint8), "class_names": np.array(["a", "b"])}

    def mutate(folder, rng):
        path = folder / "observations.npz"
        if rng.random() < 0.5:
            return in_place(damaged, path.name)(folder, rng)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = str(rng.choice(sorted(members)))
        members[name] = damaged(members[name][:128], rng) + members[name][128:]
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return path.name

    def is_right(folder, whole, reading):
        """Compares with what NumPy makes of the file as it is, a checksum being no guard of an altered archive."""
        with np.load(folder / "observations.npz", allow_pickle=False) as held:
            return is_same(folder, {name: held[name] for name in held.files}, reading)

    return Target(
        kind="observations.npz",
        write=lambda folder: save_named_arrays(folder / "observations.npz", arrays),
        mutate=mutate,
        read=lambda folder: load_named_arrays(folder / "observations.npz"),
        is_right=is_right,
    )


# Texts of the command line --------------------------------------------------------------------------------------------


def settings_target():
    """Reads `--set` of the settings of OCM."""
    preset = ocm_config.PRESETS["tiny"]
    texts = (
        "",
        "0",
        "-1",
        "1e9",
        "nan",
        "inf",
        "none",
        "true",
        "1,2",
        ",",
        "x",
        "1" * 5000,
        "0x10",
        "1_0",
        "\u0661",
        " 1",
    )

    def mutate(folder, rng):
        names = [field.name for field in dataclasses.fields(preset)] + ["", "nonesuch", "__class__"]
        pairs = [f"{rng.choice(names)}{rng.choice(['=', '==', ''])}{rng.choice(texts)}" for _ in range(2)]
        (folder / "pairs").write_text("\n".join(pairs))
        return "pairs"

    def is_right(folder, whole, reading):
        """Says that the settings are of the types they are declared with, and survive JSON."""
        types = {name: type(value) for name, value in vars(preset).items() if value is not None}
        alike = all(
            value is None or isinstance(value, types.get(name, object)) or (types[name] is float and type(value) is int)
            for name, value in vars(reading).items()
        )
        return alike and json.loads(json.dumps(dataclasses.asdict(reading), allow_nan=False)) is not None

    return Target(
        kind="--set",
        write=lambda folder: (folder / "pairs").write_text(""),
        mutate=mutate,
        read=lambda folder: apply_settings(preset, (folder / "pairs").read_text().splitlines()),
        is_right=is_right,
        errors=(ValueError, UserError),
        names_the_file=False,
    )


def grid_target():
    grid = {
        "runs": [{"script": "ocm_split_mnist", "preset": "tiny", "seeds": [0, 1], "set": {"latent_dim": [2, 3]}}],
    }

    def mutate(folder, rng):
        if rng.random() < 0.3:
            return in_place(damaged, "grid.yaml")(folder, rng)
        (folder / "grid.yaml").write_text(json.dumps(altered(grid, rng)))
        return "grid.yaml"

    def read(folder):
        entries = sweep.read_sweep(folder / "grid.yaml")
        return [run.output for run in sweep.plan(entries, "scripts", folder / "sweep")]

    def is_right(folder, whole, reading):
        """Says that every run lies below the directory of the sweep."""
        return reading and all((folder / "sweep") in output.resolve().parents for output in reading)

    return Target(
        kind="grid of a sweep, YAML",
        write=lambda folder: (folder / "grid.yaml").write_text(json.dumps(grid)),
        mutate=mutate,
        read=read,
        is_right=is_right,
        names_the_file=False,
    )


def run_targets():
    """Makes the targets of runs and their settings, which need no model."""
    return [
        resumed_config_target(),
        finished_target("in a report", report.report, "config.json", "results.json"),
        finished_target("in a comparison", _comparison, "results.json"),
        finished_target("of a run finished", _is_finished, "config.json", "results.json"),
        finished_target("in figures", _figures, "config.json", "results.json"),
        metrics_target(),
        rewound_target(),
        observations_target(),
        settings_target(),
        grid_target(),
    ]
