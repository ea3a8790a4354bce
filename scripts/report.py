"""Writes the results of all runs below a directory as one text, each number beside the paper's."""

import argparse
import sys
from pathlib import Path

from ocm_tf.experiments.report import report
from ocm_tf.experiments.script import run_script
from ocm_tf.files import write_atomically


def main(argv=None):
    """Runs the script."""
    parser = argparse.ArgumentParser(
        description=__doc__ + " Reads results.json and config.json of each run; trains nothing, needs no data."
    )
    parser.add_argument("runs", type=Path, metavar="RUNS_DIR", help="directory of run directories, such as results")
    parser.add_argument(
        "--output", type=Path, default=Path("RESULTS.md"), metavar="FILE", help="file to write (default: RESULTS.md)"
    )
    arguments = parser.parse_args(argv)
    text = report(arguments.runs)
    write_atomically(arguments.output, lambda path: path.write_text(text, encoding="utf-8"))
    print(arguments.output)


if __name__ == "__main__":
    sys.exit(run_script(main))
