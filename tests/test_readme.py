"""Checks that every command and program of both READMEs works: parsed in any case, run unless it installs something."""

import ast
import configparser
import importlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from ocm_tf.data import is_prepared
from tests.readme_commands import NOT_RUN, ROOT, SHORTER, Command, blocks_of, commands_of

README = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "results/README.md"))
COMMANDS = commands_of(README)
RUN = [command for command in COMMANDS if command.is_run]
PROGRAMS = blocks_of(README, "python")
PATIENCE_SECONDS = 3600

# Runs the scripts given as JSON lists of arguments in one process that has no TensorFlow. A script imports it once its
# arguments are read and its runs are planned, so that this is where a right command line ends.
PARSER = """
import contextlib, io, json, runpy, sys
sys.modules["tensorflow"] = None
for arguments in json.load(sys.stdin):
    errors, sys.argv = io.StringIO(), arguments
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, errors.getvalue()]))
"""


def test_reads_commands_as_a_shell_does():
    text = (
        "```bash\nexport A=1\n.venv/bin/python scripts/sweep.py \\\n    --dry-run && x  y\n```\n```bash\nz\n```\n"
        "```python\nq\n```\n"
    )
    exported = (("A", "1"),)
    assert commands_of(text) == [
        Command(".venv/bin/python scripts/sweep.py --dry-run", exported), Command("x y", exported), Command("z"),
    ]  # fmt: skip
    assert blocks_of(text, "python") == ["q\n"]


def test_only_what_is_not_quick_is_made_shorter():
    single = ".venv/bin/python scripts/ocm_split_mnist.py --preset tiny --seed 3"
    assert Command(single).quick()[1:] == single.split()[1:]
    series = ".venv/bin/python scripts/ocm_split_mnist.py --seeds 4 5 6 --preset small --compare"
    expected = ["scripts/ocm_split_mnist.py", "--seeds", "4", "--preset", "tiny", "--compare", "--output"]
    expected += ["runs/shorter/-venv-bin-python-scripts-ocm_split_mnist-py-seeds-4-5-6-preset-small-compare"]
    assert Command(series).quick()[1:] == [*expected, "--set", *SHORTER["ocm"]]
    classification = Command(".venv/bin/python scripts/ocm_classification.py --output x")
    assert classification.quick()[2:] == ["--output", "x", "--preset", "tiny", "--set", *SHORTER["ocm_classification"]]


@pytest.mark.parametrize("text", ["make install", ".venv/bin/python scripts/gone.py", ".venv/bin/python -m pytest"])
def test_a_command_without_a_rule_is_refused(text):
    with pytest.raises(ValueError, match=r"no rule to test the command of a README"):
        Command(text).quick()


def test_every_command_has_a_rule():
    # A block of another language would be tested by nothing.
    assert set(re.findall(r"^```(.*)$", README, re.MULTILINE)) == {"", "bash", "python"}
    assert len(RUN) >= 20 and len(PROGRAMS) >= 3
    assert [command.quick()[0] for command in RUN] == [sys.executable] * len(RUN)
    assert set(NOT_RUN) == {command.text for command in COMMANDS} - {command.text for command in RUN}


def test_installations_name_what_there_is():
    extras = {extra for text in NOT_RUN for names in re.findall(r"\.\[([\w,]+)\]", text) for extra in names.split(",")}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert extras and extras <= set(setup["options.extras_require"])


def test_every_script_takes_the_arguments_shown(tmp_path):
    from ocm_tf.data.__main__ import make_parser

    scripts = []
    for command in RUN:
        arguments = command.arguments
        if arguments[0] == "-m":
            make_parser().parse_args(arguments[2:])
        else:
            # The sweep would start its runs, and needs no TensorFlow itself.
            dry = ["--dry-run"] * (command.script == "sweep")
            scripts.append([str(ROOT / arguments[0]), *arguments[1:], *dry])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"input": json.dumps(scripts), "capture_output": True, "text": True}
    process = subprocess.run([sys.executable, "-c", PARSER], cwd=tmp_path, env=environment, **pipes)
    assert process.returncode == 0, process.stderr
    ends = [json.loads(line) for line in process.stdout.splitlines()]
    for arguments, (status, errors) in zip(scripts, ends, strict=True):
        name = arguments[0].rpartition("/")[2]
        if name == "sweep.py":
            assert (status, errors) == (0, "")
        else:
            # `report.py` gets as far as missing the runs.
            expected = (
                "error: runs/sweep holds no finished run"
                if name == "report.py"
                else "error: TensorFlow cannot be imported"
            )
            assert status == 2 and errors.startswith(expected), (arguments, errors)
    assert not list(tmp_path.glob("runs/**/config.json"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_what_there_is(program):
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            assert all(importlib.import_module(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


# Running them ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A copy of what the commands name, in which they run one after the other."""
    directory = tmp_path_factory.mktemp("clone")
    for name in ("scripts", "results/gallery"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def run(command, workspace, environment=()):
    environment = {**os.environ, **dict(environment), "PYTHONPATH": str(ROOT)}
    pipes = {"capture_output": True, "text": True, "timeout": PATIENCE_SECONDS}
    return subprocess.run(command, cwd=workspace, env=environment, **pipes)


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN, ids=[command.text.removeprefix(".venv/bin/python ") for command in RUN])
def test_the_command_works(command, workspace):
    """Commands use what earlier ones leave, so that the first ones must be among those chosen to run."""
    arguments = command.arguments
    if arguments[1:3] == ["ocm_tf.data", "prepare"] and not is_prepared(arguments[3]):
        pytest.skip(f"{arguments[3]} is not prepared here, and tests download nothing")
    process = run(command.quick(), workspace, command.environment)
    assert process.returncode == 0, process.stderr
    assert process.stdout and "Traceback" not in process.stderr


@pytest.mark.slow
def test_the_programs_work(workspace):
    """They go on from one another, and from the first run."""
    if not (workspace / "runs" / "ocm_split_mnist" / "tiny-seed0").exists():
        assert run(RUN[0].quick(), workspace).returncode == 0
    process = run([sys.executable, "-c", "\n".join(PROGRAMS)], workspace)
    assert process.returncode == 0, process.stderr
    assert (workspace / "model_without_samples.keras").exists()


@pytest.mark.parametrize("name", ["faults", "inputs", "mutations"])
def test_counts_of_what_was_tried_are_those_of_the_tables(name):
    said = re.search(rf"^\|[^|]*\| ([\d,]+) \| ([\d,]+) \| \[table\]\(results/trust/{name}\.md\)", README, re.MULTILINE)
    tried, held = (int(number.replace(",", "")) for number in said.groups())
    assert (tried, held) == tried_and_held((ROOT / f"results/trust/{name}.md").read_text(encoding="utf-8"))


def tried_and_held(page):
    heads, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "|" in line
    )
    if "outcome" in heads:
        outcomes = [row[heads.index("outcome")] for row in rows]
        return len(outcomes), outcomes.count("caught")
    columns = [name for name in ("survived", "refused", "accepted") if name in heads]
    return tuple(sum(int(row[heads.index(name)]) for row in rows for name in names) for names in (["tried"], columns))
