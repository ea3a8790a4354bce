"""Writes what the tests marked `fault` tried, and how often it was survived."""

import platform
from pathlib import Path

from ocm_tf.experiments.environment import PACKAGE, describe_checkout
from ocm_tf.files import write_atomically

HEAD = """# Faults

Written by `OCM_TF_FAULTS=FILE python -m pytest -m fault` from the outcomes of the tests: each row is a mark
`fault(what, how, times=1)` of one or more tests. A fault counts as survived where all that its test asserts holds: most
of all that nothing saved is lost, that a resumed run ends bit for bit like one never stopped, and that an error is one
line.

{about}

| fault | provoked by | tried | survived |
|---|---|---:|---:|
"""


class FaultTable:
    """A pytest plugin that adds up the outcomes of tests marked `fault` and writes them as a table.

    Args:
        path: the file to write, in Markdown.
    """

    def __init__(self, path):
        self.path, self.rows, self.skipped = Path(path), {}, {}

    def pytest_runtest_logreport(self, report):
        # A test that fails or is skipped in its set-up has no call.
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        for name, value in report.user_properties:
            if name != "fault":
                continue
            *fault, times = value
            if report.skipped:
                self.skipped[tuple(fault)] = report.longrepr[2].removeprefix("Skipped: ")
                continue
            row = self.rows.setdefault(tuple(fault), [0, 0])
            row[0] += times
            row[1] += times * report.passed

    def pytest_sessionfinish(self):
        lines = [f"| {what} | {how} | {tried} | {survived} |" for (what, how), (tried, survived) in self.rows.items()]
        lines += [f"| {what} | {how} | 0: {why} | – |" for (what, how), why in self.skipped.items()]
        checkout = describe_checkout(PACKAGE) or {}
        commit = f"commit {checkout.get('commit', 'unknown')}" + ", with changes" * bool(checkout.get("dirty"))
        about = f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {commit}."
        text = HEAD.format(about=about) + "\n".join(sorted(lines)) + "\n"
        write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))
