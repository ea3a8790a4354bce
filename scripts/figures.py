"""Redraws figures from run directories alone: no model loaded, no dataset needed, nothing trained again."""

import argparse
import pathlib
import sys

from ocm_tf.errors import UserError
from ocm_tf.experiments.figures import FIGURES, draw_all, draw_collection
from ocm_tf.experiments.glr_comparison import studies_in
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


def redraw(directory, names):
    """Draws what belongs to one directory and prints the files written."""
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory")
    paths, missing = draw_collection(directory)
    left_out = [f"{name} (not finished)" for name in missing]
    if paths is None:
        for study in studies_in(directory):
            redraw(study, names)
        if studies_in(directory):
            return
        paths = draw_all(directory, names)
        drawn = {path.stem for path in paths}
        left_out = [f"{name} (not recorded by this run)" for name in names if name not in drawn]
    for path in paths:
        print(path)
    if left_out:
        print(f"left out in {directory}: {', '.join(left_out)}")


def main(argv=None):
    """Runs the script."""
    arguments = parse(argv)
    for directory in arguments.run_dirs:
        redraw(directory, arguments.only)


if __name__ == "__main__":
    sys.exit(run_script(main))
