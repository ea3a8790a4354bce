"""Damage done to the content of files, each kind by a seeded generator, so that any finding can be had again."""

import copy
import json

import numpy as np

# What a wrong-typed or hostile JSON value looks like; the texts are paths, a number too large for a float, markup.
_STRANGERS = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", "x", "nan", "-1",
    "../../etc/passwd", "/etc/passwd", "a\nb", "\0", "ä" * 50, [], {}, [[]], [None], ["x"], {"x": 1}, [[1, 2], [3]],
)  # fmt: skip
_LARGE = (0xFF, 0x7F, 0x80)


def damaged(content, rng):
    """Returns the content of a file damaged in one of the ways in which files are.

    Args:
        content: bytes, at least one.
        rng: `numpy.random.Generator`.

    Returns:
        bytes, hardly ever the same.
    """
    return bytes(_DAMAGES[rng.integers(len(_DAMAGES))](bytearray(content), rng))


def _cut(content, rng):
    return content[: rng.integers(len(content))]


def _lengthen(content, rng):
    return content + rng.bytes(int(rng.integers(1, 40)))


def _flip_bits(content, rng):
    for place in rng.integers(len(content), size=rng.integers(1, 5)):
        content[place] ^= 1 << int(rng.integers(8))
    return content


def _overwrite(content, rng):
    start, stop = _range(content, rng)
    content[start:stop] = rng.bytes(stop - start)
    return content


def _blank(content, rng):
    start, stop = _range(content, rng)
    content[start:stop] = bytes(stop - start)
    return content


def _remove(content, rng):
    start, stop = _range(content, rng)
    del content[start:stop]
    return content


def _repeat(content, rng):
    start, stop = _range(content, rng)
    content[start:start] = content[start:stop]
    return content


def _claim_more(content, rng):
    """Makes a number of four or eight bytes as large as it can be, as in a header that lies."""
    width = int(rng.choice([4, 8]))
    start = int(rng.integers(len(content)))
    content[start : start + width] = bytes([rng.choice(_LARGE)] + [0xFF] * (width - 1))[: len(content) - start]
    return content


def _range(content, rng):
    start = int(rng.integers(len(content)))
    return start, min(len(content), start + int(rng.integers(1, 65)))


_DAMAGES = (_cut, _lengthen, _flip_bits, _flip_bits, _overwrite, _blank, _remove, _repeat, _claim_more)


def altered_json(content, rng):
    """Returns a JSON text in which one value is replaced by one of another kind or removed, or damaged as bytes are.

    Args:
        content: bytes of a JSON text.
        rng: `numpy.random.Generator`.

    Returns:
        bytes.
    """
    if rng.random() < 0.3:
        return damaged(content, rng)
    if rng.random() < 0.02:
        return b"[" * 100_000
    return json.dumps(altered(json.loads(content), rng)).encode()


def altered(value, rng):
    """Returns a copy of a JSON value with one of its parts, however deep, replaced or removed."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    owner, key = places[rng.integers(len(places))]
    if rng.random() < 0.15:
        del owner[key]
    else:
        owner[key] = copy.deepcopy(_STRANGERS[rng.integers(len(_STRANGERS))])
    return value


def _places(value):
    """Yields every container below a value with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def altered_rows(content, rng):
    """Returns a CSV text in which one field is replaced, or damaged as bytes are."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    rows = [line.split(",") for line in content.decode().splitlines()]
    row = rows[rng.integers(len(rows))]
    strangers = ("", "x", "nan", "1e999", "1.5", "-1", "9" * 30, "9" * 5000, '"', "a\rb", "\0", "1,2", "\u0661")
    row[rng.integers(len(row))] = str(rng.choice(strangers))
    return "\n".join(map(",".join, rows)).encode() + b"\n"


def altered_arrays(arrays, rng):
    """Returns named arrays with one of them cast, reshaped, emptied, filled with a stranger, renamed or removed.

    Args:
        arrays: dict from name to array.
        rng: `numpy.random.Generator`.

    Returns:
        Dict from name to array.
    """
    arrays = dict(arrays)
    name = str(rng.choice(sorted(arrays)))
    array = np.array(arrays.pop(name))
    with np.errstate(all="ignore"):
        changed = _ARRAY_CHANGES[rng.integers(len(_ARRAY_CHANGES))](array, rng)
    return arrays if changed is None else {**arrays, name: changed}


def _fill(array, rng):
    array = array.astype(np.float64)
    array.flat[rng.integers(array.size)] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 256.0, 0.5, 1e30])
    return array


_ARRAY_CHANGES = (
    _fill,
    _fill,
    lambda array, rng: array.astype(rng.choice(["f2", "c8", "i1", "S3", "U2", "?", "M8[s]", "u8"])),
    lambda array, rng: array[:0],
    lambda array, rng: array[:-1],
    lambda array, rng: array.ravel(),
    lambda array, rng: array[None],
    lambda array, rng: array[..., None, None],
    lambda array, rng: np.array(7),
    lambda array, rng: array.astype(np.int64) - 1,
    lambda array, rng: array.astype(np.int64) + 2,
    lambda array, rng: array.astype(np.int64) * 2**40,
    lambda array, rng: array.astype(object),
    lambda array, rng: array.astype([("f", array.dtype)]),
    lambda array, rng: None,
)


def in_place(change, *patterns):
    """Returns a mutation that changes one of the files whose names match."""

    def mutate(folder, rng):
        paths = sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()})
        path = paths[rng.integers(len(paths))]
        path.write_bytes(change(path.read_bytes(), rng))
        return path.name

    return mutate
