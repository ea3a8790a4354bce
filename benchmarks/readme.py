"""Puts the table of a benchmark into the README, between its two markers."""

import argparse
import json
import sys
from pathlib import Path

from lines import NOTES
from table import component_line, markdown

from ocm_tf.errors import UserError
from ocm_tf.experiments.script import run_script
from ocm_tf.files import write_atomically

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


def replaced_between(text, begin, end, content):
    """Returns a text with what lies between two markers replaced.

    Raises:
        UserError: if the markers are not there, once each and in order.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or text.count(begin) > 1 or text.count(end) > 1:
        raise UserError(f"the document must hold {begin} and {end} once each, in this order")
    return f"{before}{begin}\n{content}\n{end}{after}"


def speed_section(results):
    """Returns the table and what else is told of it, in Markdown, from the content of the benchmark's JSON file."""
    table = markdown(results["lines"])
    parts = [table, *(note for note in NOTES if note.startswith("(") and note[:3] in table)]
    if "added_component" in results:
        parts.append(component_line(results["added_component"]))
    return "\n\n".join(parts)


def main(argv=None):
    """Runs the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, metavar="FILE.json", help="what run.py wrote")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="default: README.md")
    arguments = parser.parse_args(argv)
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    text = replaced_between(arguments.readme.read_text(encoding="utf-8"), BEGIN, END, speed_section(results))
    write_atomically(arguments.readme, lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(run_script(main))
