"""Breaks key equations one at a time and tells whether the tests notice.

    python tests/mutation/check.py [NAME ...] [--output results/trust/mutations.md]

Each mutation is one exact replacement of text in a copy of the repository, in which the tests named beside it are run.
A replacement whose text is not found exactly once is an error: the table must follow the code.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from equations import MUTATIONS

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ("ocm_tf", "tests", "scripts", "setup.cfg")
CAUGHT, SURVIVED = "caught", "survived"
_HEAD = """\
# Key equations made wrong

Written by `python tests/mutation/check.py`: each line of code was made wrong in a copy of the repository, and the tests
of its file were run. {caught} of {total} mutations were caught.

| mutation | what is wrong then | file | outcome | first test that failed |
|---|---|---|---|---|
"""


def check(mutation, folder, timeout=1800):
    """Applies a mutation in a copy of the repository and runs its tests there.

    Args:
        mutation: `Mutation`.
        folder: `pathlib.Path` of the copy, which is left as it was.
        timeout: longest time of the tests, in seconds; going beyond it counts as noticed.

    Returns:
        outcome: `CAUGHT` or `SURVIVED`.
        evidence: the first test that failed, or "".
        seconds: time the tests took.

    Raises:
        ValueError: if the text is not there exactly once, or the tests could not be run at all.
    """
    path = folder / "ocm_tf" / mutation.path
    whole = path.read_text(encoding="utf-8")
    if whole.count(mutation.right) != 1:
        times = whole.count(mutation.right)
        raise ValueError(f"{mutation.name}: {mutation.path} must hold {mutation.right!r} once, found it {times} times")
    begun = time.monotonic()
    try:
        path.write_text(whole.replace(mutation.right, mutation.wrong), encoding="utf-8")
        status, output = _run_tests(folder, mutation.tests, timeout)
    finally:
        path.write_text(whole, encoding="utf-8")
    seconds = time.monotonic() - begun
    if status == 0:
        return SURVIVED, "", seconds
    # A test, or what is made for it. An error in importing or collecting, which names no test, would pass for one.
    noticed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR ")) and "::" in line]
    if status != 1 or not noticed:
        raise ValueError(f"{mutation.name}: its tests could not be run:\n{output[-2000:]}")
    return CAUGHT, noticed[0].split(" - ")[0].partition(" tests/")[2], seconds


def _run_tests(folder, tests, timeout):
    """Returns the exit status of pytest and what it printed."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += [f"tests/{name}" for name in tests]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"FAILED tests/{tests[0]}::all within {timeout} s"
    return done.returncode, done.stdout + done.stderr


def copy_repository(folder):
    """Copies what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def main(argv=None):
    """Checks mutations and writes the table; returns the exit status, 1 if one survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations (default: all)")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "results" / "trust" / "mutations.md")
    arguments = parser.parse_args(argv)
    known = {mutation.name: mutation for mutation in MUTATIONS}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown mutations {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in arguments.names or known]
    rows, survivors = [], 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        copy_repository(folder)
        for mutation in chosen:
            outcome, evidence, seconds = check(mutation, folder)
            survivors += outcome == SURVIVED
            print(f"{mutation.name}: {outcome} {evidence} ({seconds:.0f} s)", flush=True)
            cells = (mutation.name, mutation.meaning, f"`{mutation.path}`", outcome, evidence and f"`{evidence}`")
            rows.append(f"| {' | '.join(cells)} |\n")
    text = _HEAD.format(caught=len(rows) - survivors, total=len(rows)) + "".join(rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
