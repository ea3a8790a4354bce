"""Runs a grid of scripts, seeds and settings, each run in a directory of its own, several at a time."""

import argparse
import sys
from pathlib import Path

from ocm_tf.errors import UserError
from ocm_tf.experiments.run_series import report_failures
from ocm_tf.experiments.saved_model_script import positive
from ocm_tf.experiments.script import run_script
from ocm_tf.experiments.settings import parse_seed
from ocm_tf.experiments.sweep import is_finished, plan, read_sweep
from ocm_tf.experiments.sweep_jobs import make_all, make_executor

EPILOG = """
what varies: a flag or setting named several times takes each of its values, and the grid is all combinations. The runs
lie in OUTPUT/SCRIPT/LABEL-seedN, which scripts/figures.py OUTPUT/SCRIPT compares. Finished runs are skipped,
interrupted ones resumed; a run that fails does not stop the others, and the same command tries it again.

example: three seeds of two methods at two rates, two runs at a time
  python scripts/sweep.py ocm_split_mnist --preset small --seeds 0 1 2 --jobs 2 \\
      --flag variant=vae-elbo-ocm variant=reservoir --set learning_rate=0.001 learning_rate=0.0005

the same as a file, given as --file grid.yaml (a list; each entry a grid of its own):
  - script: ocm_split_mnist
    preset: small
    seeds: [0, 1, 2]
    flags: {variant: [vae-elbo-ocm, reservoir]}
    set: {learning_rate: [0.001, 0.0005]}

on a cluster, --cluster slurm hands the whole grid to Slurm as one job array, with --jobs of them at a time. A run that
reaches --hours is stopped, saves its state, and goes on in a new job. Once no job is left, the same command makes what
is missing.
"""


def parse(argv=None):
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("scripts", nargs="*", metavar="SCRIPT", help="names of scripts, such as ocm_split_mnist")
    add("--file", type=Path, metavar="YAML", help="file of grids, instead of SCRIPT and the flags below it")
    add("--preset", metavar="NAME", help="preset of all runs (default: the script's)")
    add("--seeds", type=parse_seed, nargs="+", default=[0], metavar="N", help="seeds (default: 0)")
    add("--flag", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="flags, without the dashes")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="settings")
    add("--output", type=Path, default=Path("runs/sweep"), metavar="DIR", help="default: runs/sweep")
    add("--cluster", choices=("local", "slurm"), default="local", help="where to run (default: local)")
    add("--jobs", type=positive, default=1, metavar="N", help="most runs at a time (default: 1)")
    add("--threads", type=positive, default=1, metavar="N", help="CPU threads of a run (default: 1)")
    add("--data-dir", type=Path, metavar="DIR", help="where the datasets are (default: $TFDS_DATA_DIR)")
    add("--hours", type=float, metavar="H", help="time limit of a run (default: none; 24 on a cluster)")
    add("--partition", metavar="NAME", help="Slurm's partition (default: the cluster's)")
    add("--memory-gb", type=positive, metavar="GB", help="memory of a run on a cluster (default: the cluster's)")
    add("--dry-run", action="store_true", help="only list the runs, and which are finished")
    return parser.parse_args(argv)


def entries_of(arguments):
    """Returns the entries of the grid, from the file or from the flags."""
    if arguments.file is not None:
        if arguments.scripts or arguments.flag or arguments.set or arguments.preset:
            raise UserError("--file names scripts, preset, flags and settings itself")
        return read_sweep(arguments.file)
    if not arguments.scripts:
        raise UserError("name the scripts to run, or a --file")
    entry = {"seeds": arguments.seeds, "flags": _collect(arguments.flag), "set": _collect(arguments.set)}
    if arguments.preset is not None:
        entry["preset"] = arguments.preset
    return [{"script": script, **entry} for script in arguments.scripts]


def _collect(pairs):
    """Returns `{name: list of its values}` of `name=value` strings."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"expected NAME=VALUE, got {pair!r}")
        values.setdefault(name, []).append(value)
    return values


def main(argv=None):
    """Runs the script."""
    arguments = parse(argv)
    runs = plan(entries_of(arguments), Path(__file__).parent, arguments.output)
    if arguments.dry_run:
        for run in runs:
            print(f"{'finished' if is_finished(run) else 'to do':8}  {run.name}  {' '.join(run.command[1:])}")
        return 0
    slurm = arguments.cluster == "slurm"
    executor = make_executor(
        arguments.cluster, arguments.output / ".jobs", arguments.hours, arguments.partition, arguments.memory_gb,
        arguments.threads, arguments.jobs,
    )  # fmt: skip
    flags = ["--threads", str(arguments.threads)]
    if arguments.data_dir is not None:
        flags += ["--data-dir", str(arguments.data_dir)]
    try:
        failures = make_all(runs, executor, arguments.jobs, flags, all_at_once=slurm)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return report_failures(failures)


if __name__ == "__main__":
    sys.exit(run_script(main))
