"""Files that are either whole or not there: atomic writes, strict JSON and arrays without pickle."""

import contextlib
import errno
import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np

from ocm_tf.errors import UserError

# What the user can mend: a full disk, a place that cannot be written to, a name that is taken.
UNWRITABLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOTDIR, errno.ENOENT, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip
TEMPORARY_MARK = ".partial"


class DamagedFileError(UserError):
    """Reports a file whose content is cut off or altered."""


@contextlib.contextmanager
def reporting_unwritable(path):
    """Turns the system's refusal to write `path` into a `UserError` that names the path and the reason."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(f"cannot write {path}: {os.strerror(error.errno)}") from error


def write_atomically(path, write):
    """Writes a file under a temporary name in the same directory and renames it, so that `path` is never half
    written.

    Args:
        path: the file; missing parent directories are made.
        write: called with the temporary path, which has the suffix of `path`; for example `model.save`.

    Raises:
        UserError: if the place is full or cannot be written to; an older file stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{TEMPORARY_MARK}{path.suffix}")
    with reporting_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    # The file is in place; some file systems cannot sync a directory.
    with contextlib.suppress(OSError):
        _sync(path.parent)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory):
    """Removes temporary files that killed processes left in `directory`; no process may be writing."""
    for path in Path(directory).rglob(f".*{TEMPORARY_MARK}*"):
        path.unlink(missing_ok=True)


def write_json(path, content):
    """Writes strict JSON, atomically; NumPy scalars and arrays become numbers and lists, paths become
    strings.

    Raises:
        ValueError: if a number is not finite; the message names its key.
        UserError: as `write_atomically`.
    """
    content = _plain(content)
    number = _first_not_finite(content)
    if number is not None:
        raise ValueError(f"{Path(path).name} cannot hold {number}: JSON knows finite numbers only")
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def _first_not_finite(value, name=""):
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} = {value}"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_first_not_finite(item, f"{name}.{key}" if name else str(key)) for key, item in items)
    return next((number for number in found if number is not None), None)


def save_arrays(path, arrays):
    """Writes named arrays to an uncompressed `.npz` file, atomically and without pickle.

    Args:
        path: the file, ending in `.npz`.
        arrays: `{name: array}`.

    Raises:
        ValueError: if the path does not end in `.npz`, or an array holds Python objects.
        UserError: as `write_atomically`.
    """
    if Path(path).suffix != ".npz":
        raise ValueError(f"arrays are written to .npz files, got {path}")
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    write_atomically(path, lambda temporary: np.savez(temporary, allow_pickle=False, **arrays))


def load_arrays(path):
    """Reads all arrays of a `.npz` file, after a check of their checksums.

    Returns:
        `{name: array}`.

    Raises:
        UserError: if the file is missing or may not be read.
        DamagedFileError: if it is cut off or altered.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except PermissionError:
        raise UserError(f"{path} may not be read") from None
    except Exception as error:  # Altered bytes make zipfile and NumPy raise almost anything.
        raise DamagedFileError(f"{path} is damaged or no .npz file ({error})") from error
    raise DamagedFileError(f"{path} is damaged: the checksum of {damaged} is wrong")
