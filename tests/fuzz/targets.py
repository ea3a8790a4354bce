"""Every kind of file and text that the library reads from outside, as targets of damage."""

import csv
import dataclasses
import functools
import hashlib
import io
import json
import math
import zipfile

import numpy as np

from ocm_tf.data import load
from ocm_tf.data.array_cache import FOLDER, load_arrays, save_arrays
from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.source_note import SOURCE_FILE, read_source
from ocm_tf.data.user_files import read_user_files
from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm_config, plots, report, sweep
from ocm_tf.experiments.metrics_table import COLUMNS, MetricsTable, read_metrics
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.settings import apply_settings, parse_arguments
from ocm_tf.files import load_arrays as load_named_arrays
from ocm_tf.files import save_arrays as save_named_arrays
from tests.data.data_files import grey_images, idx_contents, image_bytes, tree_contents, write_folder, write_idx_folder
from tests.fuzz.judging import Target, is_same
from tests.fuzz.mutations import altered, altered_arrays, altered_json, altered_rows, damaged


def in_place(change, *patterns):
    """Returns a mutation that changes one of the files whose names match."""

    def mutate(folder, rng):
        paths = sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()})
        path = paths[rng.integers(len(paths))]
        path.write_bytes(change(path.read_bytes(), rng))
        return path.name

    return mutate


def dataset_meaning(dataset):
    """Returns what a data set consists of, in values that can be compared."""
    parts = [(part.images, part.labels) for part in (dataset.train, dataset.test)]
    return [parts, dataset.spec.image_shape, dataset.spec.class_names]


# IDX ------------------------------------------------------------------------------------------------------------------


@functools.cache
def idx_entry():
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in idx_contents().items()}
    return dataclasses.replace(CATALOGUE["mnist"], num_train=20, num_test=10, idx_sha256=digests)


def idx_target(compress):
    return Target(
        kind="IDX files" + (", gzipped" if compress else ""),
        write=lambda folder: write_idx_folder(folder / "idx", idx_contents(), compress),
        mutate=in_place(damaged, "*ubyte*"),
        read=lambda folder: dataset_meaning(read_user_files(folder / "idx", idx_entry())),
        is_right=is_same,
    )


# .npz -----------------------------------------------------------------------------------------------------------------


@functools.cache
def npz_arrays():
    (train, train_labels), (test, test_labels) = grey_images(20, 4, seed=1), grey_images(10, 4, seed=2)
    return {"train_images": train, "train_labels": train_labels, "test_images": test, "test_labels": test_labels}


def npz_target(compress):
    save = np.savez_compressed if compress else np.savez
    return Target(
        kind="data set in .npz" + (", compressed" if compress else ""),
        write=lambda folder: save(folder / "data.npz", **npz_arrays()),
        mutate=in_place(damaged, "data.npz"),
        read=lambda folder: dataset_meaning(load(f"npz:{folder / 'data.npz'}")),
        is_right=is_same,
    )


def npz_arrays_target():
    def mutate(folder, rng):
        with np.load(folder / "data.npz") as whole:
            arrays = altered_arrays(dict(whole), rng)
        np.savez(folder / "data.npz", **arrays)
        return "data.npz"

    def is_right(folder, whole, reading):
        """Says that the arrays in the file are as documented, and read as they are."""
        with np.load(folder / "data.npz") as held:
            held = dict(held)
        (train, test), image_shape, class_names = reading
        for split, (images, labels) in (("train", train), ("test", test)):
            pixels, numbers = held[f"{split}_images"], held[f"{split}_labels"]
            if pixels.dtype.kind not in "iuf" or numbers.dtype.kind not in "iu":
                return False
            if not np.array_equal(images.ravel(), pixels.ravel()) or not np.array_equal(labels, numbers.ravel()):
                return False
            if images.shape[1:] != image_shape or set(labels) != set(range(len(class_names))):
                return False
        return True

    return dataclasses.replace(npz_target(False), kind="arrays of an .npz", mutate=mutate, is_right=is_right)


# Images ---------------------------------------------------------------------------------------------------------------


@functools.cache
def tree(kind="PNG"):
    contents = tree_contents(["cat", "dog"], num_train=2, shape=(6, 6, 3), kind=kind)
    rng = np.random.default_rng(0)
    return {name: image_bytes(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), kind) for name in contents}


def zip_target(method):
    def write(folder):
        with zipfile.ZipFile(folder / "images.zip", "w", method) as archive:
            for name, content in tree().items():
                archive.writestr(name, content)

    return Target(
        kind="zip of images" + (", stored" if method == zipfile.ZIP_STORED else ""),
        write=write,
        mutate=in_place(damaged, "images.zip"),
        read=lambda folder: dataset_meaning(load(f"folder:{folder / 'images.zip'}")),
        is_right=is_same,
    )


def png_target():
    return Target(
        kind="folder of PNG images",
        write=lambda folder: write_folder(folder / "images", tree()),
        mutate=in_place(damaged, "*.png"),
        read=lambda folder: dataset_meaning(load(f"folder:{folder / 'images'}")),
        is_right=is_same,
    )


def jpeg_target():
    def is_right(folder, whole, reading):
        """Says that only pixels differ, which JPEG guards by no checksum."""
        (whole_parts, *whole_rest), (parts, *rest) = whole, reading
        pairs = [pair for both in zip(whole_parts, parts, strict=True) for pair in zip(*both, strict=True)]
        return whole_rest == rest and all(one.shape == other.shape and one.dtype == other.dtype for one, other in pairs)

    return dataclasses.replace(
        png_target(),
        kind="folder of JPEG images",
        write=lambda folder: write_folder(folder / "images", tree("JPEG")),
        mutate=in_place(damaged, "*.jpg"),
        is_right=is_right,
    )


# What lies beside a prepared data set ---------------------------------------------------------------------------------


def cache_target():
    """Reads the arrays kept beside a data set; where they are refused, `None`, the data set is decoded anew."""
    parts = {"train": grey_images(5, 4), "test": grey_images(3, 4)}

    def write(folder):
        for name in ("dataset_info.json", "features.json"):
            (folder / name).write_text("{}")
        save_arrays(folder, parts, ("0", "1"))

    def read(folder):
        kept = load_arrays(folder)
        if kept is None:
            raise UserError(f"nothing is kept in {folder}")
        return [{split: list(pair) for split, pair in kept[0].items()}, kept[1]]

    def mutate(folder, rng):
        if rng.random() < 0.5:
            return in_place(altered_json, f"{FOLDER}/index.json")(folder, rng)
        return in_place(damaged, f"{FOLDER}/*")(folder, rng)

    def is_right(folder, whole, reading):
        # The names of the classes are the index's own word.
        names = json.loads((folder / FOLDER / "index.json").read_text())["class_names"]
        return is_same(folder, whole, [reading[0], whole[1]]) and list(reading[1]) == names

    return Target("decoded arrays of a data set", write, mutate, read, is_right)


def source_target():
    note = {"source": "npm package", "note": "", "method": "npm", "licence": "none"}

    def is_right(folder, whole, reading):
        said = json.loads((folder / SOURCE_FILE).read_text())
        return all(isinstance(said[key], str) and reading[key] == said[key] for key in whole)

    return Target(
        kind="note on the source of a data set",
        write=lambda folder: (folder / SOURCE_FILE).write_text(json.dumps(note)),
        mutate=in_place(altered_json, SOURCE_FILE),
        read=read_source,
        is_right=is_right,
    )


def dataset_name_target():
    """Reads data sets by invented names, of which only those of a transform of the digits exist."""
    parts = (
        "digits",
        "mnist",
        "folder",
        "npz",
        ":",
        "/",
        "..",
        "\\",
        "~",
        "\0",
        "%2e",
        "inverted",
        "Å",
        " ",
        "{",
        "\n",
    )

    def mutate(folder, rng):
        (folder / "name").write_text("".join(rng.choice(parts, rng.integers(0, 6))), newline="")
        return "name"

    return Target(
        kind="name of a data set",
        write=lambda folder: (folder / "name").write_text("digits"),
        mutate=mutate,
        read=lambda folder: load((folder / "name").read_text(), folder / "data").spec.name,
        is_right=lambda folder, whole, reading: (folder / "name").read_text().startswith("digits"),
        names_the_file=False,
    )


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
    from ocm_tf.experiments import comparison_plots, generation_comparison, glr_comparison, mnemonics_comparison

    for kind in (generation_comparison, glr_comparison, mnemonics_comparison):
        holds = {"generation_comparison": "holds_generation_runs", "glr_comparison": "holds_continual_runs"}
        getattr(kind, holds.get(kind.__name__.rpartition(".")[2], "is_incremental_comparison"))(folder)
    rows = comparison_plots.collect(folder)
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


def light_targets():
    """Makes the targets that need no model."""
    return [
        idx_target(False),
        idx_target(True),
        npz_target(False),
        npz_target(True),
        npz_arrays_target(),
        zip_target(zipfile.ZIP_DEFLATED),
        zip_target(zipfile.ZIP_STORED),
        png_target(),
        jpeg_target(),
        cache_target(),
        source_target(),
        dataset_name_target(),
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
