"""Files of a folder or a zip archive, read in memory by their relative names."""

import contextlib
import os
import pathlib
import struct
import zipfile
import zlib
from typing import Self

from ocm_tf.errors import UserError

# An image file of a data set is a few kilobytes; these stop an archive made to exhaust memory.
MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 16 * 2**30
# A zip archive ends in a record of 22 bytes and a comment of at most 65,535.
_END_MARK, _MAX_END_BYTES = b"PK\5\6", 22 + 0xFFFF


class FileSource:
    """Lists and reads the files below a folder or inside a zip archive; a context manager.

    Nothing is extracted to disk, so a member's name, whatever it says, leads nowhere outside.

    Args:
        path: `pathlib.Path` of a folder or of a zip archive.

    Raises:
        UserError: if it is missing or is neither.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = pathlib.Path(path)
        self.title = str(path)
        self._archive = None
        self._num_bytes = 0
        if self.path.is_dir():
            return
        if not self.path.exists():
            raise UserError(f"{path} does not exist")
        try:
            self._archive = zipfile.ZipFile(self.path)
            _check_directory(self.path, self._archive)
        except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError) as error:
            if self._archive is not None:
                self._archive.close()
            raise UserError(
                f"{path} is neither a folder nor a whole zip archive ({error}): fetch or copy it again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def names(self) -> list[str]:
        """Lists the relative names of the files, with `/` between parts, sorted; hidden files are left out."""
        if self._archive is not None:
            names = [info.filename for info in self._archive.infolist() if not info.is_dir()]
        else:
            names = [path.relative_to(self.path).as_posix() for path in _walk(self.path)]
        return sorted({name for name in names if not _is_hidden(name)})

    def read(self, name: str) -> bytes:
        """Reads one file whole.

        Args:
            name: one of `names()`.

        Returns:
            content: bytes.

        Raises:
            UserError: if it is damaged, encrypted or larger than any image should be.
        """
        with self._reading(name), self._open(name) as stream:
            # One more byte than allowed, since an archive may lie about the size of its members.
            content = stream.read(MAX_FILE_BYTES + 1)
        self._num_bytes += len(content)
        if len(content) > MAX_FILE_BYTES:
            raise UserError(f"{self.title}:{name} is larger than {MAX_FILE_BYTES // 2**20} MiB, too large for an image")
        if self._num_bytes > MAX_TOTAL_BYTES:
            raise UserError(f"{self.title} holds more than {MAX_TOTAL_BYTES // 2**30} GiB of images, too many to load")
        return content

    def _open(self, name):
        if self._archive is not None:
            return self._archive.open(name)
        if not (self.path / name).is_file():
            # A pipe would make whoever reads it wait for ever.
            raise OSError("it is no regular file")
        return (self.path / name).open("rb")

    @contextlib.contextmanager
    def _reading(self, name):
        try:
            yield
        # RuntimeError is what zipfile raises on encrypted members, EOFError and zlib.error on damaged ones.
        except (
            OSError,
            EOFError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
        ) as error:
            raise UserError(f"{self.title}:{name} cannot be read ({error})") from error


def _is_hidden(name):
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _walk(root):
    """Yields the paths of all files below a folder; a link to a folder above it is not followed."""
    for folder, folders, files in os.walk(root, followlinks=True):
        here = os.path.realpath(folder)
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in links:
            there = os.path.realpath(os.path.join(folder, name))
            if os.path.commonpath([here, there]) == there:
                folders.remove(name)
        yield from (pathlib.Path(folder, name) for name in files)


def _check_directory(path, archive):
    """Compares the list of an archive's members with what is in the archive, since it has no checksum of its own.

    Raises:
        zipfile.BadZipFile: if a member is missing or has another name there.
    """
    members = archive.infolist()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MAX_END_BYTES))
        end = file.read().rpartition(_END_MARK)[2]
    (claimed,) = struct.unpack("<H", end[6:8])
    # The largest number says that there are as many or more.
    if claimed != len(members) and not (claimed == 0xFFFF and len(members) >= claimed):
        raise zipfile.BadZipFile(f"it claims {claimed} members and lists {len(members)}")
    for member in members:
        archive.open(member).close()
