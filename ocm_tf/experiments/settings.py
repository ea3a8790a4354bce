"""The command line that all experiments share, made from a frozen dataclass of settings and its presets."""

import argparse
import dataclasses
import difflib
import math
import sys
import textwrap
import types
import typing
from pathlib import Path

from ocm_tf.experiments.strategies import STRATEGIES
from ocm_tf.experiments.tracking import TRACKERS

PASSED_ON = ("seed", "resume", "overwrite", "data_dir", "quiet", "checkpoint_seconds", "threads", "strategy", "track")
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a command line asks for.

    Attributes:
        script: name of the experiment.
        preset: name of the preset the settings started from.
        seed: seed of the run, 0 or above.
        output: the run directory.
        resume: whether to go on with an unfinished run.
        overwrite: whether to replace an earlier run.
        data_dir: directory of the datasets, or None for the usual one.
        quiet: whether to show no progress.
        checkpoint_seconds: shortest time between two checkpoints.
        threads: CPU threads of one operation, or None for TensorFlow's choice.
        strategy: one of `STRATEGIES`, the devices that train the model.
        track: keys of `TRACKERS`, the tools that are sent the numbers of the run.
        config: the settings, an instance of the experiment's dataclass.
        changes: `{name: value}` of the settings that differ from the preset.
        named: names of the settings on the command line, whether their values differ from the preset or not.
        command: the command line, one string an argument.
        extras: values of the flags that the experiment added itself.
    """

    script: str
    preset: str
    seed: int
    output: Path
    resume: bool
    overwrite: bool
    data_dir: Path | None
    quiet: bool
    checkpoint_seconds: float
    threads: int | None
    strategy: str
    track: list[str]
    config: typing.Any
    changes: dict
    named: frozenset[str]
    command: tuple[str, ...]
    extras: argparse.Namespace


def setting(default, help, choices=None):
    """Declares one field of an experiment's frozen dataclass of settings.

    Args:
        default: value where a preset gives none.
        help: one line saying what it is, with its unit.
        choices: allowed values, or None for any.

    Returns:
        a `dataclasses.field`.
    """
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def parse_arguments(argv, *, script, description, presets, costs, default_preset="small", extend=None, mirrored=False):
    """Reads a command line; a mistake in it ends the process with one line on stderr and status 2.

    Args:
        argv: arguments behind the script's name; None takes those of the process.
        script: name of the experiment.
        description: what it does and what the method may see.
        presets: `{name: settings}`, instances of one frozen dataclass whose fields `setting` made. Fields may
            be int, float, bool, str, tuples of these, and each of them or None.
        costs: `{name: one line on what the preset costs}`.
        default_preset: the preset taken if none is named.
        extend: called with the parser to add flags of the experiment's own; their values are in `extras`.
        mirrored: whether the experiment's models can be trained on several devices.

    Returns:
        `Arguments`.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _Parser(
        prog=f"{script}.py",
        description=textwrap.dedent(description).strip(),
        epilog=_describe_presets(presets, costs, default_preset) + "\n\n" + _describe_settings(presets),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_flags(parser, script, default_preset, any(hasattr(config, "dataset") for config in presets.values()), mirrored)
    standard = {action.dest for action in parser._actions}
    if extend is not None:
        extend(parser)
    flags = vars(parser.parse_args(argv))
    extras = argparse.Namespace(**{name: value for name, value in flags.items() if name not in standard})

    preset = flags["preset"]
    if preset not in presets:
        parser.error(unknown("preset", preset, presets))
    if flags["strategy"] == "mirrored" and not mirrored:
        parser.error("--strategy mirrored: the models of this script train on one device; those of OCM can be mirrored")
    pairs = flags["set"]
    if flags.get("dataset") is not None:
        pairs = [*pairs, f"dataset={flags['dataset']}"]
    try:
        config = apply_settings(presets[preset], pairs)
    except ValueError as error:
        parser.error(str(error))
    before, after = vars(presets[preset]), vars(config)
    return Arguments(
        script=script,
        preset=preset,
        config=config,
        changes={name: value for name, value in after.items() if value != before[name]},
        named=frozenset(pair.partition("=")[0] for pair in pairs),
        output=flags["output"] or Path("runs") / script / f"{preset}-seed{flags['seed']}",
        command=("python", sys.argv[0], *argv),
        extras=extras,
        **{name: flags[name] for name in PASSED_ON},
    )


def apply_settings(config, pairs):
    """Returns a copy of `config` with the values of `key=value` strings.

    Raises:
        ValueError: if a key is unknown, a value does not fit its field, or the settings refuse the
            combination.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    annotations = typing.get_type_hints(type(config))
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, got {pair!r}")
        if name not in fields:
            raise ValueError(unknown("setting", name, fields))
        try:
            value = parse_value(text, annotations[name])
        except ValueError as error:
            raise ValueError(f"{name}={text}: {error}") from None
        choices = fields[name].metadata.get("choices")
        if choices is not None and value not in choices:
            raise ValueError(f"{name}={text}: must be one of {', '.join(map(format_value, choices))}")
        values[name] = value
    return dataclasses.replace(config, **values)


def parse_value(text, annotation):
    """Reads a value of the type a field is annotated with.

    Args:
        text: for example `"0.5"`, `"true"`, `"none"` or `"1,2,3"`.
        annotation: int, float, bool, str, a tuple of these, or one of them or None.

    Raises:
        ValueError: if the text is no such value; the message says what is expected.
    """
    inner = _without_none(annotation)
    if inner is not annotation:
        return None if text.lower() == "none" else parse_value(text, inner)
    if typing.get_origin(annotation) is tuple:
        return _parse_tuple(text, annotation)
    if annotation is str:
        return text
    try:
        if annotation is bool:
            return BOOLEANS[text.lower()]
        value = annotation(text)
    except (KeyError, ValueError):
        raise ValueError(f"expected {describe_type(annotation)}") from None
    # The settings are kept as strict JSON, which knows neither infinity nor NaN.
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _parse_tuple(text, annotation):
    items, parts = typing.get_args(annotation), [part.strip() for part in text.split(",") if part.strip()]
    if items[-1] is Ellipsis:
        items = items[:1] * len(parts)
    if len(parts) != len(items):
        raise ValueError(f"expected {describe_type(annotation)}")
    return tuple(parse_value(part, item) for part, item in zip(parts, items, strict=True))


def _without_none(annotation):
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    (inner,) = (item for item in typing.get_args(annotation) if item is not types.NoneType)
    return inner


def describe_type(annotation):
    """Says in words which values a field takes."""
    inner = _without_none(annotation)
    if inner is not annotation:
        return f"{describe_type(inner)} or none"
    if typing.get_origin(annotation) is tuple:
        items = typing.get_args(annotation)
        if items[-1] is Ellipsis:
            return f"a list A,B,... of {items[0].__name__}"
        return "a list of " + ",".join(item.__name__ for item in items)
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[annotation]


def format_value(value):
    """Writes a value as `--set` would take it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(format_value, value)) if isinstance(value, tuple) else str(value)


def unknown(kind, name, known):
    """Composes the message on an unknown name: the closest known one, then all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    kinds = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"unknown {kind} {name!r}{guess} {kinds}: {', '.join(known)}"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def _add_flags(parser, script, default_preset, has_dataset, mirrored):
    add = parser.add_argument
    add(
        "--preset",
        default=default_preset,
        metavar="NAME",
        help=f"settings to start from (default: {default_preset})",
    )
    add("--seed", type=parse_seed, default=0, metavar="N", help="seed of everything random (default: 0)")
    add("--output", type=Path, metavar="DIR", help=f"run directory (default: runs/{script}/PRESET-seedN)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with an unfinished run, if there is one")
    again.add_argument("--overwrite", action="store_true", help="replace an earlier run in the run directory")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change settings (see below)",
    )
    add("--data-dir", type=Path, metavar="DIR", help="where the datasets are (default: $TFDS_DATA_DIR)")
    if has_dataset:
        add("--dataset", metavar="NAME", help="the same as --set dataset=NAME")
    add("--quiet", action="store_true", help="show no progress")
    add("--checkpoint-seconds", type=_seconds, default=30.0, metavar="S",
        help="shortest time between two checkpoints (default: 30)")  # fmt: skip
    add("--threads", type=_threads, metavar="N",
        help="CPU threads of one operation (default: one for each core). One takes the least CPU time for small "
        "networks, so that several runs side by side are done sooner; results differ in the last digits")  # fmt: skip
    add("--strategy", choices=STRATEGIES, default="single",
        help="mirrored shares each minibatch of one large model among all GPUs; results differ in the last digits "
        "(default: single)" if mirrored else "devices that train the model; here single alone")  # fmt: skip
    add("--track", choices=TRACKERS, action="append", default=[],
        help="send what metrics.csv gets to TensorBoard or Weights & Biases too (offline, unless WANDB_MODE says "
        'otherwise); may be repeated; needs pip install -e ".[tensorboard]" or ".[wandb]"')  # fmt: skip


def parse_seed(text):
    """Reads a seed from the command line, a whole number from 0 to 2**32 - 1."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**32 - 1")
    return int(text)


def _threads(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads")
    return int(text)


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _describe_presets(presets, costs, default_preset):
    width = max(map(len, presets))
    lines = [f"  {name:{width}}  {costs[name]}" + (" (default)" if name == default_preset else "") for name in presets]
    return "\n".join(["presets and what they cost:", *lines])


def _describe_settings(presets):
    config = presets[next(iter(presets))]
    annotations = typing.get_type_hints(type(config))
    lines = ["settings for --set, and their values:"]
    for field in dataclasses.fields(config):
        choices = field.metadata.get("choices")
        kind = describe_type(annotations[field.name])
        if choices is not None:
            kind = f"one of {', '.join(map(format_value, choices))}"
        values = {name: format_value(getattr(preset, field.name)) for name, preset in presets.items()}
        if len(set(values.values())) == 1:
            values = {"all presets": values[next(iter(values))]}
        lines.append(f"  {field.name}: {field.metadata['help']} ({kind})")
        lines.append("      " + "; ".join(f"{name}: {value}" for name, value in values.items()))
    return "\n".join(lines)
