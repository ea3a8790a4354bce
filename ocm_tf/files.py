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
MAX_ARRAY_BYTES = 16 * 2**30
# Images compress to a tenth, blank ones to a thousandth; beyond this many bytes the latter is no accident.
_SURELY_HELD, _MAX_RATIO = 2**28, 200
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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


def read_json(path):
    """Reads an object of strict JSON.

    Returns:
        dict.

    Raises:
        UserError: if the file is missing or may not be read.
        DamagedFileError: if it holds anything else, or a number that is not finite.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        number = _first_not_finite(content)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {os.strerror(error.errno)}") from None
    # Brackets within brackets by the thousand exhaust Python's stack.
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is not readable JSON ({error})") from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path} does not hold a JSON object")
    if number is not None:
        raise DamagedFileError(f"{path} holds {number}, which is no finite number")
    return content


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

    def read(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                check_array_header(archive, member)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    return read_archive(path, read)


def read_archive(path, read):
    """Reads a zip file, such as `.npz` or `.keras`, after a check of its checksums.

    Args:
        path: the file.
        read: called with `path`; for example `keras.saving.load_model`.

    Returns:
        What `read` returns.

    Raises:
        UserError: if the file is missing or may not be read.
        DamagedFileError: if it is cut off or altered, or `read` fails.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return read(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except PermissionError:
        raise UserError(f"{path} may not be read") from None
    except Exception as error:  # Altered bytes make zipfile and NumPy raise almost anything.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DamagedFileError(f"{path} is damaged or no {Path(path).suffix} file ({reason})") from error
    raise DamagedFileError(f"{path} is damaged: the checksum of {damaged} is wrong")


def check_array_header(archive, member):
    """Compares the size that an array claims with that of its data, before memory is taken for it.

    Args:
        archive: open `zipfile.ZipFile` of an `.npz` file.
        member: `zipfile.ZipInfo` of the array.

    Raises:
        ValueError: if the sizes differ or are out of proportion, the array holds Python objects, or the header is none.
    """
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            raise ValueError(f"array {name!r} has the unknown format version {version}")
        try:
            shape, _, dtype = _HEADER_READERS[version](stream)
        except Exception as error:  # NumPy takes the header for Python text, which can be wrong in any way.
            raise ValueError(f"array {name!r} has no readable header") from error
        found = member.file_size - stream.tell()
    if dtype.hasobject:
        raise ValueError(f"array {name!r} must hold numbers, found Python objects, which are never loaded")
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes != found:
        raise ValueError(f"array {name!r} is damaged: shape {shape} of {dtype} needs {num_bytes} bytes, found {found}")
    if num_bytes > MAX_ARRAY_BYTES:
        raise ValueError(f"array {name!r} takes {num_bytes} bytes, more than {MAX_ARRAY_BYTES // 2**30} GiB")
    if num_bytes > _SURELY_HELD and num_bytes > _MAX_RATIO * member.compress_size:
        raise ValueError(f"array {name!r} unpacks to more than {_MAX_RATIO} times its size, as an archive made to harm")
