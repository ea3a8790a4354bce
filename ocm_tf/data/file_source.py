"""Files of a folder or a zip archive, read in memory by their relative names."""

import contextlib
import os
import pathlib
import zipfile
import zlib
from typing import Self

from ocm_tf.errors import UserError

# An image file of a data set is a few kilobytes; these stop an archive made to exhaust memory.
MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 16 * 2**30


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
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
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
            names = [
                pathlib.Path(folder, name).relative_to(self.path).as_posix()
                for folder, _, files in os.walk(self.path, followlinks=True)
                for name in files
            ]
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
        return (self.path / name).open("rb") if self._archive is None else self._archive.open(name)

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
