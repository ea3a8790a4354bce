"""Redraws figures from run directories alone: no model loaded, no dataset needed, nothing trained again."""

import argparse
import pathlib
import sys

from ocm_tf.errors import UserError
from ocm_tf.experiments.ablation_plots import draw_studies, holds_studies
from ocm_tf.experiments.comparison_plots import RUN_NAME, draw_comparison
from ocm_tf.experiments.generation_comparison import draw_generation_comparison, holds_generation_runs
from ocm_tf.experiments.ocm_plots import FIGURES, draw_all
from ocm_tf.experiments.script import run_script


def parse(argv=None):
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A directory that holds runs named LABEL-seedNUMBER is a comparison: from the results.json of "
        "each, comparison.md (mean and standard deviation over seeds) and figures/comparison.png are written "
        "into it. So it is for the output of ocm_ablations.py: a table and a figure for each study. Takes a few "
        "seconds per directory.",
    )
    parser.add_argument(
        "run_dirs", metavar="RUN_DIR", nargs="+", type=pathlib.Path, help="run, comparison or ablation studies"
    )
    parser.add_argument(
        "--only", metavar="NAME", nargs="+", choices=list(FIGURES), default=list(FIGURES),
        help=f"which figures of a run to draw, of: {', '.join(FIGURES)} (default: all)",
    )  # fmt: skip
    return parser.parse_args(argv)


def is_comparison(directory):
    """Tells whether a directory holds runs rather than being one."""
    runs = [path.parent.name for path in directory.glob("*-seed*/results.json")]
    return not (directory / "config.json").exists() and any(RUN_NAME.fullmatch(name) for name in runs)


def redraw(directory, names):
    """Draws what belongs to one directory and prints the files written."""
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory")
    if is_comparison(directory) and holds_generation_runs(directory):
        paths, missing = draw_generation_comparison(directory)
        left_out = [f"{name} (not finished)" for name in missing]
    elif is_comparison(directory):
        paths, missing = draw_comparison(directory)
        left_out = _names(missing)
    elif holds_studies(directory):
        paths, missing = draw_studies(directory)
        left_out = _names(missing)
    else:
        paths = draw_all(directory, names)
        drawn = {path.stem for path in paths}
        left_out = [f"{name} (not recorded by this run)" for name in names if name not in drawn]
    for path in paths:
        print(path)
    if left_out:
        print(f"left out in {directory}: {', '.join(left_out)}")


def _names(missing):
    return [f"{run.name} (not finished)" for run in missing]


def main(argv=None):
    """Runs the script."""
    arguments = parse(argv)
    for directory in arguments.run_dirs:
        redraw(directory, arguments.only)


if __name__ == "__main__":
    sys.exit(run_script(main))
