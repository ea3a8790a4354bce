"""Puts the table of a benchmark into the README, between its two markers."""

import argparse
import json
import sys
from pathlib import Path

from table import component_line, markdown

from ocm_tf.errors import UserError
from ocm_tf.experiments.script import run_script
from ocm_tf.files import write_atomically

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


def with_table(text, results):
    """Returns the text with what lies between the markers replaced.

    Args:
        text: content of the README.
        results: content of the benchmark's JSON file.

    Raises:
        UserError: if the markers are not there, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise UserError(f"the README must hold {BEGIN} and {END} once each, in this order")
    parts = [markdown(results["lines"])]
    if "added_component" in results:
        parts.append(component_line(results["added_component"]))
    return f"{before}{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}{after}"


def main(argv=None):
    """Runs the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, metavar="FILE.json", help="what run.py wrote")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="default: README.md")
    arguments = parser.parse_args(argv)
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    text = with_table(arguments.readme.read_text(encoding="utf-8"), results)
    write_atomically(arguments.readme, lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(run_script(main))
