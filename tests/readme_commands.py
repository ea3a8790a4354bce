"""The commands and programs that the READMEs show, and how the tests run each of them."""

import dataclasses
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = ".venv/bin/python"
# Not run: each changes the Python installation, needs a package index and takes minutes, or is this very test.
NOT_RUN = {
    "python3 -m venv .venv": "makes the environment that the tests themselves run in",
    ".venv/bin/pip install -e .": "installs from a package index",
    '.venv/bin/pip install -e ".[sweep]"': "installs from a package index",
    '.venv/bin/pip install -e ".[tensorboard,wandb]"': "installs from a package index",
    '.venv/bin/pip install -e ".[test]"': "installs from a package index",
    f"{PYTHON} -m pytest -n 2 --dist loadfile": "would run the tests within a test",
    f"{PYTHON} -m slipcover --source ocm_tf --skip-covered -m pytest -n 2 --dist loadfile": "so too",
}
# What makes a run of each family a matter of seconds; nothing that a study or a comparison varies.
SHORTER = {
    "ocm_classification": ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "eval_samples=2"),
    "ocm": ("train_per_class=20", "test_per_class=5", "epochs_per_batch=1", "eval_samples=5"),
    "glr": ("num_experiences=2", "num_train=120", "num_test=50", "epochs=1"),
    "demc": ("train_per_class=20", "test_per_class=10", "steps_per_batch=1"),
    "tfdsvit": ("train_per_class=20", "test_per_class=10", "steps_per_batch=1"),
    "mnemonics": ("train_per_class=6", "test_per_class=4", "epochs=1", "milestones=1", "outer_steps=2",
                  "inner_steps=2"),
}  # fmt: skip
# Flags that turn one run into many.
_SERIES = {"--compare", "--study", "--seeds"}


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a README.

    Attributes:
        text: the command as it stands there, on one line.
        environment: `((name, value), ...)` that the block has exported before it.
    """

    text: str
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def words(self):
        return shlex.split(self.text)

    @property
    def is_run(self):
        return self.text not in NOT_RUN

    @property
    def arguments(self):
        """What follows the interpreter: a script, or `-m` and a module, then their arguments.

        Raises:
            ValueError: if there is no rule for such a command.
        """
        interpreter, *arguments = self.words
        is_script = bool(arguments) and (ROOT / arguments[0]).is_file()
        if interpreter != PYTHON or not (is_script or arguments[:2] == ["-m", "ocm_tf.data"]):
            raise ValueError(f"no rule to test the command of a README: {self.text}")
        return arguments

    @property
    def script(self):
        return Path(self.arguments[0]).stem

    def quick(self):
        """Returns the command to run: as it stands if it is quick, else at the scale of the tests.

        An experiment is quick that makes a single run with the preset `tiny`. Any other one is run with this preset,
        which brings the embedded digits, one seed, the settings `SHORTER` of its family and a run directory of its own.
        """
        arguments = self.arguments
        family = next((name for name in SHORTER if self.script.startswith(name)), None)
        if family is not None and ("tiny" not in arguments or _SERIES & set(arguments)):
            arguments = _with_preset(_with_one_seed(arguments), "tiny")
            if "--output" not in arguments:
                arguments += ["--output", "runs/shorter/" + re.sub(r"\W+", "-", self.text)]
            arguments += ["--set", *SHORTER[family]]
        return [sys.executable, *arguments]


def _with_preset(arguments, preset):
    if "--preset" not in arguments:
        return [*arguments, "--preset", preset]
    place = arguments.index("--preset") + 1
    return [*arguments[:place], preset, *arguments[place + 1 :]]


def _with_one_seed(arguments):
    if "--seeds" not in arguments:
        return arguments
    first = arguments.index("--seeds") + 2
    rest = next((place for place in range(first, len(arguments)) if not arguments[place].isdecimal()), len(arguments))
    return [*arguments[:first], *arguments[rest:]]


def blocks_of(text, language):
    """Returns the fenced blocks of one language in a Markdown text, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands_of(text):
    """Returns the `Command`s of all `bash` blocks of a Markdown text, in order."""
    commands = []
    for block in blocks_of(text, "bash"):
        exported = {}
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                words = " ".join(part.split())
                if words.startswith("export "):
                    exported |= dict([words.removeprefix("export ").split("=", 1)])
                elif words:
                    commands.append(Command(words, tuple(exported.items())))
    return commands
