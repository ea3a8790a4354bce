"""A grid of runs: what it consists of, and which of it is still to be made."""

import dataclasses
import itertools
import re
import shlex
from pathlib import Path

from ocm_tf.errors import UserError
from ocm_tf.experiments.run_records import read_config, read_results
from ocm_tf.experiments.settings import unknown

_ENTRY_KEYS = ("script", "preset", "seeds", "flags", "set")
# Flags that change nothing a run computes, or say only where it goes.
_BESIDE_THE_POINT = {"--resume", "--overwrite", "--quiet"}
_BESIDE_THE_POINT_WITH_VALUE = {"--output", "--threads", "--data-dir", "--checkpoint-seconds"}
# Flags that `plan` writes itself, or that make many runs of one.
_RESERVED = {"--preset", "--seed", "--set", "--compare", "--seeds", "--only", "--all-dominant", "--study"}
_RESERVED |= _BESIDE_THE_POINT | _BESIDE_THE_POINT_WITH_VALUE


@dataclasses.dataclass(frozen=True)
class SweepRun:
    """One run of a grid.

    Attributes:
        name: `SCRIPT/LABEL-seedN`.
        command: the script's path and its arguments, without those that say where the run goes.
        output: its run directory.
    """

    name: str
    command: tuple[str, ...]
    output: Path


def read_sweep(path):
    """Reads a grid from a YAML file: a list of entries, or a mapping whose `runs` is such a list.

    Args:
        path: the file. Each entry has a `script` and may have `preset`, `seeds` (a list), `flags` and `set`
            (mappings of a name to a value or to a list of values).

    Returns:
        list of dicts, as `plan` takes them.

    Raises:
        UserError: if the file is missing or holds something else.
    """
    try:
        import yaml
    except ImportError as error:
        raise UserError("a grid in YAML needs PyYAML: pip install 'ocm_tf[sweep]'") from error
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not readable as YAML ({' '.join(str(error).split())})") from None
    entries = content.get("runs") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} holds no list of runs; each is a mapping with the keys {', '.join(_ENTRY_KEYS)}")
    return entries


def plan(entries, scripts, output):
    """Lists the runs of a grid: for each entry all seeds times all values of its flags and settings.

    Args:
        entries: list of dicts, see `read_sweep`. A list of values varies the flag or setting; a tuple-valued
            setting is one text, such as `"1,2,3"`.
        scripts: directory of the scripts.
        output: directory of the sweep; a run lies in `output/SCRIPT/LABEL-seedN`, where the label names what varies.

    Returns:
        list of `SweepRun`.

    Raises:
        UserError: if an entry is malformed, a script unknown, or two runs would share a directory.
    """
    known = sorted(path.stem for path in Path(scripts).glob("*_*.py"))
    runs = [run for entry in entries for run in _expand(entry, Path(scripts), known, Path(output))]
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two runs of the grid would be {name}; vary them by a flag or a setting of their own")
    return runs


def _expand(entry, scripts, known, output):
    if not isinstance(entry, dict) or "script" not in entry:
        raise UserError(f"an entry of a grid is a mapping with a script, got {entry!r}")
    for key in entry:
        if key not in _ENTRY_KEYS:
            raise UserError(unknown("key", str(key), _ENTRY_KEYS))
    script = str(entry["script"])
    if script not in known:
        raise UserError(unknown("script", script, known))
    seeds = _as_list(entry.get("seeds", [0]))
    if not seeds or not all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"{script}: seeds are whole numbers from 0 on, got {seeds}")
    flags, settings = (_axes(script, key, entry.get(key)) for key in ("flags", "set"))
    for name in flags:
        if f"--{name}" in _RESERVED:
            raise UserError(f"{script}: the sweep sets --{name} itself; it is no flag of a single run to vary")
    start = ["--preset", str(entry["preset"])] if "preset" in entry else []
    for seed, *values in itertools.product(seeds, *flags.values(), *settings.values()):
        chosen = list(zip([*flags, *settings], values, strict=True))
        of_flags, of_settings = chosen[: len(flags)], chosen[len(flags) :]
        command = [str(scripts / f"{script}.py"), *start, "--seed", str(seed)]
        for name, value in of_flags:
            command += [f"--{name}"] if value is True else [f"--{name}", _text(value)]
        if of_settings:
            command += ["--set", *(f"{name}={_text(value)}" for name, value in of_settings)]
        parts = [_text(value) for name, value in of_flags if len(flags[name]) > 1]
        parts += [f"{name}={_text(value)}" for name, value in of_settings if len(settings[name]) > 1]
        # The preset tells apart entries that vary nothing.
        label = re.sub(r"[^\w.+=-]", "_", "-".join(parts) or str(entry.get("preset", "default")))
        name = f"{script}/{label}-seed{seed}"
        yield SweepRun(name, tuple(command), output / name)


def _axes(script, key, mapping):
    """Returns `{name: list of values}` of an entry's flags or settings."""
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise UserError(f"{script}: {key} is a mapping of names to values, got {mapping!r}")
    axes = {str(name): _as_list(values) for name, values in mapping.items()}
    for name, values in axes.items():
        if not values or any(isinstance(value, dict | list) for value in values):
            raise UserError(f"{script}: {name} takes a value or a list of values, got {mapping[name]!r}")
    return axes


def _as_list(value):
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value):
    """Writes a value of YAML as a command line takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def is_finished(run):
    """Tells whether the directory of a run holds its finished results.

    Raises:
        UserError: if it holds those of another command, so that they are not taken for this one's.
    """
    results_path, config_path = run.output / "results.json", run.output / "config.json"
    if not results_path.exists() or not config_path.exists():
        return False
    finished = read_results(results_path, required=("finished",))["finished"]
    saved = read_config(config_path, required=("command",))["command"]
    try:
        before, now = _meaning(shlex.split(saved)[2:]), _meaning(run.command[1:])
    except ValueError as error:
        raise UserError(f"{config_path} holds a command that is none ({error})") from None
    if finished and before != now:
        raise UserError(f"{run.output} holds a run of other arguments ({shlex.join(before)}); choose another --output")
    return finished


def _meaning(arguments):
    """Returns the arguments without those that change nothing a run computes, sorted."""
    kept, arguments = [], iter(arguments)
    for argument in arguments:
        if argument in _BESIDE_THE_POINT_WITH_VALUE:
            next(arguments, None)
        elif argument not in _BESIDE_THE_POINT:
            kept.append(argument)
    return sorted(kept)
