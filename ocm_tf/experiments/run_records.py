"""Reading of a run's `config.json` and `results.json`, of which neither content nor origin is taken for granted."""

from ocm_tf.errors import UserError
from ocm_tf.files import read_json


def _is_text(value):
    return isinstance(value, str)


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _or_none(is_kind):
    return lambda value: value is None or is_kind(value)


def _by_name(is_kind):
    return lambda value: isinstance(value, dict) and all(map(is_kind, value.values()))


def _is_commit(value):
    return isinstance(value, dict) and _or_none(_is_text)(value.get("commit"))


def _are_sessions(value):
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


_KINDS = {
    "text": _is_text,
    "text or null": _or_none(_is_text),
    "true or false": lambda value: isinstance(value, bool),
    "a whole number from 0 on": _is_count,
    "a number": _is_number,
    "a number or null": _or_none(_is_number),
    "an object": lambda value: isinstance(value, dict),
    "an object of numbers": _by_name(_is_number),
    "an object of numbers and nulls": _by_name(_or_none(_is_number)),
    "null or an object with a commit": _or_none(_is_commit),
    "a list of objects": _are_sessions,
}
_RESULTS = {
    "experiment": "text",
    "preset": "text",
    "seed": "a whole number from 0 on",
    "dataset": "text or null",
    "changes": "an object",
    "metrics": "an object of numbers",
    "paper": "an object of numbers and nulls",
    "memory_samples": "a number or null",
    "memory_bytes": "a number or null",
    "num_components": "a number or null",
    "wall_seconds": "a number",
    "finished": "true or false",
}
_CONFIG = {
    "script": "text",
    "preset": "text",
    "seed": "a whole number from 0 on",
    "dataset": "text or null",
    "settings": "an object",
    "changes": "an object",
    "command": "text",
    "data_source": "text",
    "git": "null or an object with a commit",
    "resumes": "a list of objects",
}


def read_results(path, required=()):
    """Reads `results.json`.

    Args:
        path: the file.
        required: names that must be there.

    Returns:
        dict; what it holds of the names that runs write is of the kind they write.

    Raises:
        UserError: if the file is missing, damaged, or holds something of another kind.
    """
    return _checked(path, _RESULTS, required)


def read_config(path, required=()):
    """Reads `config.json`; as `read_results`."""
    return _checked(path, _CONFIG, required)


def _checked(path, kinds, required):
    content = read_json(path)
    missing = [name for name in required if name not in content]
    if missing:
        raise UserError(f"{path} is not readable as the record of a run: it lacks {', '.join(missing)}")
    for name, kind in kinds.items():
        if name in content and not _KINDS[kind](content[name]):
            raise UserError(
                f"{path} is not readable as the record of a run: {name} must be {kind}, found {content[name]!r:.100}"
            )
    return content
