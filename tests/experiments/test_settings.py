"""Checks the command line: what it accepts, how it refuses, what its help says."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.experiments.settings import apply_settings, format_value, parse_arguments, parse_value, setting


@dataclasses.dataclass(frozen=True)
class Settings:
    dataset: str = setting("mnist", "name of the dataset")
    batch_size: int = setting(64, "samples that arrive at once")
    learning_rate: float = setting(1e-3, "step size of Adam")
    binarise: bool = setting(True, "whether images are binarised")
    threshold: float | None = setting(0.6, "lambda_1 in the paper, in similarity; none lets all pass")
    kernel: str = setting("rbf", "similarity of two samples", choices=("rbf", "cosine"))
    widths: tuple[int, ...] = setting((300, 200), "units of the hidden layers")
    betas: tuple[float, float] = setting((0.9, 0.999), "decay rates of Adam")

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


PRESETS = {
    "tiny": Settings(dataset="digits", batch_size=16),
    "small": Settings(),
    "paper": Settings(widths=(400,)),
}
COSTS = {"tiny": "seconds", "small": "4 minutes on two cores", "paper": "two days"}
SCALARS = st.one_of(st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))


def parse(*argv, **options):
    return parse_arguments(argv, script="ocm", description="Learns.", presets=PRESETS, costs=COSTS, **options)


def refusal(capsys, *argv, **options):
    """Returns the one line with which a command line is refused."""
    with pytest.raises(SystemExit) as caught:
        parse(*argv, **options)
    out, errors = capsys.readouterr()
    assert caught.value.code == 2 and out == ""
    (line,) = errors.splitlines()
    return line.removeprefix("ocm.py: error: ")


def test_defaults():
    arguments = parse()
    assert (arguments.script, arguments.preset, arguments.seed) == ("ocm", "small", 0)
    assert arguments.config == PRESETS["small"] and arguments.changes == {}
    assert arguments.output == Path("runs/ocm/small-seed0")
    assert (arguments.resume, arguments.overwrite, arguments.quiet) == (False, False, False)
    assert arguments.data_dir is None and arguments.checkpoint_seconds == 30
    assert arguments.command[0] == "python"


def test_flags_override_the_preset():
    arguments = parse("--preset", "tiny", "--seed", "3", "--set", "batch_size=8", "widths=1,2,3", "--quiet",
                      "--set", "threshold=none", "--dataset", "folder:a=b", "--data-dir", "d", "--resume",
                      "--checkpoint-seconds", "inf")  # fmt: skip
    config = dataclasses.replace(PRESETS["tiny"], batch_size=8, widths=(1, 2, 3), threshold=None, dataset="folder:a=b")
    assert arguments.config == config
    assert arguments.changes == {
        "dataset": "folder:a=b",
        "batch_size": 8,
        "threshold": None,
        "widths": (1, 2, 3),
    }
    assert arguments.output == Path("runs/ocm/tiny-seed3")
    assert (arguments.data_dir, arguments.resume, arguments.quiet) == (Path("d"), True, True)
    assert arguments.checkpoint_seconds == math.inf
    assert parse("--output", "here").output == Path("here")


def test_an_experiment_adds_its_own_flags(capsys):
    def extend(parser):
        parser.add_argument("--kind", choices=("none", "other"), default="none")

    assert vars(parse("--kind", "other", extend=extend).extras) == {"kind": "other"}
    assert vars(parse().extras) == {}
    assert "--kind" in refusal(capsys, "--kind", "many", extend=extend)


def test_several_devices_are_for_experiments_that_can_use_them(capsys):
    assert parse().strategy == "single"
    assert parse("--strategy", "mirrored", mirrored=True).strategy == "mirrored"
    assert "train on one device" in refusal(capsys, "--strategy", "mirrored")
    assert "--strategy" in refusal(capsys, "--strategy", "many", mirrored=True)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("12", int, 12),
        ("-1", int, -1),
        ("1e-3", float, 0.001),
        ("TRUE", bool, True),
        ("0", bool, False),
        ("none", int | None, None),
        ("None", str | None, None),
        ("none", str, "none"),
        ("5", int | None, 5),
        ("1, 2,3", tuple[int, ...], (1, 2, 3)),
        ("0.5,", tuple[float, ...], (0.5,)),
        ("", tuple[int, ...], ()),
        ("1,2", tuple[int, float], (1, 2.0)),
        ("none", tuple[int, ...] | None, None),
        ("a=b", str, "a=b"),
    ],
)
def test_reads_values_by_their_type(text, annotation, value):
    read = parse_value(text, annotation)
    assert read == value and type(read) is type(value)


@given(SCALARS)
def test_reads_back_what_help_shows(value):
    annotation = type(value) | None if value is not None else int | None
    assert parse_value(format_value(value), annotation) == value


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--preset", "smal"], "unknown preset 'smal'; did you mean 'small'? presets: tiny, small, paper"),
        (["--preset", "huge"], "unknown preset 'huge'; presets: tiny, small, paper"),
        (["--set", "batchsize=3"], "unknown setting 'batchsize'; did you mean 'batch_size'? settings: "
         "dataset, batch_size, learning_rate, binarise, threshold, kernel, widths, betas"),
        (["--set", "batch_size=ten"], "batch_size=ten: expected a whole number"),
        (["--set", "batch_size=1.5"], "batch_size=1.5: expected a whole number"),
        (["--set", "learning_rate=nan"], "learning_rate=nan: expected a finite number"),
        (["--set", "binarise=maybe"], "binarise=maybe: expected true or false"),
        (["--set", "threshold=low"], "threshold=low: expected a number"),
        (["--set", "betas=1"], "betas=1: expected a list of float,float"),
        (["--set", "widths=1,b"], "widths=1,b: expected a whole number"),
        (["--set", "kernel=linear"], "kernel=linear: must be one of rbf, cosine"),
        (["--set", "batch_size"], "--set takes KEY=VALUE, got 'batch_size'"),
        (["--set", "batch_size=0"], "batch_size must be at least 1, got 0"),
        (["--seed", "-1"], "argument --seed: '-1' is not a whole number from 0 to 2**32 - 1"),
        (["--checkpoint-seconds", "often"],
         "argument --checkpoint-seconds: 'often' is not a number of seconds"),
        (["--resume", "--overwrite"], "argument --overwrite: not allowed with argument --resume"),
        (["--pre", "tiny"], "unrecognized arguments: --pre tiny"),
    ],
)  # fmt: skip
def test_refuses_mistakes_in_one_line(capsys, argv, line):
    assert refusal(capsys, *argv) == line


def test_settings_without_a_dataset_have_no_such_flag(capsys):
    @dataclasses.dataclass(frozen=True)
    class Bare:
        size: int = setting(1, "size")

    options = dict(script="ocm", description="", presets={"small": Bare()}, costs={"small": "nothing"})
    with pytest.raises(SystemExit):
        parse_arguments(["--dataset", "mnist"], **options)
    assert "unrecognized arguments: --dataset mnist" in capsys.readouterr().err
    assert parse_arguments(["--set", "size=2"], **options).config == Bare(2)


def test_the_presets_stay_as_they_are():
    config = Settings()
    assert apply_settings(config, ["batch_size=1"]).batch_size == 1
    assert config == Settings()


def test_help_lists_presets_settings_and_their_values(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for part in (
        "Learns.",
        "  small  4 minutes on two cores (default)\n",
        "  batch_size: samples that arrive at once (a whole number)\n      tiny: 16; small: 64; paper: 64\n",
        "  kernel: similarity of two samples (one of rbf, cosine)\n      all presets: rbf\n",
        "(a number or none)",
        "      tiny: 300,200; small: 300,200; paper: 400\n",
        "--checkpoint-seconds S",
    ):
        assert part in text, part


def test_needs_no_tensorflow():
    code = (
        "import sys; from ocm_tf.experiments import parse_arguments, run_script, setting, RunDirectory;"
        "import ocm_tf.callbacks; from ocm_tf.callbacks import Interrupted;"
        "heavy = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
